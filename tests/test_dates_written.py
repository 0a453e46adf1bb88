"""What is written around dates: years that end in the next, intervals, zones by name, dates without a year; and
several days of each month. Each is read right, or refused with an option that works when it is typed."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatework.data.panel import inspect_panel
from gatework.errors import OptionError
from gatework.runtime.series import stamps
from gatework.runtime.series.frequency import Frequency, calendar
from gatework.runtime.series.panel import Panel
from gatework.tasks.forecast import ForecastOptions, ForecastTask


def table_of(when: Any, **columns: Any) -> dict[str, Any]:
    return {"when": list(when), **columns, "y": [50.0 + k * 7919 % 13 for k in range(len(when))]}


def read(table: Any, **options: Any) -> tuple[Panel, list[str]]:
    """The series, and what is noted."""
    chosen: dict[str, Any] = {"time": "when", **options}
    panel, found = inspect_panel(table, target=("y",), **chosen)
    assert panel is not None and not [each for each in found if each.level == "error"], found
    return panel, [each.message for each in found if each.level == "note"]


def fault(table: Any, **options: Any) -> str:
    chosen: dict[str, Any] = {"time": "when", **options}
    _, found = inspect_panel(table, target=("y",), **chosen)
    (message,) = [each.message for each in found if each.level == "error"]
    return message


def cured(table: Any, name: str) -> Panel:
    """The series once the option that the error names is typed, as `--set` reads it."""
    match = re.search(rf"\b{name}=(.+?)(?=[;,)]|$)", fault(table))
    assert match
    options = ForecastOptions(time="when", target=("y",)).with_settings([f"{name}={match[1]}"])
    panel, found = ForecastTask(options).inspected(table)
    assert panel is not None and not [each for each in found if each.level == "error"], found
    return panel


def days(panel: Panel, *steps: int) -> list[str]:
    return panel.times(0, np.array(steps)).astype("datetime64[us]").astype("datetime64[s]").astype(str).tolist()


def same(panel: Panel, expected: pd.DatetimeIndex) -> None:
    """The times of a panel are those, and go on as they do."""
    naive = expected.tz_convert(None) if expected.tz is not None else expected
    assert days(panel, *range(len(expected))) == naive.strftime("%Y-%m-%dT%H:%M:%S").tolist()
    assert len(panel.values) == len(expected) and not np.isnan(panel.values).any()


# -- years ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["{0}/{2}", "{0}-{2}", "{0}-{1}", "{0}/{1}", "{0}–{2}", "FY{0}/{2}", "FY {0}-{1}"])
@pytest.mark.parametrize(("first", "count"), [(1950, 30), (1995, 12), (2000, 12), (2005, 2)])
def test_years_that_end_in_the_next(shape: str, first: int, count: int) -> None:
    """2000/01 to 2011/12 could be months as far as each cell goes."""
    cells = [shape.format(year, year + 1, f"{(year + 1) % 100:02}") for year in range(first, first + count)]
    panel, _ = read(table_of(cells))
    assert (str(panel.frequency), days(panel, 0, count)) == (
        "1y",
        [f"{first}-01-01T00:00:00", f"{first + count}-01-01T00:00:00"],
    )
    if panel.date_format:
        again, _ = read(table_of(cells), date_format=panel.date_format)
        assert days(again, 0) == days(panel, 0)
        assert stamps.read(cells[0], panel.date_format) == datetime(first, 1, 1)
        with pytest.raises(ValueError, match="no year and the next"):
            stamps.read("2001/05", "%Y/%y")


def test_months_stay_months_and_a_year_that_is_wrong_is_named() -> None:
    months = [f"{2009 + k // 12}/{k % 12 + 1:02}" for k in range(30)]
    assert str(read(table_of(months))[0].frequency) == str(read(table_of(months[9:13]))[0].frequency) == "1mo"
    wrong = fault(table_of([*(f"{year}/{year % 100 + 1}" for year in range(1950, 1980)), "1980/82"]))
    assert "row 31" in wrong and "'1980/82'" in wrong


# -- no year ----------------------------------------------------------------------------------------------------

MONTHS = pd.date_range("2010-01-01", periods=30, freq="MS")
DAYS = pd.date_range("2020-01-01", periods=90)


@pytest.mark.parametrize("shape", ["%y-%b", "%y %b", "%y-%B"])
def test_a_number_before_a_month_is_asked_about(shape: str) -> None:
    """10-Jan is January 2010, or a day of any year."""
    same(cured(table_of(MONTHS.strftime(shape)), "date_format"), MONTHS)


@pytest.mark.parametrize("shape", ["%d-%b", "%b %d", "%b-%d", "%d. %B"])
def test_days_without_a_year_are_asked_about_and_read_beside_it(shape: str) -> None:
    cells = DAYS.strftime(shape)
    message = fault(table_of(cells))
    assert "row 1, column 'when'" in message and "'" + cells[0] + "'" in message and "time=year,when" in message
    same(read(table_of(cells, year=[2020] * 90), time="year,when")[0], DAYS)


def test_a_month_before_a_year_is_told() -> None:
    panel, notes = read(table_of(MONTHS.strftime("%b-%y")))
    same(panel, MONTHS)
    assert any("Jan-10 is read as a month (date_format=%b-%y)" in each for each in notes)


# -- intervals --------------------------------------------------------------------------------------------------

HOURS = pd.date_range("2020-01-01", periods=60, freq="h")
HOURLY = (
    "{0:%Y-%m-%d %H:%M} - {1:%H:%M}",
    "{0:%Y-%m-%d %H:%M}-{1:%H:%M}",
    "{0:%Y-%m-%d %H:%M}–{1:%H:%M}",
    "{0:%d.%m.%Y %H:%M} - {1:%d.%m.%Y %H:%M}",
    "{0:%Y/%m/%d %H:%M:%S} to {1:%H:%M:%S}",
    "{0:%Y-%m-%dT%H:%MZ}/{1:%Y-%m-%dT%H:%MZ}",
    "{0:%Y-%m-%d %I:%M %p} - {1:%I:%M %p}",
)


@pytest.mark.parametrize("shape", HOURLY)
def test_intervals_are_their_beginnings(shape: str) -> None:
    panel, notes = read(table_of([shape.format(hour, hour + pd.Timedelta("1h")) for hour in HOURS]))
    same(panel, HOURS)
    assert any("is an interval, whose beginning is read" in each for each in notes)


def test_weeks_and_hours_of_the_day_as_intervals_too_and_offsets_are_none() -> None:
    weeks = pd.date_range("2020-01-06", periods=20, freq="7D")
    same(read(table_of([f"{a:%d.%m.%Y} - {a + pd.Timedelta('6D'):%d.%m.%Y}" for a in weeks]))[0], weeks)
    hours = [f"{a:%H:%M}-{a + pd.Timedelta('1h'):%H:%M}" for a in HOURS]
    same(read(table_of(HOURS.strftime("%Y-%m-%d"), hour=hours), time="when,hour")[0], HOURS)
    west = [f"{a:%Y-%m-%d %H:%M}-01:00" for a in HOURS]
    same(read(table_of(west))[0], HOURS + pd.Timedelta("1h"))


# -- zones by name ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "zone", ["Europe/Paris", "Europe/Helsinki", "America/New_York", "Australia/Sydney", "Asia/Tokyo"]
)
@pytest.mark.parametrize("shape", ["%Y-%m-%d %H:%M %Z", "%d.%m.%Y %H:%M:%S (%Z)", "%Y-%m-%d %I:%M %p %Z"])
def test_names_behind_times_are_offsets(zone: str, shape: str) -> None:
    """Over both changes of clocks: the second 02:30 of autumn is another time than the first."""
    for start in ("2021-03-10", "2021-10-25"):
        times = pd.date_range(start, periods=650, freq="h", tz="UTC").tz_convert(zone)
        same(read(table_of(times.strftime(shape)))[0], times)


@pytest.mark.parametrize(
    ("zone", "name", "named"),
    [("Europe/London", "%Z", "zone"), ("Asia/Kolkata", "%Z", "zone"), ("Europe/Paris", "(CET/CEST)", "zone")],
)
def test_names_that_several_zones_share_are_asked_about(zone: str, name: str, named: str) -> None:
    times = pd.date_range("2021-03-10", periods=700, freq="h", tz=zone)
    same(cured(table_of(times.strftime(f"%Y-%m-%d %H:%M {name}")), named), times)


def test_the_zone_that_is_given_has_the_last_word() -> None:
    times = pd.date_range("2021-03-10", periods=100, freq="h", tz="Asia/Shanghai")
    cells = times.strftime("%Y-%m-%d %H:%M CST")
    _, notes = read(table_of(cells))
    assert any("CST as -06:00; if another zone is meant, say which: zone=Asia/Shanghai" in each for each in notes)
    same(read(table_of(cells), zone="Asia/Shanghai")[0], times)


# -- several days of each month ---------------------------------------------------------------------------------


def each_month(chosen: tuple[int, ...], count: int) -> pd.DatetimeIndex:
    months = pd.date_range("2019-01-01", periods=count, freq="MS")
    return pd.DatetimeIndex(
        [month + pd.offsets.Day(min(day, month.days_in_month) - 1) for month in months for day in chosen]
    )


PARTS: dict[str, Any] = {
    "1mo@1+15": pd.date_range("2019-01-01", periods=72, freq="SMS"),
    "1mo@15+-1": pd.date_range("2019-01-15", periods=72, freq="SME"),
    "1mo@1+16": pd.date_range("2019-01-01", periods=72, freq="SMS-16"),
    "1mo@1+11+21": each_month((1, 11, 21), 24),
    "1mo@10+20+-1": each_month((10, 20, 31), 24),
    "1mo@5+20": each_month((5, 20), 24),
}


@pytest.mark.parametrize("text", PARTS)
@pytest.mark.parametrize("begin", [0, 1])
def test_several_days_of_each_month(text: str, begin: int) -> None:
    """pandas' semi-month offsets are the oracle; rows may be missing, and the text of the step makes it again."""
    times = PARTS[text][begin:]
    panel, notes = read(table_of(times.strftime("%Y-%m-%d")[:40]))
    assert (panel.frequency.text, panel.frequency, len(panel.values)) == (text, Frequency.parse(text), 40)
    assert days(panel, *range(len(times))) == times.strftime("%Y-%m-%dT%H:%M:%S").tolist()
    gaps = times.delete([7, 8, 21])
    assert read(table_of(gaps.strftime("%Y-%m-%d")))[0].frequency.text == text
    assert panel.frequency.season == 12 * len(panel.frequency.days)
    assert calendar(panel.starts, panel.frequency).shape == (1, 2)
    assert any(f"a point each {text} on the" in each for each in notes)


def test_a_stamp_on_another_day_is_named() -> None:
    cells = PARTS["1mo@1+11+21"].strftime("%Y-%m-%d").tolist()
    cells[10] = "2019-04-12"
    assert "row 11: 2019-04-12" in fault(table_of(cells)) and "1mo@1+11+21" in fault(table_of(cells))
    fortnights = pd.date_range("2020-01-01", periods=40, freq="14D").strftime("%Y-%m-%d")
    assert str(read(table_of(fortnights))[0].frequency) == "2w"


@pytest.mark.parametrize("wrong", ["1mo@15+1", "2mo@1+15", "1mo@1+3fri", "1mo@1+1", "1mo@1+", "1y@1+15"])
def test_days_that_are_no_parts_are_refused(wrong: str) -> None:
    with pytest.raises(OptionError, match="cannot be"):
        Frequency.parse(wrong)


# -- what a name or a few stamps say ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["%y-%m", "%m/%y", "%b%y"])
def test_short_months_are_times_where_their_column_says_so(shape: str) -> None:
    """10-01 to 17-12 are months, not weeks of the year 10; without a name that says it, rows are steps."""
    months = pd.date_range("2010-01-01", periods=96, freq="MS")
    cells = months.strftime(shape).tolist()
    panel, found = inspect_panel({"date": cells, "y": [50.0 + k % 13 for k in range(96)]})
    assert panel is not None and not [each for each in found if each.level != "note"]
    same(panel, months)


def test_scattered_stamps_are_no_first_sundays() -> None:
    """The first to the fifth of each month: a fifth of them may be any day, a quarter a first Sunday."""
    draw = np.random.default_rng(0)
    cells = [
        str((m + pd.Timedelta(int(draw.integers(0, 5)), "D")).date())
        for m in pd.date_range("2010", periods=96, freq="MS")
    ]
    panel, _ = read(table_of(cells))
    assert panel.frequency.day is not None and not panel.frequency.day.unit


def test_months_that_cross_their_border_may_be_counted() -> None:
    """Month ends and the day after: the option that the error names reads each row as a step."""
    ends = pd.date_range("2010-01-31", periods=60, freq="ME")
    cells = [str((end + pd.Timedelta(k * 5 % 3 - 1, "D")).date()) for k, end in enumerate(ends)]
    panel = cured_rows(table_of(cells))
    assert len(panel.values) == 60 and not panel.dates


def cured_rows(table: Any) -> Panel:
    assert "time=(rows)" in fault(table)
    panel, found = inspect_panel(table, target=("y",), time="(rows)")
    assert panel is not None and not [each for each in found if each.level != "note"]
    return panel


@pytest.mark.parametrize("name", ["id", "row", "Unnamed: 0", "index", "No."])
def test_columns_that_number_the_rows_are_no_targets(name: str) -> None:
    cells = pd.date_range("2022-01-01", periods=60).strftime("%Y-%m-%d").tolist()
    values = [50.0 + k % 7 for k in range(60)]
    panel, found = inspect_panel({"Unnamed: 0.1": range(60), name: range(1001, 1061), "date": cells, "y": values})
    assert panel is not None and panel.names == ("y",)
    assert f"'Unnamed: 0.1' and {name!r} number the rows and are left out" in found[0].message
    name = name.replace("Unnamed: 0", "no")  # a column without a name need only tell rows apart
    other, _ = inspect_panel({name: [k * k for k in range(60)], "date": cells, "y": values})
    assert other is not None and other.names == (name, "y")
