"""What a search has written: backpointers of every step, from which ids are read when somebody asks."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

Array = np.ndarray


def picked(values: Array, index: Array) -> Array:
    """Of each row those that the index names: (B, P, ...) by (B, K) to (B, K, ...)."""
    return values[np.arange(len(index))[:, None], index]


class Taken(NamedTuple):
    """What K places of B rows took at a step, (B, K) each: from which place, which symbol, its log probability."""

    parent: Array
    next: Array
    log_p: Array

    def select(self, rows: Array) -> Self:
        return type(self)(*(each[rows] for each in self))


class Written:
    """What the places of B rows have written so far; it grows with the search.

    Attributes: `rows` (B,) which rows of the search these are, as rows leave that have ended; `limits` (B,) most
    symbols of each; `taken` the steps; `steps` t; `left` (B,) how many symbols may still be written; `ids` (B, K, t),
    of a single place (B, 1, 0) before the first step.
    """

    def __init__(self, limits: Array):
        self.rows, self.limits = np.arange(len(limits)), limits
        self.taken: list[Taken] = []
        self._ids, self._read = np.zeros((len(limits), 1, 0), np.int64), 0

    @property
    def steps(self) -> int:
        return len(self.taken)

    @property
    def left(self) -> Array:
        return self.limits - self.steps

    @property
    def ids(self) -> Array:
        for taken in self.taken[self._read :]:
            self._ids = np.concatenate([picked(self._ids, taken.parent), taken.next[:, :, None]], 2)
        self._read = len(self.taken)
        return self._ids

    def select(self, rows: Array) -> None:
        """Only these rows stay."""
        self.rows, self.limits = self.rows[rows], self.limits[rows]
        self.taken = [each.select(rows) for each in self.taken]
        self._ids = self._ids[rows]
