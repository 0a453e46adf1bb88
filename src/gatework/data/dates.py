"""A column of dates, times or plain numbers -> whole numbers; what cannot be read is named with the format guessed."""

from __future__ import annotations

from datetime import time
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from gatework.data.finding import Finding
from gatework.data.table import Table

DAYS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d-%m-%Y",
    "%Y%m%d",
    "%d %b %Y",
    "%b %d, %Y",
    "%d.%m.%y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d-%b-%Y",
    "%d-%b-%y",
)
HOURS = (
    "",
    " %H:%M",
    " %H:%M:%S",
    " %H:%M:%S%.f",
    "T%H:%M",
    "T%H:%M:%S",
    "T%H:%M:%S%.f",
    " %I:%M %p",
    " %I:%M:%S %p",
)
ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z", "%Y-%m-%d %H:%M%#z")
FORMATS = (*ZONED, *(day + hour for day in DAYS for hour in HOURS), "%G-W%V-%u")
# Longer stretches are read as their first day: what they look like, and that day
MONTH_NAMES = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
STRETCHES = (
    (r"^(\d{4})[-/](\d{2})$", "${1}-${2}-01"),  # a month
    (r"^(\d{2})[/.](\d{4})$", "${2}-${1}-01"),
    (rf"(?i)^({MONTH_NAMES})[a-z]*[-. ]+(\d{{4}})$", "01 ${1} ${2}"),
    (rf"(?i)^(\d{{4}})[-. ]+({MONTH_NAMES})[a-z]*$", "01 ${2} ${1}"),
    (r"(?i)^(\d{4})[-/ ]?W(\d{2})$", "${1}-W${2}-1"),  # an ISO week
)
QUARTERS = (r"(?i)^(\d{4})[-/ ]?Q([1-4])$", r"(?i)^Q([1-4])[-/ ]?(\d{4})$")
EPOCHS = ((10**9, 4 * 10**9, 10**6, "seconds"), (10**12, 4 * 10**12, 1000, "milliseconds"))  # from, to, microseconds
TIMES = (
    r"\d{4}.?\d{2}|\d{1,2}[-./]\d{1,2}[-./]\d{2,4}|\d{4}.?[QqW][1-4]|^[Qq][1-4].?\d{4}$"
    rf"|(?i:{MONTH_NAMES}[a-z]*[-. ]+\d{{4}}|\d{{1,2}}[- ]{MONTH_NAMES}[- ]\d{{2}})"
)  # what a column that was not named must look like
NAMES = ("time", "date", "datetime", "timestamp", "ds", "t", "year", "period", "step", "jahr", "datum", "zeit")
EXAMPLES = "2024-01-31, 31.01.2024, 01/31/2024 14:00, 2024-01-31T14:00:00+01:00, 2024-01, 2024-Q1 or 2024-W05"
OFFSET = r"\s*(?:[zZ]|[+-]\d{2}:?\d{2})$"
SAMPLE = 1_000
MOST_CELLS = 3  # that an error shows


class Times(NamedTuple):
    """Times of all rows, which of them could be read, whether they are dates (microseconds since 1970, UTC where a zone
    is known), findings, the format of dates written as text, and whether a zone is known."""

    times: np.ndarray
    good: np.ndarray
    dates: bool
    found: list[Finding]
    shape: str | None = None
    zoned: bool = False


def read_times(table: Table, name: str, shape: str | None = None, whole_days: bool | None = None) -> Times:
    """A column as times; `shape` is the format to try before others, such as the one of the training data.

    Times of a zone are counted in UTC, but days of a zone (at one hour of its clock all along) stay its days, as in
    UTC they would be 23 or 25 hours apart when clocks change. `whole_days`: whether the step is known to be days.
    """
    column = table.column(name)
    if column.dtype.is_temporal():
        return _temporal(table, name, column, whole_days)
    if (whole := _whole(column)) is not None and (epoch := _epoch(whole)):
        return _since_1970(table, name, column, whole, *epoch)
    if column.dtype != pl.String:
        whole = column.cast(pl.Float64)
        bad = (whole.is_null() | whole.is_nan() | (whole != whole.round(0))).fill_null(True)
        return _finished(
            table, name, column, whole.fill_nan(None).cast(pl.Int64, strict=False), bad, "whole numbers", False
        )
    text = column.str.strip_chars()
    numbers = text.cast(pl.Int64, strict=False)
    if not numbers.null_count() and not _compact_dates(numbers):
        return _finished(table, name, column, numbers, numbers.is_null(), "whole numbers", False)
    text = _first_days(text)
    found, rivals = guess(text, shape)
    other = "" if shape == found else _swapped(found, rivals)
    if other and _evenness(_parse(text, other)) > _evenness(_parse(text, found)):
        found, other = other, found
    parsed, zoned, told = _parse(text, found), "z" in found, []
    if zoned:
        local = _parse(text.str.replace(OFFSET, ""), found.removesuffix("%#z"))
        parsed, zoned, told = _of_zone(table, name, "with an offset", parsed, local, whole_days)
    none = parsed.null_count() == len(parsed)
    how = f"a date, such as {EXAMPLES}" if none else f"the format {found} of most rows"
    result = _finished(table, name, column, parsed.dt.epoch("us"), parsed.is_null(), how, True)
    return result._replace(
        found=[*_ambiguous(table, name, found, other), *told, *result.found], shape=found, zoned=zoned
    )


def reads_as_times(column: pl.Series, numeric: bool) -> bool:
    """Whether a column that nobody named looks like times; a numeric one only by a name such as "year"."""
    if column.dtype.is_temporal():
        return True
    if numeric:
        return column.name.strip().lower() in NAMES and _whole(column.head(SAMPLE)) is not None
    return column.dtype == pl.String and bool(column.drop_nulls().head(20).str.contains(TIMES).any())


def _whole(column: pl.Series) -> pl.Series | None:
    """Whole numbers, also where they are text; None where one is none."""
    if column.dtype != pl.String and not column.dtype.is_integer():
        return None
    whole = (column.str.strip_chars() if column.dtype == pl.String else column).cast(pl.Int64, strict=False)
    return None if whole.null_count() else whole


def _epoch(whole: pl.Series) -> tuple[int, str] | None:
    """Numbers that count from 1970: how many microseconds each is, and what they are called."""
    units = [(each, word) for low, high, each, word in EPOCHS if len(whole) and whole.is_between(low, high).all()]
    return units[0] if units else None


def _since_1970(table: Table, name: str, column: pl.Series, whole: pl.Series, each: int, unit: str) -> Times:
    note = f"{table.source}, column {name!r}: {column[0]} is read as {unit} since 1970, in UTC"
    result = _finished(table, name, column, whole * each, whole.is_null(), "", True)
    return result._replace(found=[Finding("note", note, column=name)])


def _first_days(text: pl.Series) -> pl.Series:
    """Months, quarters and weeks as their first days."""
    for shape, day in STRETCHES:
        text = text.str.replace(shape, day)
    for shape, year in zip(QUARTERS, (1, 2), strict=True):
        parts = text.str.extract_groups(shape).struct.unnest()
        year, quarter = parts[f"{year}"], parts[f"{3 - year}"].cast(pl.Int64)
        months = pl.select(pl.format("{}-{}-01", year, (3 * quarter - 2).cast(pl.String).str.zfill(2))).to_series()
        text = pl.select(pl.when(quarter.is_not_null()).then(months).otherwise(text)).to_series()
    return text


def guess(text: pl.Series, known: str | None = None) -> tuple[str, list[str]]:
    """The format that reads most of a sample, and others that read as many; `known` before any that reads no more."""
    step = max(len(text) // SAMPLE, 1)
    sample = text.gather_every(step)
    read = {shape: len(sample) - _parse(sample, shape).null_count() for shape in FORMATS}
    most = max(read.values())
    best = [shape for shape in FORMATS if read[shape] == most]
    if known and _parse(sample, known).null_count() <= len(sample) - most:
        return known, best
    return best[0], best[1:]


def _parse(text: pl.Series, shape: str) -> pl.Series:
    parsed = text.str.to_datetime(shape, strict=False, time_unit="us")
    if "%Y" in shape:  # which would take the 24 of 31/12/24 for the year 24
        parsed = pl.select(pl.when(parsed.dt.year() >= 1000).then(parsed)).to_series()
    return parsed.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if "z" in shape else parsed


def _compact_dates(numbers: pl.Series) -> bool:
    """20240131: eight digits, all in a plausible range."""
    return bool(numbers.is_between(19_000_101, 21_001_231).all())


def _temporal(table: Table, name: str, column: pl.Series, whole_days: bool | None) -> Times:
    zoned, told = False, []
    if zone := getattr(column.dtype, "time_zone", None):
        utc = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        local = column.dt.replace_time_zone(None)
        column, zoned, told = _of_zone(table, name, f"of zone {zone}", utc, local, whole_days)
    times = column.cast(pl.Datetime("us")).dt.epoch("us")
    result = _finished(table, name, column, times, times.is_null(), "dates", True)
    return result._replace(found=told + result.found, zoned=zoned)


def _of_zone(
    table: Table, name: str, kind: str, utc: pl.Series, local: pl.Series, whole_days: bool | None
) -> tuple[pl.Series, bool, list[Finding]]:
    """Times of a zone in UTC, or as its days; whether they still have a zone; and a note of what was done."""
    hours = [each.drop_nulls().dt.time().unique().to_list() for each in (utc, local)]
    midnight = hours[0] == [time(0)]
    days = whole_days is not False and (midnight or len(hours[1]) == 1)
    what = "stand at one hour of the day: they are days of their own zone" if days else "are counted and shown in UTC"
    note = Finding("note", f"{table.source}: times {kind} {what}", column=name)
    return local if days and not midnight else utc, not days, [note]


def _finished(
    table: Table, name: str, column: pl.Series, times: pl.Series, bad: pl.Series, guessed: str, dates: bool
) -> Times:
    """The numbers, and an error that names the first rows that could not be read."""
    rows = bad.arg_true().to_list()
    found = []
    if rows:
        row, cells = rows[0], ["an empty cell" if column[at] is None else repr(column[at]) for at in rows[:MOST_CELLS]]
        others = ", ".join(f"{table.place_of(at)}: {cell}" for at, cell in zip(rows[1:], cells[1:], strict=False))
        more = f" ({len(rows)} such rows; {others}{', ...' if len(rows) > MOST_CELLS else ''})" if others else ""
        message = f"{table.where(row)}, column {name!r}: {cells[0]} does not read as {guessed}{more}; "
        found.append(Finding("error", message + "correct it or leave the row out", row, name))
    return Times(times.fill_null(0).to_numpy(), ~bad.to_numpy(), dates, found)


def _swapped(shape: str, rivals: list[str]) -> str:
    """The format with day before month, where it reads as many cells as the one with month before day."""
    other = shape.replace("%m/%d", "%d/%m")
    return other if other != shape and other in rivals else ""


def _evenness(times: pl.Series) -> float:
    """The share of the commonest step between neighbouring times; all months are as long."""
    steps = times.drop_nulls().unique().sort().diff().drop_nulls().dt.total_seconds() / 86_400
    steps = pl.select(pl.when(steps >= 28).then((steps / 30.44).round() * 30.44).otherwise(steps)).to_series()
    return float(steps.value_counts()["count"].to_numpy().max()) / len(steps) if len(steps) else 0.0


def _ambiguous(table: Table, name: str, shape: str, other: str) -> list[Finding]:
    """A warning where dates could be read in another way too."""
    if not other:
        return []
    words = ["month/day/year" if each.startswith("%m/%d") else "day/month/year" for each in (shape, other)]
    message = f"{table.source}, column {name!r}: read as {words[0]}, but {words[1]} would fit too; "
    hint = f"if that is wrong, give date_format={other}, or write dates as 2024-01-31"
    return [Finding("warning", message + hint, column=name)]


def shown_time(time: int, dates: bool) -> Any:
    """A time as JSON: an ISO date (with the hour where there is one), or the number."""
    if not dates:
        return int(time)
    text = np.datetime64(int(time), "us").astype("datetime64[us]").item().isoformat(sep=" ")
    return text.removesuffix(" 00:00:00")


def shown_times(times: np.ndarray, dates: bool, hours: bool, zoned: bool) -> list[Any]:
    """Times of a table, all written alike: with their hours, and as UTC, or without."""
    shown = [shown_time(int(each), dates) for each in times]
    if not dates:
        return shown
    whole = [f"{each} 00:00:00" if hours and len(each) == len("2024-01-31") else each for each in shown]
    return [f"{each}+00:00" for each in whole] if zoned else whole
