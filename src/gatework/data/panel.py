"""A table of dates and numbers -> series on a regular grid, with every fault named by row.

Long tables have a row per series and time; wide tables a column per series.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from gatework.data.dates import read_times
from gatework.data.finding import Finding, refuse
from gatework.data.frequency import Frequency, infer
from gatework.data.readers import read_table
from gatework.data.table import Table, listed
from gatework.errors import DataError, OptionError

MOST_POINTS = 50_000_000  # on the grid; a wrong step or one wrong date would ask for more than memory holds


@dataclass(frozen=True)
class Panel:
    """Series one after another: series s is `values[offsets[s]:offsets[s + 1]]`, from `starts[s]` on, NaN = missing.

    `dates` says whether times are microseconds since 1970 (else plain numbers); `columns` were time, target, series.
    """

    names: tuple[str, ...]
    values: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    frequency: Frequency
    dates: bool
    columns: tuple[str, tuple[str, ...], str | None] = ("time", ("value",), "series")
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def series(self, number: int) -> np.ndarray:
        """The values of one series."""
        return self.values[self.offsets[number] : self.offsets[number + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.series(number) for number in range(len(self)))

    def times(self, number: int, steps: np.ndarray) -> np.ndarray:
        """The times of some steps of a series; they may lie past its end."""
        steps = np.asarray(steps, np.int64)
        return self.frequency.times(np.full(len(steps), self.starts[number]), steps)

    def with_series(self, parts: Sequence[np.ndarray], starts: np.ndarray | None = None) -> Panel:
        """The same names and step with other values."""
        offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        values = np.concatenate([np.zeros(0), *parts])
        return replace(self, values=values, offsets=offsets, starts=self.starts if starts is None else starts)

    def without_last(self, steps: int) -> Panel:
        """Each series without its last steps."""
        return self.with_series([part[: max(len(part) - steps, 0)] for part in self])

    def frame(self) -> pl.DataFrame:
        """As a long table: series, time, value."""
        owners = np.repeat(np.arange(len(self)), self.lengths)
        steps = np.arange(len(self.values)) - self.offsets[owners]
        times = as_times(self.frequency.times(self.starts[owners], steps), self.dates)
        names = pl.Series("series", list(self.names), pl.String).gather(owners)
        return pl.DataFrame({"series": names, "time": times, "value": self.values})

    def followed_by(self, later: Panel) -> tuple[Panel, np.ndarray]:
        """The series of `later` with what this panel knows before (or between) them, and where this panel ended.

        A series that is not in this panel stands as it is, its end at 0.
        """
        parts, starts, ends = [], later.starts.copy(), np.zeros(len(later), np.int64)
        numbers = {name: number for number, name in enumerate(self.names)}
        for place, name in enumerate(later.names):
            part = later.series(place)
            if name in numbers:
                part, starts[place], ends[place] = self._joined(numbers[name], later, place)
            parts.append(part)
        return later.with_series(parts, starts), ends

    def _joined(self, number: int, later: Panel, place: int) -> tuple[np.ndarray, int, int]:
        old, new = self.series(number), later.series(place)
        start, other = self.starts[number : number + 1], later.starts[place : place + 1]
        first = min(int(start[0]), int(other[0]))
        (at,), (exact,) = self.frequency.steps(np.array([first]), start)
        (then,), (fits,) = self.frequency.steps(np.array([first]), other)
        if not (exact and fits):
            time = shown_time(int(other[0]), self.dates)
            raise DataError(
                f"series {self.names[number]!r} goes on at {time}, which is not on its grid of {self.frequency}"
            )
        values = np.full(max(at + len(old), then + len(new)), np.nan)
        values[at : at + len(old)] = old
        values[then : then + len(new)] = np.where(np.isnan(new), values[then : then + len(new)], new)
        return values, first, at + len(old)


def as_times(times: np.ndarray, dates: bool) -> pl.Series:
    """Whole numbers as a column of dates, or as they are."""
    return pl.Series("time", times, pl.Int64).cast(pl.Datetime("us") if dates else pl.Int64)


def shown_time(time: int, dates: bool) -> Any:
    """A time as JSON: an ISO date (with the hour where there is one), or the number."""
    if not dates:
        return int(time)
    text = np.datetime64(int(time), "us").astype("datetime64[us]").item().isoformat(sep=" ")
    return text.removesuffix(" 00:00:00")


def read_panel(
    source: Any, *, time: str | None = None, target: Sequence[str] = (), series: str | None = None,
    frequency: str | None = None, **reading: Any,
) -> Panel:  # fmt: skip
    """Series from a file or frame; raises one DataError that names every fault.

    Example: `read_panel({"month": ["2024-01", "2024-02"], "units": [3.0, 4.0]}).values` is `[3.0, 4.0]`.

    Args: columns (found by type where not named), the step if it shall not be inferred, and options of `read_table`.
    """
    panel, found = inspect_panel(source, time=time, target=target, series=series, frequency=frequency, **reading)
    refuse(found)
    assert panel is not None
    return replace(panel, notes=tuple(finding.message for finding in found if finding.level != "error"))


def inspect_panel(
    source: Any, *, time: str | None = None, target: Sequence[str] = (), series: str | None = None,
    frequency: str | None = None, **reading: Any,
) -> tuple[Panel | None, list[Finding]]:  # fmt: skip
    """The panel (None where a fault forbids it) and every finding; see `read_panel`."""
    table = read_table(source, **reading)
    time, targets, series = find_columns(table, time, target, series)
    chosen = f"time is {time!r}, target is {listed(targets)}" + (f", series is {series!r}" if series else "")
    times, dates, found = read_times(table, time)
    found = [Finding("note", f"{table.source}: {len(table):,} rows; {chosen}"), *found]
    if any(finding.level == "error" for finding in found):
        return None, found
    names, owners = _owners(table, series, targets)
    rows = np.tile(np.arange(len(table)), len(targets))
    values = np.concatenate([table.numbers(name).to_numpy() for name in targets])
    found += _infinite(table, values, rows, targets)
    panel, more = _grid(table, names, owners, np.tile(times, len(targets)), rows, values, dates, frequency)
    return panel and replace(panel, columns=(time, tuple(targets), series)), found + more


def find_columns(
    table: Table, time: str | None, target: Sequence[str], series: str | None
) -> tuple[str, list[str], str | None]:
    """The columns by name, those not named by what they hold: the first that reads as times, and all numbers."""
    for name in (time, series, *target):
        if name is not None:
            table.column(name)
    taken = {series, *target}
    time = time or next((name for name in table.columns if name not in taken and _reads_as_times(table, name)), None)
    if time is None:
        raise DataError(f"{table.source} has no column of dates (it has {listed(table.columns)}); name it: time=COLUMN")
    targets = list(target) or [
        name for name in table.columns if name not in (time, series) and _is_numeric(table, name)
    ]
    if not targets:
        raise DataError(f"{table.source} has no column of numbers beside {time!r}; name it: target=COLUMN")
    if series is not None and len(targets) > 1:
        raise OptionError(
            f"with series={series!r} the target is one column, not {listed(targets)}; name it: target=COLUMN"
        )
    return time, targets, series


def _reads_as_times(table: Table, name: str) -> bool:
    column = table.column(name)
    if column.dtype.is_temporal():
        return True
    if column.dtype != pl.String or _is_numeric(table, name):
        return False
    return bool(column.head(20).str.contains(r"\d{4}.?\d{2}|\d{1,2}[./]\d{1,2}[./]\d{2,4}").any())


def _is_numeric(table: Table, name: str) -> bool:
    column = table.column(name).head(1000)
    if column.dtype != pl.String:
        return column.dtype.is_numeric()
    filled = column.str.strip_chars().replace("", None).drop_nulls()
    return len(filled) > 0 and filled.cast(pl.Float64, strict=False).null_count() <= len(filled) // 10


def _owners(table: Table, series: str | None, targets: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Names, and the number of the series that each value belongs to."""
    if series is None:
        return tuple(targets), np.repeat(np.arange(len(targets)), len(table))
    labels = table.strings(series).fill_null("")
    names = labels.unique(maintain_order=True)
    return tuple(names.to_list()), labels.replace_strict(names, np.arange(len(names)), return_dtype=pl.Int64).to_numpy()


def _infinite(table: Table, values: np.ndarray, rows: np.ndarray, targets: list[str]) -> list[Finding]:
    bad = np.flatnonzero(np.isinf(values))
    if not len(bad):
        return []
    row, name = int(rows[bad[0]]), targets[int(bad[0]) // len(table)]
    message = f"{table.where(row)}, column {name!r}: {values[bad[0]]} is infinite ({len(bad)} such values); "
    return [Finding("error", message + "leave it empty if the value is missing", row, name)]


def _grid(
    table: Table, names: tuple[str, ...], owners: np.ndarray, times: np.ndarray, rows: np.ndarray, values: np.ndarray,
    dates: bool, frequency: str | None,
) -> tuple[Panel | None, list[Finding]]:  # fmt: skip
    """Sorts by series and time, finds the step, and lays every value on its place."""
    found = _unordered(table, owners, times, rows)
    order = np.lexsort((times, owners))
    owners, times, rows, values = owners[order], times[order], rows[order], values[order]
    same = np.diff(owners) == 0
    twice = np.flatnonzero(same & (np.diff(times) == 0))
    if len(twice):
        return None, [*found, _twice(table, names, owners, times, rows, twice, dates)]
    step = Frequency.parse(frequency) if frequency else infer(times, owners, dates)
    firsts = np.flatnonzero(np.concatenate([[True], ~same]))
    starts = times[firsts]
    if (step.kind == "number") == dates:
        raise OptionError(f"frequency {step} does not fit {'dates' if dates else 'times that are plain numbers'}")
    places, exact = step.steps(starts[owners], times)
    found += _mixed(table, names, owners, rows, places, exact, step, frequency is None)
    if any(finding.level == "error" for finding in found):
        return None, found
    lasts = np.append(firsts[1:], len(times)) - 1
    offsets = np.concatenate([[0], np.cumsum(places[lasts] + 1)])
    if offsets[-1] > max(MOST_POINTS, 4 * len(values)):
        message = (
            f"{table.source}: {offsets[-1]:,} steps of {step} between first and last times, but {len(values):,} rows"
        )
        return None, [*found, Finding("error", f"{message}; correct the dates, or give frequency=")]
    grid = np.full(offsets[-1], np.nan)
    grid[offsets[owners] + places] = values
    panel = Panel(names, grid, offsets, starts, step, dates)
    return panel, [*found, *_described(table, panel, len(values), frequency)]


def _unordered(table: Table, owners: np.ndarray, times: np.ndarray, rows: np.ndarray) -> list[Finding]:
    order = np.argsort(owners, kind="stable")
    back = np.flatnonzero((np.diff(owners[order]) == 0) & (np.diff(times[order]) < 0))
    if not len(back):
        return []
    row = int(rows[order][back[0] + 1])
    message = (
        f"{table.where(row)}: earlier than the row before it ({len(back)} such rows); the rows were sorted by time"
    )
    return [Finding("warning", message, row)]


def _twice(
    table: Table, names: tuple[str, ...], owners: np.ndarray, times: np.ndarray, rows: np.ndarray, twice: np.ndarray,
    dates: bool,
) -> Finding:  # fmt: skip
    at = int(twice[0])
    first, second = sorted((int(rows[at]), int(rows[at + 1])))
    hint = "keep one of them, or sum them" if len(names) > 1 else "keep one of them, or name the column series=COLUMN"
    message = (
        f"{table.where(second)}: time {shown_time(times[at], dates)} of series {names[owners[at]]!r} stands also in "
        f"{table.place(first)} ({len(twice)} such rows); {hint}; local times that repeat when clocks go back need an "
        "offset such as +01:00"
    )
    return Finding("error", message, second)


def _mixed(
    table: Table, names: tuple[str, ...], owners: np.ndarray, rows: np.ndarray, places: np.ndarray, exact: np.ndarray,
    step: Frequency, inferred: bool,
) -> list[Finding]:  # fmt: skip
    """Rows off the grid, rows that share a place on it, and series with a longer step than the others."""
    how = "found" if inferred else "given"
    same = np.diff(owners) == 0
    off = np.flatnonzero(~exact | np.concatenate([[False], same & (np.diff(places) == 0)]))
    found = []
    if len(off):
        row = int(rows[off[0]])
        message = f"{table.where(row)}: not a whole number of steps of {step} ({how}) after the start of series "
        message += f"{names[owners[off[0]]]!r} ({len(off)} such rows): mixed frequencies; bring all rows to one step"
        found.append(Finding("error", message, row))
    gaps = np.where(same, np.diff(places), np.iinfo(np.int64).max)
    smallest = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(smallest, owners[1:], gaps)
    slow = np.flatnonzero((smallest > 1) & (np.bincount(owners, minlength=len(names)) > 2))
    if len(slow) and not len(off):
        which = listed([names[number] for number in slow], 5)
        message = f"{table.source}: steps of {step} ({how}), but of {smallest[slow[0]]} such steps or more in {which}"
        found.append(Finding("error", f"{message}: mixed frequencies; train them apart, or bring them to one step"))
    return found


def _described(table: Table, panel: Panel, rows: int, given: str | None) -> list[Finding]:
    """What was found: the step, gaps, missing values, constant series."""
    how = "given" if given else "inferred"
    name = table.source
    found = [Finding("note", f"{name}: {len(panel):,} series, a point each {panel.frequency} ({how})")]
    gaps, missing = len(panel.values) - rows, int(np.isnan(panel.values).sum())
    if missing:
        message = f"{name}: {missing:,} missing values ({gaps:,} of them gaps in time); the model sees them as missing"
        found.append(Finding("warning", message))
    constant = [panel.names[number] for number, part in enumerate(panel) if _constant(part)]
    if constant:
        message = f"{name}: {len(constant):,} series with no or only one value: {listed(constant, 5)}"
        found.append(Finding("warning", f"{message}; scaled errors (MASE) leave them out"))
    return found


def _constant(values: np.ndarray) -> bool:
    there = values[~np.isnan(values)]
    return len(there) == 0 or bool((there == there[0]).all())
