"""The rounds of a cross-validation: rows are spread by label with copies kept together, or follow a rolling origin.

With split=time each fold is judged on what comes after all it learned from (Tashman 2000). Each round is a plain
source, so that it prepares its data as any training does.
"""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from gatework.data.splits import folds
from gatework.errors import DataError, OptionError
from gatework.tasks.base import Round, Source
from gatework.tasks.classify import reading
from gatework.tasks.classify.dividing import held_out
from gatework.tasks.classify.options import ClassifyOptions
from gatework.tasks.classify.reading import Rows

if TYPE_CHECKING:
    from gatework.tasks.classify.task import Classify


def rounds(task: Classify, source: Source, count: int, hold_out: bool) -> list[Round]:
    """See `Task.rounds`."""
    options = task.options
    rows = reading.read(source, options)
    if hold_out and options.test_share:
        rows, _ = held_out(rows, options.test_share, options)
    if len(rows) < 2 * count:
        raise OptionError(f"{rows.source}: {len(rows)} rows are too few for {count} folds")
    pairs = _by_time(rows, str(options.time), count) if options.split == "time" else _by_label(rows, options, count)
    parts = [(reading.take(rows, kept), reading.take(rows, held)) for kept, held in pairs]
    return [Round(_plain(kept), _plain(held), None, _as_given(options)) for kept, held in parts]


def _by_label(rows: Rows, options: ClassifyOptions, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    groups = rows.groups(options.group if options.split == "group" else None)
    labels = np.array(rows.labels.to_list())
    alone = [label for label in np.unique(labels) if len(np.unique(groups[labels == label])) < 2]
    always = np.isin(labels, alone)  # as in a training, what no part can both learn and test is learned
    rest = np.flatnonzero(~always)
    if alone:
        text = (
            f"{rows.source}: label {str(alone[0])!r} has one row, or copies of one: it is learned in every fold, and "
        )
        warnings.warn(text + f"tested in none ({len(alone)} such labels)", stacklevel=4)
    pairs = folds(len(rest), count, labels=labels[rest].tolist(), groups=groups[rest], seed=options.seed)
    return [(np.sort(np.append(rest[kept], np.flatnonzero(always))), rest[held]) for kept, held in pairs]


def _by_time(rows: Rows, column: str, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    if rows.table is None:
        raise DataError(f"{rows.source}: split=time needs a table with the column {column!r}")
    order = rows.table.times(column).arg_sort(nulls_last=False).to_numpy()
    edges = [round(len(order) * part / (count + 1)) for part in range(1, count + 2)]
    return [(np.sort(order[:start]), np.sort(order[start:end])) for start, end in itertools.pairwise(edges)]


def _plain(rows: Rows) -> Rows | dict[str, Any]:
    if rows.media is not None:
        return rows  # which keeps what was decoded
    if rows.texts is not None:
        return {"text": rows.texts.to_list(), "label": rows.labels.to_list()}
    assert rows.sequences is not None
    values = rows.sequences.values
    return {"values": [values[number] for number in range(len(rows))], "label": rows.labels.to_list()}


def _as_given(options: ClassifyOptions) -> dict[str, Any]:
    texts = options.kind == "texts"
    names = {"text": "text", "label": "label"} if texts else {"text": None, "label": None}
    reset = dict.fromkeys(("id", "time", "format", "encoding", "delimiter", "header", "group"))
    return {
        **reset,
        **names,
        "channels": "last",
        "no_label": (),
        "kind": options.kind,
        "split": "random",
        "test_share": 0.0,
    }
