"""Rules of a search: functions on scores (B, K, V), by what each place has written. They may write into the scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from gatework.runtime.search.written import Written

Array = np.ndarray
Rule = Callable[[Array, Written], Array]  # scores and what was written -> scores


def forbid(ids: Sequence[int]) -> Rule:
    """These symbols are never written."""
    never = np.array(list(ids), np.int64)

    def rule(scores: Array, written: Written) -> Array:
        scores[:, :, never] = -np.inf
        return scores

    return rule


class Edges(NamedTuple):
    """Which symbols (V,) begin inside a word and which end inside one, so that two side by side make one word: of
    "wo", "man", " is" all close, and the first two open."""

    opens: Array
    closes: Array


def never(sequences: Sequence[Sequence[int]], edges: Edges | None = None) -> Rule:
    """None of these sequences of symbols is written: the last symbol of one is forbidden after its others.

    Empty sequences say nothing. With `edges` a sequence may be written where it goes on a word: "man" in "wo", "man".
    """
    lengths = sorted({len(each) for each in sequences} - {0})
    groups = [np.array([list(each) for each in sequences if len(each) == length]) for length in lengths]

    def rule(scores: Array, written: Written) -> Array:
        for group in groups:
            first = written.steps - group.shape[1] + 1
            if first >= 0:
                complete = (written.ids[:, :, None, first:] == group[:, :-1]).all(3)  # (B, K, n)
                if edges is not None and first:
                    complete &= ~(edges.closes[written.ids[:, :, None, first - 1]] & edges.opens[group[:, 0]])
                without(scores, np.broadcast_to(group[:, -1], complete.shape), complete)
        return scores

    return rule


def without(scores: Array, ids: Array, where: Array) -> None:
    """Scores at the symbols `ids` (B, K, n) become -inf where `where` holds; a symbol may be named several times."""
    row, place, _ = at = np.nonzero(where)
    scores[row, place, ids[at]] = -np.inf


def at_least(count: int, end: int) -> Rule:
    """`count` symbols come before the end."""
    stay = forbid([end])
    return lambda scores, written: stay(scores, written) if written.steps < count else scores


def ended(end: int) -> Rule:
    """The last symbol that the limit leaves is the end."""

    def rule(scores: Array, written: Written) -> Array:
        last = written.left == 1
        scores[last] = np.where(np.arange(scores.shape[2]) == end, scores[last], -np.inf)
        return scores

    return rule


def beginning(ids: Array) -> Rule:
    """The first symbols of each row are given, ids (B, P)."""

    def rule(scores: Array, written: Written) -> Array:
        if written.steps >= ids.shape[1]:
            return scores
        given = ids[written.rows, written.steps]
        return np.where(np.arange(scores.shape[2]) == given[:, None, None], scores, -np.inf)

    return rule


def no_repeats(length: int) -> Rule:
    """No `length` symbols in a row are written twice (Paulus, Xiong & Socher 2018, section 2.5)."""

    def rule(scores: Array, written: Written) -> Array:
        steps = written.steps
        if steps >= length:
            parts = np.lib.stride_tricks.sliding_window_view(written.ids, length, 2)  # (B, K, t - length + 1, length)
            again = (parts[..., :-1] == written.ids[:, :, None, steps - length + 1 :]).all(3)
            without(scores, parts[..., -1], again)
        return scores

    return rule
