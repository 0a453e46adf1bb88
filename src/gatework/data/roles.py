"""Which columns of a table of series are what: the time, the targets, the series; those not named by what they hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from gatework.data.dates import reads_as_times
from gatework.data.finding import Finding
from gatework.data.numerals import read_numbers
from gatework.data.table import Table, listed
from gatework.data.timeparts import parts_of
from gatework.errors import DataError, OptionError
from gatework.runtime.series.panel import ROWS


def refuse_two_roles(roles: Mapping[str, Sequence[str | None]]) -> None:
    """An error for a column that is named twice."""
    taken: dict[str, str] = {}
    for role, name in [(role, name) for role, names in roles.items() for name in names if name]:
        if name in taken:
            raise OptionError(f"column {name!r} cannot be {taken[name]} and {role}; name it once")
        taken[name] = role


def unindexed(source: Any, time: str | None = None) -> Any:
    """A pandas frame or series whose index is dates as a frame with a column of them; anything else as it is."""
    if not hasattr(source, "iloc"):
        return source
    frame = source if hasattr(source, "columns") else source.to_frame(source.name or "value")
    frame = frame.to_timestamp() if type(frame.index).__name__ == "PeriodIndex" else frame
    periods = [name for name in frame.columns if str(frame[name].dtype).startswith("period")]
    frame = frame.assign(**{name: frame[name].dt.to_timestamp() for name in periods}) if periods else frame
    if type(frame.index).__name__ != "DatetimeIndex":
        return frame
    name = frame.index.name or time or "time"
    return frame if name in frame.columns else frame.rename_axis(name).reset_index()


def filled_rows(table: Table) -> tuple[Table, list[Finding]]:
    """A table without its rows that have no value at all, and a note of them."""
    texts = {name for name, kind in table.frame.schema.items() if kind == pl.String}
    full = [
        pl.col(name).str.strip_chars().fill_null("") != "" if name in texts else pl.col(name).is_not_null()
        for name in table.columns
    ]
    there = table.frame.select(pl.any_horizontal(full)).to_series() if full else pl.Series([], dtype=pl.Boolean)
    if there.all() or not there.any():
        return table, []
    first = table.place_of(there.arg_min() or 0)
    note = f"{table.source}: {int((~there).sum()):,} rows without any value are left out, the first in {first}"
    return table.take(there.arg_true().to_numpy()), [Finding("note", note)]


def with_targets(table: Table, targets: Sequence[str]) -> Table:
    """Rows that only say what is known ahead need no column of the target."""
    absent = [pl.lit(None, pl.Float64).alias(name) for name in targets if name not in table.columns]
    return replace(table, frame=table.frame.with_columns(absent))


def find_columns(
    table: Table, time: str | None, target: Sequence[str], series: str | None, others: Sequence[str] = ()
) -> tuple[str, list[str], str | None]:
    """The columns by name, those not named by what they hold: the first that reads as times, and all other numbers."""
    parts = [] if time is None or time == ROWS else parts_of(time, table.columns)
    for role, name in (*(("time", name) for name in parts), ("series", series), *(("target", name) for name in target)):
        if name is not None:
            table.column(name, role)
    taken = {series, *target, *others, *parts}
    time = time or next((name for name in table.columns if name not in taken and _reads_as_times(table, name)), ROWS)
    free = [name for name in table.columns if name not in {time, table.counter, *taken}]
    targets = list(target) or [name for name in free if _is_numeric(table, name) and not table.counts(name)]
    if not targets:
        beside = "" if time == ROWS else f" beside {time!r}"
        raise DataError(
            f"{table.source} has no column of numbers{beside}{_samples(table, free)}; name it: target=COLUMN"
        )
    if series is not None and len(targets) > 1:
        raise OptionError(
            f"with series={series!r} the target is one column, not {listed(targets)}; name it: target=COLUMN"
        )
    return time, targets, series


def whole_names(names: Sequence[str], columns: Sequence[str]) -> list[str]:
    """The names of columns that hold commas, at which a list of names was divided, made whole again."""
    whole: list[str] = []
    names = list(names)
    while names:
        ends = range(len(names), 1, -1)
        joined = {re.sub(r"\s*,\s*", ",", name): name for name in columns if "," in name}
        end = next((n for n in ends if ",".join(names[:n]) in joined and names[0] not in columns), 1)
        whole.append(joined[",".join(names[:end])] if end > 1 else names[0])
        names = names[end:]
    return whole


def _samples(table: Table, names: Sequence[str]) -> str:
    """What the columns hold instead, by their first values."""
    cells = [(name, table.column(name).drop_nulls().head(1)) for name in names]
    return f" ({listed([f'{name} holds {cell[0]!r}' for name, cell in cells if len(cell)], 4)})" if names else ""


def _reads_as_times(table: Table, name: str) -> bool:
    return reads_as_times(table.column(name), _is_numeric(table, name))


def _is_numeric(table: Table, name: str) -> bool:
    column = table.column(name).head(1000)
    if column.dtype != pl.String:
        return column.dtype.is_numeric()
    found = read_numbers(column, table.format.get("delimiter"))
    filled = int((~found.absent).sum())
    return filled > 0 and int(found.bad.sum()) <= filled // 10
