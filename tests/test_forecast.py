"""The job `forecast`: series from tables with every fault named, errors and baselines as defined, the whole job."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from typer.testing import CliRunner

import gatework
from gatework import cli
from gatework.data.panel import inspect_panel, read_panel
from gatework.errors import DataError, OptionError
from gatework.runtime.series import baselines
from gatework.runtime.series.frequency import Frequency, calendar
from gatework.runtime.series.intervals import stretched
from gatework.runtime.series.naive2 import seasonal_factors
from gatework.runtime.series.panel import shown_time
from gatework.runtime.series.windows import Shape, make_windows, seasonal_naive, seasonal_scale
from gatework.tasks import jobs
from gatework.tasks.forecast import ForecastOptions, ForecastTask, measures
from gatework.tasks.forecast.intervals import conformal
from gatework.tasks.forecast.ridge import ridge
from gatework.tasks.forecast.windows import make_batch
from gatework.training.learner import Shard
from small import CHOSEN

DAY = 86_400_000_000
START = datetime(2024, 1, 1)
SMALL: dict[str, Any] = {"horizon": 4, "season": 7, "lookback": 14, "epochs": 2, "hidden_size": 6, "width": 3}
SMALL |= CHOSEN
ONE: dict[str, Any] = {"valid_windows": 1, "test_windows": 1}  # of each part


def sales(days: int = 80, stores: int = 3, begin: int = 0) -> pl.DataFrame:
    """Weekly seasons of different levels with noise, so that no two series or weeks are the same."""
    noise = np.random.default_rng(5).normal(size=(stores, 400))
    rows = [
        (f"store {s}", START + timedelta(days=day), 10.0 * (s + 1) + 3 * (day % 7) + noise[s, day])
        for s in range(stores)
        for day in range(begin, begin + days)
    ]
    return pl.DataFrame(rows, schema=["store", "day", "units"], orient="row")


def messages(table: dict[str, list[Any]], **options: Any) -> list[tuple[str, str]]:
    return [(found.level, found.message) for found in inspect_panel(table, **options)[1]]


# -- series from tables -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["15m", "1h", "1d", "1b", "1w", "1mo", "3mo", "1y", "5i"])
def test_steps_and_times_are_inverse(step: str) -> None:
    frequency = Frequency.parse(step)
    start = np.full(60, 19_754 * DAY)  # a Thursday, the first of February 2024
    steps = np.arange(60)
    times = frequency.times(start, steps)
    assert (np.diff(times) > 0).all()
    counted, exact = frequency.steps(start, times)
    assert counted.tolist() == steps.tolist()
    assert exact.all()
    assert str(frequency) == step


@pytest.mark.parametrize("step", ["15m", "1h", "1d", "1b", "1w", "1mo", "3mo", "1y"])
def test_the_step_is_inferred(step: str) -> None:
    times = Frequency.parse(step).times(np.full(40, 19_754 * DAY), np.arange(40))
    frame = pl.DataFrame({"t": pl.Series(times).cast(pl.Datetime("us")), "y": np.arange(40.0)})
    assert str(read_panel(frame).frequency) == step


def test_month_ends_stay_month_ends() -> None:
    panel = read_panel({"t": ["2024-01-31", "2024-02-29", "2024-03-31"], "y": [1.0, 2.0, 3.0]})
    times = panel.times(0, np.arange(3, 6)).astype("datetime64[us]").astype("datetime64[D]")
    assert times.astype(str).tolist() == ["2024-04-30", "2024-05-31", "2024-06-30"]


def test_long_and_wide_tables_are_the_same_series() -> None:
    frame = sales()
    wide = frame.pivot("store", index="day", values="units")
    long = read_panel(frame, series="store", target=["units"])
    assert read_panel(wide).names == long.names == ("store 0", "store 1", "store 2")
    np.testing.assert_array_equal(read_panel(wide).values, long.values)
    again = read_panel(frame.sample(fraction=1.0, shuffle=True, seed=1), series="store")
    assert any("sorted" in note for note in again.notes)
    for name in long.names:
        np.testing.assert_array_equal(again.series(again.names.index(name)), long.series(long.names.index(name)))


def test_gaps_become_missing_values() -> None:
    panel = read_panel({"t": ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-06"], "y": ["1", "", "3", "6"]})
    np.testing.assert_array_equal(panel.values, [1, np.nan, 3, np.nan, np.nan, 6])
    assert any("3 missing values (2 of them gaps" in note for note in panel.notes)


FAULTS = {
    "date": (["2024-01-01", "2024-13-02", "2024-01-03"], [1, 2, 3], "row 2, column 't': '2024-13-02' does not read as"),
    "twice": (["2024-01-01", "2024-01-02", "2024-01-02"], [1, 2, 3], "row 3: time 2024-01-02 of series 'y'"),
    "mixed": (["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 02:00", "2024-01-01 02:20"], [1, 2, 3, 4], "row 4"),
    "infinite": (["2024-01-01", "2024-01-02"], [1.0, np.inf], "row 2, column 'y': inf is infinite"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_with_row_and_value(fault: str) -> None:
    times, values, text = FAULTS[fault]
    found = messages({"t": times, "y": values})
    assert any(level == "error" and text in message for level, message in found), found
    with pytest.raises(DataError):
        read_panel({"t": times, "y": values})


def test_series_of_another_step_are_named() -> None:
    hours = [START + timedelta(hours=k) for k in range(10)]
    days = [START + timedelta(days=k) for k in range(4)]
    table = {"t": hours + days, "y": [1.0] * 14, "s": ["fast"] * 10 + ["slow"] * 4}
    found = [message for level, message in messages(table, series="s") if level == "error"]
    assert len(found) == 1
    assert "mixed frequencies" in found[0]
    assert "slow" in found[0]


def test_offsets_count_in_utc_and_unclear_dates_are_warned_of() -> None:
    zoned = {
        "t": ["2024-01-01T00:00:00+01:00", "2024-01-01T01:00:00+01:00", "2024-01-01T01:00:00+00:00"],
        "y": [1, 2, 3],
    }
    panel = read_panel(zoned)
    assert shown_time(panel.starts[0], panel.dates) == "2023-12-31 23:00:00"
    assert any("UTC" in note for note in panel.notes)
    unclear = messages({"t": ["01/02/2024", "01/03/2024"], "y": [1, 2]})
    assert any(level == "warning" and "day/month/year would fit too" in message for level, message in unclear)


def test_constant_series_are_named() -> None:
    found = messages({"t": ["2024-01-01", "2024-01-02"], "y": [5.0, 5.0]})
    assert any(level == "warning" and "y" in message and "one value" in message for level, message in found)


def test_later_rows_join_what_is_known() -> None:
    first, later = read_panel(sales(20), series="store"), read_panel(sales(9, begin=18), series="store")
    joined, ends = first.followed_by(later)
    whole = read_panel(sales(27), series="store")
    np.testing.assert_array_equal(joined.values, whole.values)
    assert ends.tolist() == [20, 20, 20]


def test_calendar_repeats_each_week() -> None:
    marks = calendar(np.arange(15) * DAY, Frequency.parse("1d"))
    np.testing.assert_allclose(marks[0, [0, 2]], marks[7, [0, 2]], atol=1e-6)
    assert abs(marks[0, 0] - marks[1, 0]) > 0.1


# -- errors and baselines as defined ----------------------------------------------------------------------------


def test_errors_by_loops() -> None:
    generator = np.random.default_rng(1)
    truth, forecast = generator.uniform(1, 5, (4, 3)), generator.uniform(1, 5, (4, 3))
    scales = generator.uniform(0.5, 2, 4)
    other = generator.uniform(1, 5, (4, 3))

    def by_hand(values: np.ndarray) -> tuple[float, float]:
        mase = np.mean(
            [
                np.mean([abs(t - f) for t, f in zip(*row, strict=True)]) / s
                for *row, s in zip(truth, values, scales, strict=True)
            ]
        )
        smape = np.mean(
            [200 * abs(t - f) / (abs(t) + abs(f)) for t, f in zip(truth.ravel(), values.ravel(), strict=True)]
        )
        return float(mase), float(smape)

    found = measures.measures(forecast, truth, scales, other)
    (mase, smape), (mase2, smape2) = by_hand(forecast), by_hand(other)
    assert found["mase"] == pytest.approx(mase)
    assert found["smape"] == pytest.approx(smape)
    assert found["owa"] == pytest.approx((mase / mase2 + smape / smape2) / 2)
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((truth - forecast) ** 2)))
    assert found["mape"] == pytest.approx(100 * np.mean(np.abs(truth - forecast) / truth))
    zero = np.array([[0.0, 2.0]])
    assert measures.measures(np.array([[5.0, 3.0]]), zero, np.ones(1))["mape"] == pytest.approx(50)


def test_interval_errors_by_hand() -> None:
    truth = np.array([[10.0, 20.0, np.nan]])
    quantiles = np.array([[[8.0, 10.0, 12.0], [22.0, 24.0, 26.0], [0.0, 0.0, 0.0]]])
    found = measures.quantile_measures(quantiles, truth, np.array([2.0]), (0.1, 0.5, 0.9), (0, 2))
    assert found["coverage"] == 0.5
    assert found["msis"] == pytest.approx(((4 + 0) + (4 + 2 / 0.2 * 2)) / 2 / 2)
    losses = [[0.1 * 2, 0.0, 0.1 * 2], [0.9 * 2, 0.5 * 4, 0.1 * 6]]
    assert found["wql"] == pytest.approx(2 * np.sum(losses) / 3 / 30)


def test_scale_of_mase() -> None:
    assert seasonal_scale(np.array([1.0, 2.0, 4.0, 8.0]), 2) == pytest.approx((3 + 6) / 2)
    assert np.isnan(seasonal_scale(np.ones(9), 2))


def test_seasonal_naive_takes_the_last_value_known_at_that_place() -> None:
    past = np.array([[1.0, 2, 3, 4, np.nan, 6]])
    assert seasonal_naive(past, 5, 3).tolist() == [[4, 2, 6, 4, 2]]
    assert seasonal_naive(past[:, :2], 2, 3).tolist() == [[2, 2]]


@pytest.mark.parametrize("season", [4, 7])
def test_seasonal_factors_of_a_product(season: int) -> None:
    """Trend constant times factors: classical decomposition gives them back exactly."""
    factors = np.random.default_rng(2).uniform(0.5, 1.5, season)
    factors /= factors.mean()
    values = 30 * np.tile(factors, 8)[: 8 * season - 2]
    np.testing.assert_allclose(seasonal_factors(values, season), factors, rtol=1e-12)
    noise = np.random.default_rng(3).uniform(1, 2, 8 * season)
    assert (seasonal_factors(noise, season) == 1).all()


def test_drift_and_ridge_follow_a_line() -> None:
    values = 3.0 + 0.5 * np.arange(60)
    panel = read_panel({"t": np.arange(60), "y": values}, time="t")
    windows = make_windows(panel, Shape(8, 4, 1), [np.array([50])])
    np.testing.assert_allclose(baselines.drift(windows), windows.truth())
    train = make_windows(panel, Shape(8, 4, 1), [np.arange(8, 46)])
    np.testing.assert_allclose(ridge(train, windows, 1)[0], windows.truth(), rtol=1e-5)


# -- windows and model ------------------------------------------------------------------------------------------


def test_a_fresh_model_is_the_seasonal_naive_forecast() -> None:
    task = ForecastTask(ForecastOptions(**SMALL | {"series": "store", "linear": "learned"}))
    windows = task.prepare(sales()).valid
    with torch.no_grad():
        forecasts = task.forecasts(task.build().eval(), windows)
    naive = baselines.all_naive(windows)["seasonal naive"]
    np.testing.assert_allclose(forecasts[:, :, 0], naive, rtol=1e-5)
    assert (forecasts[:, :, 1] < naive).all() and (forecasts[:, :, -1] > naive).all()


def test_inputs_end_at_the_cut_and_parts_are_apart() -> None:
    task = ForecastTask(ForecastOptions(**SMALL, **ONE, series="store"))
    parts = task.prepare(sales(80))
    assert parts.test.cuts.tolist() == [76] * 3
    assert parts.valid.cuts.tolist() == [72] * 3
    assert parts.train.cuts.max() == 68
    batch = make_batch(parts.test, np.arange(3))
    parts.test.values[parts.test.places(np.arange(3))[:, 14:]] = 1e6
    again = make_batch(parts.test, np.arange(3))
    for name in ("inputs", "window", "base", "future"):
        torch.testing.assert_close(getattr(batch, name), getattr(again, name), rtol=0, atol=0)
    assert (again.truth > batch.truth + 100).all()


def test_the_calendar_is_told_unless_it_is_left_out() -> None:
    told, silent = (ForecastTask(ForecastOptions(**SMALL, series="store", calendar=given)) for given in (True, False))
    there, none = (make_batch(task.prepare(sales(80)).test, np.arange(3)) for task in (told, silent))
    assert (there.inputs.shape[2], none.inputs.shape[2]) == (6, 2)  # sine and cosine of the places in week and year
    torch.testing.assert_close(there.inputs[:, :, :2], none.inputs)


def test_a_window_does_not_know_its_unit() -> None:
    """Scaling per window: another unit and level give the same inputs."""
    frame = sales()
    both = [read_panel(f, series="store") for f in (frame, frame.with_columns(pl.col("units") * 1000 + 5e5))]
    batches = [make_batch(make_windows(p, Shape(14, 4, 7), [np.array([40])] * 3), np.arange(3)) for p in both]
    for ours, other in zip(batches[0][:5], batches[1][:5], strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-4)


def test_missing_values_have_no_say_in_the_loss() -> None:
    frame = sales().with_columns(pl.when(pl.col("day").dt.day() % 5 == 0).then(None).otherwise("units").alias("units"))
    task = ForecastTask(ForecastOptions(**SMALL, series="store"))
    parts = task.prepare(frame, None, None)
    batch = task.batches(parts.train, 0, Shard())[0]
    assert torch.isnan(batch.truth).any()
    assert not torch.isnan(batch.inputs).any()
    assert (batch.inputs[:, :, 1] == 0).any()
    model = task.build()
    step = task.loss(model, batch, {})
    step.loss.backward()
    assert all(torch.isfinite(each.grad).all() for each in model.parameters() if each.grad is not None)


def test_conformal_intervals_cover() -> None:
    """Far too narrow intervals get the width that exchangeable data ask for, in each step ahead."""
    generator = np.random.default_rng(4)
    spread = np.array([1.0, 3.0])
    seen, fresh = (generator.normal(size=(4000, 2)) * spread for _ in range(2))
    levels = (0.05, 0.5, 0.95)
    change = conformal(np.zeros((4000, 2, 3)), seen, levels)
    wide = stretched(np.zeros((4000, 2, 3)), change)
    for step in range(2):
        covered = measures.coverage(wide[:, step, 0], wide[:, step, 2], fresh[:, step])
        assert covered == pytest.approx(0.9, abs=0.02)
    assert (wide[:, :, 1] == 0).all()


def test_quantiles_start_from_the_errors_of_the_training_part() -> None:
    """Of a random walk forecast by its last value: as wide as the root of the step, and right before any training."""
    walk = np.cumsum(np.random.default_rng(7).normal(size=3000))
    shape = {"horizon": 4, "season": 1, "lookback": 8, "linear": "learned", "scale": "last", "unit": 1.0}
    options = ForecastOptions(**CHOSEN | shape | {"time": "t", "epochs": 10})
    task = ForecastTask(options)
    task.prepare({"t": np.arange(3000), "y": walk})
    start = task.build().spread.numpy()
    assert (start[:, 0] == 0).all()
    np.testing.assert_allclose(start[:, 1], -1.645 * np.sqrt([1, 2, 3, 4]), rtol=0.08)
    np.testing.assert_allclose(start[:, -1], 1.645 * np.sqrt([1, 2, 3, 4]), rtol=0.08)


def test_few_validation_windows_never_narrow_an_interval() -> None:
    truth, levels = np.zeros((3, 2)), (0.05, 0.5, 0.95)
    wide = np.broadcast_to(np.array([-1.0, 0.0, 1.0]), (3, 2, 3))
    assert (conformal(wide, truth, levels) == 1).all()
    many = np.broadcast_to(np.array([-1.0, 0.0, 1.0]), (30, 2, 3))
    assert (conformal(many, np.zeros((30, 2)), levels)[:, 0] < 0.01).all()


def test_short_series_are_counted_and_forecast_all_the_same() -> None:
    frame = pl.concat([sales(), sales(9, 1).with_columns(store=pl.lit("new"))])
    task = ForecastTask(ForecastOptions(**SMALL, series="store"))
    parts = task.prepare(frame)
    assert any("1 of 4 series" in note and "new" in note for note in task.notes)
    assert 3 not in parts.train.owners
    with torch.no_grad():
        rows = task.predict(task.build().eval(), None)
    assert [row["series"] for row in rows].count("new") == 4


def test_options_refuse_what_does_not_fit() -> None:
    with pytest.raises(OptionError, match="pairs"):
        ForecastOptions(quantiles=(0.1, 0.5))
    with pytest.raises(OptionError, match="interval"):
        ForecastOptions(quantiles=(0.1, 0.9))
    with pytest.raises(DataError, match="transform=log"):
        ForecastTask(ForecastOptions(time="t", transform="log")).prepare({"t": np.arange(60), "y": np.arange(60.0) - 5})


# -- the whole job ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> gatework.Forecaster:
    out = str(tmp_path_factory.mktemp("forecast") / "run")
    return gatework.Forecaster(**SMALL, series="store", out=out).fit(sales())


def test_predict_goes_on_from_the_end(fitted: gatework.Forecaster) -> None:
    frame = fitted.predict()
    assert frame.height == 12
    assert frame["time"].min() == START + timedelta(days=80)
    levels = frame.select(pl.selectors.starts_with("q")).to_numpy()
    assert (np.diff(levels, axis=1) >= 0).all()
    assert fitted.predict(2)["time"].n_unique() == 2
    assert fitted.predict(2).equals(frame.filter(pl.int_range(pl.len()) % 4 < 2))
    with pytest.raises(OptionError, match="1 or more, not 0"):
        fitted.predict(0)


def test_a_loaded_run_forecasts_the_same(fitted: gatework.Forecaster) -> None:
    loaded = gatework.Forecaster.load(fitted.out)
    assert loaded.predict().equals(fitted.predict())
    results = fitted.trained_.run.results()
    assert {"mase", "smape", "owa", "rmse", "wql", "coverage", "msis"} <= set(results["test"])
    assert {each["name"] for each in results["contenders"]} >= {"naive", "seasonal naive", "drift", "ridge on lags"}
    assert len(results["sections"]["by_horizon"]) == 4


def test_evaluate_and_predict_with_later_rows(fitted: gatework.Forecaster) -> None:
    later = sales(10, begin=80)
    windows = fitted.trained_.task.examples(later)
    assert sorted(set(windows.cuts.tolist())) == [14, 18, 22]  # after the 14 points that the run keeps
    np.testing.assert_allclose(windows.truth()[0], later["units"].to_numpy()[:4])
    assert fitted.score(later) == pytest.approx(-fitted.trained_.evaluate(later)["mase"])
    assert fitted.predict(1, later)["time"].to_list() == [START + timedelta(days=90)] * 3
    with pytest.warns(UserWarning, match="no row of 3"), pytest.warns(UserWarning, match="not in the training data"):
        fitted.predict(1, later.with_columns(store=pl.lit("x") + pl.col("store")))
    with pytest.raises(DataError, match="2024-03-20"):
        fitted.score(sales(80))


def test_clone_pandas_and_backtest() -> None:
    frame = sales(60, 2).to_pandas()
    model = clone(gatework.Forecaster(**{**SMALL, "epochs": 1}, series="store"))
    assert model.get_params()["horizon"] == 4
    assert isinstance(model.fit(frame).predict(), pd.DataFrame)
    table = model.backtest(frame, windows=2)
    assert table["origin"].tolist() == sorted(table["origin"].tolist())
    naive = table[table["method"] == "naive"].set_index("origin")["mae"]
    units = read_panel(frame, series="store").values.reshape(2, 60)
    assert naive[2] == pytest.approx(np.abs(units[:, 52:56] - units[:, 51:52]).mean())


def test_commands(tmp_path: Path) -> None:
    sales().write_csv(tmp_path / "sales.csv")
    sales(8, begin=80).write_csv(tmp_path / "later.csv")
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    runner, run = CliRunner(), str(tmp_path / "run")
    columns = ["--time", "day", "--target", "units", "--series", "store"]

    def call(*arguments: str) -> str:
        result = runner.invoke(cli.app, list(arguments))
        assert result.exit_code == 0, result.output
        return result.stdout

    assert "3 series, a point each 1d (inferred)" in call("check", "forecast", str(tmp_path / "sales.csv"), *columns)
    assert "seasonal naive" in call(
        "train", "forecast", str(tmp_path / "sales.csv"), *columns, *flags, "--out", run, "-q"
    )
    rows = [json.loads(line) for line in call("predict", run, "--json").splitlines()]
    assert [row["time"] for row in rows[:4]] == ["2024-03-21", "2024-03-22", "2024-03-23", "2024-03-24"]
    assert "mase" in call("evaluate", run, str(tmp_path / "later.csv"))
    assert jobs.load(run).predict(None) == rows
