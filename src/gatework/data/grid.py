"""Rows of series sorted and laid on a grid of equal steps; what does not fit is named by row."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from gatework.data.datenumbers import whole
from gatework.data.dates import reads_as_times
from gatework.data.finding import Finding
from gatework.data.table import Table, listed
from gatework.data.timeparts import by_size, kind_of, rounding
from gatework.errors import OptionError
from gatework.runtime.series.frequency import WEEK, Frequency, infer
from gatework.runtime.series.panel import ROWS, shown_time

SPARSE = 10  # points for each row: with more, a step that is rare between rows is none
COMMON = 0.2  # the share of steps between rows that the commonest one must be
MOST_NAMES = 5  # rows that each number must have, on average, if it names series
MOST_STAMPS = 3  # that a warning shows
MOST_POINTS = 50_000_000  # on the grid; a wrong step or one wrong date would ask for more than memory holds


@dataclass(frozen=True)
class Rows:
    """A value each: the series it belongs to (a number into `names`), its time, and its row of the table."""

    table: Table
    names: tuple[str, ...]
    dates: bool
    owners: np.ndarray
    times: np.ndarray
    rows: np.ndarray
    values: np.ndarray
    taken: tuple[str, ...] = ()  # columns whose role is known, the first that of the time

    def only(self, which: np.ndarray) -> Rows:
        """Some of them, by a mask or an order."""
        if which.dtype == bool and which.all():
            return self
        return replace(self, **{name: getattr(self, name)[which] for name in ("owners", "times", "rows", "values")})

    def sorted(self) -> Rows:
        """By series, then time."""
        return self.only(np.lexsort((self.times, self.owners)))

    def series(self, at: np.ndarray) -> tuple[str, ...]:
        """The names of the series that some values belong to."""
        return tuple(self.names[number] for number in np.unique(self.owners[at]))

    @property
    def same(self) -> np.ndarray:
        """[n - 1] whether a value belongs to the series of the value before it."""
        return np.diff(self.owners) == 0


@dataclass(frozen=True)
class Grid:
    """Series s is `values[offsets[s]:offsets[s + 1]]`, from `starts[s]` on; the rows of `data` stand at `places`."""

    values: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    step: Frequency
    data: Rows
    places: np.ndarray


def lay(data: Rows, given: Frequency | None) -> tuple[Grid | None, list[Finding]]:
    """Sorts by series and time, finds the step, and lays every value on its place; None where a fault forbids it."""
    found = unordered(data)
    data = data.sorted()
    found += repeated(data)
    if found and found[-1].level == "error":
        data = data.only(np.concatenate([[True], ~(data.same & (np.diff(data.times) == 0))]))
    if not len(data.rows):
        return None, found
    step = (given or infer(data.times, data.owners, data.dates)).on_days_of(data.times, data.owners)
    how = "given" if given else "found"
    if (step.kind == "number") == data.dates:
        kind = "dates" if data.dates else "times that are plain numbers"
        raise OptionError(f"frequency {step} does not fit {kind}")
    firsts = np.flatnonzero(np.concatenate([[True], ~data.same]))
    starts, lasts = _per_series(data, firsts)
    steps, exact = step.steps(starts[data.owners], data.times)
    lengths = np.zeros(len(data.names), np.int64)
    lengths[data.owners[lasts]] = steps[lasts] + 1
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    faults = [] if given else irregular(data, step, bool(exact.all()), int(offsets[-1]))
    faults = faults or [*off_grid(data, steps, exact, step, how), *too_long(data, int(offsets[-1]), step)]
    found += faults or slower(data, steps, step, how)
    found += off_days(data, step.times(starts[data.owners], steps), step)
    if faults or not exact.all() or _shared(data, steps).any():
        return None, found
    places = offsets[data.owners] + steps
    values = np.full(offsets[-1], np.nan)
    values[places] = data.values
    return Grid(values, offsets, starts, step, data, places), found


def _per_series(data: Rows, firsts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first time of each series (0 for one without a row), and the last row of each."""
    starts = np.zeros(len(data.names), np.int64)
    starts[data.owners[firsts]] = data.times[firsts]
    return starts, np.append(firsts[1:], len(data.times)) - 1


def too_long(data: Rows, points: int, step: Frequency) -> list[Finding]:
    """An error where a wrong date or step would ask for far more points than there are rows."""
    if points <= max(MOST_POINTS, 4 * len(data.rows)):
        return []
    message = f"{data.table.source}: {points:,} steps of {step} between first and last times, but {len(data.rows):,} "
    return [Finding("error", message + "rows; correct the dates, or give frequency=")]


def irregular(data: Rows, step: Frequency, exact: bool, points: int) -> list[Finding]:
    """An error where hardly any rows are as far apart as the step that was found: there is none."""
    gaps = np.diff(data.times)[data.same]
    if step.kind in ("month", "parts") or not len(gaps) or (exact and points <= SPARSE * len(data.rows)):
        return []
    share = float(np.unique(gaps, return_counts=True)[1].max()) / len(gaps)
    if share >= COMMON:
        return []
    message = f"{data.table.source}: rows are irregular: the commonest step between them, {step}, is {share:.1%} of all"
    return [Finding("error", f"{message}; {_to_one_step(data)}")]


def _to_one_step(data: Rows) -> str:
    """What to do about times that are off the grid."""
    gaps = np.unique(np.diff(data.times)[data.same])
    if data.dates and set(gaps.tolist()) == {4 * WEEK, 5 * WEEK}:
        return (
            "they stand 4 and 5 weeks apart, as the periods of a retail year do: number the periods (1, 2, 3, ...) in "
            "a column and name it, time=COLUMN season=12"
        )
    to = rounding(data.times, data.owners) if data.dates else None
    if to:
        return f"if they jitter, round={to} brings them to one step"
    return f"bring all rows to one step, or, where none is missing, count them: time={ROWS}"


def unordered(data: Rows) -> list[Finding]:
    """A warning where a row is earlier than the one before it."""
    order = np.argsort(data.owners, kind="stable")
    back = np.flatnonzero((np.diff(data.owners[order]) == 0) & (np.diff(data.times[order]) < 0))
    if not len(back):
        return []
    row = int(data.rows[order][back[0] + 1])
    message = f"{data.table.where(row)}: earlier than the row before it ({len(back)} such rows); "
    return [Finding("warning", message + "the rows were sorted by time", row)]


def repeated(data: Rows) -> list[Finding]:
    """An error where two rows of a series have the same time; the rows are sorted."""
    twice = np.flatnonzero(data.same & (np.diff(data.times) == 0))
    if not len(twice):
        return []
    at = int(twice[0])
    first, second = sorted((int(data.rows[at]), int(data.rows[at + 1])))
    hint = f"keep one of them, {_apart(data, first, second) or 'or sum them'}"
    message = (
        f"{data.table.where(second)}: time {shown_time(data.times[at], data.dates)} of series "
        f"{data.names[data.owners[at]]!r} stands also in {data.table.place(first)} ({len(twice)} such rows); {hint}; "
        "local times that repeat when clocks go back need an offset such as +01:00, or zone=Europe/Paris"
    )
    return [Finding("error", message, second, series=data.series(twice))]


def _apart(data: Rows, first: int, second: int) -> str:
    """Which columns could say that two rows of one time differ: in their time of day, or in the series they are of."""
    table = data.table
    free = [name for name in table.columns if name not in data.taken and name != table.counter]
    clocks = by_size([*data.taken[:1], *(name for name in free if kind_of(name))])
    if len(clocks) > 1 and _all_apart(data, clocks[1:]):
        return f"or name the columns that make the time together, time={','.join(clocks)}"
    if not set(data.names) <= set(table.columns):
        return ""
    free = [name for name in free if name not in data.names and _names(table, name)]
    differ = [name for name in free if table.column(name)[first] != table.column(name)[second]]
    alone = next((name for name in [*differ, *free] if _all_apart(data, [name])), None)
    if alone or len(free) < 2 or not _all_apart(data, free):
        name = alone or next(iter(differ), None)
        return f"or name the column of the series, series={name} (they differ in {listed(differ, 3)})" if name else ""
    return f"or join the columns that say the series, {' and '.join(free)}, in one and name it: series=COLUMN"


def _all_apart(data: Rows, names: list[str]) -> bool:
    """Whether no two rows of a series have the same time and the same values of columns."""
    cells = {f"value {k}": data.table.strings(name).gather(data.rows) for k, name in enumerate(names)}
    return not pl.DataFrame({"owner": data.owners, "time": data.times, **cells}).is_duplicated().any()


def _names(table: Table, name: str) -> bool:
    """Whether a column holds names, which recur: texts that are neither numbers nor dates, or whole numbers."""
    column = table.column(name).drop_nulls()
    if (numbers := whole(column)) is not None:
        return MOST_NAMES * numbers.n_unique() <= len(numbers)
    if column.dtype != pl.String or reads_as_times(column, False) or 2 * column.n_unique() > len(column):
        return False
    return column.head(100).cast(pl.Float64, strict=False).null_count() > 0


def off_grid(data: Rows, places: np.ndarray, exact: np.ndarray, step: Frequency, how: str) -> list[Finding]:
    """An error where a row is between two steps, or shares its step with the row before."""
    off = np.flatnonzero(~exact | _shared(data, places))
    if not len(off):
        return []
    row, time = int(data.rows[off[0]]), shown_time(int(data.times[off[0]]), data.dates)
    message = (
        f"{data.table.where(row)}: {time} is not a whole number of steps of {step} ({how}) after the start of series "
        f"{data.names[data.owners[off[0]]]!r} ({len(off)} such rows): mixed frequencies; {_to_one_step(data)}"
    )
    return [Finding("error", message, row, series=data.series(off))]


def off_days(data: Rows, expected: np.ndarray, step: Frequency) -> list[Finding]:
    """A warning of stamps that are not on the day of the month that the step says: it counts months, and would move
    them without a word."""
    if step.kind != "month" or step.day is None:
        return []
    off = np.flatnonzero(data.times != expected)
    if not len(off):
        return []
    rows = [(int(data.rows[at]), shown_time(int(data.times[at]), data.dates)) for at in off[:MOST_STAMPS]]
    stamps = ", ".join(f"{data.table.place_of(row)}: {time}" for row, time in rows)
    stamps += ", ..." if len(off) > len(rows) else ""
    others = ", as the others are" if len(off) < len(data.times) else ""
    message = (
        f"{data.table.source}: {len(off):,} of {len(data.times):,} stamps are not on {step.day.words} of their month"
        f"{others} ({stamps}); each counts as its month, and forecasts are dated on {step.day.words}; if that "
        f"is the wrong day, give the right one: frequency={step.every}mo@15, or @-1 for the last"
    )
    return [Finding("warning", message, rows[0][0])]


def _shared(data: Rows, places: np.ndarray) -> np.ndarray:
    """[n] whether a row stands on the same step as the row before."""
    return np.concatenate([[False], data.same & (np.diff(places) == 0)])


def largest_gap(grid: Grid) -> list[Finding]:
    """A warning of the longest stretch without a row: where it ends, and how long it is."""
    data, gaps = grid.data, np.where(grid.data.same, np.diff(grid.places) - 1, 0)
    if not len(gaps) or not gaps.max():
        return []
    at = int(gaps.argmax()) + 1
    times = [shown_time(data.times[k], data.dates) for k in (at - 1, at)]
    row, name = int(data.rows[at]), data.names[data.owners[at]]
    message = f"{data.table.where(row)}: the longest gap, {gaps.max():,} steps of {grid.step} without a row between "
    message += f"{times[0]} and {times[1]} of series {name!r}"
    wrong = gaps.max() > np.count_nonzero(data.owners == data.owners[at])
    return [Finding("warning", message + ("; longer than all the rest of it: a wrong date?" if wrong else ""), row)]


def slower(data: Rows, places: np.ndarray, step: Frequency, how: str) -> list[Finding]:
    """An error where a series has a longer step than the others, a warning where most of its steps are longer."""
    most = np.iinfo(np.int64).max
    gaps = np.where(data.same, np.diff(places), most)
    smallest = np.full(len(data.names), most)
    np.minimum.at(smallest, data.owners[1:], gaps)
    counts = np.bincount(data.owners, minlength=len(data.names))
    slow = np.flatnonzero((smallest > 1) & (counts > 2))
    if len(slow):
        which = listed([data.names[number] for number in slow], 5)
        message = f"{data.table.source}: steps of {step} ({how}), but {smallest[slow[0]]} such steps or more in {which}"
        message += ": mixed frequencies; train them apart, bring them to one step, or leave them out: bad_series=skip"
        return [Finding("error", message, series=tuple(data.names[number] for number in slow))]
    wide = np.bincount(data.owners[1:], data.same & (gaps > 1), minlength=len(data.names))
    mostly = [data.names[number] for number in np.flatnonzero(wide > counts / 2)]
    message = f"{data.table.source}: most steps are longer than {step} ({how}) in {listed(mostly, 5)}; "
    message += "if their frequency is another one, train them apart, or bring them to one step"
    return [Finding("warning", message)] if mostly else []
