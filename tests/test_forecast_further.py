"""Forecasts beyond the steps of training: fed back, with quantiles of sampled paths, and what must be known ahead."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import gatework
from gatework import cli, report
from gatework.data.panel import read_panel
from gatework.errors import DataError
from gatework.runtime.series.further import PATHS, further, persistence
from gatework.runtime.series.panel import Panel
from gatework.tasks.forecast import ForecastTask
from gatework.tasks.forecast.options import LEVELS
from gatework.tasks.forecast.task import once
from small import CHOSEN

START = datetime(2024, 1, 1)
SMALL: dict[str, Any] = CHOSEN | {
    "time": "day", "target": ("units",), "series": "store", "horizon": 4, "season": 7, "lookback": 14, "epochs": 1,
    "hidden_size": 6, "width": 3, "classical": "none",
}  # fmt: skip
NORMAL = np.array([-1.645, -1.282, -0.842, -0.524, -0.253, 0, 0.253, 0.524, 0.842, 1.282, 1.645])  # at LEVELS


def sales(days: int = 60, stores: int = 3, ahead: int = 0) -> pl.DataFrame:
    noise = np.random.default_rng(3).normal(size=(stores, 200))
    rows = [
        (f"store {s}", START + timedelta(days=day), day % 3, 9.0 + s + day % 7 + noise[s, day] if day < days else None)
        for s in range(stores)
        for day in range(days + ahead)
    ]
    return pl.DataFrame(rows, schema=["store", "day", "price", "units"], orient="row", infer_schema_length=None)


def panel(values: np.ndarray) -> Panel:
    """[S, n]"""
    s, n = values.shape
    table = {"s": np.repeat(np.arange(s), n).astype(str), "t": np.tile(np.arange(n), s), "y": values.ravel()}
    return read_panel(pl.DataFrame(table), series="s", time="t", target=["y"])


def oracle(rate: float, steps: int) -> Any:
    """What is known best of y = rate * y before + noise of deviation 1, as a model that forecasts `steps`."""

    def forecast(known: Panel) -> np.ndarray:
        last = np.array([part[-1] for part in known])
        k = np.arange(1, steps + 1)
        spread = np.sqrt(np.cumsum(rate ** (2 * (k - 1))))
        middle = last[:, None] * rate**k
        return np.concatenate([middle[:, :, None], middle[:, :, None] + spread[None, :, None] * NORMAL], axis=2)

    return forecast


@pytest.mark.parametrize("rate", [1.0, 0.8, 0.0])
def test_quantiles_fed_back_are_those_of_a_model_of_all_steps(rate: float) -> None:
    """Autoregressions are known in closed form: ten steps from blocks of four have the spread of ten at once."""
    known = panel(np.full((8, 5), 3.0) + np.arange(8)[:, None])
    found = further(oracle(rate, 4), known, 10, LEVELS, False, 1)
    whole = oracle(rate, 10)(known)
    np.testing.assert_allclose(found[:, :, 0], whole[:, :, 0], rtol=1e-12)
    np.testing.assert_array_equal(found[:, :4], whole[:, :4])
    width, expected = found[:, :, -1] - found[:, :, 1], whole[:, :, -1] - whole[:, :, 1]
    np.testing.assert_allclose(width.mean(axis=0), expected.mean(axis=0), rtol=0.12)
    assert (np.diff(found[:, :, 1:], axis=2) >= 0).all()


def test_what_lasts_of_an_error_is_read_off_the_widths() -> None:
    known = panel(np.zeros((1, 5)))
    for rate in (0.0, 0.5, 0.8, 1.0):
        assert persistence(oracle(rate, 12)(known)[:, :, 1:]) == pytest.approx(rate, abs=0.03)


def test_paths_are_the_same_again_and_stay_above_0_in_logarithms() -> None:
    def forecast(known: Panel) -> np.ndarray:
        last = np.array([part[-1] for part in known])
        assert (last > 0).all()
        return np.repeat(last[:, None, None] * np.exp(np.concatenate([[0], 2 * NORMAL])), 2, axis=1)

    known = panel(np.full((3, 5), 2.0))
    first, again = (further(forecast, known, 9, LEVELS, True, 5) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first > 0).all()
    assert PATHS % 2 == 0  # pairs mirror each other
    assert further(lambda k: forecast(k)[:, :, :1], known, 9, (), True, 5).shape == (3, 9, 1)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> gatework.Forecaster:
    out = str(tmp_path_factory.mktemp("further") / "run")
    return gatework.Forecaster(**SMALL, future=("price",), out=out).fit(sales())


def test_more_steps_than_trained_are_forecast_with_a_notice(fitted: gatework.Forecaster) -> None:
    rows = sales(ahead=11).filter(pl.col("units").is_null())
    with pytest.warns(UserWarning, match="trained for 4 steps: steps 5 to 11 feed its own forecasts back"):
        frame = fitted.predict(11, rows)
    assert frame.height == 33
    assert frame["time"].to_list()[:11] == [START + timedelta(days=60 + k) for k in range(11)]
    np.testing.assert_allclose(  # the first steps are the model's own
        frame.filter(pl.int_range(pl.len()) % 11 < 4).select(pl.col("^(forecast|q.*)$")).to_numpy(),
        fitted.predict(4, rows).select(pl.col("^(forecast|q.*)$")).to_numpy(), rtol=1e-6,
    )  # fmt: skip
    widths = (frame["q0.95"] - frame["q0.05"]).to_numpy().reshape(3, 11)
    assert (widths[:, 8:].mean(axis=1) > 0.8 * widths[:, :4].mean(axis=1)).all()


def test_the_first_steps_need_only_what_is_known_of_them(fitted: gatework.Forecaster) -> None:
    rows = sales(ahead=6).filter(pl.col("units").is_null())
    known = fitted.predict(2, rows.filter(pl.col("day") < START + timedelta(days=62)))
    assert known["forecast"].to_list() == pytest.approx(fitted.predict(2, rows)["forecast"].to_list())
    with pytest.raises(DataError, match=r"price at 1 step, 2024-03-02"):
        fitted.predict(2, rows.filter(pl.col("day") < START + timedelta(days=61)))
    with pytest.raises(DataError) as told:
        fitted.predict(9, rows)
    assert "needs price for the 9 steps ahead; 3 series lack it" in str(told.value)
    assert "store 0: price at 3 steps, 2024-03-07 to 2024-03-09" in str(told.value)


def test_the_page_says_what_to_give_of_what_is_known_ahead(fitted: gatework.Forecaster, tmp_path: Path) -> None:
    page = " ".join(report.write(str(fitted.out), tmp_path / "page.html").read_text().split())
    assert "and price, known ahead, also to the right" in page
    assert "with the columns day, store, price and a row for each of these times" in page
    assert "<li>store 0: price at 4 steps, 2024-03-01 to 2024-03-04</li>" in page
    assert f"gatework predict {fitted.out} plan.csv --out next.csv" in page and "predict(X=&#39;plan.csv&#39;)" in page
    assert "A window is one forecast" in page and "A forecast is off by" in page and "The figures by which" not in page
    plan = tmp_path / "plan.csv"
    sales(ahead=4).filter(pl.col("units").is_null()).select("day", "store", "price").write_csv(plan)
    assert fitted.predict(X=str(plan)).height == 12
    ahead, plain = (ForecastTask.usage("runs/a", "new.xlsx", {"future": names}) for names in (["price"], []))
    assert ahead.commands == ["gatework predict runs/a plan.xlsx --out next.csv"]
    assert plain.commands[1] == "gatework predict runs/a new.xlsx" and plain.other == "later.xlsx"


def test_an_explanation_says_what_is_known_ahead_does(fitted: gatework.Forecaster) -> None:
    rows = sales(ahead=4).filter(pl.col("units").is_null())
    told = gatework.explain(fitted, rows, series="store 1").sentences[0]
    covariates = fitted._fitted().task.last.covariates
    usual = rows.with_columns(price=pl.lit(covariates.channels[covariates.places("future")[0]].shift))
    now, then = (fitted.predict(X=each).filter(series="store 1")["forecast"].mean() for each in (rows, usual))
    assert f"With the usual price (its mean in training) ahead it would be {then:.4g} in place of {now:.4g}" in told
    assert "held as they are: price" in told
    with pytest.warns(UserWarning, match="the last value known before stands for price"):
        assert gatework.explain(fitted, series="store 1", lacking="fill").answer


def test_equal_forecasts_stand_once() -> None:
    values = {"naive": np.ones(2), "drift": np.zeros(2), "Naive2": np.ones(2)}
    assert once(values) == {"naive": "the same here: Naive2", "drift": ""}


def test_segments_need_what_is_known_of_the_whole_segment() -> None:
    model = gatework.Forecaster(**SMALL | {"future": ("price",), "decoding": "segments", "segment": 3}).fit(sales())
    rows = sales(ahead=3).filter(pl.col("units").is_null())
    assert model.predict(2, rows).height == 6
    with pytest.raises(DataError, match="for the 3 steps ahead"):
        model.predict(2, rows.filter(pl.col("day") < START + timedelta(days=62)))


def test_series_without_a_value_are_named(fitted: gatework.Forecaster) -> None:
    rows = sales(ahead=4).filter(pl.col("units").is_null())
    more = pl.concat([rows, rows.filter(pl.col("store") == "store 0").with_columns(store=pl.lit("store 9"))])
    text = "1 series without a value to go on from, not forecast: store 9"
    with pytest.warns(UserWarning, match="not in the training"), pytest.warns(UserWarning, match=text):
        assert fitted.predict(4, more)["series"].unique().len() == 3


def test_the_command_goes_further_too(fitted: gatework.Forecaster, tmp_path: Path) -> None:
    rows = sales(ahead=6).filter(pl.col("units").is_null())
    rows.write_csv(tmp_path / "prices.csv")

    def call(*words: str) -> Any:
        return CliRunner().invoke(cli.app, ["predict", str(fitted.out), str(tmp_path / "prices.csv"), *words])

    further_on = call("--horizon", "6", "--json")
    assert further_on.exit_code == 0 and "steps 5 to 6 feed its own forecasts back" in further_on.stderr
    assert len([json.loads(line) for line in further_on.stdout.splitlines()]) == 18
    assert len(call("--horizon", "2").stdout.splitlines()) == 1 + 3 * 2
    assert call("--horizon", "0").exit_code == 2
    assert call("--horizon", "7").exit_code == 2
