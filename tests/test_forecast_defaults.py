"""What a forecast's defaults become: chosen inside the training part, told, repeatable, free of units."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import gatework
from gatework.errors import DataError, OptionError
from gatework.runtime.series.windows import in_steps, make_windows
from gatework.tasks import jobs
from gatework.tasks.forecast import ForecastOptions, ForecastTask
from gatework.tasks.forecast.choosing import PLAIN, SHARES, Backtest, sure
from gatework.tasks.forecast.combined import weighed
from gatework.tasks.forecast.linear import solved
from gatework.tasks.forecast.parts import mean_change
from gatework.tasks.forecast.windows import make_batch

START = datetime(2022, 1, 1)
QUICK: dict[str, Any] = {"time": "day", "target": ("units",), "hidden_size": 6, "epochs": 1, "classical": "none"}


def rows(values: np.ndarray, name: str = "a", **more: np.ndarray) -> pl.DataFrame:
    days = [START + timedelta(days=day) for day in range(len(values))]
    return pl.DataFrame({"shop": [name] * len(values), "day": days, "units": values.astype(float), **more})


def growing(length: int = 240, growth: float = 0.004) -> np.ndarray:
    """A season of 7 whose size grows with the level: a straight line of logarithms."""
    steps = np.arange(length)
    noise = np.random.default_rng(1).normal(0, 0.02, length)
    return 50 * np.exp(growth * steps + 0.3 * np.sin(2 * np.pi * steps / 7) + noise)


def prepared(frame: pl.DataFrame, **options: Any) -> ForecastTask:
    task = ForecastTask(ForecastOptions(**{**QUICK, "horizon": 7, "season": 7, **options}))
    task.prepare(frame)
    return task


# -- what is chosen ---------------------------------------------------------------------------------------------


def test_growth_by_shares_gets_logarithms_and_changes_by_amounts_do_not() -> None:
    shares = prepared(rows(growing()))
    assert shares.options.transform == "log"
    amounts = prepared(rows(40 + 30 * np.sin(np.arange(240) * 2 * np.pi / 7) + np.cumsum(np.ones(240)) % 13))
    assert amounts.options.transform == "none"


def test_negative_values_and_many_zeros_get_no_logarithms() -> None:
    values = growing()
    assert prepared(rows(values - 60)).options.transform == "none"
    some, many = values.copy(), values.copy()
    some[30], many[::10] = 0, 0
    few = prepared(rows(some))
    assert few.options.transform == "log"
    assert any("1 value of 0 has no logarithm" in note for note in few.notes)
    assert prepared(rows(many)).options.transform == "none"


def test_every_choice_is_settled_and_told() -> None:
    task = prepared(rows(growing()))
    values = vars(task.options)
    assert [name for name, value in values.items() if value == "auto"] == ["schedule_by"]
    assert all(
        values[name] is not None for name in (*PLAIN, "unit", "lookback", "epochs", "batch_size", "refit_epochs")
    )
    told = "\n".join(task.notes)
    assert "chosen on the training part: logarithms" in told and "ridge=" not in str(task.found)
    for text in (
        "settings were chosen on",
        "the linear map alone: ",
        "its lookback: ",
        "its penalty: ",
        "without it: ",
    ):
        assert text in told, text


def test_both_ways_to_decode_are_tried_also_where_forms_are_near() -> None:
    task = prepared(rows(growing(240, 0.0005)))
    (told,) = [note for note in task.notes if note.startswith("of the way to decode: ")]
    assert any(note.startswith("short trainings: ") for note in task.notes), "several forms are near"
    assert "decoding=direct" in told and "decoding=segments" in told


def test_a_resumed_training_goes_on_with_what_was_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def job(**more: Any) -> ForecastTask:
        return ForecastTask(
            ForecastOptions(**{**QUICK, "horizon": 7, "season": 7, "epochs": 3, "keep_state": True} | more)
        )

    frame, out = rows(growing()), tmp_path / "run"
    begun = jobs.train(job(), frame, out=out, quiet=True)
    monkeypatch.setattr(Backtest, "network", None)  # nothing is tried again
    resumed = jobs.train(job(epochs=5), frame, out=out, resume=True, quiet=True)
    assert resumed.task.options == replace(begun.task.options, epochs=5)


def test_shares_of_the_truth_need_values_above_0() -> None:
    with pytest.raises(DataError, match="transform=log needs values above 0"):
        prepared(rows(growing() - 60), loss="mape")


def test_what_is_asked_for_stays() -> None:
    asked = {"scale": "deviation", "loss": "mae", "lookback": 14, "linear": "fixed", "ridge": 5.0, "batch_size": 16}
    task = prepared(rows(growing()), **asked)
    assert {name: getattr(task.options, name) for name in asked} == asked
    assert prepared(rows(growing()), segment=3).options.decoding == "segments"
    assert prepared(rows(growing()), loss="mape").options.transform == "log"
    with pytest.raises(OptionError, match="transform=log"):
        prepared(rows(growing()), loss="mape", transform="none")


def test_nothing_is_tried_where_all_is_named_or_too_short() -> None:
    named = prepared(rows(growing()), **PLAIN, lookback=14)
    assert not any("chosen" in note for note in named.notes)
    short = prepared(rows(growing(24)), horizon=4)
    assert any("too short to choose settings" in note for note in short.notes)
    assert {name: getattr(short.options, name) for name in PLAIN} == PLAIN


def test_the_choice_reads_the_training_part_alone_and_is_the_same_again() -> None:
    values = growing()
    first, again = prepared(rows(values)), prepared(rows(values))
    changed = values.copy()
    assert first.training is not None
    end = int(first.training.cuts.max()) + 7
    changed[end:] = -1e6
    other = prepared(rows(changed))
    for name in (*PLAIN, "lookback", "unit", "segment"):
        chosen = {getattr(task.options, name) for task in (first, again, other)}
        assert len(chosen) == 1, (name, chosen)


def test_windows_that_judge_come_after_those_that_are_fitted() -> None:
    task = prepared(rows(growing()))
    assert task.training is not None
    panel = task.training.panel.with_series([part[:170] for part in task.training.panel])
    fit, held = Backtest(task, panel).windows(task.options)
    assert fit.cuts.max() + 7 <= held.cuts.min() and held.cuts.max() + 7 == 170
    assert len(held) >= 20


# -- the mean with simple methods --------------------------------------------------------------------------------


def test_the_usual_share_gives_way_only_to_what_is_surely_better() -> None:
    generator = np.random.default_rng(3)
    noise = generator.normal(0, 0.5, (len(SHARES), 30))
    for middle, usual, expected in (
        ([1.0, 1.0, 1.0, 1.0], 0.5, 0.5),
        ([1.0, 1.05, 1.1, 1.2], 0.5, 0.5),  # chance could have made it
        ([1.0, 3.0, 5.0, 7.0], 0.5, 0.0),
        ([9.0, 5.0, 3.0, 1.0], 0.0, 0.75),
        ([1.0, 1.05, 1.1, 1.2], 0.0, 0.0),
    ):
        each = np.array(middle)[:, None] + noise
        assert sure(each.mean(axis=1), each, 30, usual) == expected
        assert sure(each.mean(axis=1), each, 2, usual) == usual, "two windows tell nothing"


def test_a_network_that_sees_what_simple_methods_cannot_stands_alone() -> None:
    generator = np.random.default_rng(4)
    promo = (generator.random(240) < 0.3).astype(float)
    frame = rows(20 + 30 * promo + generator.normal(0, 0.3, 240), promo=promo)
    task = prepared(frame, future=("promo",))
    assert (task.options.combine, task.options.combine_share) == ("none", None)


def test_wandering_series_lean_on_simple_methods() -> None:
    """Of many series the backtest says how much, of few the validation part."""
    walks = 100 + np.cumsum(np.random.default_rng(8).normal(0, 1, (10, 120)), axis=1)
    frame = pl.concat([rows(walk, name) for walk, name in zip(walks, "abcdefghij", strict=True)])
    task = prepared(frame, season=1, series="shop")
    told = "\n".join(task.notes)
    assert "simple methods beside it: " in told and "their share of the mean: " in told
    assert task.options.combine in ("simple", "theta")
    assert task.options.combine_share in SHARES[1:]
    alone = prepared(rows(walks[0]), season=1).options
    assert (alone.combine, alone.combine_share) == ("simple", None)


@pytest.mark.parametrize("middle", [[0.5, 0.5], [0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.5]])
def test_weights_go_as_far_from_the_usual_ones_as_windows_can_tell(middle: list[float]) -> None:
    usual, best = np.array(middle), np.eye(len(middle))[0]

    def error(weights: np.ndarray) -> float:
        return 1 + np.abs(weights - best).sum()

    ways = [np.abs(weighed(error, usual, 0, windows) - usual).sum() for windows in (0, 2, 1_000)]
    assert ways[0] <= ways[1] <= ways[2] == np.abs(best - usual).sum() and ways[0] < ways[2]
    np.testing.assert_array_equal(weighed(lambda weights: 1.0, usual, 0, 1_000), usual)
    np.testing.assert_array_equal(weighed(lambda weights: np.nan, usual, 0, 1_000), usual)
    fixed = weighed(error, usual, len(usual) - 2, 1_000)
    np.testing.assert_allclose(fixed, [usual[:2].sum(), 0, *usual[2:]])


# -- steps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "least"), [(120, 60), (600, 500)])
def test_few_windows_get_more_epochs(length: int, least: int) -> None:
    task = prepared(rows(growing(length, 0.001)), epochs=None, **PLAIN, lookback=14)
    assert task.training is not None and task.options.epochs and task.options.batch_size
    steps = task.options.epochs * -(-len(task.training) // task.options.batch_size)
    assert least <= steps <= 2_000 and task.options.epochs <= 60


def test_early_stopping_and_the_best_weights_leave_the_validation_part_alone() -> None:
    for more in ({"keep": "best"}, {"patience": 2}):
        assert prepared(rows(growing()), **PLAIN, lookback=14, epochs=20, **more).options.refit_epochs == 0
    assert prepared(rows(growing()), **PLAIN, lookback=14, epochs=20).options.refit_epochs == 4


# -- the linear map ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lookback", [14, 49])
def test_what_is_known_ahead_has_its_effect_at_once(lookback: int) -> None:
    """y = 20 + 10 promo + noise: the closed form alone is about as good as least squares, whatever of the first windows
    lies before the series."""
    random = np.random.default_rng(3)
    promo = random.integers(0, 2, 300).astype(float)
    frame = rows(20 + 10 * promo + random.normal(0, 0.3, 300), promo=promo)
    task = prepared(frame, future=("promo",), **PLAIN | {"scale": "last", "ridge": 0.1}, lookback=lookback)
    parts = task.training
    assert parts is not None
    test = task.prepare(frame).test
    assert test is not None
    batch = make_batch(test, np.arange(len(test)))
    outputs = batch.base.double() + solved(parts, 0.1, True, 1)(batch)
    errors = (outputs.numpy() - batch.truth.double().numpy()) * batch.scale[:, None]
    assert np.abs(errors).mean() < 0.35


def test_windows_with_gaps_teach_the_linear_map() -> None:
    """No window is whole, and yet the map is about that of the whole series."""
    values = 50 + 10 * np.sin(2 * np.pi * np.arange(300) / 7) + np.random.default_rng(2).normal(0, 0.5, 300)
    gaps = values.copy()
    gaps[::6] = np.nan
    for each, most in ((values, 0.8), (gaps, 1.2)):
        task = prepared(rows(each), **PLAIN, lookback=14)
        test = task.prepare(rows(each)).test
        assert test is not None
        batch = make_batch(test, np.arange(len(test)))
        outputs = batch.base.double() + solved(task.training, 1.0, True, 1)(batch)
        errors = (outputs.numpy() - batch.truth.double().numpy()) * batch.scale[:, None]
        assert np.nanmean(np.abs(errors)) < most, np.nanmean(np.abs(errors))


# -- units ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.001, 1000.0])
@pytest.mark.parametrize("way", [{}, {**PLAIN, "lookback": 14}, {**PLAIN, "scale": "last", "lookback": 14}])
def test_forecasts_move_with_the_unit_of_the_data(factor: float, way: dict[str, Any], tmp_path: Path) -> None:
    """Series that are always 0 and windows that do not vary, too."""
    random = np.random.default_rng(5)
    parts = [rows(random.poisson(3, 120), name) for name in "abc"]
    still = np.where(np.arange(120) % 30 < 20, 0.7, random.normal(3, 1, 120))  # 14 times 0.7 is not 9.8 in every unit
    flat = {"y": np.zeros(120), "z": np.zeros(120), "level": np.full(120, 4.0), "still": still}
    frame = pl.concat([*parts, *(rows(values, name) for name, values in flat.items())])
    found = []
    for scale in (1.0, factor):
        model = gatework.Forecaster(**QUICK, series="shop", horizon=2, season=7, windows=300, **way)
        model.fit(frame.with_columns(pl.col("units") * scale))
        found.append(model.predict(2).drop("series", "time").to_numpy() / scale)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("level", [0.0, 0.7, 1e5])
def test_steps_of_scaled_windows_take_away_roundings_alone(level: float) -> None:
    """Whatever the size of what varies beside the unit; the first window does not vary at all."""
    random = np.random.default_rng(1)
    values = level + np.array([0.0, 1e-3, 1.0, 1e4])[:, None] * random.normal(size=(4, 12))
    made = []
    for unit in (1.0, 0.001, 1000.0):
        center = values[:, :9].mean(axis=1) * unit
        made.append(in_steps((values * unit - center[:, None]) / unit, 9, center / unit))
        exact = values - values[:, :9].mean(axis=1)[:, None]
        assert (np.abs(made[-1] - exact).max(axis=1) <= 1e-6 * np.abs(exact).max(axis=1) + 2.0**-45 * level).all()
        np.testing.assert_array_equal(made[-1][0], 0.0)
        assert np.ptp(made[-1], axis=1)[1:].min() > 1e-4
    same = [(made[0] == each).mean() for each in made]
    assert min(same) == 1.0 or (level == 1e5 and min(same) > 0.9), "a rounding may cross a border where it is large"


def test_the_unit_of_what_never_changes_is_its_size() -> None:
    panel = prepared(rows(np.full(60, 8.0)), **PLAIN, lookback=14).last
    assert mean_change(panel, False, 7) == 8.0
    assert mean_change(panel.with_series([0 * part for part in panel]), False, 7) == 1.0


# -- the network's share ----------------------------------------------------------------------------------------


def test_validation_takes_back_corrections_that_harm() -> None:
    """Of weights that chance has moved; of many series one window each is no judge, as one date may be odd for all."""
    random = np.random.default_rng(4)
    waves = 50 + 10 * np.sin(2 * np.pi * np.arange(300) / 7) + random.normal(0, 0.5, (10, 300))
    frame = pl.concat([rows(values, name) for values, name in zip(waves, "abcdefghij", strict=True)])
    named = PLAIN | {"horizon": 7, "season": 7, "lookback": 14, "series": "shop", "combine": "none"}
    task = ForecastTask(ForecastOptions(**QUICK | named))
    parts = task.prepare(frame)
    model = task.build().eval().requires_grad_(False)
    for member in model.members:
        member.outputs.weight.normal_(0, 0.5)
    several = make_windows(parts.valid.panel, task.shape(), [np.arange(270, 294, 7)] * 10)
    task.settle(model, several)
    assert model.share == 0
    whole, start, _ = task._apart(model, several)
    np.testing.assert_allclose(whole, start, rtol=1e-6)
    task.settle(model, several.take(np.arange(0, 40, 4)))
    assert model.share == 1
