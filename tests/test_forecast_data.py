"""The data side of `forecast`: covariates, every fault of a table named by row, baselines, backtests, the estimator."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

import gatework
from gatework import cli
from gatework.data.panel import inspect_panel, read_panel
from gatework.errors import DataError, OptionError
from gatework.tasks.forecast import ForecastOptions, ForecastTask
from gatework.tasks.forecast.classical import classical
from gatework.tasks.forecast.ridge import ridge
from gatework.tasks.forecast.windows import Shape, Windows, make_batch, make_windows, seasonal_naive

START = datetime(2024, 1, 1)
SMALL: dict[str, Any] = {"horizon": 4, "season": 7, "lookback": 14, "epochs": 2, "hidden_size": 6, "width": 3}
COLUMNS: dict[str, Any] = {"time": "day", "target": ("units",), "series": "store"}
BESIDE: dict[str, Any] = {"past": ("visitors",), "future": ("promotion", "event"), "static": ("region", "area")}


def shop(days: int = 80, begin: int = 0, ahead: int = 0, stores: int = 3) -> pl.DataFrame:
    """Sales that jump with promotions; the rows of the last `ahead` days have no target and no visitors."""
    noise = np.random.default_rng(6)
    promotion, event, visitors = noise.random((stores, 400)) < 0.4, noise.integers(0, 3, 400), noise.normal(size=400)
    rows = [
        {
            "store": f"store {s}", "region": "north" if s % 2 else "south", "area": 100.0 * (s + 1),
            "day": START + timedelta(days=day), "promotion": int(promotion[s, day]),
            "event": ("none", "fair", "game")[event[day]], "visitors": None if day >= days - ahead else visitors[day],
            "units": None if day >= days - ahead else 20 * (s + 1) + 30.0 * promotion[s, day] + noise.normal(),
        }
        for s in range(stores)
        for day in range(begin, days)
    ]  # fmt: skip
    return pl.DataFrame(rows, infer_schema_length=None)


def errors(table: Any, **options: Any) -> list[str]:
    return [found.message for found in inspect_panel(table, **options)[1] if found.level == "error"]


# -- covariates -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared() -> tuple[ForecastTask, Any]:
    task = ForecastTask(ForecastOptions(**SMALL, **COLUMNS, **BESIDE))
    return task, task.prepare(shop())


def test_covariates_stand_in_the_windows(prepared: tuple[ForecastTask, Any]) -> None:
    """Channel by channel against the table: scaled numbers, one channel for each value of a category."""
    task, parts = prepared
    frame = shop()
    kinds = [(each.column, each.label) for each in task.channels or ()]
    assert kinds == [
        ("visitors", None), ("promotion", None), ("event", "fair"), ("event", "game"), ("event", "none"),
        ("region", "north"), ("region", "south"), ("area", None),
    ]  # fmt: skip
    row = int(np.flatnonzero(parts.test.owners == 1)[0])
    batch = make_batch(parts.test, np.array([row]))
    own = frame.filter(pl.col("store") == "store 1")
    train = frame.filter(pl.col("day") < START + timedelta(days=72))
    cut = int(parts.test.cuts[row])
    visitors = (own["visitors"].to_numpy() - train["visitors"].mean()) / train["visitors"].std(ddof=0)
    np.testing.assert_allclose(batch.inputs[:, 0, 2], visitors[cut - 14 : cut], rtol=1e-4, atol=1e-6)
    promotion = (own["promotion"].to_numpy() - train["promotion"].mean()) / train["promotion"].std(ddof=0)
    ahead = batch.future[0]
    places = [c for c in range(ahead.shape[1]) if np.allclose(ahead[:, c], promotion[cut : cut + 4], atol=1e-5)]
    assert len(places) == 1
    game = (own["event"] == "game").to_numpy().astype(float)
    np.testing.assert_array_equal(ahead[:, places[0] + 2], game[cut : cut + 4])
    areas = np.array([100.0, 200, 300])
    expected = [1, 0, (200 - areas.mean()) / areas.std()]
    np.testing.assert_allclose(ahead[:, -3:], np.tile(expected, (4, 1)), atol=1e-6)
    np.testing.assert_allclose(batch.inputs[:, 0, -3:], np.tile(expected, (14, 1)), atol=1e-6)


def test_the_future_of_past_covariates_is_not_seen() -> None:
    frame = shop()
    late = pl.col("day") >= START + timedelta(days=76)
    changed = frame.with_columns(visitors=pl.when(late).then(1e6).otherwise("visitors"))
    both = [ForecastTask(ForecastOptions(**SMALL, **COLUMNS, past=("visitors",))).prepare(f) for f in (frame, changed)]
    ours, other = (make_batch(parts.test, np.arange(3)) for parts in both)
    for name in ("inputs", "future", "base", "window"):
        torch.testing.assert_close(getattr(ours, name), getattr(other, name), rtol=0, atol=0)


def test_a_model_learns_from_what_is_known_ahead(tmp_path: Path) -> None:
    """Promotions are drawn anew each day: only who knows them ahead can forecast them."""
    options = {**SMALL, **COLUMNS, "epochs": 15, "width": 8, "learning_rate": 0.02, "batch_size": 16, "dropout": 0.0}
    blind = gatework.Forecaster(**options).fit(shop(120))
    model = gatework.Forecaster(**options, future=("promotion",), static=("region",), out=str(tmp_path / "run"))
    model.fit(shop(120, ahead=4).with_columns(pl.lit(1).alias("unused")))
    known = model.trained_.run.results()["test"]["mae"]
    assert known < 0.5 * blind.trained_.run.results()["test"]["mae"]
    truth = shop(120).filter(pl.col("day") >= START + timedelta(days=116))["promotion"].to_numpy()
    forecast = model.predict()["forecast"].to_numpy() - np.repeat([20.0, 40, 60], 4)
    assert (forecast[truth == 1] > 15).all()
    assert (forecast[truth == 0] < 15).all()
    assert gatework.Forecaster.load(tmp_path / "run").predict().equals(model.predict())
    again = model.predict(4, shop(124, begin=116, ahead=4))
    assert again["time"].min() == START + timedelta(days=120)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> gatework.Forecaster:
    out = str(tmp_path_factory.mktemp("forecast") / "run")
    return gatework.Forecaster(**SMALL, **COLUMNS, **BESIDE, out=out).fit(shop())


def test_predict_says_which_rows_it_lacks(fitted: gatework.Forecaster) -> None:
    with pytest.raises(DataError, match=r"store 0: event, promotion at 4 steps, 2024-03-21 to 2024-03-24"):
        fitted.predict()
    rows = shop(84, begin=80, ahead=4).drop("units", "visitors", "region", "area")
    assert fitted.predict(4, rows).height == 12
    missing = rows.with_columns(promotion=pl.when(pl.col("day").dt.day() == 22).then(None).otherwise("promotion"))
    with pytest.raises(DataError, match=r"store 2: promotion at 1 steps, 2024-03-22 to 2024-03-22"):
        fitted.predict(4, missing)
    with pytest.raises(DataError, match="no column 'promotion'"):
        fitted.predict(4, rows.drop("promotion"))
    with pytest.warns(UserWarning, match="'flood' did not occur in the training data"):
        fitted.predict(4, rows.with_columns(event=pl.lit("flood")))


def test_predict_uses_the_rows_it_is_given(fitted: gatework.Forecaster) -> None:
    """Known-ahead values change the forecast of their own step alone (the head sees them step by step)."""
    rows = shop(84, begin=80, ahead=4)
    (member,) = fitted.trained_.model.members  # pyright: ignore[reportGeneralTypeIssues]
    torch.nn.init.normal_(member.outputs.weight)
    changed = rows.with_columns(
        promotion=pl.when(pl.col("day").dt.day() == 22).then(1 - pl.col("promotion")).otherwise("promotion")
    )
    before, after = (fitted.predict(4, each) for each in (rows, changed))
    differs = np.flatnonzero(before["forecast"].to_numpy() != after["forecast"].to_numpy())
    assert differs.tolist() == [1, 5, 9]


def test_faults_of_covariates_are_named() -> None:
    base = shop(20).to_dict(as_series=False)
    options = {**COLUMNS, "covariates": {"past": ["visitors"], "future": ["promotion"], "static": ["region"]}}
    assert not errors(base, **options)
    moved = {**base, "region": ["north", "south", *base["region"][2:]]}
    found = errors(moved, **options)
    assert len(found) == 1
    assert "row 2, column 'region': 'south', but series 'store 0' has 'north' in row 1" in found[0]
    infinite = {**base, "promotion": [float("inf"), *map(float, base["promotion"][1:])]}
    assert "row 1, column 'promotion': inf is infinite" in errors(infinite, **options)[0]
    holes = {**base, "visitors": [base["visitors"][0], None, *base["visitors"][2:]]}
    notes = [each.message for each in inspect_panel(holes, **options)[1] if each.level == "warning"]
    assert any("row 2, column 'visitors': empty (1 such rows)" in note for note in notes)
    many = {**base, "region": [f"r{k}" for k in range(len(base["region"]))]}
    assert "more than the 50" in errors(many, **options)[0]
    with pytest.raises(OptionError, match="'units' cannot be target and past"):
        ForecastOptions(target=("units",), past=("units",))
    with pytest.raises(OptionError, match="series=COLUMN"):
        ForecastOptions(static=("region",))


def test_wide_tables_share_their_covariates() -> None:
    table = {"t": np.arange(30), "a": np.arange(30.0), "b": np.arange(30.0) ** 2, "hot": np.arange(30) % 3}
    panel = read_panel(table, time="t", covariates={"future": ["hot"]})
    assert panel.names == ("a", "b")
    assert panel.covariates is not None
    for number in range(2):
        np.testing.assert_array_equal(panel.covariates.part(number)[:, 0], np.arange(30) % 3)


# -- baselines --------------------------------------------------------------------------------------------------


def windows_of(values: np.ndarray, shape: Shape, cuts: np.ndarray) -> Windows:
    """Windows at the same cuts of each series: values [S, T]."""
    table = {"t": np.arange(values.shape[1]), **{f"s{k}": each for k, each in enumerate(values)}}
    return make_windows(read_panel(table, time="t", target=list(table)[1:]), shape, [cuts] * len(values))


def test_ridge_chooses_logarithms_where_growth_multiplies() -> None:
    """Series that grow by a rate of their own: a line in logarithms, whatever their size."""
    rates, steps = np.array([1.01, 1.05, 1.09]), np.arange(70)
    values = np.array([[1.0], [1000.0], [50.0]]) * rates[:, None] ** steps
    train, test = (windows_of(values, Shape(6, 3, 1), cuts) for cuts in (np.arange(6, 60), np.array([67])))
    found, note = ridge(train, test, 1)
    assert "logarithms" in note
    np.testing.assert_allclose(found, test.truth(), rtol=1e-4)


def test_ridge_reads_no_value_after_the_cut_and_scales_with_the_unit() -> None:
    values = np.random.default_rng(8).normal(size=(2, 90)).cumsum(axis=1)
    shape, cuts = Shape(8, 4, 1), (np.arange(8, 70), np.array([86]))
    train, test = (windows_of(values, shape, each) for each in cuts)
    found = ridge(train, test, 1)[0]
    late = values.copy()
    late[:, 86:] += 100
    np.testing.assert_array_equal(ridge(train, windows_of(late, shape, cuts[1]), 1)[0], found)
    large = [windows_of(values * 1e3, shape, each) for each in cuts]
    np.testing.assert_allclose(ridge(*large, 1)[0], found * 1e3, rtol=1e-6)
    squared, note = ridge(train, test, 1, squared=True)
    assert "deviation" not in note
    assert np.isfinite(squared).all()


def test_ridge_takes_a_stronger_hand_with_noise() -> None:
    """The strength is chosen on held-out windows: pure noise asks for more of it than a clear rule."""
    noise = np.random.default_rng(9).normal(size=(1, 90))
    wave = np.sin(np.arange(90) / 3)[None] + 1e-9 * noise
    strengths = []
    for values in (noise, wave):
        train, test = (windows_of(values, Shape(20, 2, 1), cuts) for cuts in (np.arange(20, 86), np.array([88])))
        strengths.append(float(ridge(train, test, 1)[1].split("strength ")[1].split(",")[0]))
    assert strengths[0] > strengths[1]


def test_the_classical_method_is_bounded_and_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = np.arange(60)
    values = np.array([10 + 0.5 * steps + 3 * np.sin(2 * np.pi * steps / 6), np.full(60, 7.0), 20.0 + steps])
    windows = windows_of(values, Shape(12, 6, 6), np.array([48, 54]))
    found = classical(windows, "theta", 60, 1)
    assert sorted(found.rows) == list(range(6))
    assert found.note == "each series on its own"
    errors = np.abs(found.forecasts - windows.truth()[found.rows])
    assert errors[windows.owners[found.rows] == 1].max() < 1e-6
    naive = seasonal_naive(windows.past(np.arange(6)), 6, 6)
    assert errors.mean() < np.abs(naive - windows.truth()).mean()
    short = classical(windows, "theta", 0, 1)
    assert len(short.rows) == 1
    assert "1 of 6 windows" in short.note
    from statsforecast import models

    monkeypatch.setattr(models.DynamicOptimizedTheta, "forecast", lambda *_, **__: 1 / 0)
    failed = classical(windows, "theta", 60, 1)
    assert "6 on which it failed" in failed.note
    np.testing.assert_allclose(failed.forecasts, naive[failed.rows])


# -- predict, evaluate and backtest, in Python and as commands --------------------------------------------------


def call(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli.app, list(arguments))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_commands_with_covariates(tmp_path: Path) -> None:
    """Training rows, the rows after them, what is known ahead: each a file; predict says what it goes on from."""
    shop(80).write_csv(tmp_path / "sales.csv")
    shop(84, ahead=4).write_csv(tmp_path / "whole.csv")
    shop(84, begin=80, ahead=4).drop("units").write_csv(tmp_path / "ahead.csv")
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in (SMALL | {"epochs": 1}).items()]
    columns = ["--time", "day", "--target", "units", "--series", "store", "--past", "visitors"]
    columns += ["--future", "promotion,event", "--static", "region,area", "-q"]
    run = str(tmp_path / "run")
    call("train", "forecast", str(tmp_path / "sales.csv"), *columns, *flags, "--out", run)
    refused = call("predict", run, code=2)
    assert "store 2: event, promotion at 4 steps, 2024-03-21 to 2024-03-24" in refused.stderr
    assert "no file given" in refused.stderr
    table = pl.read_csv(io.StringIO(call("predict", run, str(tmp_path / "ahead.csv")).stdout))
    assert table.columns[:4] == ["series", "time", "forecast", "q0.05"]
    rows = [
        json.loads(line) for line in call("predict", run, str(tmp_path / "whole.csv"), "--json").stdout.splitlines()
    ]
    assert [row["time"] for row in rows] == table["time"].to_list()
    np.testing.assert_allclose([row["forecast"] for row in rows], table["forecast"].to_list(), rtol=1e-4)


def test_backtest_command_is_the_python_backtest(tmp_path: Path) -> None:
    frame = shop(70, stores=2)
    frame.write_csv(tmp_path / "sales.csv")
    options = {**SMALL, **COLUMNS, "epochs": 1, "classical": "none", "future": ("promotion",)}
    model = gatework.Forecaster(**options, out=str(tmp_path / "run")).fit(frame)
    table = model.backtest(frame, windows=2)
    assert table["until"].unique(maintain_order=True).to_list() == ["2024-03-06", "2024-03-02"]
    output = call("evaluate", str(tmp_path / "run"), str(tmp_path / "sales.csv"), "--windows", "2", "--json").stdout
    again = pl.DataFrame([json.loads(line) for line in output.splitlines()], infer_schema_length=None)
    assert again.equals(table)
    assert (
        "trained on what was known up to 2024-03-02"
        in call("evaluate", str(tmp_path / "run"), str(tmp_path / "sales.csv"), "--windows", "2").stdout
    )
    call("evaluate", str(tmp_path / "run"), "--windows", "2", code=2)
    alone = gatework.Forecaster(**options).fit(frame.filter(pl.col("day") < START + timedelta(days=66)))
    mae = table.filter((pl.col("origin") == 2) & (pl.col("method") == "model"))["mae"].item()
    assert mae == pytest.approx(alone.trained_.run.results()["test"]["mae"])
    with pytest.raises(DataError, match="fewer than"):
        model.backtest(frame, windows=15)


def test_the_estimator_is_scikit_learns(fitted: gatework.Forecaster, tmp_path: Path) -> None:
    model = gatework.Forecaster(horizon=4).set_params(cell="gru", future=("promotion",))
    assert model.get_params()["cell"] == "gru"
    ahead = shop(84, begin=80, ahead=4)
    fitted.save(tmp_path / "kept")
    assert gatework.Forecaster.load(tmp_path / "kept").predict(2, ahead).equals(fitted.predict(2, ahead))
    assert fitted.predict(2, ahead.to_pandas()).height == 6
    later = shop(90)
    assert fitted.score(later) == -fitted.trained_.evaluate(later)["mase"]
