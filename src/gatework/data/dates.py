"""A column of dates, times or plain numbers -> whole numbers; what cannot be read is named with the format guessed."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from gatework.data.finding import Finding
from gatework.data.table import Table

DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%Y%m%d", "%d %b %Y", "%b %d, %Y")
HOURS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", "T%H:%M", "T%H:%M:%S", "T%H:%M:%S%.f")
ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z", "%Y-%m-%d %H:%M%#z")
FORMATS = (*ZONED, *(day + hour for day in DAYS for hour in HOURS))
MONTH = r"^\d{4}-\d{2}$"  # a month alone is read as its first day
SAMPLE = 1_000


def read_times(table: Table, name: str) -> tuple[np.ndarray, np.ndarray, bool, list[Finding]]:
    """Times of all rows, which could be read, whether they are dates (microseconds since 1970, UTC where a zone is
    known), and findings."""
    column = table.column(name)
    if column.dtype.is_temporal():
        return _temporal(table, name, column)
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
    text = pl.select(pl.when(text.str.contains(MONTH)).then(text + "-01").otherwise(text)).to_series()
    shape, rivals = guess(text)
    parsed = _parse(text, shape)
    result = _finished(
        table, name, column, parsed.dt.epoch("us"), parsed.is_null(), f"the format {shape} of most rows", True
    )
    return *result[:3], [*_ambiguous(table, name, shape, rivals), *_zoned(table, shape), *result[3]]


def guess(text: pl.Series) -> tuple[str, list[str]]:
    """The format that reads most of a sample, and others that read as many."""
    step = max(len(text) // SAMPLE, 1)
    sample = text.gather_every(step)
    read = {shape: len(sample) - _parse(sample, shape).null_count() for shape in FORMATS}
    most = max(read.values())
    best = [shape for shape in FORMATS if read[shape] == most]
    return best[0], best[1:]


def _parse(text: pl.Series, shape: str) -> pl.Series:
    parsed = text.str.to_datetime(shape, strict=False, time_unit="us")
    return parsed.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if "z" in shape else parsed


def _compact_dates(numbers: pl.Series) -> bool:
    """20240131: eight digits, all in a plausible range."""
    return bool(numbers.is_between(19_000_101, 21_001_231).all())


def _temporal(table: Table, name: str, column: pl.Series) -> tuple[np.ndarray, np.ndarray, bool, list[Finding]]:
    found = []
    zone = getattr(column.dtype, "time_zone", None)
    if zone:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        found.append(Finding("note", f"{table.source}: times of zone {zone} are counted and shown in UTC", column=name))
    times = column.cast(pl.Datetime("us")).dt.epoch("us")
    result = _finished(table, name, column, times, times.is_null(), "dates", True)
    return *result[:3], found + result[3]


def _finished(
    table: Table, name: str, column: pl.Series, times: pl.Series, bad: pl.Series, guessed: str, dates: bool
) -> tuple[np.ndarray, np.ndarray, bool, list[Finding]]:
    """The numbers, and an error that names the first rows that could not be read."""
    rows = bad.arg_true().to_list()
    found = []
    if rows:
        row, more = rows[0], f" ({len(rows)} such rows)" if len(rows) > 1 else ""
        value = "an empty cell" if column[row] is None else repr(column[row])
        message = f"{table.where(row)}, column {name!r}: {value} does not read as {guessed}{more}; "
        found.append(Finding("error", message + "correct it or leave the row out", row, name))
    return times.fill_null(0).to_numpy(), ~bad.to_numpy(), dates, found


def _ambiguous(table: Table, name: str, shape: str, rivals: list[str]) -> list[Finding]:
    if shape.startswith("%m/%d") and any(rival.startswith("%d/%m") for rival in rivals):
        message = f"{table.source}, column {name!r}: read as month/day/year, but day/month/year would fit too; "
        return [Finding("warning", message + "write dates as 2024-01-31 if that is wrong", column=name)]
    return []


def _zoned(table: Table, shape: str) -> list[Finding]:
    return (
        [Finding("note", f"{table.source}: times with an offset are counted and shown in UTC")] if "z" in shape else []
    )


def as_times(times: np.ndarray, dates: bool) -> pl.Series:
    """Whole numbers as a column of dates, or as they are."""
    return pl.Series("time", times, pl.Int64).cast(pl.Datetime("us") if dates else pl.Int64)


def shown_time(time: int, dates: bool) -> Any:
    """A time as JSON: an ISO date (with the hour where there is one), or the number."""
    if not dates:
        return int(time)
    text = np.datetime64(int(time), "us").astype("datetime64[us]").item().isoformat(sep=" ")
    return text.removesuffix(" 00:00:00")
