"""Dates as people write them: compact numbers, weeks, several columns, none, zones, jitter; every cure can be typed."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gatework
from gatework.data import zones
from gatework.data.panel import inspect_panel
from gatework.errors import OptionError
from gatework.runtime.series.frequency import Frequency, calendar
from gatework.runtime.series.panel import ROWS, Panel, shown_times
from gatework.tasks.forecast import ForecastOptions, ForecastTask

SMALL: dict[str, Any] = {"epochs": 1, "hidden_size": 4, "width": 2, "windows": 100, "classical": "none", "threads": 1}
START = datetime(2022, 1, 1)


def levels(count: int) -> list[float]:
    return [50 + (k * 7919 % 13) / 4 + k % 7 for k in range(count)]


def table_of(**columns: Any) -> dict[str, Any]:
    return {**columns, "y": levels(len(next(iter(columns.values()))))}


def told(table: Any, level: str = "error", **options: Any) -> list[str]:
    return [each.message for each in inspect_panel(table, **options)[1] if each.level == level]


def read(table: Any, **options: Any) -> Panel:
    panel, found = inspect_panel(table, **options)
    assert panel is not None and not [each for each in found if each.level == "error"], found
    return panel


def stamps(panel: Panel, *steps: int) -> list[str]:
    return panel.times(0, np.array(steps)).astype("datetime64[us]").astype("datetime64[s]").astype(str).tolist()


def cured(table: dict[str, Any], message: str, name: str, **options: Any) -> Panel:
    """The panel once the cure that a message names is typed, as `--set` would read it."""
    match = re.search(rf"\b{name}=(\S+?)(?=[;,)]*(?:\s|$))", message)
    assert match, message
    chosen = ForecastOptions(**options).with_settings([f"{name}={match[1]}"])
    task = ForecastTask(chosen)
    panel, found = task.inspected(table)
    assert panel is not None and not [each for each in found if each.level == "error"], found
    return panel


HOURS = [datetime(2022, 1, 12) + timedelta(hours=k) for k in range(60)]  # whose days are no months
DAYS = [datetime(2020, 11, 1) + timedelta(days=k) for k in range(121)]  # over the end of a year
MONTHS = [datetime(2010 + k // 12, k % 12 + 1, 1) for k in range(60)]


# -- compact numbers and weeks ----------------------------------------------------------------------------------


def months_of(count: int, first: str = "2010-01") -> list[str]:
    return (np.datetime64(first, "M") + np.arange(count)).astype(str).tolist()


NUMBERS: dict[str, tuple[list[int], dict[str, Any], str, str]] = (
    {
        "months": ([int(m.replace("-", "")) for m in months_of(30)], {}, "1mo", "2012-07-01T00:00:00"),
        "months, told": (
            [int(m.replace("-", "")) for m in months_of(30)],
            {"date_format": "%Y%m"},
            "1mo",
            "2012-07-01T00:00:00",
        ),
        "days": ([20100101 + k for k in range(30)], {}, "1d", "2010-01-31T00:00:00"),
        "days, told": ([20100101 + k for k in range(30)], {"date_format": "%Y%m%d"}, "1d", "2010-01-31T00:00:00"),
        "years": (list(range(1990, 2020)), {"date_format": "%Y"}, "1y", "2020-01-01T00:00:00"),
        "days of years": ([2010001 + k for k in range(30)], {"date_format": "%Y%j"}, "1d", "2010-01-31T00:00:00"),
        "weeks": ([201530 + k for k in range(24)] + [201601 + k for k in range(6)], {}, "1w", "2016-02-15T00:00:00"),
        "weeks from Monday": (
            [201530 + k for k in range(23)] + [201601 + k for k in range(7)],
            {"date_format": "%Y%W"},
            "1w",
            "2016-02-22T00:00:00",
        ),
    }
    | {
        f"unlike plain numbers, {shape}": ([int(f"{t:{shape}}") for t in DAYS], {}, "1d", "2021-03-02T00:00:00")
        for shape in ("%d%m%Y", "%m%d%Y", "%Y%d%m", "%Y%j", "%y%m%d", "%d%m%y", "%m%d%y", "%y%j")
    }
    | {
        f"unlike plain numbers, {shape}": ([int(f"{t:{shape}}") for t in MONTHS], {}, "1mo", "2015-01-01T00:00:00")
        for shape in ("%m%Y", "%y%m", "%m%y")
    }
    | {
        f"noughts that a number lost, {shape}": (
            [int(f"{t:{shape}}") for t in DAYS],
            {"date_format": shape},
            "1d",
            "2021-03-02T00:00:00",
        )
        for shape in ("%d%m%Y", "%m%d%y")
    }
    | {
        f"hours, {shape}": ([int(f"{t:{shape}}") for t in HOURS], {}, "1h", "2022-01-14T12:00:00")
        for shape in ("%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S")
    }
    | {
        "quarters": ([10 * (2010 + k // 4) + k % 4 + 1 for k in range(24)], {}, "3mo", "2016-01-01T00:00:00"),
        "microseconds": (
            [1_642_000_000_000_000 + 3_600_000_000 * k for k in range(30)],
            {},
            "1h",
            "2022-01-13T21:06:40",
        ),
        "nanoseconds": ([(1_642_000_000 + 3_600 * k) * 10**9 for k in range(30)], {}, "1h", "2022-01-13T21:06:40"),
    }
)  # fmt: skip (a table)


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("form", [int, float, str])
def test_numbers_that_are_dates(kind: str, form: type) -> None:
    """As integers, as floats (pandas with a hole somewhere) and as text; the step after the last says the rule."""
    numbers, options, step, following = NUMBERS[kind]
    panel = read(table_of(when=[form(each) for each in numbers]), time="when", target=("y",), **options)
    assert (str(panel.frequency), stamps(panel, len(numbers))) == (step, [following])


WEEKS = ["2015-W{}", "2015W{}", "2015-W{}-1", "2015W{}-1", "2015W{}1", "2015-w{}", "W{}-2015", "KW {}/2015", "2015/W{}"]
WEEKS_NAMED = ["2015-{}", "2015/{}", "{}.2015", "2015 {}", "2015-KW{}", "2015 week {}"]  # where the column is named
MONTHS_AS = ["{:%b-%y}", "{:%b %y}", "{:%b'%y}", "{:%B %Y}", "{:%Y-%b}", "{:%YM%m}", "{:%Y/%m}", "{:%b-%Y}", "{:%m/%Y}"]
MONTHS_NAMED = ["{:%m/%y}", "{:%m-%Y}", "{:%Y.%m}", "{:%Y_%m}", "{:%b%Y}", "{:%Y年%m月}"]
DAYS_AS = ["{:%A, %B %d, %Y}", "{:%d %B %Y}", "{:%b %d %Y}", "{:%d-%b-%y}", "{:%Y.%m.%d}", "{:%m-%d-%Y}", "{:%Y-%j}"]
DAYS_AS += [
    "{:%Y年%m月%d日}",
    "{:%Y%m%dT%H%M%S}",
    "{:%a, %d %b %Y %H:%M:%S GMT}",
    "{:%Y-%m-%d %H:%M}+00:00[Europe/London]",
]


@pytest.mark.parametrize("shape", [*WEEKS, *WEEKS_NAMED])
def test_weeks_as_text(shape: str) -> None:
    named = {"time": "w"} if shape in WEEKS_NAMED else {}
    panel = read(table_of(w=[shape.format(f"{k:02}") for k in range(2, 40)]), **named)
    assert (str(panel.frequency), stamps(panel, 0, 1)) == ("1w", ["2015-01-05T00:00:00", "2015-01-12T00:00:00"])


@pytest.mark.parametrize("shape", [*MONTHS_AS, *MONTHS_NAMED])
def test_months_as_text(shape: str) -> None:
    named = {"time": "m"} if shape in MONTHS_NAMED else {}
    panel = read(table_of(m=[shape.format(each) for each in MONTHS[:40]]), **named)
    assert (str(panel.frequency), stamps(panel, 0, 40)) == ("1mo", ["2010-01-01T00:00:00", "2013-05-01T00:00:00"])


QUARTERS = ["{}Q{}", "{}-{}", "{}.{}", "{}:Q{}", "{}_Q{}", "{}-T{}"]


@pytest.mark.parametrize("shape", QUARTERS)
def test_quarters_as_text(shape: str) -> None:
    """A number of 4 at most beside each year is a quarter, not a month; `predict` reads a few later ones alike."""
    cells = [shape.format(2010 + k // 4, k % 4 + 1) for k in range(24)]
    panel = read(table_of(q=cells), time="q")
    assert (str(panel.frequency), stamps(panel, 24)) == ("3mo", ["2016-01-01T00:00:00"])
    later = read(table_of(q=cells[-3:]), time="q", date_format=panel.date_format, frequency=panel.frequency)
    assert stamps(later, 0, 3) == ["2015-04-01T00:00:00", "2016-01-01T00:00:00"]


@pytest.mark.parametrize("shape", DAYS_AS)
def test_days_as_text(shape: str) -> None:
    panel = read(table_of(d=[shape.format(each) for each in DAYS]), time="d")
    assert (str(panel.frequency), stamps(panel, 0, 121)) == ("1d", ["2020-11-01T00:00:00", "2021-03-02T00:00:00"])


@pytest.mark.parametrize("parts", [4, 12])
@pytest.mark.parametrize("form", [float, "{:.6g}".format, "{:.3f}".format])
def test_parts_of_years(parts: int, form: Any) -> None:
    """As R writes the times of a series: 1949.083 is February."""
    panel = read(table_of(time=[form(1949 + k / parts) for k in range(40)]), time="time")
    assert str(panel.frequency) == f"{12 // parts}mo" and panel.date_format == "decimal"
    assert stamps(panel, 0, 1) == ["1949-01-01T00:00:00", {4: "1949-04-01T00:00:00", 12: "1949-02-01T00:00:00"}[parts]]


@pytest.mark.parametrize("shape", ["%H:%M", "%d %b"])
def test_a_format_without_year_is_refused(shape: str) -> None:
    with pytest.raises(OptionError, match="says no year"):
        inspect_panel(table_of(d=[f"{each:{shape}}" for each in DAYS]), time="d", target=("y",), date_format=shape)


def test_weeks_in_numbers_are_told_and_asked_about_where_they_are_no_iso_weeks() -> None:
    """2015 has an ISO week 53, 2014 has none; week 0 is of another count. The cure in the message reads them."""
    iso = table_of(week=[201540 + k for k in range(14)] + [201601 + k for k in range(16)])
    assert any("201540 is read as an ISO week (date_format=%G%V" in each for each in told(iso, "note"))
    for odd in ([201440 + k for k in range(13)] + [201500 + k for k in range(9)],):
        (message,) = told(table_of(week=odd), time="week", target=("y",))
        assert "'201500' does not read as an ISO week" in message or "201500 does not read as an ISO week" in message
        panel = cured(table_of(week=[each for each in odd if each % 100]), message, "date_format", time="week")
        assert str(panel.frequency) == "1w"
    plain = read(iso, time="week", frequency="1i")
    assert not plain.dates and plain.frequency.kind == "number"


def test_counters_stay_counters() -> None:
    for numbers in (list(range(200_050, 200_100)), [1000 + k for k in range(30)], list(range(40))):
        panel = read(table_of(step=numbers), time="step")
        assert (panel.dates, str(panel.frequency)) == (False, "1i")
    assert read(
        table_of(sold=[201_100 + 37 * k for k in range(12)], d=[f"2024-01-{k + 1:02}" for k in range(12)])
    ).dates


def test_a_format_that_is_given_acts_or_refuses() -> None:
    dates = [f"{k:02}/03/2024" for k in range(1, 13)]
    assert stamps(read(table_of(d=dates), date_format="%d/%m/%Y"), 1) == ["2024-03-02T00:00:00"]
    (message,) = told(table_of(d=dates), date_format="%Y-%m-%d", time="d")
    assert "'01/03/2024' does not read as date_format=%Y-%m-%d" in message
    (message,) = told(table_of(d=["1.2.3.", "4.5.6.", "7.8.9."]), time="d", target=("y",))
    assert "say how dates are written, such as date_format=%d/%m/%Y" in message
    odd = [f"{k:02}|03|2024" for k in range(1, 13)]
    assert stamps(read(table_of(d=odd), time="d", date_format="%d|%m|%Y"), 0) == ["2024-03-01T00:00:00"]


# -- several columns, or none -----------------------------------------------------------------------------------

PARTS: dict[str, tuple[str, dict[str, list[Any]], str]] = {
    "date and hour": ("date,hour", {"date": [f"{t:%Y-%m-%d}" for t in HOURS], "hour": [t.hour for t in HOURS]}, "1h"),
    "UCI": ("Date,Time", {"Date": [f"{t:%d/%m/%Y}" for t in HOURS], "Time": [f"{t:%H.%M.%S}" for t in HOURS]}, "1h"),
    "date and time": ("d,time", {"d": [f"{t:%d.%m.%Y}" for t in HOURS], "time": [f"{t:%H:%M}" for t in HOURS]}, "1h"),
    "compact": ("d,hour", {"d": [int(f"{t:%Y%m%d}") for t in HOURS], "hour": [100 * t.hour for t in HOURS]}, "1h"),
    "year and month": ("year,month", {"year": [t.year for t in MONTHS], "month": [t.month for t in MONTHS]}, "1mo"),
    "names of months": ("y0,mon", {"y0": [t.year for t in MONTHS], "mon": [f"{t:%B}" for t in MONTHS]}, "1mo"),
    "days": (
        "year,month,day",
        {n: [getattr(START + timedelta(days=k), n) for k in range(60)] for n in ("year", "month", "day")},
        "1d",
    ),
    "hours of days": (
        "year,month,day,hour",
        {n: [getattr(t, n) for t in HOURS] for n in ("year", "month", "day", "hour")},
        "1h",
    ),
    "in any order": ("month,year", {"month": [t.month for t in MONTHS], "year": [t.year for t in MONTHS]}, "1mo"),
    "halves of days": (
        "d,time",
        {"d": [f"{t:%Y-%m-%d}" for t in HOURS], "time": [f"{t:%I:%M %p}" for t in HOURS]},
        "1h",
    ),
    "days of years": ("year,doy", {"year": [2022] * 60, "doy": list(range(1, 61))}, "1d"),
    "quarters": (
        "year,quarter",
        {"year": [2000 + k // 4 for k in range(60)], "quarter": [k % 4 + 1 for k in range(60)]},
        "3mo",
    ),
    "weeks": (
        "year,week",
        {"year": [2016 + k // 52 for k in range(60)], "week": [k % 52 + 1 for k in range(60)]},
        "1w",
    ),
}  # fmt: skip (a table)


@pytest.mark.parametrize("kind", PARTS)
def test_times_in_several_columns(kind: str) -> None:
    name, columns, step = PARTS[kind]
    panel = read(table_of(**columns), time=name)
    first = {"1h": "2022-01-12", "1mo": "2010-01-01", "1d": "2022-01-01", "3mo": "2000-01-01", "1w": "2016-01-04"}[step]
    assert (str(panel.frequency), len(panel.values), panel.names) == (step, 60, ("y",))
    assert stamps(panel, 0) == [f"{first}T00:00:00"] and not np.isnan(panel.values).any()


def test_hours_to_24_end_their_hour() -> None:
    """Hour 24 is midnight at the end of its day, as grid operators write it."""
    columns = {"date": [f"{t:%Y-%m-%d}" for t in HOURS[:48]], "hour": [t.hour + 1 for t in HOURS[:48]]}
    panel = read(table_of(**columns), time="date,hour")
    assert stamps(panel, 0, 23) == ["2022-01-12T01:00:00", "2022-01-13T00:00:00"]
    columns["hour"][5] = 25
    (message,) = told(table_of(**columns), time="date,hour")
    assert "row 6, column hour: 25 is no time of day (1 such rows)" in message


@pytest.mark.parametrize("kind", ["date and hour", "UCI", "date and time", "compact"])
def test_repeated_dates_advise_the_columns_of_the_time(kind: str) -> None:
    """Never the target itself; typed, the advice reads the table."""
    name, columns, step = PARTS[kind]
    table = table_of(**columns)
    (message,) = [each for each in told(table, time=name.split(",")[0]) if "stands also in" in each]
    assert f"time={name}" in message and "series=" not in message
    assert str(cured(table, message, "time").frequency) == step


@pytest.mark.parametrize(
    ("columns", "advice"),
    [
        ({"shop": [1] * 30 + [2] * 30}, "series=shop"),
        ({"shop": ["a", "b"] * 30}, "series=shop"),
        (
            {"shop": ["a"] * 30 + ["b"] * 30, "item": (["x"] * 15 + ["z"] * 15) * 2},
            "join the columns that say the series, shop and item",
        ),
        ({"price": levels(60)}, "or sum them"),
    ],
)  # fmt: skip (a table)
def test_repeated_dates_advise_the_columns_of_the_series(columns: dict[str, list[Any]], advice: str) -> None:
    """By name or by number, alone or together; a column of values is none."""
    count = 15 if "item" in columns else 30
    days = [f"2022-01-{k + 1:02}" for k in range(count)]
    days = (
        [day for day in days for _ in range(2)] if columns.get("shop", [""])[:2] == ["a", "b"] else days * (60 // count)
    )
    message = next(each for each in told(table_of(d=days, **columns), time="d", target=("y",)) if "stands also" in each)
    assert advice in message


def test_no_column_of_dates_makes_rows_steps(tmp_path: Any) -> None:
    """Told; later rows go on from the end; several series are counted each on its own."""
    table = {"y": levels(60), "shop": ["a", "b"] * 30}
    panel = read(table, series="shop")
    assert panel.columns[0] == ROWS and panel.lengths.tolist() == [30, 30] and not panel.dates
    assert any("has no column that reads as dates" in each for each in told(table, "warning", series="shop"))
    model = gatework.Forecaster(series="shop", horizon=2, season=3, lookback=6, **SMALL).fit(table)
    assert model.predict()["time"].to_list() == [30, 31, 30, 31]
    model.save(tmp_path / "run")
    again = gatework.Forecaster.load(tmp_path / "run")
    later = again.predict(X={"y": [50.0, 51, 52], "shop": ["a", "a", "b"]})
    assert later["time"].to_list() == [32, 33, 31, 32]


def test_rows_without_any_value_are_left_out() -> None:
    table = table_of(d=[f"2024-01-{k + 1:02}" for k in range(20)] + ["", " "], x=[None] * 22)
    table["y"] = [*table["y"][:20], None, None]
    assert len(read(table, time="d", target=("y",)).values) == 20
    assert any("2 rows without any value are left out" in each for each in told(table, "note", time="d", target=("y",)))


# -- zones ------------------------------------------------------------------------------------------------------

ZONES = ("Europe/Paris", "Europe/London", "America/New_York", "Australia/Sydney", "Europe/Helsinki", "America/Halifax")


def midnights(zone: str, count: int, freq: str = "D") -> pd.DatetimeIndex:
    return pd.date_range("2022-01-01", periods=count, freq=freq, tz=zone).tz_convert("UTC")


FORMS: dict[str, Any] = {
    "Z": lambda times: [f"{t:%Y-%m-%dT%H:%M:%S}.000Z" for t in times],
    "offset": lambda times: [t.isoformat() for t in times],
    "bare": lambda times: [f"{t:%Y-%m-%d %H:%M}" for t in times],
    "frame": lambda times: list(times.to_pydatetime()),
    "milliseconds": lambda times: [int(t.timestamp() * 1000) for t in times],
}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("form", FORMS)
def test_local_midnights_in_utc_are_days(zone: str, form: str) -> None:
    """23:00Z in winter and 22:00Z in summer: days of Paris, whichever way they are written; and with zone=."""
    table = table_of(when=FORMS[form](midnights(zone, 300)))
    for options in ({}, {"zone": zone}):
        panel = read(table, time="when", target=("y",), **options)
        assert (str(panel.frequency), len(panel.values), panel.clock) == ("1d", 300, None)
        assert stamps(panel, 0, 299) == ["2022-01-01T00:00:00", "2022-10-27T00:00:00"]


@pytest.mark.parametrize(("freq", "step"), [("MS", "1mo"), ("W-MON", "1w"), ("QS", "3mo")])
def test_longer_steps_of_a_zone_too(freq: str, step: str) -> None:
    panel = read(table_of(when=FORMS["Z"](midnights("Europe/Paris", 40, freq))), time="when")
    assert (str(panel.frequency), stamps(panel, 0)[0][11:]) == (step, "00:00:00")


def test_days_of_a_zone_are_read_so_later_too(tmp_path: Any) -> None:
    """The zone was recognised in the training data; three days of summer alone would not show it."""
    times = FORMS["Z"](midnights("Europe/Paris", 203))
    model = gatework.Forecaster(time="when", target=("y",), horizon=3, **SMALL).fit(table_of(when=times[:200]))
    assert model.predict()["time"].dt.date().cast(pl.String).to_list()[0] == "2022-07-20"
    model.save(tmp_path / "run")
    later = gatework.Forecaster.load(tmp_path / "run").predict(X=table_of(when=times[200:]))
    assert later["time"].dt.date().cast(pl.String).to_list()[0] == "2022-07-23"


def test_winter_alone_asks_for_the_zone() -> None:
    table = table_of(when=FORMS["Z"](midnights("Europe/Paris", 60)))
    (note,) = [each for each in told(table, "note", time="when") if "zone=" in each]
    assert "they stand at 23:00: if that is midnight of a zone" in note
    assert stamps(cured(table, note, "zone", time="when", target=("y",)), 0) == ["2022-01-01T00:00:00"]


def hours_in(zone: str, count: int = 400) -> pd.DatetimeIndex:
    return pd.date_range("2022-03-20", periods=count, freq="h", tz="UTC").tz_convert(zone)


CAME: dict[str, tuple[Any, dict[str, Any], str]] = {
    "utc": (
        lambda t: [f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in t.tz_convert("UTC")],
        {"zone": "Europe/Paris"},
        "2022-04-05 16:00:00+00:00",
    ),
    "offsets": (lambda t: [each.isoformat() for each in t], {}, "2022-04-05 18:00:00+02:00"),
    "frame": (lambda t: list(t), {}, "2022-04-05 18:00:00+02:00"),
    "bare": (lambda t: [f"{each:%Y-%m-%d %H:%M}" for each in t], {"zone": "Europe/Paris"}, "2022-04-05 18:00:00"),
}  # fmt: skip (a table)


@pytest.mark.parametrize("came", CAME)
def test_hours_go_by_the_clocks_of_their_zone_and_are_shown_as_they_came(came: str) -> None:
    """The model is told hour and weekday of Paris, across the change of clocks; instants are the same in all forms."""
    times = hours_in("Europe/Paris")
    form, options, following = CAME[came]
    frame: Any = pd.DataFrame({"when": times, "y": levels(400)}) if came == "frame" else table_of(when=form(times))
    panel = read(frame, time="when", target=("y",), **options)
    assert (str(panel.frequency), len(panel.values), stamps(panel, 0)) == ("1h", 400, ["2022-03-20T00:00:00"])
    assert panel.clock is not None and panel.clock.zone == "Europe/Paris"
    marks = calendar(panel.clock.local(panel.times(0, np.arange(400))), panel.frequency)
    local = np.array([each.tz_localize(None).value // 1000 for each in times])
    np.testing.assert_array_equal(marks, calendar(local, Frequency.parse("1h")))
    model = gatework.Forecaster(time="when", target=("y",), horizon=2, **options, **SMALL).fit(frame)
    assert model.trained_.predict(None)[0]["time"] == following
    shown = model.predict()
    stamp: Any = shown["time"][0]
    assert str(pd.Timestamp(stamp)) == following


def test_clocks_that_go_back_are_read_with_the_zone_that_the_error_names() -> None:
    """Bare hours of October: 02:00 comes twice, and the second is the later one. Of two series, too."""
    times = pd.date_range("2022-10-28", periods=96, freq="h", tz="UTC").tz_convert("Europe/Paris")
    bare = [f"{each:%Y-%m-%d %H:%M}" for each in times]
    table = {"when": bare * 2, "y": levels(192), "s": ["a"] * 96 + ["b"] * 96}
    (message,) = told(table, time="when", target=("y",), series="s")
    assert "2022-10-30 02:00:00" in message
    panel = cured(table, message, "zone", time="when", target=("y",), series="s")
    assert panel.lengths.tolist() == [96, 96] and not np.isnan(panel.values).any()


def test_zones_that_are_none_are_refused() -> None:
    with pytest.raises(OptionError, match="no time zone 'Europe/Pariss'; did you mean 'Europe/Paris'"):
        inspect_panel(table_of(d=["2024-01-01", "2024-01-02"]), zone="Europe/Pariss")


# -- jitter and irregular rows ----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["1m", "5m", "15m", "1h", "6h", "1d"]), st.integers(0, 2**32 - 1), st.floats(0.01, 0.2))
def test_jittered_times_are_rounded_by_the_option_that_the_error_names(step: str, seed: int, share: float) -> None:
    """Before and after the step; each value then stands on its own step, at the true time."""
    size = Frequency.parse(step).every
    draw = np.random.default_rng(seed)
    true = np.datetime64("2022-01-03", "us").astype(np.int64) + size * np.arange(60)
    seen = true + (draw.uniform(-share, share, 60) * size).astype(np.int64) // 1_000_000 * 1_000_000
    table = table_of(when=seen.astype("datetime64[us]").tolist())
    faults = told(table, time="when", target=("y",))
    if not faults:  # so little jitter that it is none in whole seconds
        np.testing.assert_array_equal(seen, true)
        return
    panel = cured(table, faults[0], "round", time="when", target=("y",))
    np.testing.assert_array_equal(panel.times(0, np.arange(60)), true)
    np.testing.assert_array_equal(panel.values, levels(60))


def test_times_of_day_that_wander_are_days() -> None:
    """Once a day at some hour between eight and six: down to the day, as the nearest one could be the next."""
    draw = np.random.default_rng(2)
    table = table_of(when=[f"{START + timedelta(days=k, minutes=int(draw.integers(480, 1080)))}" for k in range(90)])
    (message,) = told(table, time="when", target=("y",))
    panel = cured(table, message, "round", time="when", target=("y",))
    assert "round=1d-down" in message and (str(panel.frequency), len(panel.values)) == ("1d", 90)
    with pytest.raises(OptionError, match="round cannot be '5m-up'"):
        inspect_panel(table, time="when", round="5m-up")


def test_many_irregular_rows_are_told_at_once() -> None:
    """Fifteen years of a reading each day at any minute: a grid of minutes has eight million points."""
    draw = np.random.default_rng(1)
    when = [START + timedelta(days=k, minutes=int(draw.integers(1440))) for k in range(5480)]
    task = ForecastTask(ForecastOptions(time="when", target=("y",)))
    begun = time.process_time()
    found = task.check(pl.DataFrame(table_of(when=when)))
    assert time.process_time() - begun < 2
    (message,) = [each.message for each in found if each.level == "error"]
    assert "rows are irregular" in message and "round=1d-down" in message


def test_days_that_some_rows_lack_are_not_irregular() -> None:
    """A tenth of all days at random: most steps are longer than a day, and all are whole days."""
    draw = np.random.default_rng(3)
    days = np.flatnonzero(draw.random(3000) < 0.15)
    panel = read(table_of(when=[f"{START + timedelta(days=int(k)):%Y-%m-%d}" for k in days]), time="when")
    assert str(panel.frequency) == "1d"


@pytest.mark.parametrize(("to", "first"), [("1d-down", "2024-06-01"), ("1h", "2024-06-01 00:00:00+02:00")])
def test_times_of_a_zone_are_rounded_on_its_clocks(to: str, first: str) -> None:
    """Hours after midnight in Paris are hours before it in UTC."""
    days = [datetime(2024, 6, 1) + timedelta(days=day, minutes=day % 3 * 7) for day in range(20)]
    when = [f"{day:%Y-%m-%dT%H:%M}+02:00" for day in days]
    panel = read(table_of(when=when), time="when", target=("y",), round=to)
    times = panel.times(0, np.array([0]))
    assert shown_times(times, True, to == "1h", panel.clock) == [first]


@pytest.mark.parametrize("wrong", ["5x", "3", "1b"])
def test_a_rounding_that_cannot_be_says_what_can(wrong: str) -> None:
    with pytest.raises(OptionError, match=f"round cannot be '{wrong}'.*1d-down"):
        read(table_of(when=[datetime(2024, 1, 1) + timedelta(days=k) for k in range(9)]), time="when", round=wrong)


@pytest.mark.parametrize(("clock", "cell"), [("minute", "75"), ("hour", "10:75"), ("hour", "1175")])
def test_times_of_day_that_are_none_are_named(clock: str, cell: str) -> None:
    days = [f"2024-01-{day:02}" for day in range(1, 10)]
    found = told(table_of(date=days, **{clock: [cell] * 9}), time=f"date,{clock}", target=("y",))
    assert any("is no time of day (9 such rows)" in each and repr(cell) in each for each in found), found


def test_a_frequency_that_no_stamp_follows_blames_no_others() -> None:
    table = table_of(when=[datetime(2024, month, 1) for month in range(1, 8)])
    _, found = inspect_panel(table, time="when", target=("y",), frequency="1mo@3fri")
    (off,) = [each.message for each in found if "stamps are not on" in each.message]
    assert "7 of 7" in off and "as the others" not in off


def test_an_offset_that_no_clock_has_is_no_zone() -> None:
    with pytest.raises(OptionError, match="there is no time zone"):
        zones.checked("+99:99")


@pytest.mark.parametrize(
    ("cells", "advice"),
    [
        (["01.02.2024", "02.02.2024", "Summe"], "if that is a row of totals or a remark, delete it"),
        (["Jan 2024", "Feb 2024", "März 2024", "Mai 2024"], "names of months are read in English"),
        (["01.02.2024", "32.02.2024", "03.02.2024"], "or say how dates are written"),
    ],
)
def test_what_to_do_about_cells_that_are_no_dates(cells: list[str], advice: str) -> None:
    found = inspect_panel({"when": cells, "y": [1.5] * len(cells)}, time="when")[1]
    assert advice in next(each.message for each in found if each.level == "error")
