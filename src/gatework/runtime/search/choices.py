"""Strategies of a search: the likeliest ways by a beam, or ways that are drawn.

Letters: B rows, K places of each, P places before the step (1 before the first, else K), C candidates, V symbols.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np

from gatework.errors import OptionError
from gatework.runtime.drawing import Drawing, uniform
from gatework.runtime.search.written import Written, picked

Array = np.ndarray
BLOCK = 64  # symbols side by side of which the largest is taken first; see `largest`


class Candidates(NamedTuple):
    """C ways to go on in each row, (B, C) each, the best first: from which place, with which symbol, that symbol's log
    probability, the sum of all so far (-inf where there is no way), and whether it ends there."""

    parent: Array
    next: Array
    log_p: Array
    total: Array
    ended: Array


class Choice(Protocol):
    """A strategy of K `places`."""

    @property
    def places(self) -> int: ...

    def __call__(self, alive: Array, scores: Array, written: Written) -> Candidates:
        """From totals (B, P) and scores (B, P, V) to candidates, of which the first K that do not end go on."""
        ...


def going_on(candidates: Candidates, places: int) -> Candidates:
    """The first K candidates that do not end; where there are fewer, ended ones stand in for them."""
    found = candidates.total.shape[1]
    if found == places and not candidates.ended.any():
        return candidates
    order = np.argsort(candidates.ended, axis=1, kind="stable")[:, :places]
    if found < places:  # there are fewer symbols than places
        order = np.concatenate([order, np.repeat(order[:, :1], places - found, 1)], 1)
    taken = Candidates(*(picked(each, order) for each in candidates))
    taken.total[:, found:] = -np.inf
    return taken


def candidates_at(alive: Array, scores: Array, at: Array, end: int) -> Candidates:
    """The candidates at (B, C) places of scores (B, P * V)."""
    parent, next = np.divmod(at, scores.shape[2])
    log_p = picked(scores.reshape(len(scores), -1), at)
    total = log_p + picked(alive, parent)
    return Candidates(parent, next, log_p, total, (next == end) | ~np.isfinite(total))


def largest(alive: Array, scores: Array, count: int) -> Array:
    """Where in (B, P * V) the `count` largest sums of totals (B, P) and scores (B, P, V) lie, the largest first.

    They lie in the `count` blocks with the largest maxima. What the blocks leave over is looked at as it stands.
    """
    rows, places, symbols = scores.shape
    blocks = symbols // BLOCK
    if blocks * places <= 2 * count:
        return top((alive[:, :, None] + scores).reshape(rows, -1), count)
    maxima = scores[:, :, : blocks * BLOCK].reshape(rows, places, blocks, BLOCK).max(3) + alive[:, :, None]
    block = top(maxima.reshape(rows, -1), count)
    first = block // blocks * symbols + block % blocks * BLOCK
    inside = (first[:, :, None] + np.arange(BLOCK)).reshape(rows, -1)
    over = (np.arange(places)[:, None] * symbols + np.arange(blocks * BLOCK, symbols)).reshape(-1)
    at = np.concatenate([inside, np.broadcast_to(over, (rows, len(over)))], 1)
    totals = picked(scores.reshape(rows, -1), at) + picked(alive, at // symbols)
    return picked(at, top(totals, count))


def top(values: Array, count: int) -> Array:
    """Where the `count` largest of each row (B, N) lie, the largest first; all, where there are fewer."""
    if count >= values.shape[1]:
        return np.argsort(-values, axis=1, kind="stable")
    found = np.sort(np.argpartition(-values, count - 1, axis=1)[:, :count], axis=1)
    return picked(found, np.argsort(-picked(values, found), axis=1, kind="stable"))


@dataclass(frozen=True)
class Beam:
    """The K likeliest ways of each row (Graves 2012; Sutskever, Vinyals & Le 2014, section 3.2), of 2K candidates, so
    that places whose way ends are filled again. One place is greedy search."""

    places: int
    end: int

    def __post_init__(self) -> None:
        if self.places < 1:
            raise OptionError(f"a beam has 1 place or more, not {self.places}")

    def __call__(self, alive: Array, scores: Array, written: Written) -> Candidates:
        return candidates_at(alive, scores, largest(alive, scores, 2 * self.places), self.end)


@dataclass(frozen=True)
class Drawn(Drawing):
    """Every place draws its next symbol for itself, as `Drawing` says.

    Args:
        numbers: in [0, 1); see `gatework.runtime.drawing.uniform`. Those of a list are one row's each: what a row draws
            does not hang on others.
        places: how many are drawn for each row.
        end: the symbol that ends; None: none does.
    """

    numbers: Iterator[float] | Sequence[Iterator[float]] = field(default_factory=lambda: uniform(1))
    places: int = 1
    end: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.places < 1:
            raise OptionError(f"at least 1 way is drawn for a row, not {self.places}")

    def __call__(self, alive: Array, scores: Array, written: Written) -> Candidates:
        rows, before = alive.shape
        numbers = self._numbers(written.rows).reshape(rows, before, -1)
        next = self.drawn(scores, numbers).reshape(rows, -1)
        parent = np.tile(np.repeat(np.arange(before), self.places // before), (rows, 1))
        log_p = picked(scores.reshape(rows, -1), parent * scores.shape[2] + next)
        total = picked(alive, parent) + log_p
        ended = ~np.isfinite(total) if self.end is None else (next == self.end) | ~np.isfinite(total)
        return Candidates(parent, next, log_p, total, ended)

    def _numbers(self, rows: Array) -> Array:
        """(B, K) in [0, 1)."""
        given = self.numbers
        own = [given if isinstance(given, Iterator) else given[row] for row in rows.tolist()]
        return np.array([list(islice(each, self.places)) for each in own])
