"""A table of dates and numbers -> series on a regular grid, with every fault named by row.

Long tables have a row per series and time; wide tables a column per series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
import polars as pl

from gatework.data.covariates import LARGEST, encode, identified, infinite, missing, static_of, too_many
from gatework.data.dates import Dated, Times, read_times
from gatework.data.finding import Finding, refuse
from gatework.data.grid import Grid, Rows, largest_gap, lay
from gatework.data.numerals import read_numbers, thousands_or_not
from gatework.data.readers import Reading, read_table
from gatework.data.roles import filled_rows, find_columns, refuse_two_roles, unindexed, whole_names, with_targets
from gatework.data.table import Table, listed
from gatework.data.timeparts import parts_of, read_parts, read_rows, rounded
from gatework.errors import DataError
from gatework.runtime.series.covariates import Channel, Covariates
from gatework.runtime.series.frequency import Frequency
from gatework.runtime.series.monthdays import MonthDay
from gatework.runtime.series.panel import ROWS, Panel

UNNAMED = "(no name)"  # the series of rows whose cell of the series column is empty


def read_panel(source: object, **options: Any) -> Panel:
    """Series from a file or frame; raises one DataError that names every fault.

    Example: `read_panel({"month": ["2024-01", "2024-02"], "units": [3.0, 4.0]}).values` is `[3.0, 4.0]`.

    Args: see `inspect_panel`.
    """
    panel, found = inspect_panel(source, **options)
    refuse(found)
    assert panel is not None
    return replace(panel, notes=tuple(finding.message for finding in found if finding.level != "error"))


def inspect_panel(
    source: object,
    *,
    time: str | None = None,
    target: Sequence[str] = (),
    series: str | None = None,
    frequency: str | Frequency | None = None,
    covariates: Mapping[str, Sequence[str]] | None = None,
    channels: Sequence[Channel] | None = None,
    date_format: str | None = None,
    zone: str | None = None,
    round: str | None = None,
    bad_series: str = "refuse",
    identity: bool = False,
    **reading: Unpack[Reading],
) -> tuple[Panel | None, list[Finding]]:
    """The panel (None where nothing can be laid on a grid; unreliable if any finding is an error) and every finding.

    Args: columns (found by type where not named; several of one time with commas between); the step, if it is not to be
    inferred, as text or as that of a run whose later rows these are; names of covariates by their role (past, future,
    static) and the channels of a training that made them; the format and zone of dates; the step that times are rounded
    to; whether series with faults are refused, or left out ("skip"); whether the name of a series is one more static
    column; options of `read_table`.
    """
    table, found = filled_rows(read_table(unindexed(source, time), **reading))
    if not len(table):
        raise DataError(f"{table.source} has no rows")
    covariates = {role: whole_names(names, table.columns) for role, names in (covariates or {}).items()}
    target = whole_names(target, table.columns)
    ahead = bool(covariates.get("future"))
    if ahead and channels is not None:
        table = with_targets(table, target)
    others = [name for names in covariates.values() for name in names]
    refuse_two_roles({"time": [time], "series": [series], "target": target, **covariates})
    named, counted = target, time == ROWS
    time, targets, series = find_columns(table, time, target, series, others)
    step = Frequency.parse(frequency) if isinstance(frequency, str) else frequency
    how = Dated(date_format, zone, step, isinstance(frequency, Frequency), series)
    asked = _Asked(time, tuple(targets), how, round, covariates, channels, identity, (time, *named, *others), counted)
    found += _chosen(table, asked)
    panel, faults = _read(table, asked)
    while bad_series == "skip" and (broken := {name for each in _errors(faults) for name in each.series}):
        table, asked = _without(table, asked, broken)
        if not len(table) or not asked.targets:
            break
        found += [_left_out(each) for each in _errors(faults) if each.series]
        panel, faults = _read(table, asked)
    return panel, [*found, *faults]


@dataclass(frozen=True)
class _Asked:
    """What is read of a table: columns by their role, how times are read, and what a training knows of covariates;
    `taken` are the columns that were named, and `counted` says that rows shall be steps."""

    time: str
    targets: tuple[str, ...]
    how: Dated
    round: str | None
    covariates: Mapping[str, Sequence[str]]
    channels: Sequence[Channel] | None
    identity: bool
    taken: tuple[str, ...]
    counted: bool


def _read(table: Table, asked: _Asked) -> tuple[Panel | None, list[Finding]]:
    """The panel of a table, and every finding but which columns were chosen."""
    series, targets, step, channels = asked.how.series, list(asked.targets), asked.how.step, asked.channels
    names, owners, found = _owners(table, series, targets)
    table, times = _times(table, asked, owners[: len(table)] if series else np.zeros(len(table), np.int64))
    times = rounded(times, asked.round, table.source)
    values, odd = _values(table, targets, series)
    rows = np.tile(np.arange(len(table)), len(targets))
    taken = (*asked.taken, *filter(None, [series]))
    data = Rows(table, names, times.dates, owners, np.tile(times.times, len(targets)), rows, values, taken)
    grid, faults = lay(data.only(np.tile(times.good, len(targets))), step)
    undated = data.series(np.flatnonzero(~times.good)) if series else ()
    found += [replace(each, series=undated) if each.level == "error" else each for each in times.found]
    found += [*odd, *faults]
    more, beside = _beside(table, asked.covariates, channels, grid, bool(np.isnan(values).all()))
    found += more
    if grid is None:
        return None, found
    if asked.identity:
        found += too_many(table.source, names) if channels is None else []
        beside = identified(beside, names, grid.offsets, channels)
    columns = (asked.time, tuple(targets), series)
    whole = Panel(names, grid.values, grid.offsets, grid.starts, grid.step, times.dates, columns, times.shape)
    firsts, ends = whole.known()
    firsts = firsts if channels is None else 0 * firsts  # later rows: what they say about the time before counts too
    panel = replace(whole, covariates=beside, clock=times.clock, zone=times.zone).between(firsts, ends)
    filled = _rows_between(whole, grid, firsts, ends)
    if np.isnan(values).all() and _errors(odd):
        return panel, found  # that it is constant, and too short, follows from that
    ahead = bool(asked.covariates.get("future"))
    return panel, [*found, *_described(data, panel, filled, grid, step), *_beyond(whole, grid, ends, ahead)]


def _errors(found: Sequence[Finding]) -> list[Finding]:
    return [each for each in found if each.level == "error"]


def _without(table: Table, asked: _Asked, broken: set[str]) -> tuple[Table, _Asked]:
    """A table without the rows, or the columns, of some series."""
    if asked.how.series is None:
        return table, replace(asked, targets=tuple(name for name in asked.targets if name not in broken))
    names, owners, _ = _owners(table, asked.how.series, list(asked.targets))
    return table.take(np.flatnonzero(~np.isin(owners, [s for s, name in enumerate(names) if name in broken]))), asked


def _left_out(fault: Finding) -> Finding:
    """A warning in place of an error that some series are left out for."""
    message = f"{len(fault.series):,} series left out ({listed(list(fault.series), 5)}): {fault.message}"
    return replace(fault, level="warning", message=message)


def _chosen(table: Table, asked: _Asked) -> list[Finding]:
    """A note of which columns are what."""
    time, targets, series = asked.time, asked.targets, asked.how.series
    chosen = f"time is {time!r}, target is {listed(list(targets))}" + (f", series is {series!r}" if series else "")
    if left := [name for name in table.columns if _counts(table, name) and name not in {time, series, *targets}]:
        chosen += f"; {' and '.join(map(repr, left))} {'number' if len(left) > 1 else 'numbers'} the rows and "
        chosen += "are left out" if len(left) > 1 else "is left out"
    return [Finding("note", f"{table.source}: {len(table):,} rows; {chosen}")]


def _counts(table: Table, name: str) -> bool:
    return name == table.counter or table.counts(name)


def _times(table: Table, asked: _Asked, owners: np.ndarray) -> tuple[Table, Times]:
    """The times of a column, of several, or of none; and the table, which then has a column of them."""
    time, how = asked.time, asked.how
    parts = parts_of(time, table.columns)
    if time == ROWS and ROWS not in table.columns:
        return table, read_rows(table, owners, asked.counted)
    return read_parts(table, parts, how) if len(parts) > 1 else (table, read_times(table, time, how))


def _rows_between(whole: Panel, grid: Grid, firsts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Which rows of a grid's data stand between two steps of their series."""
    owners = grid.data.owners
    steps = grid.places - whole.offsets[owners]
    return (firsts[owners] <= steps) & (steps < ends[owners])


def _beyond(whole: Panel, grid: Grid, ends: np.ndarray, ahead: bool) -> list[Finding]:
    """A note of rows after their series' last value, where they are not there to say what is known ahead."""
    after = grid.places - whole.offsets[grid.data.owners] >= ends[grid.data.owners]
    numbers = np.unique(grid.data.owners[after & (ends[grid.data.owners] > 0)])
    if ahead or not len(numbers):
        return []
    named = listed([whole.names[number] for number in numbers], 5)
    message = f"{grid.data.table.source}: {len(numbers):,} series end before the table does, their last rows have no "
    return [Finding("note", f"{message}value: {named}; each is forecast from its own last value on")]


def _owners(table: Table, series: str | None, targets: list[str]) -> tuple[tuple[str, ...], np.ndarray, list[Finding]]:
    """Names, the number of the series that each value belongs to, and a warning of rows without a name."""
    if series is None:
        return tuple(targets), np.repeat(np.arange(len(targets)), len(table)), []
    labels = table.strings(series)
    bare = (labels.is_null() | (labels.str.strip_chars() == "")).arg_true().to_list()
    found = []
    if bare:
        message = f"{table.where(bare[0])}, column {series!r}: empty ({len(bare)} such rows); these rows make the "
        found.append(Finding("warning", message + f"series {UNNAMED!r}: fill in the name", bare[0], series))
    labels = _labels(table, series)
    names = labels.unique(maintain_order=True)
    numbers = labels.replace_strict(names, np.arange(len(names)), return_dtype=pl.Int64).to_numpy()
    return tuple(names.to_list()), numbers, found


def _values(table: Table, targets: list[str], series: str | None) -> tuple[np.ndarray, list[Finding]]:
    """All targets one after another; what is no number, or infinite, is an error."""
    parts, found = [], []
    for name in targets:
        column = table.column(name)
        try:
            values = table.numbers(name).to_numpy()
            faults = _read_as(table, name)
        except DataError as error:
            values = column.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
            bad = read_numbers(column, table.format.get("delimiter")).bad.to_numpy()
            faults = [Finding("error", str(error), column=name, series=_named(table, name, series, bad))]
        large = infinite(table, name, values)
        owners = _named(table, name, series, np.abs(values) > LARGEST) if large else ()
        found += [*faults, *(replace(each, series=owners) for each in large)]
        parts.append(np.where(np.isinf(values), np.nan, values))
    return np.concatenate(parts), found


def _named(table: Table, target: str, series: str | None, rows: np.ndarray) -> tuple[str, ...]:
    """The names of the series that some rows of a target belong to."""
    return (target,) if series is None else tuple(_labels(table, series).filter(pl.Series(rows)).unique().to_list())


def _labels(table: Table, series: str) -> pl.Series:
    return table.strings(series).str.strip_chars().replace("", None).fill_null(UNNAMED)


def _read_as(table: Table, name: str) -> list[Finding]:
    """A note of numbers that are not written plainly, a warning where they may mean something else."""
    column = table.column(name)
    if column.dtype != pl.String:
        return []
    note = read_numbers(column, table.format.get("delimiter")).note
    if note:
        return [Finding("note", f"{table.source}, column {name!r}: {note}, and the others alike", column=name)]
    cell = thousands_or_not(column) if table.format.get("delimiter") == ";" else None
    if cell is None:
        return []
    message = f"{table.source}, column {name!r}: {cell!r} is read as {float(cell):g}; if the point separates thousands"
    return [Finding("warning", f"{message}, write the numbers without it", column=name)]


def _beside(
    table: Table,
    columns: Mapping[str, Sequence[str]],
    known: Sequence[Channel] | None,
    grid: Grid | None,
    lacking: bool,
) -> tuple[list[Finding], Covariates | None]:
    """The covariates on the grid; `lacking`: there is no target, so what is known up to now may be absent."""
    if not any(columns.values()):
        return [], None
    channels, values, found = encode(table, columns, known, lacking)
    if grid is None:
        return found, None
    moving = [c for c, channel in enumerate(channels) if channel.role != "static"]
    fixed = [c for c, channel in enumerate(channels) if channel.role == "static"]
    laid = np.full((grid.offsets[-1], len(moving)), np.nan)
    laid[grid.places] = values[grid.data.rows][:, moving]
    static, more = static_of(grid.data, [channels[c] for c in fixed], values[:, fixed])
    more += missing(grid.data, channels, values, known is None)
    return found + more, Covariates(tuple(channels[c] for c in moving + fixed), laid, grid.offsets, static)


def _described(data: Rows, panel: Panel, inside: np.ndarray, grid: Grid, given: Frequency | None) -> list[Finding]:
    """What was found: the step, gaps, missing values, constant series; `inside` are the rows of `grid` that count."""
    how = "given" if given else "inferred"
    name = data.table.source
    day, days = panel.frequency.day, panel.frequency.days
    named = [each.words for each in days] or ([] if day is None or day == MonthDay(1) else [day.words])
    on = f" on {' and '.join(named)}" if named else ""
    found = [Finding("note", f"{name}: {len(panel):,} series, a point each {panel.frequency}{on} ({how})")]
    absent = int(np.isnan(panel.values).sum())
    if absent:
        empty = grid.data.rows[inside & np.isnan(grid.data.values)]
        gaps = absent - len(empty)
        message = f"{name}: {absent:,} missing value{'s' * (absent > 1)} ({gaps:,} of them gaps in time)"
        message += f", the first in {data.table.place(int(empty.min()))}" if len(empty) else ""
        found.append(Finding("warning", message + "; the model sees them as missing"))
        found += largest_gap(grid)
    constant = [panel.names[number] for number, part in enumerate(panel) if _constant(part)]
    if constant:
        message = f"{name}: {len(constant):,} series with no or only one value: {listed(constant, 5)}"
        found.append(Finding("warning", f"{message}; scaled errors (MASE) leave them out"))
    return found


def _constant(values: np.ndarray) -> bool:
    there = values[~np.isnan(values)]
    return len(there) == 0 or bool((there == there[0]).all())
