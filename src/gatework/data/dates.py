"""A column of dates, times or plain numbers -> whole numbers; what cannot be read is named with the format guessed.

It stands on dateformats.py (dates as text), datenumbers.py (dates as numbers) and zones.py (clocks); timeparts.py, for
times in several columns, on it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import polars as pl

from gatework.data import zones
from gatework.data.dateformats import (
    MONTH_NAMES,
    SAMPLE,
    evenness,
    first_days,
    guess,
    lacks_year,
    numbered,
    parse,
    readable,
)
from gatework.data.datenumbers import compact, digits, epoch, rare, reads_compact, reads_decimal, whole
from gatework.data.datewords import bare, short, unknown_zone
from gatework.data.finding import Finding
from gatework.data.table import Table
from gatework.data.zones import Clock, Stamps
from gatework.errors import OptionError
from gatework.runtime.series.frequency import Frequency
from gatework.runtime.series.panel import shown_time, shown_times
from gatework.runtime.series.stamps import DECIMAL, SPAN

__all__ = ["Clock", "Dated", "Times", "read_times", "reads_as_times", "shown_time", "shown_times"]

TIMES = (
    r"\d{4}.?\d{2}|\d{1,2}[-./]\d{1,2}[-./]\d{2,4}|\d{4}.?[QqWwMm]\d|^[Qq][1-4].?(?:\d\d){1,2}$|^[1-4][Qq].?(?:\d\d){1,2}$"
    rf"|(?i:{MONTH_NAMES}[a-z]*[-./' ]+\d{{2}}|^{MONTH_NAMES}\d{{2}}$|^\d{{4}}[-./ ]?{MONTH_NAMES})"
    rf"|(?i:\d{{1,2}}[- ]{MONTH_NAMES}[- ]\d{{2}})"
    r"|^\d{1,2}/\d{4}$|(?i:^(?:W|KW|CW|week)\s?\d{2}\D)"
)  # what a column that was not named must look like
DIGITS = r"^\d{1,4}[-./:]\d{1,4}$"  # 01/10, 10-01: where the column's name says that it is a time
NAMES = ("time", "date", "datetime", "timestamp", "ds", "t", "year", "period", "step", "jahr", "datum", "zeit")
EXAMPLES = "2024-01-31, 31.01.2024, 01/31/2024 14:00, 2024-01-31T14:00:00+01:00, 2024-01, 2024-Q1 or 2024-W05"
NAMED = re.compile(r"\s*(\d{1,2}\.?\s+)?[^\W\d]{3,}[.,]?[\s-]*\d{2,4}\s*$")  # "März 2012", "3. Mrz 12"
OFFSET = r"\s*(?:[zZ]|[+-]\d{2}:?\d{2})$"
WHAT = (
    ((DECIMAL,), "a part of a year"),
    (("%q",), "a quarter"),
    (("%V",), "an ISO week"),
    (("%d", "%j"), "a date"),
    (("%",), "a month"),
)  # what dates of a format are, the first that fits
YEARLESS = "a date, as it says either no year or no day"
MOST_CELLS = 3  # that an error shows


class Dated(NamedTuple):
    """How dates are to be read: their format (of a run whose `later` rows these are, others may do), the zone of their
    clocks, the step where it is known, and the column that says which series a row belongs to."""

    shape: str | None = None
    zone: str | None = None
    step: Frequency | None = None
    later: bool = False
    series: str | None = None


class Times(NamedTuple):
    """Times of all rows, which of them could be read, whether they are dates (microseconds since 1970, UTC where there
    is a clock), findings, the format of dates written as text, the clock of a zone that is known, and the zone that
    later rows are read with."""

    times: np.ndarray
    good: np.ndarray
    dates: bool
    found: list[Finding]
    shape: str | None = None
    clock: Clock | None = None
    zone: str | None = None


def read_times(table: Table, name: str, how: Dated | None = None) -> Times:
    """A column as times; see `Dated`.

    Example: of a column "201501", "201502" the times are those of 2015-01-01 and 2015-02-01.
    """
    column, how = table.column(name), how or Dated()
    if column.dtype.is_temporal():
        return _temporal(table, name, column, how)
    _refuse_without_year(how.shape)
    shape, numbers = how.shape, whole(column)
    if numbers is not None and not (shape and _fits(digits(numbers, shape), shape, how)):
        return _counted(table, name, column, numbers, how)
    text = table.strings(name).str.strip_chars()
    if shape:
        text = text if numbers is None else digits(numbers, shape)
    elif numbers is None and reads_decimal(column):
        how = how._replace(shape=DECIMAL)
    elif numbers is None and column.dtype != pl.String:
        return _no_whole_numbers(table, name, column)
    if how.shape is not None and _fits(text, how.shape, how):
        return _written(table, name, text, how, shape is None)
    brief = short(text)
    if brief and not brief.sure:
        bad = pl.Series([True] * len(text))
        return _finished(table, name, column, bad.cast(pl.Int64), bad, YEARLESS, True, _unsaid(name, brief.shape))
    plain = bare(text, how.zone)
    if found := numbered(plain.text, name):
        return _written(table, name, plain.text, how._replace(shape=found, later=False), True)
    longer = first_days(plain.text)
    found = _written(table, name, longer, how)
    notes = [Finding("note", f"{table.source}, column {name!r}: {each}", column=name) for each in plain.notes]
    notes += _compactly(table, name, text, brief.shape) if brief else []
    found = found._replace(found=[*notes, *found.found])
    return found if (longer == text).all() else found._replace(shape=None)


def _unsaid(name: str, shape: str) -> str:
    return (
        f"if its number is a year, say so: date_format={shape}; if it is a day, name a column of the year beside it, "
        f"time=year,{name}, or write the year"
    )


def _refuse_without_year(shape: str | None) -> None:
    if shape and lacks_year(shape):
        raise OptionError(
            f"date_format={shape} says no year: dates would be of the year 1; write a column with the year, or name "
            "several columns that make the time together, time=year,month"
        )


def _no_whole_numbers(table: Table, name: str, column: pl.Series) -> Times:
    bad = column.is_null() | (column != column.round(0)).fill_null(True)
    counted = column.cast(pl.Float64).fill_nan(None).cast(pl.Int64, strict=False)
    return _finished(table, name, column, counted, bad, "whole numbers", False)


def _fits(text: pl.Series, shape: str, how: Dated) -> bool:
    """Whether to read by a format that is known: one that was given does or refuses; that of a run, where it reads
    most of the rows."""
    return not how.later or 2 * readable(text, shape) > min(len(text), SAMPLE)


def _counted(table: Table, name: str, column: pl.Series, numbers: pl.Series, how: Dated) -> Times:
    """Whole numbers: compact dates, counts from 1970, or steps."""
    steps = how.step is not None and how.step.kind == "number"
    shape = None if steps else compact(numbers, name)
    if shape is None and not steps and (counts := epoch(numbers)):
        told = Finding(
            "note", f"{table.source}, column {name!r}: {column[0]} is read as {counts[1]} since 1970, in UTC"
        )
        stamps = Stamps(counts[0], counts[0], True)
        return _settled(table, name, stamps, how, numbers.is_null(), "", None, [told])
    shape = None if steps else shape or rare(numbers)
    if shape is None:
        return _finished(table, name, column, numbers, numbers.is_null(), "whole numbers", False)
    parsed = parse(digits(numbers, shape), shape)
    stamps, told = Stamps(parsed, parsed, False), _compactly(table, name, numbers, shape)
    return _settled(table, name, stamps, how, parsed.is_null(), _as_weeks(shape), shape, told)


def _as_weeks(shape: str) -> str:
    return "an ISO week (weeks from a year's first Monday on would be date_format=%Y%W)" if shape == "%G%V" else ""


def _compactly(table: Table, name: str, cells: pl.Series, shape: str) -> list[Finding]:
    """A note of how dates are read that could be plain numbers, or other dates."""
    if shape == "%Y%m%d":
        return []
    what = next(words for letters, words in WHAT if any(letter in shape for letter in letters))
    what = "a year that ends in the next" if SPAN.fullmatch(shape) else what
    other = ", weeks would be date_format=%G%V" if shape == "%Y%m" and int((cells % 100).to_numpy().max()) <= 12 else ""
    plain = "; plain numbers would be frequency=1i" if cells.dtype != pl.String else ""
    message = f"{table.source}, column {name!r}: {cells[0]} is read as {what} (date_format={shape}{other}{plain})"
    return [Finding("note", message, column=name)]


def _written(table: Table, name: str, text: pl.Series, how: Dated, seen: bool = False) -> Times:
    """Dates written as text, by the format that is known (or was `seen`, which is told) or reads most."""
    shape, other, known = how.shape, "", how.shape is not None and _fits(text, how.shape, how)
    if shape is None or not known:
        shape, rivals = guess(text)
        other = _swapped(shape, rivals)
        if other and evenness(parse(text, other)) > evenness(parse(text, shape)):
            shape, other = other, shape
    parsed, local = parse(text, shape), None
    if "z" in shape:
        local = parse(text.str.replace(OFFSET, ""), shape.replace("%#z", "").replace("%z", ""))
    none = parsed.null_count() == len(parsed)
    expected = f"a date, such as {EXAMPLES}" if none else f"the format {shape} of most rows"
    if known and not how.later and parsed.null_count():
        better = guess(text)[0]
        expected = f"date_format={shape}"
        expected += f" ({better} reads more)" if readable(text, better) > readable(text, shape) else ""
    stamps = Stamps(parsed, parsed if local is None else local, local is not None)
    told = _compactly(table, name, text, shape) if seen else _ambiguous(table, name, shape, other)
    return _settled(table, name, stamps, how, parsed.is_null(), expected, shape, told)


def reads_as_times(column: pl.Series, numeric: bool) -> bool:
    """Whether a column that nobody named looks like times; a numeric one only by a name such as "year", or where its
    numbers are months or weeks one after the other."""
    if column.dtype.is_temporal():
        return True
    if numeric:
        named = column.name.strip().lower() in NAMES and whole(column.head(SAMPLE)) is not None
        return named or reads_compact(column)
    if column.dtype != pl.String:
        return False
    some = column.drop_nulls().head(20)
    named = column.name.strip().lower() in NAMES and len(some) > 0 and bool(some.str.contains(DIGITS).all())
    return named or bool(some.str.contains(TIMES).any())


def _temporal(table: Table, name: str, column: pl.Series, how: Dated) -> Times:
    if zone := getattr(column.dtype, "time_zone", None):
        utc = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None).cast(pl.Datetime("us"))
        local = column.dt.replace_time_zone(None).cast(pl.Datetime("us"))
        stamps = Stamps(utc, local, True, zone)
    else:
        times = column.cast(pl.Datetime("us"))
        stamps = Stamps(times, times, False)
    return _settled(table, name, stamps, how, column.is_null(), "dates", None, [])


def _settled(
    table: Table,
    name: str,
    stamps: Stamps,
    how: Dated,
    bad: pl.Series,
    expected: str,
    shape: str | None,
    told: list[Finding],
) -> Times:
    """Datetimes as whole numbers, on the clocks of their zone."""
    twice = _repeats(stamps.local, table.strings(how.series) if how.series else None) if how.zone else bad
    days = None if how.step is None else how.step.whole_days
    settled = zones.settled(table.source, name, stamps, zones.checked(how.zone), days, twice)
    times = settled.times
    if (lost := times.is_null() & ~bad).any():
        bad, expected = bad | lost, f"a time that clocks in {how.zone} show"
    result = _finished(table, name, table.column(name), times.dt.epoch("us"), bad, expected, True)
    found = [*told, *settled.found, *result.found]
    return result._replace(found=found, shape=shape, clock=settled.clock, zone=settled.zone)


def _repeats(times: pl.Series, series: pl.Series | None) -> pl.Series:
    """How many rows before each one have its time, in its series."""
    keys = pl.DataFrame({"time": times}).with_columns(series=pl.lit("") if series is None else series)
    return keys.select(pl.int_range(pl.len()).over("time", "series")).to_series()


def _finished(
    table: Table,
    name: str,
    column: pl.Series,
    times: pl.Series,
    bad: pl.Series,
    expected: str,
    dates: bool,
    advice: str = "",
) -> Times:
    """The numbers, and an error that names the first rows that could not be read."""
    rows = bad.arg_true().to_list()
    found = []
    if rows:
        row, cells = rows[0], ["an empty cell" if column[at] is None else repr(column[at]) for at in rows[:MOST_CELLS]]
        others = ", ".join(f"{table.place_of(at)}: {cell}" for at, cell in zip(rows[1:], cells[1:], strict=False))
        more = f" ({len(rows)} such rows; {others}{', ...' if len(rows) > MOST_CELLS else ''})" if others else ""
        message = f"{table.where(row)}, column {name!r}: {cells[0]} does not read as {expected}{more}; "
        found.append(Finding("error", message + (advice or _instead(column, rows)), row, name))
    return Times(times.fill_null(0).to_numpy(), ~bad.to_numpy(), dates, found)


def _instead(column: pl.Series, rows: list[int]) -> str:
    """What to do about cells that are no dates: a last row of totals, months in another language, a format."""
    if rows == [len(column) - 1]:
        return "if that is a row of totals or a remark, delete it; else correct it"
    if advice := unknown_zone(str(column[rows[0]])):
        return advice
    if all(NAMED.match(str(column[at])) for at in rows[:MOST_CELLS]):
        return "names of months are read in English; write them so, or as 2024-01"
    return "correct it or leave the row out, or say how dates are written, such as date_format=%d/%m/%Y"


def _swapped(shape: str, rivals: list[str]) -> str:
    """The format with day and month the other way round, where it reads as many cells."""
    for sign in "/-":
        pair = (f"%m{sign}%d", f"%d{sign}%m")
        for one, two in (pair, pair[::-1]):
            if shape.startswith(one) and (other := shape.replace(one, two)) in rivals:
                return other
    return ""


def _ambiguous(table: Table, name: str, shape: str, other: str) -> list[Finding]:
    """A warning where dates could be read in another way too."""
    if not other:
        return []
    words = ["month/day/year" if each.startswith("%m") else "day/month/year" for each in (shape, other)]
    message = f"{table.source}, column {name!r}: read as {words[0]}, but {words[1]} would fit too; "
    hint = f"if that is wrong, give date_format={other}, or write dates as 2024-01-31"
    return [Finding("warning", message + hint, column=name)]
