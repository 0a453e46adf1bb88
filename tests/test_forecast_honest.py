"""What a forecast says of itself is so: windows enough to judge by, intervals that cover, bounds, words."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from gatework.diagnosis import findings
from gatework.runtime.series.intervals import followed, restlessness, stretched
from gatework.tasks.forecast import ForecastOptions, ForecastTask
from gatework.tasks.forecast.holdout import APART, FEWEST, SHARE, windows_of
from gatework.tasks.forecast.intervals import calibrated, conformal, drawn, draws
from gatework.tasks.forecast.limits import held_at, hints

COLUMNS: dict[str, Any] = {"time": "t", "target": ("y",), "series": "s", "frequency": "1i", "classical": "none"}


def panel(*lengths: int) -> pl.DataFrame:
    """Series of noise around a level, as long as these numbers."""
    rng = np.random.default_rng(0)
    rows = [(f"s{s}", t, 10 + rng.normal()) for s, length in enumerate(lengths) for t in range(length)]
    return pl.DataFrame(rows, schema=["s", "t", "y"], orient="row")


# -- windows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("series", [1, 3, 15, 40, 500])
@pytest.mark.parametrize("length", [20, 60, 144, 500, 3_000, 20_000])
@pytest.mark.parametrize("horizon", [1, 8, 24])
def test_windows_are_many_but_no_part_takes_more_than_a_fifth(series: int, length: int, horizon: int) -> None:
    count, stride = windows_of(np.full(series, length), horizon)
    taken = horizon + stride * (count - 1)
    assert 1 <= stride <= horizon and (count == 1 or taken <= SHARE * length)
    if length >= FEWEST * horizon / SHARE:
        assert count * series >= FEWEST and stride == horizon
    if count > 1 and stride < horizon:
        assert SHARE * length / horizon * series < APART + series, "windows overlap where apart they would be few"
    if series >= 100 or length < horizon / SHARE:
        assert count == 1


@pytest.mark.parametrize(
    "options", [{}, {"valid_windows": 3}, {"test_windows": 2, "stride": 2}, {"test_windows": 0}], ids=str
)
def test_the_parts_are_as_the_options_say_and_apart(options: dict[str, Any]) -> None:
    task = ForecastTask(ForecastOptions(**COLUMNS, season=4, lookback=10, horizon=6, **options))
    parts, chosen = task.prepare(panel(130)), task.options
    assert chosen.stride and chosen.valid_windows
    for name, value in options.items():
        assert getattr(chosen, name) == value
    begin = 130
    for part, count in ((parts.test, chosen.test_windows), (parts.valid, chosen.valid_windows)):
        if part is not None:
            assert len(part) == count and set(np.diff(part.cuts)) <= {chosen.stride}
            assert part.cuts.max() + 6 == begin
            begin = int(part.cuts.min())
    assert parts.train.cuts.max() + 6 == begin
    assert options or (chosen.valid_windows, chosen.test_windows, chosen.stride) == (20, 20, 1)


def test_a_far_date_in_one_series_does_not_take_all_windows_of_the_other() -> None:
    count, stride = windows_of(np.array([60_000, 60]), 4)
    assert 4 + stride * (count - 1) <= 60 * SHARE


# -- intervals ----------------------------------------------------------------------------------------------------

LEVELS = (0.05, 0.5, 0.95)


def covered(quantiles: np.ndarray, truth: np.ndarray) -> float:
    return float(((quantiles[..., 0] <= truth) & (truth <= quantiles[..., -1])).mean())


@pytest.mark.parametrize("apart", [100, 400])
def test_widths_follow_the_size_of_each_series_where_the_model_gives_all_the_same(apart: int) -> None:
    """Half of the windows are a hundred times more restless; one unit for all makes 100% and 80% out of 90%."""
    rng = np.random.default_rng(3)
    own = np.repeat([0.1, 10.0], apart // 2)
    seen, fresh = (rng.normal(size=(apart, 4)) * own[:, None] for _ in range(2))
    flat = np.broadcast_to(np.array([-3.0, 0.0, 3.0]), (apart, 4, 3))
    power, factors = calibrated(flat, seen, own, LEVELS, apart)
    wide = stretched(followed(flat, own, power), factors)
    assert power == 1
    for group in (own < 1, own > 1):
        assert covered(wide[group], fresh[group]) == pytest.approx(0.9, abs=0.05)
    alike = stretched(flat, conformal(flat, seen, LEVELS))
    assert covered(alike[own < 1], fresh[own < 1]) > 0.99 and covered(alike[own > 1], fresh[own > 1]) < 0.85


def test_few_windows_choose_no_power_and_unknown_scales_change_nothing() -> None:
    flat, own = np.broadcast_to(np.array([-3.0, 0.0, 3.0]), (30, 4, 3)), np.full(30, 5.0)
    assert calibrated(flat, np.zeros((30, 4)), own, LEVELS, 30)[0] == 0
    np.testing.assert_array_equal(followed(flat, np.full(30, np.nan), 1.0), flat)
    np.testing.assert_array_equal(followed(flat, own, 0.0), flat)
    past = np.array([[1.0, np.nan, 1.5, 3.0, 1.0], [2.0] * 5, [np.nan] * 5])
    np.testing.assert_array_equal(restlessness(past, 2), [0.5, np.nan, np.nan])


def test_intervals_of_few_windows_are_right_at_every_step_on_average() -> None:
    """Errors grow by the root of the step, the model says that they stay; without `course`: 1.0 and 0.7.
    By step, intervals of 90% shall cover 85 to 95%: here 86.7 to 94.2."""
    rng, growth = np.random.default_rng(5), np.sqrt(np.arange(1, 25))
    flat = np.broadcast_to(np.array([-5.0, 0.0, 5.0]), (20, 24, 3))
    shares = []
    for _ in range(100):
        factors = conformal(flat, rng.normal(size=(20, 24)) * growth, LEVELS)
        fresh = rng.normal(size=(20, 24)) * growth
        wide = stretched(flat, factors)
        shares.append(((wide[..., 0] <= fresh) & (fresh <= wide[..., -1])).mean(axis=0))
    by_step = np.mean(shares, axis=0)
    assert by_step.min() > 0.86 and by_step.max() < 0.95, by_step


def test_windows_count_as_so_many_draws_as_their_errors_go_their_own_ways() -> None:
    rng, flat = np.random.default_rng(6), np.broadcast_to(np.array([-1.0, 0.0, 1.0]), (50, 16, 3))
    own, level = rng.normal(size=(50, 16)), np.repeat(rng.normal(size=(50, 1)), 16, axis=1)
    assert draws(flat, level, 50) == 50 and draws(flat, level + 0.1 * own, 50) < 60
    assert 180 < draws(flat, own, 50) <= 200, "half of the way from 50 to 800, by factors"
    assert draws(flat, own, 1) == draws(flat, own, 0) == draws(flat, np.full((50, 16), np.nan), 1) == 1


@pytest.mark.parametrize("windows", [10, 20, 40])
def test_errors_that_last_through_a_window_count_as_one(windows: int) -> None:
    """Each window is right or wrong as a whole; counted by steps, its factor would be that of 24 times as many."""
    rng, flat = np.random.default_rng(6), np.broadcast_to(np.array([-0.5, 0.0, 0.5]), (windows, 24, 3))
    shares = []
    for _ in range(400):
        truth, fresh = (np.repeat(rng.normal(size=(windows, 1)), 24, axis=1) for _ in range(2))
        wide = stretched(flat, conformal(flat, truth, LEVELS))
        shares.append(((wide[..., 0] <= fresh) & (fresh <= wide[..., -1])).mean())
    assert 0.87 < np.mean(shares) < 0.95


@pytest.mark.parametrize(("factor", "kept"), [(1.1, (0.0, 0.5)), (3.0, (0.95, 1.0)), (1 / 3, (0.95, 1.0))])
def test_a_small_change_is_not_believed_and_a_large_one_is(factor: float, kept: tuple[float, float]) -> None:
    share = np.log(drawn(np.array([factor]), 20))[0] / np.log(factor)
    assert kept[0] <= share <= kept[1]
    assert np.log(drawn(np.array([factor]), 2000))[0] / np.log(factor) > share


# -- bounds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "bounds", "note"),
    [
        ([0.0, 3.0, 250.0], (0, None), "whole numbers"),
        ([0.5, 3.0, 250.0], (0, None), "below 0"),
        ([0.1, 0.5, 0.99], (0, 1), "shares"),
        ([3.5, 50.0, 99.5], (0, 100), "shares"),
        ([80.5, 90.5, 99.5], (0, None), "below 0"),
        ([-0.1, 0.5, 0.99], (None, None), ""),
    ],
)
def test_bounds_are_noticed_in_the_training_part(values: list[float], bounds: tuple[Any, Any], note: str) -> None:
    frame = pl.DataFrame({"t": list(range(90)), "y": [*values * 20, *[-5.0] * 30]})  # what comes later is not looked at
    options = {"time": "t", "target": ("y",), "horizon": 15, "season": 3, "valid_windows": 1, "test_windows": 1}
    task = ForecastTask(ForecastOptions(**options))
    task.prepare(frame)
    assert (task.options.lowest, task.options.highest) == bounds
    assert (task.options.limits == "noticed") == (bounds != (None, None)) and note in " ".join(task.notes)
    free = ForecastTask(ForecastOptions(**options, limits="none"))
    free.prepare(frame)
    assert free.options.lowest is None


def test_forecasts_that_are_held_at_a_bound_are_counted_and_logarithms_advised() -> None:
    options = ForecastOptions(lowest=0.0)
    held = held_at(np.array([[0.0, 1.0], [0.0, 2.0]]), np.array([[0.0, np.nan], [1.0, 2.0]]), options)
    assert held == {"forecasts": 0.5, "values": pytest.approx(1 / 3)}
    (found,) = hints(held, options, positive=True)
    assert "50% of the forecasts" in found["what"] and found["setting"] == "--set transform=log"
    assert hints(held, options, positive=False)[0]["setting"] == ""
    assert hints({"forecasts": 0.8, "values": 0.79}, options, positive=False) == []
    (told,) = findings.of_hints({"sections": {"hints": [found]}})
    assert (told.level, told.setting) == ("hint", found["setting"])


@pytest.mark.parametrize(("linear", "count"), [("none", 400), ("fixed", 400), ("none", 90)])
def test_a_linear_map_that_is_missing_or_does_harm_is_named(linear: str, count: int) -> None:
    """The values go up and down by a rule of two lags, whose map ridge finds; a random map spoils the forecasts. Few
    windows show that, too, where it is by much."""
    values = np.zeros(count)
    for step, noise in enumerate(np.random.default_rng(2).normal(size=count)):
        values[step] = noise + 1.6 * values[step - 1] - 0.95 * values[step - 2] if step > 1 else noise
    known = {
        "scale": "deviation",
        "transform": "none",
        "base": "last",
        "ridge": 1.0,
        "decoding": "direct",
        "loss": "mae",
    }
    small = {"hidden_size": 4, "classical": "none", "combine": "none", "lookback": 12, "horizon": 4, "season": 1}
    task = ForecastTask(ForecastOptions(target=("y",), linear=linear, epochs=0, **known, **small))
    parts = task.prepare(pl.DataFrame({"y": values}))
    model = task.build().eval().requires_grad_(False)
    assert linear == "none" or task.sections(model, parts)["hints"] == []
    task.baselines(parts)
    if model.linear is not None:
        model.linear.weight.normal_(0, 3)
    (hint,) = task.sections(model, parts)["hints"]
    assert hint["setting"] == ("--set linear=solved" if linear == "none" else "--set linear=none")
    assert ("too few to be sure" in hint["what"]) == (count == 90)
