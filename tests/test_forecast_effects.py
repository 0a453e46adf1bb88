"""What columns known ahead do: solved beside season, level and trend, taken out of the past and added ahead."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import gatework
from exports import same
from gatework.data.panel import read_panel
from gatework.errors import OptionError
from gatework.runtime.series.effects import Effects
from gatework.runtime.series.panel import Panel
from gatework.runtime.series.windows import Shape, in_units, make_windows, read
from gatework.tasks import jobs
from gatework.tasks.forecast import ForecastOptions, ForecastTask
from gatework.tasks.forecast.effects import estimated, in_words, told
from small import CHOSEN

START, WEEK = datetime(2024, 1, 1), np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])


def sales(effects: np.ndarray, days: int = 150, later: float = 0.0, noise: float = 0.3, ahead: int = 0) -> pl.DataFrame:
    """Series with a season of a week, of which promotions move each by its own effect, and by `later` a day later."""
    draw = np.random.default_rng(5)
    tables = []
    for number, effect in enumerate(effects):
        promo = (draw.random(days + ahead) < 0.4).astype(float)
        before = np.concatenate([[0.0], promo[:-1]])
        values = 20 + WEEK[np.arange(days + ahead) % 7] + effect * promo + later * before
        values += draw.normal(0, noise, days + ahead)
        table = {"shop": [f"s{number}"] * len(promo), "promo": promo, "units": values}
        tables.append(pl.DataFrame({"day": [START + timedelta(days=day) for day in range(len(promo))], **table}))
    return pl.concat(tables)


def panel(frame: pl.DataFrame) -> Panel:
    found = read_panel(frame, time="day", target=["units"], series="shop", covariates={"future": ["promo"]})
    return found.scaled(found.lengths)


def found(frame: pl.DataFrame, log: bool = False) -> tuple[Effects, float]:
    """Effects, and the deviation of the column, by which they are counted."""
    known = panel(frame)
    effects = estimated(known, known.lengths, 7, log, 1)
    assert effects is not None and known.covariates is not None
    return effects, known.covariates.channels[0].scale


def test_an_effect_is_told_from_the_season() -> None:
    """Beside least squares that knows the form; its standard error is 0.05."""
    frame = sales(np.array([10.0]))
    effects, scale = found(frame)
    season = np.eye(7)[np.arange(frame.height) % 7]
    inputs = np.concatenate([season, frame["promo"].to_numpy()[:, None]], axis=1)
    wanted = np.linalg.lstsq(inputs, frame["units"].to_numpy(), rcond=None)[0][-1]
    assert effects.each.shape == (1, 1)  # none is left a step later
    assert effects.each[0, 0] / scale == pytest.approx(wanted, abs=0.1)


def test_an_effect_a_step_later_is_found() -> None:
    effects, scale = found(sales(np.array([10.0]), later=-4.0))
    assert effects.each[0] / scale == pytest.approx([10, -4], abs=0.2)


def test_each_series_has_its_own_effect_as_far_as_that_is_sure() -> None:
    own = np.linspace(2, 12, 6)
    apart, scale = found(sales(own))
    assert apart.each[:, 0] / scale == pytest.approx(own, abs=0.3)
    alike, scale = found(sales(np.full(6, 5.0), noise=2.0))
    alone = np.array([found(sales(np.full(6, 5.0), noise=2.0).filter(shop=f"s{k}"))[0].each[0, 0] for k in range(6)])
    assert alike.each[:, 0].std() < alone.std() / 2
    assert alike.each[:, 0].mean() / scale == pytest.approx(5, abs=0.3)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_effects_go_with_the_unit_of_the_data(factor: float) -> None:
    frame = sales(np.array([2.0, 10.0]))
    scaled = frame.with_columns(units=pl.col("units") * factor)
    (plain, _), (changed, _) = found(frame), found(scaled)
    np.testing.assert_allclose(changed.each, plain.each * factor, rtol=1e-6)
    (plain, _), (changed, _) = found(frame, log=True), found(scaled, log=True)
    np.testing.assert_allclose(changed.each, plain.each, rtol=1e-6)


def test_nothing_after_the_training_part_is_read() -> None:
    frame = sales(np.array([10.0, 4.0]))
    known = panel(frame)
    other = known.with_series([np.where(np.arange(len(part)) < 100, part, -7 * part) for part in known])
    ends = np.array([100, 100])
    each = [estimated(one, ends, 7, False, 1) for one in (known, other)]
    assert each[0] is not None and each[1] is not None
    np.testing.assert_array_equal(each[0].each, each[1].each)


@pytest.mark.parametrize("kind", ["deviation", "last"])
def test_windows_hold_values_less_effects_and_forecasts_have_them(kind: str) -> None:
    """What is read is that of series without promotions, and what is forecast has them again."""
    frame = sales(np.array([10.0]), later=-4.0)
    known, (effects, _) = panel(frame), found(frame)
    known = replace(known, effects=effects)
    shape = Shape(14, 7, 7, scale=kind)
    bare = known.with_series([known.worked_on(0, False)])
    bare = replace(bare, effects=None)
    cuts, rows = [np.array([30, 90])], np.arange(2)
    windows, plain = make_windows(known, shape, cuts), make_windows(bare, shape, cuts)
    seen, wanted = read(windows, rows), read(plain, rows)
    for name in ("inputs", "window", "base", "truth"):
        np.testing.assert_allclose(getattr(seen, name), getattr(wanted, name), atol=2e-5)
    back = in_units(seen.truth.astype(np.float64), seen.center, seen.scale, shape)
    np.testing.assert_allclose(back, windows.truth(), rtol=1e-5)


RUN: dict[str, Any] = CHOSEN | {
    "time": "day", "target": ("units",), "series": "shop", "horizon": 7, "season": 7, "lookback": 14, "epochs": 1,
    "hidden_size": 4, "classical": "none", "future": ("promo",), "effects": "solved", "linear": "fixed",
    "valid_windows": 1, "test_windows": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> gatework.Forecaster:
    out = str(tmp_path_factory.mktemp("effects") / "run")
    return gatework.Forecaster(**RUN, out=out).fit(sales(np.array([10.0, 3.0]), later=-4.0))


def asked() -> pl.DataFrame:
    rows = sales(np.array([10.0, 3.0]), later=-4.0, ahead=7)
    return rows.filter(pl.col("day") >= START + timedelta(days=150)).with_columns(units=pl.lit(None, pl.Float64))


def test_a_forecast_differs_by_what_a_promotion_does(fitted: gatework.Forecaster) -> None:
    """The network has learned next to nothing: the difference is that of the closed form, and of the day after."""
    without = asked().with_columns(promo=pl.lit(0.0))
    one = without.with_columns(promo=(pl.col("day") == START + timedelta(days=152)).cast(pl.Float64))
    apart = (fitted.predict(7, one)["forecast"] - fitted.predict(7, without)["forecast"]).to_numpy().reshape(2, 7)
    assert apart == pytest.approx(np.array([[0, 0, 10, -4, 0, 0, 0], [0, 0, 3, -4, 0, 0, 0]]), abs=0.7)


def test_runs_and_files_keep_effects(fitted: gatework.Forecaster, tmp_path: Path) -> None:
    again = jobs.load(str(fitted.out))
    forecasts = pl.DataFrame(again.predict(asked()))["forecast"]
    np.testing.assert_array_equal(forecasts, fitted.predict(7, asked())["forecast"])
    model = gatework.runtime.load(gatework.export(str(fitted.out), tmp_path / "sales.safetensors").files[0])
    rows = asked().with_columns(day=pl.col("day").dt.strftime("%Y-%m-%d")).to_dicts()
    same(model.predict(rows), again.predict(asked()))


def test_a_new_series_has_the_usual_effect(fitted: gatework.Forecaster) -> None:
    new = sales(np.array([10.0]), days=40, ahead=7).with_columns(shop=pl.lit("new"))
    new = new.with_columns(units=pl.when(pl.col("day") < START + timedelta(days=40)).then("units"))
    with (
        pytest.warns(UserWarning, match="not in the training data: new"),
        pytest.warns(UserWarning, match="no row of 2"),
    ):
        apart = [
            fitted.predict(7, new.with_columns(promo=pl.when(pl.col("units").is_null()).then(value).otherwise("promo")))
            for value in (0.0, 1.0)
        ]
    assert (apart[1]["forecast"] - apart[0]["forecast"])[0] > 5


def test_an_explanation_says_what_promotions_do_and_adds_up(fitted: gatework.Forecaster) -> None:
    told_ = gatework.explain(fitted, asked(), series="s1")
    assert re.search(r"training part, 1 more of promo adds (2|3)\S* at its step and takes 4\S* a", told_.sentences[0])
    forecast = fitted.predict(7, asked()).filter(series="s1")["forecast"].mean()
    assert float(told_.answer) == pytest.approx(forecast, rel=1e-3)


def test_what_was_found_is_told_in_words(fitted: gatework.Forecaster) -> None:
    task: Any = fitted._fitted().task
    notes = " ".join(task.notes)
    assert re.search(
        r"by the training part, 1 more of promo adds 6\S* at its step \(\+3\S* to \+9\S* in most of 2", notes
    )
    frame = sales(np.array([5.0])).with_columns(promo=pl.lit(0.0))
    assert "promo has one value in the whole training part" in told(panel(frame), panel(frame))[0]
    logs = sales(np.array([5.0]), noise=0.01)
    effects, _ = found(logs, log=True)
    assert in_words(replace(panel(logs), effects=effects))[0].startswith("1 more of promo adds 2")


def test_effects_need_columns_known_ahead() -> None:
    with pytest.raises(OptionError, match="name them with future=COLUMN"):
        ForecastOptions(effects="solved")
    task = ForecastTask(ForecastOptions(**RUN | {"future": (), "effects": "auto"}))
    task.prepare(sales(np.array([1.0])))
    assert task.options.effects == "none"
