"""Dates stay where they are: the day of the month that stamps stand on is fitted to all of them, and told."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gatework import cli
from gatework.data.panel import inspect_panel
from gatework.errors import OptionError
from gatework.runtime.series.frequency import Frequency, infer
from gatework.runtime.series.monthdays import MonthDay
from gatework.runtime.series.panel import Panel

SMALL = ("--epochs=1", "--hidden-size=4", "--width=2", "--windows=100", "--classical=none", "--threads=1", "-q")
FRAMED: dict[str, Any] = {"epochs": 1, "hidden_size": 4, "width": 2, "windows": 100, "classical": "none", "threads": 1}


def call(*words: Any, code: int = 0) -> Any:
    result = CliRunner().invoke(cli.app, [str(word) for word in words], env={"COLUMNS": "300"})
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output and "unforeseen" not in result.output
    return result


def written(path: Path, head: str, rows: Any) -> Path:
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def values(count: int) -> list[float]:
    return [50 + 10 * np.sin(k / 2) + (k * 7919 % 13) / 4 for k in range(count)]


def read(stamps: Any, **options: Any) -> tuple[Panel, list[str], list[str]]:
    """The series of stamps; what is warned of; what is an error."""
    table = {"when": list(stamps), "y": values(len(stamps))}
    panel, found = inspect_panel(table, time="when", target=("y",), **options)
    warned, faults = [[each.message for each in found if each.level == level] for level in ("warning", "error")]
    assert panel is not None, faults
    return panel, warned, faults


def shown(panel: Panel, steps: Any) -> list[str]:
    return panel.times(0, np.asarray(steps)).astype("datetime64[us]").astype("datetime64[D]").astype(str).tolist()


# -- the day of the month ---------------------------------------------------------------------------------------

OFFSETS: dict[str, tuple[Any, str]] = {
    "the first": (pd.offsets.MonthBegin(), "1mo"),
    "month ends": (pd.offsets.MonthEnd(), "1mo@-1"),
    "last business days": (pd.offsets.BMonthEnd(), "1mo@-1b"),
    "first business days": (pd.offsets.BMonthBegin(), "1mo@1b"),
    "third Fridays": (pd.offsets.WeekOfMonth(week=2, weekday=4), "1mo@3fri"),
    "first Mondays": (pd.offsets.WeekOfMonth(week=0, weekday=0), "1mo@1mon"),
    "last Fridays": (pd.offsets.LastWeekOfMonth(weekday=4), "1mo@-1fri"),
    "quarter ends": (pd.offsets.QuarterEnd(), "3mo@-1"),
    "last business days of quarters": (pd.offsets.BQuarterEnd(), "3mo@-1b"),
    "half years": (pd.DateOffset(months=6), "6mo@15"),
    "years": (pd.offsets.YearEnd(), "1y@-1"),
}


@pytest.mark.parametrize("start", ["2010-02-15", "2010-04-15", "2012-01-15"])
@pytest.mark.parametrize("kind", OFFSETS)
def test_stamps_go_on_by_the_rule_that_all_follow(kind: str, start: str) -> None:
    """pandas' offsets are the oracle; whichever month is the first."""
    offset, frequency = OFFSETS[kind]
    dates = pd.date_range(start, periods=60, freq=offset)
    panel, warned, faults = read(dates[:40])
    assert (panel.frequency.text.removesuffix("@1"), warned, faults) == (frequency, [], [])
    assert shown(panel, range(60)) == [str(each.date()) for each in dates]


def on_day(day: int, first: tuple[int, int], months: int, count: int) -> list[str]:
    """Stamps on a day of the month; on its last where it has not as many."""
    months_of = np.datetime64(f"{first[0]}-{first[1]:02}", "M") + months * np.arange(count)
    last = (months_of + 1).astype("datetime64[D]") - 1
    return np.minimum(months_of.astype("datetime64[D]") + day - 1, last).astype(str).tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 31), st.integers(1, 12), st.sampled_from([1, 3]), st.integers(12, 30))
def test_the_same_day_stays_the_same_day(day: int, month: int, months: int, count: int) -> None:
    """From whatever month on, short months clipped: 28 and 29 February, 30 April, quarters on the 30th."""
    dates = on_day(day, (2010, month), months, count + 24)
    panel, warned, faults = read(dates[:count])
    assert (panel.frequency.every, warned, faults) == (months, [], [])
    assert shown(panel, range(count + 24)) == dates


RULES = st.one_of(
    st.builds(MonthDay, st.sampled_from([*range(1, 32), -1])),
    st.builds(MonthDay, st.sampled_from([*range(1, 15), -1, -2]), st.just("b")),
    st.builds(MonthDay, st.sampled_from([1, 2, 3, 4, -1]), st.sampled_from(["mon", "wed", "fri", "sun"])),
)


@settings(max_examples=100, deadline=None)
@given(RULES, st.integers(0, 200), st.sampled_from([1, 3]), st.booleans())
def test_every_rule_is_found_again(rule: MonthDay, begin: int, months: int, gaps: bool) -> None:
    """As text too; also where every fifth row is missing. Rules may share all stamps: then they go on alike."""
    assert MonthDay.parse(str(rule)) == rule
    made = Frequency("month", months, rule)
    assert Frequency.parse(made.text) == made
    start = np.datetime64("1990-01", "M") + begin
    times = made.times(np.full(120, start.astype("datetime64[us]").astype(np.int64)), np.arange(120))
    seen = times[np.arange(120) % 5 != 2] if gaps else times
    found = infer(seen, np.zeros(len(seen), np.int64), True)
    np.testing.assert_array_equal(found.times(np.full(120, times[0]), np.arange(120)), times)


def test_years_go_on_by_the_weekday_that_all_follow() -> None:
    """Thanksgiving: the fourth Thursday of November, 52 or 53 weeks apart."""
    days = [date(year, 11, 1) for year in range(1990, 2020)]
    dates = [date(d.year, 11, 22 + (3 - d.weekday()) % 7) for d in days]
    panel, warned, _ = read(dates[:20])
    assert (panel.frequency.text, warned) == ("1y@4thu", [])
    assert shown(panel, range(30)) == [str(each) for each in dates]


@pytest.mark.parametrize(("weeks", "step"), [(4, "4w"), (13, "13w"), (1, "1w"), (52, "52w")])
def test_weeks_are_no_months(weeks: int, step: str) -> None:
    dates = pd.date_range("2010-01-06", periods=40, freq=f"{7 * weeks}D")
    panel, warned, _ = read(dates)
    assert (str(panel.frequency), warned) == (step, [])


@pytest.mark.parametrize("weeks", [(4, 4, 5), (4, 5, 4), (5, 4, 4)])
def test_periods_of_a_retail_year_are_no_months(weeks: tuple[int, ...]) -> None:
    """Months would be skipped or hold two periods; numbered, they are steps."""
    days = np.datetime64("2015-01-31") + 7 * np.cumsum(np.tile(weeks, 20))
    table = {"day": days.astype(str).tolist(), "period": list(range(60)), "y": list(range(60))}
    panel, found = inspect_panel(table, time="day", target=("y",))
    assert panel is None and any("number the periods (1, 2, 3, ...)" in each.message for each in found)
    numbered, _ = inspect_panel(table, time="period", target=("y",))
    assert numbered is not None and str(numbered.frequency) == "1i"


def test_stamps_that_no_rule_fits_are_named_and_never_moved_in_silence(tmp_path: Path) -> None:
    """Days 14, 15 and 16: the warning says which, and on which day forecasts are dated; a given day acts."""
    days = [15 + (-1, 0, 0, 1, 0, 0)[k % 6] for k in range(60)]
    dates = [f"{2010 + k // 12}-{k % 12 + 1:02}-{day}" for k, day in enumerate(days)]
    path, run = written(tmp_path / "m.csv", "date,y", zip(dates, values(60), strict=True)), tmp_path / "run"
    told = call("check", "forecast", path).stdout
    text = (
        "20 of 60 stamps are not on the 15th of their month, as the others are (line 2: 2010-01-14, line 5: 2010-04-16"
    )
    assert text in told
    trained = call("train", "forecast", path, *SMALL, "--horizon=3", "--out", run).output
    assert text in trained or text in (run / "results.json").read_text()
    assert [line.split(",")[1] for line in call("predict", run).stdout.splitlines()[1:]] == [
        "2015-01-15", "2015-02-15", "2015-03-15",
    ]  # fmt: skip
    other = tmp_path / "other"
    call("train", "forecast", path, *SMALL, "--horizon=3", "--frequency=1mo@-1", "--out", other)
    assert call("predict", other).stdout.splitlines()[1].split(",")[1] == "2015-01-31"


def test_holidays_move_single_stamps_of_a_rule() -> None:
    """The last trading day of March 2024 was a Thursday, as the 29th was Good Friday."""
    dates = [str(each.date()) for each in pd.date_range("2023-01-01", periods=24, freq="BME")]
    dates[dates.index("2024-03-29")] = "2024-03-28"
    panel, (warned,), _ = read(dates)
    assert panel.frequency.text == "1mo@-1b" and "1 of 24 stamps" in warned and "row 15: 2024-03-28" in warned


def test_series_may_each_have_a_day_of_their_own() -> None:
    """Customers billed on the 3rd and on the 17th; with a day that some months lack, no rule would be sure."""
    for second, warned in ((17, 0), (30, 1)):
        dates = on_day(3, (2010, 2), 1, 20) + on_day(second, (2010, 3), 1, 20)
        table = {"when": dates, "y": values(40), "s": ["a"] * 20 + ["b"] * 20}
        panel, found = inspect_panel(table, time="when", target=("y",), series="s")
        assert panel is not None and len([each for each in found if each.level == "warning"]) == warned
        assert any("stamps are not on" in each.message for each in found) == bool(warned)
        if not warned:
            ends = [
                str(panel.times(s, np.array([20])).astype("datetime64[us]").astype("datetime64[D]")[0]) for s in (0, 1)
            ]
            assert ends == ["2011-10-03", "2011-11-17"]


def test_later_rows_stand_on_the_day_of_the_training(tmp_path: Path) -> None:
    """28 February alone could be the last day; the run knows better, and says where rows stand elsewhere."""
    dates, run = on_day(28, (2010, 2), 1, 62), tmp_path / "run"
    rows = list(zip(dates, values(62), strict=True))
    call("train", "forecast", written(tmp_path / "a.csv", "date,y", rows[:60]), *SMALL, "--horizon=2", "--out", run)
    assert [line.split(",")[1] for line in call("predict", run).stdout.splitlines()[1:]] == dates[60:]
    later = call("predict", run, written(tmp_path / "b.csv", "date,y", [rows[60]]))
    assert later.stdout.splitlines()[1].split(",")[1] == dates[61] and "not on the 28th" not in later.stderr
    moved = call("predict", run, written(tmp_path / "c.csv", "date,y", [("2015-02-01", 50)])).stderr
    assert "1 of 1 stamps are not on the 28th of their month" in moved and "line 2: 2015-02-01" in moved


@pytest.mark.parametrize("wrong", ["1mo@32", "1mo@0", "1mo@5fri", "1mo@21b", "1d@3", "1mo@", "1mo@x", "1i@1"])
def test_days_that_cannot_be_are_refused(wrong: str) -> None:
    with pytest.raises(OptionError, match="cannot be"):
        Frequency.parse(wrong)
