"""Labelled numeric sequences of several channels: .ts files, tables with a row per step, arrays in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import numpy as np
import polars as pl

from gatework.data.arrays import described, matrices, nested, refuse_kinds, unstacked
from gatework.data.columns import LABEL_NAMES
from gatework.data.files import COLUMNS, in_memory, read_text
from gatework.data.finding import Finding
from gatework.data.given import given_labels, kind_of_names
from gatework.data.ragged import Ragged
from gatework.data.readers import Reading, read_table
from gatework.data.suggest import COLUMN, setting
from gatework.data.table import Table, listed
from gatework.errors import DataError, OptionError

ID_NAMES = ("id", "series", "sequence", "case", "sample", "unique_id", "series_id", "sequence_id")
TIME_NAMES = ("time", "step", "timestamp", "t", "date", "ds", "index")


@dataclass(frozen=True)
class Sequences:
    """n sequences of C channels: `values` is Ragged float32 [N, C]; `where(i, step)` says where a step of
    sequence i stands in the source; `ids` names them where the source does; `label_type` is what labels were before
    they were text."""

    values: Ragged
    labels: pl.Series
    channels: tuple[str, ...]
    source: str
    where: Callable[[int, int], str]
    notes: tuple[str, ...] = ()
    ids: pl.Series | None = None
    label_type: str = "str"
    doubts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def labelled(self, labels: object) -> Sequences:
        """The same sequences with other labels, one for each."""
        names, kind = given_labels(labels)
        if len(names) != len(self):
            raise DataError(f"{len(self)} sequences but {len(names)} labels; give one label a sequence")
        return replace(self, labels=names, label_type=kind)


def read_sequences(
    source: object,
    *,
    id: str | None = None,
    time: str | None = None,
    label: str | None = None,
    labelled: bool = True,
    channels: str | None = None,
    **reading: Unpack[Reading],
) -> Sequences:
    """Labelled sequences from a .ts file, a table in long form, a table in wide form, or arrays.

    Example: `read_sequences("gestures.csv", id="id", time="t", label="gesture")` for rows (id, t, x, y, z, gesture).

    Args:
        source: path, frame (also sktime's nested ones, or with an index of two levels), or a list of arrays [T, C]
            (also one array [n, T, C] or [n, T]).
        id, time, label: columns of a table with a row per step; found by their names unless given. Without an id column
            a table holds a sequence per row: the label, then the values.
        labelled: whether labels are needed; new data has none.
        channels: "last" for arrays [T, C], "first" for [C, T]; None is "last", with a warning where that looks odd.
        reading: what `read_table` takes.

    Raises: DataError with line, channel and value.
    """
    if isinstance(source, Sequences):
        return source
    if channels == "first" and isinstance(source, str | Path):
        raise OptionError(f"channels=first is of arrays in memory; {source} says itself which column is a channel")
    if isinstance(source, str | Path) and Path(source).name.removesuffix(".gz").endswith(".ts"):
        return read_ts(source, reading.get("encoding"))
    if isinstance(source, list | tuple | np.ndarray):
        return from_arrays(source, channels=channels)
    refuse_kinds(source)
    rows = nested(source)
    if rows is not None:
        return from_arrays(rows, channels="last")
    source = unstacked(source)
    table = read_table(source, **reading)
    id = id or _found(table.columns, ID_NAMES)
    if id is None:
        return _wide(table, label, labelled)
    time = time or _found(table.columns, TIME_NAMES)
    return _long(table, id, time, label or _label(table, {id, time}), labelled)


def from_arrays(arrays: Sequence | np.ndarray, labels: object = None, channels: str | None = None) -> Sequences:
    """Sequences [T, C] (or [T], one channel; [C, T] with channels "first") in memory."""
    rows = matrices(arrays, channels)
    names = tuple(f"channel {i + 1}" for i in range(rows[0].shape[1]))
    where = lambda i, step: f"sequence {i + 1}, step {step + 1}"  # noqa: E731
    none = pl.Series("label", [None] * len(rows), pl.String)
    read = Sequences(Ragged.of(rows), none, names, "the given arrays", where, (described(rows),))
    return read if labels is None else read.labelled(labels)


def read_ts(path: str | Path, encoding: str | None = None) -> Sequences:
    """The .ts format of aeon and the UCR / UEA archive: channels between colons, values between commas, label last."""
    with in_memory(str(path)):
        return _read_ts(path, read_text(path, encoding).split("\n"))


def _read_ts(path: str | Path, lines: list[str]) -> Sequences:
    header, start = _ts_header(lines, str(path))
    if header.get("timestamps", "false").lower() == "true":
        raise DataError(
            f"{path}: @timeStamps true is not read; write one value a step, or a csv with an id and a time column"
        )
    has_label = header.get("classlabel", "true").lower().startswith("true")
    rows, labels, numbers = [], [], []
    for number, line in enumerate(lines[start:], start + 1):
        if line.strip() and not line.startswith("#"):
            if line.count(":") > COLUMNS:
                raise DataError(
                    f"{path}, line {number}: more than {COLUMNS:,} channels; a colon stands between channels"
                )
            parts = line.strip().split(":")
            labels.append(parts.pop().strip() if has_label else None)
            rows.append(_ts_row(parts, str(path), number))
            numbers.append(number)
    _ts_even(rows, numbers, str(path))
    channels = tuple(f"channel {i + 1}" for i in range(rows[0].shape[1]))
    where = lambda i, step: f"{path}, line {numbers[i]}, step {step + 1}"  # noqa: E731
    note = f"{len(rows)} sequences of {len(channels)} channel(s)"
    kind = kind_of_names(label for label in labels if label is not None)
    names = pl.Series("label", labels, pl.String)
    return Sequences(Ragged.of(rows), names, channels, str(path), where, (note,), label_type=kind)


def _ts_header(lines: list[str], source: str) -> tuple[dict[str, str], int]:
    header = {}
    for number, line in enumerate(lines):
        if line.lower().startswith("@data"):
            return header, number + 1
        if line.startswith("@"):
            key, _, value = line[1:].strip().partition(" ")
            header[key.lower()] = value.strip()
    raise DataError(f"{source}: no line says @data; a .ts file has a header, @data, then one sequence a line")


def _ts_row(parts: list[str], source: str, number: int) -> np.ndarray:
    columns = [_ts_channel(part, f"{source}, line {number}, channel {i + 1}") for i, part in enumerate(parts)]
    lengths = {len(column) for column in columns}
    if len(lengths) != 1:
        shown = ", ".join(str(len(column)) for column in columns)
        raise DataError(f"{source}, line {number}: channels have different numbers of steps ({shown}); make them equal")
    return np.stack(columns, axis=1)


def _ts_channel(text: str, place: str) -> np.ndarray:
    cells = text.split(",") if text.strip() else []
    try:
        return np.array([cell if cell.strip() != "?" else "nan" for cell in cells], np.float32)
    except ValueError:
        step, cell = next((i, cell) for i, cell in enumerate(cells) if not _is_number(cell))
        raise DataError(
            f"{place}, step {step + 1}: {cell!r} is not a number; correct it, or write ? if missing"
        ) from None


def _is_number(cell: str) -> bool:
    try:
        return cell.strip() == "?" or float(cell) is not None
    except ValueError:
        return False


def _ts_even(rows: list[np.ndarray], numbers: list[int], source: str) -> None:
    if not rows:
        raise DataError(f"{source}: no sequence follows @data; add one a line")
    for row, number in zip(rows, numbers, strict=True):
        if row.shape[1] != rows[0].shape[1]:
            raise DataError(
                f"{source}, line {number}: {row.shape[1]} channels where line {numbers[0]} has {rows[0].shape[1]}"
            )


def numeric(table: Table, name: str) -> bool:
    """Whether nine in ten of a column's first values are numbers or missing."""
    head = table.column(name).head(100)
    if head.dtype != pl.String:
        return head.dtype.is_numeric()
    numbers = head.is_null() | head.str.strip_chars().cast(pl.Float64, strict=False).is_not_null()
    return int(numbers.sum()) >= 0.9 * len(head)


def _found(columns: Sequence[str], names: tuple[str, ...]) -> str | None:
    lower = {name.lower(): name for name in columns}
    return next((lower[name] for name in names if name in lower), None)


def _label(table: Table, taken: set[str | None]) -> str | None:
    """The column of words, of several the one that is called like a label; where there is none, a number so called."""
    free = [name for name in table.columns if name not in taken]
    words = [name for name in free if not numeric(table, name)]
    return _found(words, LABEL_NAMES) or (words[0] if words else _found(free, LABEL_NAMES))


def _long(table: Table, id: str, time: str | None, label: str | None, labelled: bool) -> Sequences:
    """A row per step: rows of one id form a sequence, in the order of the time column."""
    counter = table.counter
    table = _sorted(table, id, time)
    ids = table.strings(id)
    if labelled and label is None:
        have = listed(table.columns)
        how = setting("label", COLUMN)
        raise DataError(f"{table.source} has no column that looks like a label (columns: {have}); name one: {how}")
    channels = tuple(name for name in table.columns if name not in (id, time, label, counter))
    if not channels:
        raise DataError(f"{table.source} has no channel beside id {id!r}, time {time!r} and label {label!r}")
    values = np.stack([table.numbers(name).to_numpy() for name in channels], axis=1).astype(np.float32)
    starts = np.flatnonzero(ids.ne_missing(ids.shift(1)).fill_null(True).to_numpy())
    ragged = Ragged(values, np.append(starts, len(table)))
    labels = (
        _one_label(table, label, ragged, ids)
        if label in table.columns
        else pl.Series("label", [None] * len(ragged), dtype=pl.String)
    )
    notes = (
        *table.notes,
        f"id is column {id!r}, time is {time!r}, label is {label!r}, channels: {listed(list(channels))}",
        *(_repeated_times(table, ids, time) if time is not None else ()),
    )
    where = lambda i, step: f"{table.where(int(starts[i]) + step)} (id {ids[int(starts[i])]!r})"  # noqa: E731
    kind = table.kind(label) if label in table.columns else "str"
    return Sequences(ragged, labels, channels, table.source, where, notes, ids.gather(starts), kind)


def _repeated_times(table: Table, ids: pl.Series, time: str) -> list[str]:
    """What to say of rows with the id and the time of the row before."""
    times = table.times(time)
    again = ((times == times.shift(1)) & (ids == ids.shift(1))).fill_null(False).to_numpy()
    if not again.any():
        return []
    count, first = int(again.sum()), table.where(int(again.argmax()))
    return [f"{count:,} row(s) have the id and the time of another ({first}); each is read as a step of its own"]


def _sorted(table: Table, id: str, time: str | None) -> Table:
    for role, name in (("id", id), ("time", time)):
        if name is not None:
            table.column(name, role)
    first = {each: i for i, each in reversed(list(enumerate(table.strings(id).to_list())))}
    if None in first:
        raise DataError(f"{table.where(first[None])}, column {id!r}: the id is empty; fill it in or delete the row")
    order = table.strings(id).replace_strict(list(first), list(first.values()), return_dtype=pl.Int64)
    keys = [order]
    if time is not None:
        keys.append(table.times(time))
    rows = (
        pl.DataFrame({str(i): key for i, key in enumerate(keys)})
        .with_row_index("row")
        .sort([str(i) for i in range(len(keys))], maintain_order=True)
    )
    return table.take(rows["row"].to_numpy())


def _one_label(table: Table, label: str, ragged: Ragged, ids: pl.Series) -> pl.Series:
    labels = table.strings(label)
    changed = (labels.ne_missing(labels.shift(1)) & ids.eq_missing(ids.shift(1))).to_numpy()
    changed[ragged.offsets[:-1]] = False
    if changed.any():
        row = int(np.flatnonzero(changed)[0])
        raise DataError(
            f"{table.where(row)}, column {label!r}: {labels[row]!r}, but the sequence {ids[row]!r} began with "
            f"{labels[row - 1]!r}; a sequence has one label"
        )
    return labels[ragged.offsets[:-1]].alias("label")


def _wide(table: Table, label: str | None, labelled: bool) -> Sequences:
    """A sequence of one channel per row, as the UCR archive's .tsv: the label first, then the values."""
    free = [name for name in table.columns if name != table.counter]
    label = label or _found(table.columns, LABEL_NAMES) or (free[0] if labelled and free else None)
    steps = [name for name in table.columns if name not in (label, table.counter)]
    if not steps:
        have = listed(table.columns)
        raise DataError(f"{table.source} has no column of numbers beside the label {label!r} (columns: {have})")
    values = np.stack([table.numbers(name).to_numpy() for name in steps], axis=1).astype(np.float32)
    labels = (
        table.strings(label) if label in table.columns else pl.Series("label", [None] * len(table), dtype=pl.String)
    )
    ragged = Ragged(values.reshape(-1, 1), np.arange(len(table) + 1) * len(steps))
    note = (
        f"a sequence of {len(steps)} steps per row, label is column {label!r} (for a row per step name the id column)"
    )
    where = lambda i, step: f"{table.where(i)}, column {steps[step]!r}"  # noqa: E731
    kind = table.kind(label) if label in table.columns else "str"
    notes = (*table.notes, note)
    return Sequences(ragged, labels.alias("label"), ("channel 1",), table.source, where, notes, label_type=kind)


def check_sequences(sequences: Sequences, missing: str = "refuse") -> list[Finding]:
    """Sequences without steps, NaN and infinite values (with line, channel, step), channels that never change."""
    values, offsets = sequences.values.values, sequences.values.offsets
    found = []
    empty = np.flatnonzero(sequences.values.lengths == 0)
    if len(empty):
        message = f"{sequences.source}: sequence {int(empty[0]) + 1} has no steps ({len(empty)} such); delete it"
        found.append(Finding("error", message, int(empty[0])))
    for bad, level in ((np.isinf(values), "error"), (np.isnan(values), "error" if missing == "refuse" else "note")):
        at = np.argwhere(bad)
        if len(at):
            found.append(_bad_value(sequences, offsets, at, level, missing))
    still = (
        [
            name
            for name, width in zip(sequences.channels, np.ptp(np.nan_to_num(values), axis=0), strict=True)
            if width == 0
        ]
        if len(values)
        else []
    )
    if still:
        found.append(
            Finding(
                "warning",
                f"{sequences.source}: never changes: {', '.join(still)}; leave the channel out",
                None,
                still[0],
            )
        )
    return found


def _bad_value(sequences: Sequences, offsets: np.ndarray, at: np.ndarray, level: str, missing: str) -> Finding:
    position, channel = int(at[0][0]), int(at[0][1])
    i = int(np.searchsorted(offsets, position, side="right")) - 1
    value = sequences.values.values[position, channel]
    value = "NaN" if np.isnan(value) else value
    advice = f"correct it or pass {setting('missing', 'interpolate')}" if value == "NaN" else "correct it"
    place = sequences.where(i, position - int(offsets[i]))
    text = f"{place}, {sequences.channels[channel]!r}: {value} ({len(at):,} such values); {advice}"
    return Finding(level, text, i, sequences.channels[channel])
