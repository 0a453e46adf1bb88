"""The data side of `forecast`: covariates, every fault of a table named by row, baselines, backtests, the estimator."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

import gatework
from gatework import cli
from gatework.data.panel import inspect_panel, read_panel
from gatework.data.readers import read_table
from gatework.errors import DataError, OptionError
from gatework.runtime.series.panel import shown_time
from gatework.runtime.series.windows import Shape, Windows, make_windows, seasonal_naive
from gatework.tasks.forecast import ForecastOptions, ForecastTask
from gatework.tasks.forecast.classical import classical
from gatework.tasks.forecast.ridge import ridge
from gatework.tasks.forecast.windows import make_batch
from small import CHOSEN

START = datetime(2024, 1, 1)
SMALL: dict[str, Any] = {"horizon": 4, "season": 7, "lookback": 14, "epochs": 2, "hidden_size": 6, "width": 3}
SMALL |= CHOSEN
PARTS = ("model", "linear map alone", "network alone")
SMALL |= {"valid_windows": 1, "test_windows": 1}
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


def call(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli.app, list(arguments))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


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
    visitors = (own["visitors"].to_numpy() - train["visitors"].to_numpy().mean()) / train["visitors"].to_numpy().std()
    np.testing.assert_allclose(batch.inputs[:, 0, 2], visitors[cut - 14 : cut], rtol=1e-4, atol=1e-6)
    known = train["promotion"].to_numpy()
    promotion = (own["promotion"].to_numpy() - known.mean()) / known.std()
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
    options = {**SMALL, **COLUMNS, "epochs": 12, "width": 8, "learning_rate": 0.02, "batch_size": 16, "dropout": 0.0}
    options |= {"classical": "none"}
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
    with pytest.raises(DataError, match=r"store 2: promotion at 1 step, 2024-03-22"):
        fitted.predict(4, missing)
    with pytest.raises(DataError, match="no column 'promotion'"):
        fitted.predict(4, rows.drop("promotion"))
    with pytest.warns(UserWarning, match="'flood' did not occur in the training data"):
        fitted.predict(4, rows.with_columns(event=pl.lit("flood")))


def test_predict_uses_the_rows_it_is_given(fitted: gatework.Forecaster) -> None:
    """Known-ahead values change the forecast of their own step alone (the head sees them step by step)."""
    rows = shop(84, begin=80, ahead=4)
    model = gatework.Forecaster.load(fitted.out)
    (member,) = model.trained_.model.members  # pyright: ignore[reportGeneralTypeIssues]
    torch.nn.init.normal_(member.outputs.weight)
    changed = rows.with_columns(
        promotion=pl.when(pl.col("day").dt.day() == 22).then(1 - pl.col("promotion")).otherwise("promotion")
    )
    before, after = (model.predict(4, each) for each in (rows, changed))
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
    bare = {**base, "visitors": [None] * len(base["visitors"])}
    assert "column 'visitors': no row has a value; leave it out of past" in errors(bare, **options)[0]
    many = {**base, "region": [f"r{k}" for k in range(len(base["region"]))]}
    assert "more than the 50" in errors(many, **options)[0]
    with pytest.raises(OptionError, match="'units' cannot be target and past"):
        ForecastOptions(target=("units",), past=("units",))
    with pytest.raises(OptionError, match="series=COLUMN"):
        ForecastOptions(static=("region",))


def test_pandas_indexes_and_periods_are_times() -> None:
    values = np.arange(20.0)
    months = pd.period_range("2024-01", periods=20, freq="M")
    hours = pd.date_range("2024-03-30", periods=20, freq="h", tz="Europe/Berlin")
    for frame, step, start in (
        (pd.Series(values, index=months, name="units"), "1mo", datetime(2024, 1, 1)),
        (pd.DataFrame({"units": values}, index=months.to_timestamp()), "1mo", datetime(2024, 1, 1)),
        (pd.DataFrame({"month": months, "units": values}), "1mo", datetime(2024, 1, 1)),
        (pd.DataFrame({"units": values}, index=hours.rename("when")), "1h", datetime(2024, 3, 29, 23)),
    ):
        panel = read_panel(frame)
        assert (str(panel.frequency), panel.names) == (step, ("units",))
        assert shown_time(panel.starts[0], panel.dates) == start.isoformat(sep=" ").removesuffix(" 00:00:00")
        np.testing.assert_array_equal(panel.values, values)


def test_wide_tables_share_their_covariates() -> None:
    table = {"t": np.arange(30), "a": np.arange(30.0), "b": np.arange(30.0) ** 2, "hot": np.arange(30) % 3}
    panel = read_panel(table, time="t", covariates={"future": ["hot"]})
    assert panel.names == ("a", "b")
    assert panel.covariates is not None
    for number in range(2):
        np.testing.assert_array_equal(panel.covariates.part(number)[:, 0], np.arange(30) % 3)


def test_wide_tables_tell_which_series_it_is(tmp_path: Path) -> None:
    """As a long table with its names as a static column does; a series that is new later is none of them."""
    days, rng = [START + timedelta(days=k) for k in range(60)], np.random.default_rng(3)
    wide: dict[str, Any] = {"day": days, **{name: rng.normal(10, 1, 60) for name in "abc"}}
    frame = pl.DataFrame(wide).unpivot(["a", "b", "c"], index="day", variable_name="shop", value_name="units")
    small: dict[str, Any] = {"horizon": 4, "season": 7, "lookback": 14, "epochs": 2, "hidden_size": 4, "width": 2}
    small |= {"classical": "none", "time": "day"}
    named = frame.with_columns(name=pl.col("shop"))
    long = gatework.Forecaster(target=("units",), series="shop", static=("name",), **small).fit(named)
    both = gatework.Forecaster(identity=True, **small).fit(wide)
    assert both.predict().equals(long.predict())
    assert not both.predict().equals(gatework.Forecaster(**small).fit(wide).predict())
    both.save(tmp_path / "run")
    assert gatework.Forecaster.load(tmp_path / "run").predict().equals(both.predict())
    assert both.predict(X={name: wide[name][-20:] for name in ("c", "day", "b", "a")}).equals(both.predict())
    one = gatework.Forecaster(identity=True, target=("units",), series="shop", **small).fit(frame)
    with pytest.warns(UserWarning, match="not in the training data: d"), pytest.warns(UserWarning, match="no row of 3"):
        new = one.predict(X=frame.filter(pl.col("shop") == "a").with_columns(shop=pl.lit("d")))
    assert new.filter(pl.col("series") == "d")["forecast"].is_finite().all()
    many = {"day": days, **{f"s{k}": rng.normal(10, 1, 60) for k in range(101)}}
    with pytest.raises(DataError, match="at most 100 series apart, and there are 101"):
        gatework.Forecaster(identity=True, **small).fit(many)


# -- bad input --------------------------------------------------------------------------------------------------


def day(number: int) -> str:
    return (START + timedelta(days=number)).strftime("%Y-%m-%d")


def rows_of(*shops: str, days: int = 40) -> list[list[str]]:
    return [[day(k), shop, f"{10 + k % 7 + (k * 7919 % 13) / 10:.1f}"] for shop in shops for k in range(days)]


def written(path: Path, rows: list[list[str]]) -> str:
    path.write_text("\n".join(",".join(row) for row in [["day", "shop", "units"], *rows]) + "\n")
    return str(path)


# name: (what is done to the rows of two shops, 40 days each; what check says; the exit code)
FAULTS: dict[str, tuple[Any, str, int]] = {
    "date": (lambda r: r[5].__setitem__(0, "2024-13-06"),
             "line 7, column 'day': '2024-13-06' does not read as the format %Y-%m-%d of most rows", 2),
    "no date": (lambda r: r[5].__setitem__(0, ""), "line 7, column 'day': an empty cell does not read", 2),
    "twice": (lambda r: r.insert(6, r[5]), "line 8: time 2024-01-06 of series 'a' stands also in line 7", 2),
    "unordered": (lambda r: r.insert(3, r.pop(4)), "line 6: earlier than the row before it (1 such rows)", 0),
    "slow series": (lambda r: r.__delitem__(slice(41, 80, 2)), "2 such steps or more in b: mixed frequencies", 2),
    "slower at times": (lambda r: r.__delitem__(slice(41, 70, 2)), "most steps are longer than 1d (found) in b", 0),
    "constant": (lambda r: [each.__setitem__(2, "5") for each in r[40:]], "1 series with no or only one value: b", 0),
    "short": (lambda r: r.__delitem__(slice(50, 80)), "1 of 2 series have fewer than the 19 points", 0),
    "all short": (lambda r: r.__delitem__(slice(8, 80)), "take a shorter horizon, fewer windows", 2),
    "missing": (lambda r: r[5].__setitem__(2, ""), "1 missing value (0 of them gaps in time), the first in line 7", 0),
    "gap": (lambda r: r.__delitem__(slice(20, 25)), "line 22: the longest gap, 5 steps of 1d without a row", 0),
    "far date": (lambda r: r[39].__setitem__(0, "2204-02-09"), "longer than all the rest of it: a wrong date?", 0),
    "text": (lambda r: r[5].__setitem__(2, "n/k"), "line 7, column 'units': 'n/k' is not a number", 2),
    "infinite": (lambda r: r[5].__setitem__(2, "-inf"), "line 7, column 'units': -inf is infinite", 2),
    "huge": (lambda r: r[5].__setitem__(2, "1e300"), "line 7, column 'units': 1e+300 is too large to reckon with", 2),
    "no values": (lambda r: [each.__setitem__(2, "") for each in r], "2 series with no or only one value: a, b", 2),
    "no name": (lambda r: r[5].__setitem__(1, ""), "line 7, column 'shop': empty (1 such rows)", 0),
    "offsets": (lambda r: [each.__setitem__(0, each[0] + "T00:00:00+01:00") for each in r], "days of their own", 0),
    "one offset": (lambda r: r[5].__setitem__(0, r[5][0] + "T00:00+01:00"), "line 7, column 'day'", 2),
    "no rows": (lambda r: r.clear(), "holds a header and no rows", 2),
}  # fmt: skip
COLUMN_FLAGS = ("--time", "day", "--target", "units", "--series", "shop", "--horizon", "4")


@pytest.mark.parametrize("fault", FAULTS)
def test_check_names_each_fault(fault: str, tmp_path: Path) -> None:
    change, text, code = FAULTS[fault]
    rows = rows_of("a", "b")
    change(rows)
    found = call("check", "forecast", written(tmp_path / "sales.csv", rows), *COLUMN_FLAGS, code=code).stdout
    assert text in found
    assert "sales.csv" in found or "series" in found


def test_empty_cells_at_the_end_of_rows_are_no_short_rows(tmp_path: Path) -> None:
    """Read in one go where each line has all its fields; the same table as row by row (with a quote somewhere)."""
    rows = [[day(k), "a", "" if k % 3 == 0 else str(k)] for k in range(20)]
    plain = read_table(written(tmp_path / "plain.csv", rows)).frame
    rows[1][1] = '"a"'
    assert read_table(written(tmp_path / "quoted.csv", rows)).frame.fill_null("").equals(plain.fill_null(""))
    rows[4].pop()
    with pytest.raises(DataError, match="line 6"):
        read_table(written(tmp_path / "short.csv", rows))
    rows[1][1] = "a"
    with pytest.raises(DataError, match="line 6"):
        read_table(written(tmp_path / "short.csv", rows))


def test_check_names_all_faults_at_once(tmp_path: Path) -> None:
    rows = rows_of("a", "b")
    rows[3][0], rows[5][2], rows[7][2] = "2024-02-30", "inf", "abc"
    rows.insert(20, rows[19])
    rows.insert(30, rows.pop(31))
    path = written(tmp_path / "sales.csv", rows)
    found = call("check", "forecast", path, *COLUMN_FLAGS, code=2).stdout
    for text in ("'2024-02-30' does not read", "inf is infinite", "'abc' is not a number", "stands also in", "earlier"):
        assert text in found
    refused = call("train", "forecast", path, *COLUMN_FLAGS, "--out", str(tmp_path / "run"), code=2)
    assert refused.stderr.count("sales.csv, line") >= 4
    assert not (tmp_path / "run").exists()


def test_faults_of_later_rows(tmp_path: Path) -> None:
    """An unseen series is forecast and named; a step of another length, or no new row, is refused."""
    path, run = written(tmp_path / "sales.csv", rows_of("a", "b")), str(tmp_path / "run")
    flags = [
        f"--{name.replace('_', '-')}={value}" for name, value in {**SMALL, "epochs": 1, "classical": "none"}.items()
    ]
    trained = call("train", "forecast", path, *COLUMN_FLAGS[:6], *flags, "--out", run)
    assert "note: " in trained.stderr
    unseen = call("predict", run, written(tmp_path / "new.csv", rows_of("a", "c", days=44)), "--json")
    assert "1 series not in the training data: c; forecast from these rows alone" in unseen.stderr
    shown = [json.loads(line) for line in unseen.stdout.splitlines()]
    assert [(row["series"], row["time"]) for row in shown][3:5] == [("a", day(47)), ("c", day(44))]
    weekly = written(tmp_path / "weekly.csv", [[day(40 + 7 * k), "a", "3"] for k in range(5)])
    assert "steps of 1d (given), but 7 such steps" in call("predict", run, weekly, code=2).stderr
    assert f"goes on for a step after what the model knows (to {day(39)} in series 'a')" in (
        call("evaluate", run, path, code=2).stderr
    )
    hours = written(tmp_path / "hours.csv", [[f"{day(40)} 07:30", "a", "3"]])
    assert "not on its grid of 1d" in call("predict", run, hours, code=2).stderr
    numbers = written(tmp_path / "numbers.csv", [[str(k), "a", "3"] for k in range(9)])
    assert "frequency 1d does not fit times that are plain numbers" in call("predict", run, numbers, code=2).stderr


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
    np.testing.assert_allclose(ridge(large[0], large[1], 1)[0], found * 1e3, rtol=1e-6)
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
        strengths.append(float(ridge(train, test, 1)[1].split("penalty of ")[1].split(" ")[0].strip(";")))
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


@pytest.mark.parametrize("decoding", ["segments", "recursive", "attention"])
def test_covariates_reach_every_decoder(decoding: str) -> None:
    """With a validation and a test file of their own; what is known ahead changes the forecast, past the cut too."""
    task = ForecastTask(ForecastOptions(**SMALL | COLUMNS | BESIDE | {"decoding": decoding}))
    parts = task.prepare(shop(60), shop(70, begin=60), shop(80, begin=70))
    assert parts.test is not None
    assert parts.test.cuts.min() == 70
    torch.manual_seed(1)
    model = task.build().eval()
    for each in model.modules():
        if isinstance(each, torch.nn.Linear):
            torch.nn.init.normal_(each.weight)
    batch, changed = (make_batch(parts.test, np.arange(3)) for _ in range(2))
    changed.future[:, 0, -8:] += 1
    with torch.no_grad():
        assert (model(batch)[:, 0] != model(changed)[:, 0]).any()


def test_backtest_command_is_the_python_backtest(tmp_path: Path) -> None:
    frame = shop(70, stores=2)
    frame.write_csv(tmp_path / "sales.csv")
    options = {**SMALL, **COLUMNS, "epochs": 1, "classical": "none", "future": ("promotion",)}
    model = gatework.Forecaster(**options, out=str(tmp_path / "run")).fit(frame)
    table = model.backtest(frame, windows=2)
    assert table["until"].unique(maintain_order=True).to_list() == ["2024-03-06", "2024-03-02"]
    output = call("evaluate", str(tmp_path / "run"), str(tmp_path / "sales.csv"), "--backtest", "2", "--json").stdout
    *lines, last = [json.loads(line) for line in output.splitlines()]
    assert pl.DataFrame(lines, infer_schema_length=None).equals(table)
    shown = call("evaluate", str(tmp_path / "run"), str(tmp_path / "sales.csv"), "--backtest", "2").stdout
    assert "trained on what was known up to 2024-03-02" in shown
    frame.rename({COLUMNS["time"]: "when"}).write_csv(tmp_path / "renamed.csv")
    other = (str(tmp_path / "run"), str(tmp_path / "renamed.csv"), "--backtest", "2", "--set", "time=when")
    assert call("evaluate", *other).stdout == shown
    means = {row["method"]: row for row in last["summary"]}
    for method, row in means.items():
        errors = table.filter(pl.col("method") == method)["mase"]
        assert (row["mase"], row["mase_spread"], row["origins"]) == pytest.approx((errors.mean(), errors.std(), 2))
    assert pl.DataFrame(last["summary"], infer_schema_length=None).equals(model.backtest_)
    kept = json.loads((tmp_path / "run" / "backtest.json").read_text())
    assert kept["rows"] == lines and kept["summary"] == last["summary"] and kept["verdict"] in shown
    assert "mean over 2 origins" in shown and "spread (standard deviation) over 2 origins" in shown
    best = min((row["mase"], name) for name, row in means.items() if name not in PARTS)
    assert f"of the best baseline, {best[1]} (mean over 2 origins)" in kept["verdict"]
    assert f"against {best[0]:.3f} ± {means[best[1]]['mase_spread']:.3f}; that of the model is the" in kept["verdict"]
    assert kept["verdict"].startswith("Too few to tell"), "two origins are two trainings"
    call("evaluate", str(tmp_path / "run"), "--backtest", "2", code=2)
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
    later = shop(90)  # of which no value is as it was
    with pytest.warns(UserWarning, match="values are others than the run knows"):
        assert fitted.score(later) == -fitted.trained_.evaluate(later)["mase"]
