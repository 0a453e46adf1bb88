"""Columns beside the target: known ahead, known up to now, or the same all through a series; as scaled numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from gatework.data.finding import Finding
from gatework.data.grid import Rows
from gatework.data.numerals import read_numbers
from gatework.data.table import Table, listed
from gatework.errors import DataError
from gatework.runtime.series.covariates import IDENTITY, Channel, Covariates, apply

MOST_SERIES = 100  # that are told apart by a channel each
MOST_LABELS = 50  # a category is a channel for each of its values; more would drown the series itself
LARGEST = 1e100  # the squares of larger numbers leave the range of numbers


def identified(
    beside: Covariates | None, names: Sequence[str], offsets: np.ndarray, known: Sequence[Channel] | None
) -> Covariates:
    """Covariates with a static channel for each series: 1 in its own, 0 in all others. `known` are the channels of a
    training; a series that was not in it has 0 in all."""
    if known is None:
        own = [Channel(IDENTITY, "static", name) for name in names]
    else:
        own = [each for each in known if each.column == IDENTITY]
    static = np.array([[name == each.label for each in own] for name in names], np.float64).reshape(len(names), -1)
    if beside is None:
        return Covariates(tuple(own), np.zeros((int(offsets[-1]), 0)), offsets, static)
    return replace(beside, channels=(*beside.channels, *own), static=np.concatenate([beside.static, static], axis=1))


def too_many(source: str, names: Sequence[str]) -> list[Finding]:
    """An error where there are more series than channels can tell apart."""
    if len(names) <= MOST_SERIES:
        return []
    message = (
        f"{source}: identity tells at most {MOST_SERIES} series apart, and there are {len(names):,}; leave it out, "
    )
    return [Finding("error", f"{message}or give static columns that say what each series is like")]


def encode(
    table: Table, columns: Mapping[str, Sequence[str]], known: Sequence[Channel] | None = None, lacking: bool = False
) -> tuple[list[Channel], np.ndarray, list[Finding]]:
    """Channels, their values [rows, C] and findings of the columns of each role.

    Numbers are one channel, anything else one for each value. `known` are the channels of a training: the result has
    exactly those, scaled. `lacking` allows columns not known ahead to be absent: they are missing in every row.
    """
    channels: list[Channel] = []
    parts, found = [np.zeros((len(table), 0))], []
    for role, name in [(role, name) for role, names in columns.items() for name in names]:
        own = None if known is None else [each for each in known if (each.column, each.role) == (name, role)]
        if own is not None and name not in table.columns and (role == "static" or (lacking and role == "past")):
            values = np.full((len(table), len(own)), np.nan)
        else:
            try:
                own, values, more = _column(table, name, role, own)
            except DataError as error:
                own, values, more = [], np.zeros((len(table), 0)), [Finding("error", str(error), column=name)]
            found += more
        channels += own
        parts.append(values)
    return channels, np.concatenate(parts, axis=1), found


def _column(
    table: Table, name: str, role: str, known: list[Channel] | None
) -> tuple[list[Channel], np.ndarray, list[Finding]]:
    column = table.column(name)
    if column.dtype.is_temporal():
        raise DataError(f"{table.source}, column {name!r} holds dates; a {role} column is numbers or categories")
    numeric = _is_number(column, table.format.get("delimiter")) if known is None else known[0].label is None
    if numeric:
        values = table.numbers(name).to_numpy()[:, None]
        channels = known or [Channel(name, role)]
        return channels, apply(channels, values) if known else values, infinite(table, name, values[:, 0])
    texts = table.strings(name).str.strip_chars().replace("", None)
    labels = texts.drop_nulls().unique().sort().to_list() if known is None else [str(each.label) for each in known]
    if len(labels) > MOST_LABELS:
        raise DataError(
            f"{table.source}, column {name!r} has {len(labels):,} different texts ({listed(labels, 3)}), more than the "
            f"{MOST_LABELS} that a {role} column may have; group the rare ones, or give numbers"
        )
    values = np.stack([(texts == label).to_numpy().astype(float) for label in labels], axis=1)
    values[texts.is_null().to_numpy()] = np.nan
    channels = known or [Channel(name, role, label) for label in labels]
    return channels, values, _strange(table, name, texts, labels)


def _is_number(column: pl.Series, delimiter: str | None) -> bool:
    if column.dtype != pl.String:
        return True
    found = read_numbers(column, delimiter)
    return int(found.bad.sum()) <= int((~found.absent).sum()) // 10


def infinite(table: Table, name: str, values: np.ndarray) -> list[Finding]:
    """Values that are infinite, or that sums of squares would make so."""
    bad = np.flatnonzero(np.abs(values) > LARGEST)
    if not len(bad):
        return []
    row = int(bad[0])
    endless = np.isinf(values[row])
    what = "infinite" if endless else "too large to reckon with"
    advice = "leave it empty if the value is missing" if endless else "choose a larger unit"
    message = f"{table.where(row)}, column {name!r}: {values[row]} is {what} ({len(bad)} such values); {advice}"
    return [Finding("error", message, row, name)]


def _strange(table: Table, name: str, texts: pl.Series, labels: list[str]) -> list[Finding]:
    rows = (~texts.is_in(labels) & texts.is_not_null()).arg_true()
    if not len(rows):
        return []
    row = int(rows[0])
    message = f"{table.where(row)}, column {name!r}: {texts[row]!r} did not occur in the training data ({len(rows)} "
    return [Finding("warning", message + f"such rows); it counts as none of {listed(labels, 5)}", row, name)]


def static_of(data: Rows, channels: Sequence[Channel], values: np.ndarray) -> tuple[np.ndarray, list[Finding]]:
    """One row [S, K] for each series of what must not change within it, from the values [rows of the table, K]."""
    result = np.full((len(data.names), values.shape[1]), np.nan)
    found: list[Finding] = []
    for c, channel in enumerate(channels):
        here = values[data.rows, c]
        there = ~np.isnan(here)
        series, first = np.unique(data.owners[there], return_index=True)
        place = np.full(len(data.names), -1)
        place[series] = data.rows[there][first]
        result[series, c] = values[place[series], c]
        changed = np.flatnonzero(there & (here != result[data.owners, c]))
        if len(changed) and channel.column not in [each.column for each in found]:
            fault = _changes(data, channel.column, int(changed[0]), place)
            found.append(replace(fault, series=data.series(changed)))
    return result, found


def _changes(data: Rows, column: str, at: int, place: np.ndarray) -> Finding:
    row, number = int(data.rows[at]), int(data.owners[at])
    before, texts = int(place[number]), data.table.strings(column)
    message = (
        f"{data.table.where(row)}, column {column!r}: {texts[row]!r}, but series {data.names[number]!r} has "
        f"{texts[before]!r} in {data.table.place(before)}; a static column does not change within a series: correct "
        "it, or give it as past or future"
    )
    return Finding("error", message, row, column)


def missing(data: Rows, channels: Sequence[Channel], values: np.ndarray, training: bool) -> list[Finding]:
    """A warning for each column with values missing where its target is known, at first reading also known ahead; there
    an error for one without any. Of later rows the run itself may know what is static."""
    known = ~np.isnan(data.values)
    found = []
    told = [each for each in channels if training or each.role != "static"]
    for column, role in dict.fromkeys((each.column, each.role) for each in told):
        c = next(c for c, each in enumerate(channels) if each.column == column)
        absent = np.isnan(values[data.rows, c]) & (known | (role == "future" and training))
        rows = np.unique(data.rows[absent])
        if training and np.isnan(values[data.rows, c]).all():
            message = f"{data.table.source}, column {column!r}: no row has a value; leave it out of {role}"
            found.append(Finding("error", message, None, column))
        elif len(rows):
            message = f"{data.table.where(int(rows[0]))}, column {column!r}: empty ({len(rows):,} such rows); the mean "
            found.append(Finding("warning", message + "of the training part stands for it", int(rows[0]), column))
    return found
