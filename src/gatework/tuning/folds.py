"""Folds: the rounds of a cross-validation as plain sources, so that each fold prepares its data as any training does.

Rows are divided by label with duplicates kept together; rows with a time, and series, by a rolling origin (each fold is
judged on what comes after all it learned from; Tashman 2000); a text in stretches.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gatework.data.finding import refuse
from gatework.data.splits import folds
from gatework.errors import DataError, OptionError
from gatework.tasks.base import Round, Source, Task


def make_rounds(task: Task, source: Source, count: int, *, hold_out: bool = False) -> list[Round]:
    """The rounds of a cross-validation of a task that has prepared this source.

    Args:
        task: after `prepare`, so that its options are settled.
        count: the number of folds, at least 2.
        hold_out: whether the rows that the task would test on are in no fold.

    Raises: OptionError where there are too few rows, or where a task has no folds; DataError for a label in one group.
    """
    if count < 2:
        raise OptionError(f"folds={count}: a cross-validation has at least 2")
    if task.name not in DIVIDED:
        raise OptionError(f"task {task.name!r} has no folds; there are: {', '.join(DIVIDED)}")
    return DIVIDED[task.name](task, source, count, hold_out)


# -- rows with labels ---------------------------------------------------------------------------------------


def _labelled(task: Any, source: Source, count: int, hold_out: bool) -> list[Round]:
    from gatework.tasks.classify import reading

    options = task.options
    rows = reading.read(source, options)
    if hold_out and options.test_share:
        rows, _ = task.held_out(rows, options.test_share)
    if len(rows) < 2 * count:
        raise OptionError(f"{rows.source}: {len(rows)} rows are too few for {count} folds")
    pairs = _by_time(rows, options.time, count) if options.split == "time" else _by_label(rows, options, count)
    parts = [(reading.take(rows, kept), reading.take(rows, held)) for kept, held in pairs]
    return [Round(_plain(kept), _plain(held), None, _as_given(options)) for kept, held in parts]


def _by_label(rows: Any, options: Any, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    groups = rows.groups(options.group if options.split == "group" else None)
    labels = np.array(rows.labels.to_list())
    for label in np.unique(labels):
        if len(np.unique(groups[labels == label])) < 2:
            raise DataError(
                f"{rows.source}: label {str(label)!r} has one row, or copies of one; no fold can both learn and test it"
            )
    return folds(len(rows), count, labels=labels.tolist(), groups=groups, seed=options.seed)


def _by_time(rows: Any, column: str, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    if rows.table is None:
        raise DataError(f"{rows.source}: split=time needs a table with the column {column!r}")
    order = rows.table.times(column).arg_sort(nulls_last=False).to_numpy()
    edges = [round(len(order) * part / (count + 1)) for part in range(1, count + 2)]
    return [(np.sort(order[:start]), np.sort(order[start:end])) for start, end in itertools.pairwise(edges)]


def _plain(rows: Any) -> dict[str, Any]:
    if rows.texts is not None:
        return {"text": rows.texts.to_list(), "label": rows.labels.to_list()}
    values = rows.sequences.values
    return {"values": [values[number] for number in range(len(rows))], "label": rows.labels.to_list()}


def _as_given(options: Any) -> dict[str, Any]:
    texts = options.kind == "texts"
    names = {"text": "text", "label": "label"} if texts else {"text": None, "label": None}
    reset = dict.fromkeys(("id", "time", "format", "encoding", "delimiter", "header", "group"))
    return {**reset, **names, "kind": options.kind, "split": "random", "test_share": 0.0}


# -- series and texts ---------------------------------------------------------------------------------------


def _series(task: Any, source: Source, count: int, hold_out: bool) -> list[Round]:
    from gatework.tasks.forecast.parts import cut_before

    options = task.options
    panel, found = type(task)(options).inspected(source)  # a new task: what this one learned scales no covariate
    refuse(found)
    last = options.horizon * options.test_windows if hold_out else 0
    step = options.horizon * options.valid_windows
    settled = {name: getattr(options, name) for name in ("season", "horizon", "lookback")}
    cuts = [last + step * back for back in reversed(range(count))]
    longest = int(panel.lengths.max())
    if longest - cuts[0] < 2 * options.horizon:
        raise OptionError(
            f"the longest series has {longest} points, too few for {count} folds of {step} steps each; take fewer "
            "folds or a shorter horizon"
        )
    return [Round(cut_before(panel, options.split, cut), None, None, {**settled, "test_windows": 0}) for cut in cuts]


def _text(task: Any, source: Source, count: int, hold_out: bool) -> list[Round]:
    text = task.read(source)
    if hold_out:
        text = text[: round(len(text) * (1 - task.options.test_share))]
    edges = [round(len(text) * part / count) for part in range(count + 1)]
    pairs = list(itertools.pairwise(edges))
    changes = {"test_share": 0.0, "encoding": None}
    return [Round(_without(text, start, end), [text[start:end]], None, changes) for start, end in pairs]


def _without(text: str, start: int, end: int) -> Sequence[str]:
    return [part for part in (text[:start], text[end:]) if part]


DIVIDED: dict[str, Callable[[Any, Source, int, bool], list[Round]]] = {
    "classify": _labelled,
    "forecast": _series,
    "generate": _text,
}
