"""Tables as people have them: numbers and dates of many kinds, every fault at once, short series, later files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import gatework
from gatework import cli
from gatework.data.dates import read_times
from gatework.data.numerals import read_numbers
from gatework.data.panel import inspect_panel, read_panel
from gatework.data.table import Table
from gatework.errors import DataError
from gatework.runtime.series.panel import shown_time

START = datetime(2024, 1, 1)
SMALL = (
    "--horizon=4",
    "--season=7",
    "--lookback=14",
    "--epochs=1",
    "--hidden-size=4",
    "--width=2",
    "--classical=none",
    "--valid-windows=1",
    "--test-windows=1",
)
COLUMNS = ("--time=day", "--target=units", "--series=shop")


def call(*words: Any, code: int = 0) -> Any:
    result = CliRunner().invoke(cli.app, [str(word) for word in words], env={"COLUMNS": "300"})
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output and "unforeseen" not in result.output
    return result


def day(number: int, shape: str = "%Y-%m-%d") -> str:
    return (START + timedelta(days=number)).strftime(shape)


def units(number: int) -> float:
    return 1000 + 20 * (number % 7) + (number * 7919 % 13) / 4


def written(path: Path, rows: Sequence[Sequence[Any]], head: str = "day,shop,units", encoding: str = "utf-8") -> Path:
    delimiter = ";" if ";" in head else ","
    text = "".join(delimiter.join(map(str, row)) + "\n" for row in rows)
    path.write_bytes(f"{head}\n{text}".encode(encoding))
    return path


# -- numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "delimiter", "expected", "note"),
    [
        (["1.5", "NA", "-2e3", "#N/A", "-"], ",", [1.5, None, -2000.0, None, None], ""),
        (["1,5", "2", "-0,25"], ";", [1.5, 2.0, -0.25], "'1,5' is read as 1.5"),
        (["1.234,50", "999", "1.234.567,8"], ";", [1234.5, 999.0, 1234567.8], "'1.234,50' is read as 1234.5"),
        (["1,234.50", "12", "1,234,567"], ",", [1234.5, 12.0, 1234567.0], "'1,234.50' is read as 1234.5"),
        (["1,234", "2,345"], ",", [1234.0, 2345.0], "'1,234' is read as 1234"),
        (["1,234", "2,345"], ";", [1.234, 2.345], "'1,234' is read as 1.234"),
        (["1 234,5", "12 345 678,1", "3"], ";", [1234.5, 12345678.1, 3.0], "'1 234,5' is read as 1234.5"),
        (["1'234.5", "8"], None, [1234.5, 8.0], '"1\'234.5" is read as 1234.5'),
        (["12,34,5", "x", "1"], ",", [None, None, 1.0], ""),
        (["$49,200.00", "(1,200.00)", "-"], ",", [49200.0, -1200.0, None], "'49,200.00' is read as 49200"),
        (["50.00 EUR", "EUR 7", "-USD 5"], ",", [50.0, 7.0, -5.0], ""),
        (["49.200,00 €", "(5,5)"], ";", [49200.0, -5.5], "'49.200,00' is read as 49200"),
        (["1,5", "n/k", "2,5"], ";", [1.5, None, 2.5], "'1,5' is read as 1.5"),
    ],
)
def test_numbers_as_people_write_them(cells: list[str], delimiter: str | None, expected: list[Any], note: str) -> None:
    found = read_numbers(pl.Series(cells), delimiter)
    assert (found.values.to_list(), found.note) == (expected, note)


def test_excel_files_are_the_series_they_hold(tmp_path: Path) -> None:
    """A mark at the start, semicolons, decimal commas, days first, columns without name or value at the end."""
    plain = read_panel({"d": [day(k) for k in range(40)], "units": [units(k) for k in range(40)]})
    rows = [(day(k, "%d/%m/%Y"), f"{units(k):,.2f}".translate(str.maketrans(",.", ".,")), "", "") for k in range(40)]
    panel, found = inspect_panel(written(tmp_path / "e.csv", rows, "Datum;Stück;;", "utf-8-sig"))
    assert panel is not None and panel.names == ("Stück",)
    np.testing.assert_allclose(panel.values, plain.values, atol=0.01)
    assert panel.starts == plain.starts and panel.date_format == "%d/%m/%Y"
    assert any("'1.000,00' is read as 1000" in each.message for each in found)


def test_points_before_three_digits_are_asked_about(tmp_path: Path) -> None:
    rows = [(day(k), f"{k + 1}.{100 + k}") for k in range(20)]
    found = inspect_panel(written(tmp_path / "p.csv", rows, "d;units"))[1]
    text = "'1.100' is read as 1.1; if the point separates thousands"
    assert any(each.level == "warning" and text in each.message for each in found)


def test_a_table_without_numbers_says_what_it_holds_instead() -> None:
    with pytest.raises(DataError, match="beside 'd' \\(units holds 'about 5'\\); name it: target=COLUMN"):
        inspect_panel({"d": [day(0), day(1)], "units": ["about 5", "6 or so"]})


# -- dates ------------------------------------------------------------------------------------------------------

MARCH = [datetime(2024, month, 1) for month in (1, 2, 3)]
KINDS: dict[str, tuple[list[Any], list[datetime]]] = {
    "months": (["2024-01", "2024-02", "2024-03"], MARCH),
    "months, slashes": (["01/2024", "02/2024", "03/2024"], MARCH),
    "names of months": (["Jan 2024", "Feb 2024", "March 2024"], MARCH),
    "quarters": (["2024Q1", "2024-Q2", "2024 q3"], [datetime(2024, month, 1) for month in (1, 4, 7)]),
    "quarters first": (["Q1 2024", "Q2 2024"], [datetime(2024, 1, 1), datetime(2024, 4, 1)]),
    "weeks": (["2024-W01", "2024-W02"], [datetime(2024, 1, 1), datetime(2024, 1, 8)]),
    "two digits": (["31/12/24", "01/01/25"], [datetime(2024, 12, 31), datetime(2025, 1, 1)]),
    "points": (["31.12.24", "01.01.25"], [datetime(2024, 12, 31), datetime(2025, 1, 1)]),
    "halves of days": (["1/31/2024 9:00 AM", "1/31/2024 1:00 PM"], [datetime(2024, 1, 31, hour) for hour in (9, 13)]),
    "seconds": ([1_704_067_200, 1_704_070_800], [START, START + timedelta(hours=1)]),
    "milliseconds": (["1704067200000", "1704070800000"], [START, START + timedelta(hours=1)]),
    "compact": (["20240101", "20240102"], [START, START + timedelta(days=1)]),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_dates_as_people_write_them(kind: str) -> None:
    cells, expected = KINDS[kind]
    found = read_times(Table(pl.DataFrame({"when": cells}), "a frame"), "when")
    assert found.good.all() and found.dates, found
    read = pl.Series(found.times).cast(pl.Datetime("us")).to_list()
    assert read == expected


def test_years_and_steps_need_no_name_and_large_numbers_are_no_times() -> None:
    panel = read_panel({"sold": [2.0e9 + k for k in range(30)], "year": list(range(1990, 2020))})
    assert (panel.columns[0], panel.names, str(panel.frequency)) == ("year", ("sold",), "1i")
    counted = read_panel({"sold": [1_500_000_000 + k for k in range(30)], "d": [day(k) for k in range(30)]})
    assert counted.columns[0] == "d" and counted.names == ("sold",)


def test_what_reads_as_no_date_is_shown_with_what_would() -> None:
    found = inspect_panel({"d": ["32/01/2024", "no", "2024-13-01"], "y": [1, 2, 3]}, time="d")[1]
    (error,) = [each.message for each in found if each.level == "error"]
    assert "row 1, column 'd': '32/01/2024' does not read as a date, such as 2024-01-31, 31.01.2024" in error
    assert "(3 such rows; row 2: 'no', row 3: '2024-13-01')" in error


def test_later_files_are_read_with_the_format_of_the_training(tmp_path: Path) -> None:
    """Of the first days of a month, day and month could be either; the training data had told."""
    rows = [(day(k, "%d/%m/%Y"), "a", units(k)) for k in range(61)]
    run = tmp_path / "run"
    call("train", "forecast", written(tmp_path / "train.csv", rows), *COLUMNS, *SMALL, "--out", run, "-q")
    later = [(day(k, "%d/%m/%Y"), "a", units(k)) for k in range(61, 70)]
    shown = call("predict", run, written(tmp_path / "later.csv", later))
    assert shown.stdout.splitlines()[1].split(",")[1] == day(70) and "month/day" not in shown.stderr
    iso = [(day(k), "a", units(k)) for k in range(61, 70)]
    assert call("predict", run, written(tmp_path / "iso.csv", iso)).stdout == shown.stdout
    unclear = written(tmp_path / "unclear.csv", [(f"{k:02}/03/2024", "a", units(k)) for k in range(1, 13)])
    warned = call("check", "forecast", unclear, *COLUMNS, "--horizon=1").stdout
    assert "read as month/day/year, but day/month/year would fit too" in warned and "date_format=%d/%m/%Y" in warned
    told = call("check", "forecast", unclear, *COLUMNS, "--horizon=1", "--date-format=%d/%m/%Y").stdout
    assert "would fit too" not in told and "a point each 1d" in told


@pytest.mark.parametrize(("start", "hours"), [(datetime(2024, 3, 29), 96), (datetime(2024, 10, 25), 96)])
def test_clocks_that_change(start: datetime, hours: int) -> None:
    """With offsets nothing is lost; without, the hour that is skipped is a gap and the one that repeats is an error."""
    zone = ZoneInfo("Europe/Berlin")
    times = [(start.replace(tzinfo=ZoneInfo("UTC")) + timedelta(hours=k)).astimezone(zone) for k in range(hours)]
    values = [units(k) for k in range(hours)]
    panel = read_panel({"when": [each.isoformat() for each in times], "y": values})
    np.testing.assert_array_equal(panel.values, values)
    aware = pl.DataFrame({"when": pl.Series(times).dt.convert_time_zone("Europe/Berlin"), "y": values})
    np.testing.assert_array_equal(read_panel(aware).values, values)
    bare, found = inspect_panel({"when": [each.strftime("%Y-%m-%d %H:%M") for each in times], "y": values})
    if start.month == 3:
        assert bare is not None and np.isnan(bare.values).sum() == 1
        assert any("2024-03-31 01:00:00 and 2024-03-31 03:00:00" in each.message for each in found)
    else:
        (error,) = [each.message for each in found if each.level == "error"]
        assert "time 2024-10-27 02:00:00" in error and "when clocks go back need an offset" in error


# -- every fault of one file ------------------------------------------------------------------------------------


def faulty() -> list[list[Any]]:
    rows = [[day(k), shop, units(k), k % 3] for shop in "ab" for k in range(60)]
    rows[5][0], rows[6][0], rows[7][2], rows[8][2], rows[9][2] = "2024-13-06", "", "n/k", "inf", "NaN"
    rows.insert(20, list(rows[19]))
    rows[30], rows[31] = rows[31], rows[30]
    rows[40][3] = ""
    rows += [[day(k), "constant", 5, 1] for k in range(60)] + [[day(k), "short", k, 1] for k in range(3)]
    return [*rows, ["2024-03-31T01:30:00+01:00", "zone", 1, 1], *([day(7 * k), "weekly", k, 1] for k in range(9))]


FAULTS = (
    "line 7, column 'day': '2024-13-06' does not read as the format %Y-%m-%d of most rows (3 such rows; line 8: an "
    "empty cell, line 186: '2024-03-31T01:30:00+01:00')",
    "line 9, column 'units': 'n/k' is not a number",
    "line 10, column 'units': inf is infinite",
    "line 22: time 2024-01-20 of series 'a' stands also in line 21 (1 such rows); keep one of them, or sum them",
    "steps of 1d (found), but 7 such steps or more in weekly: mixed frequencies; train them apart, bring them to",
)
WARNINGS = (
    "line 33: earlier than the row before it (1 such rows); the rows were sorted by time",
    "column 'price': empty (1 such rows); the mean of the training part stands for it",
    "missing values",
    "series with no or only one value: constant, zone",
    "fewer than the 19 points that training, validation and test take: short, zone",
)


def test_every_fault_is_named_at_once_by_every_command(tmp_path: Path) -> None:
    path = written(tmp_path / "every.csv", faulty(), "day,shop,units,price")
    found = call("check", "forecast", path, *COLUMNS, *SMALL[:1], *SMALL[-2:], "--future=price", code=2).stdout
    for text in FAULTS:
        assert any(line.startswith("error: ") and text in line for line in found.splitlines()), (text, found)
    for text in WARNINGS:
        assert any(line.startswith("warning: ") and text in line for line in found.splitlines()), (text, found)
    told = call("train", "forecast", path, *COLUMNS, *SMALL, "--future=price", "--out", tmp_path / "no", code=2).stderr
    assert all(text in told for text in FAULTS) and not (tmp_path / "no").exists()
    mended = [row for number, row in enumerate(faulty()) if number not in (5, 6, 7, 8, 20)]
    mended = [row for row in mended if row[1] not in ("weekly", "zone")]
    run, sound = tmp_path / "run", written(tmp_path / "sound.csv", mended, "day,shop,units,price")
    trained = call("train", "forecast", sound, *COLUMNS, *SMALL, "--future=price", "--out", run)
    assert "1 of 4 series" in trained.stderr and "short" in trained.stderr
    for command in ("evaluate", "predict"):
        told = call(command, run, path, code=2).stderr
        assert all(text in told for text in FAULTS[:4]), told
    ahead = [[day(60 + k), shop, "", 1] for shop in ("a", "b", "constant") for k in range(4)]
    ahead += [[day(3 + k), "short", "", 1] for k in range(4)]
    shown = call("predict", run, written(tmp_path / "ahead.csv", ahead, "day,shop,units,price")).stdout.splitlines()
    assert len(shown) == 1 + 4 * 4, "also the short and the constant series"
    assert all(np.isfinite(float(cell)) for line in shown[1:] for cell in line.split(",")[2:])


def test_later_rows_say_what_lacks_and_what_is_new(tmp_path: Path) -> None:
    rows = [[day(k), shop, units(k), ("none", "fair")[k % 5 == 0]] for shop in "ab" for k in range(60)]
    head, run = "day,shop,units,event", tmp_path / "run"
    call("train", "forecast", written(tmp_path / "t.csv", rows, head), *COLUMNS, *SMALL, "--future=event", "--out", run)
    late = [[day(60 + k), "a", "" if k > 5 else units(k), "carnival" if k == 8 else "none"] for k in range(3, 14)]
    told = call("predict", run, written(tmp_path / "l.csv", late, head)).stderr
    assert (
        "line 7, column 'event': 'carnival' did not occur in the training data (1 such rows); it counts as none of"
        in told
    )
    assert (
        "rows missing between what the model knows and these rows, the most in 'a': 3 steps of 1d from 2024-03-01"
        in told
    )
    shifted = [[day(60 + k) + " 06:00", "a", units(k), "none"] for k in range(9)]
    told = call("evaluate", run, written(tmp_path / "s.csv", shifted, head), code=2).stderr
    assert "s.csv: series 'a' goes on at 2024-03-01 06:00:00, which is not on its grid of 1d; write times as" in told
    new = [[day(60 + k), "c", "", "none"] for k in range(4)]
    assert (
        "no series has a value to go on from (c)"
        in call("predict", run, written(tmp_path / "n.csv", new, head), code=2).stderr
    )


# -- short series, many series, frames --------------------------------------------------------------------------


@pytest.mark.parametrize("count", [30, 12])
def test_one_short_series_is_trained_with_what_there_is(count: int, tmp_path: Path) -> None:
    path = written(tmp_path / "one.csv", [(day(k), units(k)) for k in range(count)], "day,units")
    trained = call(
        "train", "forecast", path, "--epochs=1", "--hidden-size=4", "--classical=none", "--out", tmp_path / "r"
    )
    assert "seasonal naive" in trained.stdout
    rows = call("predict", tmp_path / "r").stdout.splitlines()[1:]
    assert rows[0].split(",")[1] == day(count) and len(rows) == {30: 6, 12: 2}[count]
    assert ("less than a season of 7" in trained.stderr) == (count == 12)


def test_too_few_rows_are_told_how_many_it_takes(tmp_path: Path) -> None:
    path = written(tmp_path / "one.csv", [(day(k), units(k)) for k in range(30)], "day,units")
    told = call("train", "forecast", path, "--horizon=14", "--out", tmp_path / "r", code=2).stderr
    assert "fewer than the 44 points that training, validation and test take: units; take a shorter horizon" in told


def test_frames_of_both_kinds_give_the_same_and_come_back_as_they_went_in() -> None:
    rows = [(START + timedelta(days=k), shop, units(k + place)) for place, shop in enumerate("ab") for k in range(50)]
    frame = pl.DataFrame(rows, schema=["day", "shop", "units"], orient="row")
    options: dict[str, Any] = {"time": "day", "target": ("units",), "series": "shop", "horizon": 4, "epochs": 1}
    small: dict[str, Any] = {"hidden_size": 4, "width": 2, "classical": "none", "season": 7, "lookback": 14}
    polars, pandas = (gatework.Forecaster(**options, **small).fit(each) for each in (frame, frame.to_pandas()))
    assert isinstance(polars.predict(), pl.DataFrame) and not isinstance(pandas.predict(), pl.DataFrame)
    assert pl.from_pandas(pandas.predict()).equals(polars.predict())
    assert type(polars.backtest(frame, 1)) is type(polars.backtest_) is pl.DataFrame
    indexed = frame.filter(pl.col("shop") == "a").to_pandas().set_index("day")["units"]
    one = gatework.Forecaster(horizon=4, epochs=1, **small).fit(indexed)
    assert list(one.predict()["series"]) == ["units"] * 4


@pytest.mark.parametrize("shape", ["%d/%m/%Y", "%m/%d/%Y", "%d/%m/%Y %H:%M"])
def test_firsts_of_months_are_read_as_months_whichever_way_they_are_written(shape: str) -> None:
    """Both ways fit; read the wrong way, months are the first twelve days of each January."""
    months = [datetime(2014 + k // 12, k % 12 + 1, 1) for k in range(60)]
    panel, found = inspect_panel({"day": [f"{each:{shape}}" for each in months], "units": list(range(60))})
    assert panel is not None and (str(panel.frequency), len(panel.values)) == ("1mo", 60)
    (told,) = [each.message for each in found if each.level == "warning"]
    assert f"date_format={'%m/%d/%Y' if shape.startswith('%d') else '%d/%m/%Y'}" in told


# -- time zones -------------------------------------------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")


def hours_of(count: int, begin: int = 0) -> list[datetime]:
    """Hours of a zone whose clocks change on the way."""
    start = datetime(2024, 3, 25, tzinfo=ZoneInfo("UTC"))
    return [(start + timedelta(hours=begin + k)).astimezone(BERLIN) for k in range(count)]


@pytest.mark.parametrize("kind", ["text", "pandas"])
def test_days_of_a_zone_stay_days_when_clocks_change(kind: str) -> None:
    """In UTC they are 23 hours apart, which was refused as mixed frequencies."""
    days = [datetime(2024, 3, 1 + k, tzinfo=BERLIN) for k in range(31)]
    table: Any = {"day": [each.isoformat() for each in days], "units": [units(k) for k in range(31)]}
    if kind == "pandas":
        table = pl.DataFrame({**table, "day": pl.Series(days).dt.convert_time_zone("Europe/Berlin")}).to_pandas()
    panel = read_panel(table)
    assert (str(panel.frequency), len(panel.values), panel.clock) == ("1d", 31, None)
    assert shown_time(panel.starts[0], True) == "2024-03-01"
    later = read_panel({"day": ["2024-04-01T00:00:00+02:00"], "units": [1.0]}, frequency="1d")
    assert panel.followed_by(later)[1].tolist() == [31]


def test_times_without_a_zone_do_not_go_on_from_times_with_one(tmp_path: Path) -> None:
    """They were taken for UTC, and stood one or two hours too late."""
    first = written(tmp_path / "a.csv", [[t.isoformat(), units(k)] for k, t in enumerate(hours_of(100))], "time,units")
    with_zone, without = (
        written(tmp_path / name, [[shape(t), units(k)] for k, t in enumerate(hours_of(20, 100))], "time,units")
        for name, shape in (("b.csv", datetime.isoformat), ("c.csv", lambda t: t.replace(tzinfo=None).isoformat()))
    )
    call("train", "forecast", first, *SMALL, "--out", tmp_path / "run", "-q")
    call("evaluate", tmp_path / "run", with_zone)
    told = call("evaluate", tmp_path / "run", without, code=2).stderr
    assert "c.csv: times have no offset or zone, those of the training data had one" in told
    told = call("predict", tmp_path / "run", without, code=2).stderr
    assert "write times as the training data has them (its forecasts are in +01:00)" in told


def test_forecasts_of_hours_are_written_alike_and_say_their_zone() -> None:
    small: dict[str, Any] = {"hidden_size": 4, "width": 2, "classical": "none", "season": 24, "lookback": 24}
    table = {"time": [each.isoformat() for each in hours_of(120)], "units": [units(k) for k in range(120)]}
    model = gatework.Forecaster(horizon=4, epochs=1, **small).fit(table)
    assert model.trained_.predict(None)[0]["time"] == "2024-03-30 01:00:00+01:00"
    assert model.predict()["time"].dtype == pl.Datetime("us", "UTC"), "no zone is known of one offset"
    plain = {**table, "time": [each.replace(tzinfo=None) for each in hours_of(110)], "units": table["units"][:110]}
    model = gatework.Forecaster(horizon=10, epochs=1, **small).fit(plain)
    assert model.trained_.predict(None)[9]["time"] == "2024-03-30 00:00:00"


# -- where series begin and end ---------------------------------------------------------------------------------


def wide_rows(days: int = 60, begin: int = 0, end: int = 60) -> dict[str, Any]:
    """Two columns, of which the second has no value before `begin` and from `end` on."""
    values = [units(k) for k in range(days)]
    return {"day": [START + timedelta(days=k) for k in range(days)], "a": values,
            "b": [values[k] if begin <= k < end else None for k in range(days)]}  # fmt: skip


def test_a_column_that_ends_early_is_forecast_from_its_own_last_value() -> None:
    """Its window was empty, and the forecast about 0."""
    small: dict[str, Any] = {"hidden_size": 4, "width": 2, "classical": "none", "season": 7, "lookback": 14}
    model = gatework.Forecaster(horizon=4, epochs=1, **small).fit(wide_rows(end=40))
    ahead = model.predict().filter(pl.col("series") == "b")
    assert ahead["time"][0] == START + timedelta(days=40)
    assert (ahead["forecast"] > 900).all()


def test_wide_tables_begin_and_end_where_long_ones_do() -> None:
    wide = wide_rows(begin=9, end=40)
    frame = pl.DataFrame(wide).unpivot(["a", "b"], index="day", variable_name="shop", value_name="units")
    long = read_panel(frame.drop_nulls(), series="shop", target=["units"])
    panel, found = inspect_panel(wide)
    assert panel is not None
    np.testing.assert_array_equal(panel.values, long.values)
    np.testing.assert_array_equal(panel.starts, long.starts)
    told = " ".join(each.message for each in found)
    assert "1 series end before the table does, their last rows have no value: b" in told
    assert "missing values" not in told


def test_rows_with_an_empty_target_at_the_end_are_no_test_part(tmp_path: Path) -> None:
    rows = [[day(k), shop, units(k) if k < 50 else ""] for shop in "ab" for k in range(60)]
    path = written(tmp_path / "sales.csv", rows)
    call("train", "forecast", path, *COLUMNS, *SMALL, "--out", tmp_path / "run", "-q")
    assert f"a,{day(50)}," in call("predict", tmp_path / "run").stdout


def test_a_part_without_any_value_is_refused_by_check_and_train(tmp_path: Path) -> None:
    rows = [[day(k), "a", "" if 52 <= k < 56 else units(k)] for k in range(60)]
    path = written(tmp_path / "sales.csv", rows)
    for command in (["check"], ["train", "--out", str(tmp_path / "run")]):
        told = call(command[0], "forecast", path, *COLUMNS, *SMALL, *command[1:], code=2).output
        assert "no window of the validation part has a value to forecast" in told


def test_flags_of_several_columns_may_be_repeated(tmp_path: Path) -> None:
    """Also where names hold commas, and share what stands before them."""
    rows = [(day(k), units(k), units(k + 3), k % 2) for k in range(60)]
    path = written(tmp_path / "s.csv", rows, 'day,"Sales, EUR","Sales, USD",promo')
    for words in (["--target=Sales, EUR", "--target=Sales, USD"], ["--target", "Sales, EUR,Sales, USD"]):
        told = call("check", "forecast", path, *words, "--future=promo").output
        assert "target is Sales, EUR, Sales, USD" in told and "2 series" in told
    twice = call("check", "forecast", path, "--target=promo,Sales, EUR", "--future=promo", code=2).output
    assert "column 'promo' cannot be target and future; name it once" in twice


def test_rows_of_one_time_name_the_column_that_tells_them_apart(tmp_path: Path) -> None:
    rows = [[day(k), shop, units(k), "2024"] for shop in "ab" for k in range(40)]
    path = written(tmp_path / "sales.csv", rows, "day,shop,units,year")
    told = call("check", "forecast", path, "--target=units", code=2).stdout
    assert "keep one of them, or name the column of the series, series=shop (they differ in shop);" in told
    told = call(
        "check", "forecast", written(tmp_path / "b.csv", [r[:3] for r in [*rows, rows[0]]]), *COLUMNS, code=2
    ).stdout
    assert "keep one of them, or sum them;" in told


def test_the_ends_of_series_are_told(tmp_path: Path) -> None:
    path = written(tmp_path / "sales.csv", [[day(k), s, units(k)] for s, n in (("a", 60), ("b", 45)) for k in range(n)])
    call("train", "forecast", path, *COLUMNS, *SMALL, "--out", tmp_path / "run", "-q")
    told = call("predict", tmp_path / "run").stderr
    assert f"(from {day(44)} in series 'b' to {day(59)} in series 'a')" in told
