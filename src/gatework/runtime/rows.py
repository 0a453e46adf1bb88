"""Where the rows of a batch of sequences lie: flat, step after step."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np


class _Fields(NamedTuple):
    counts: np.ndarray
    offsets: np.ndarray
    batch: int


class Rows(_Fields):
    """At step s, `counts[s]` rows are active (never growing with s), at `offsets[s]` of the flat arrays (N, w); row j
    of step s continues row j of step s-1. `batch` sequences in all: those that no step reaches have length zero.

    >>> Rows.rectangle(3, 2, reverse=True).offsets        # T=3, B=2, the last step first
    array([4, 2, 0])
    """

    @classmethod
    def rectangle(cls, steps: int, batch: int, reverse: bool = False) -> Rows:
        """T steps of B rows; `reverse` visits the last step first."""
        offsets = np.arange(steps, dtype=np.int64) * batch
        return cls(np.full(steps, batch, np.int64), offsets[::-1].copy() if reverse else offsets, batch)

    @classmethod
    def packed(cls, counts: np.ndarray, batch: int) -> Rows:
        """Rows that follow one another without gaps."""
        counts = np.ascontiguousarray(counts, np.int64)
        return cls(counts, np.cumsum(counts) - counts, batch)

    @cached_property
    def size(self) -> int:
        """N, the number of rows."""
        return int(self.counts.sum())

    @cached_property
    def key(self) -> tuple:
        """What tells one layout from another."""
        steps = len(self.counts)
        if steps and self.counts[0] == self.counts[-1]:
            step = int(self.offsets[1] - self.offsets[0]) if steps > 1 else 0
            if steps < 3 or bool((np.diff(self.offsets) == step).all()):
                return steps, int(self.counts[0]), self.batch, step
        return self.batch, self.counts.tobytes(), self.offsets.tobytes()

    @cached_property
    def last_steps(self) -> np.ndarray:
        """For each sequence the flat row of its last step, -1 if it has none."""
        lengths = np.searchsorted(-self.counts, -np.arange(self.batch), side="left")
        rows = np.arange(self.batch)
        return np.where(lengths > 0, self.offsets[np.maximum(lengths, 1) - 1] + rows, -1) if len(self.counts) else rows * 0 - 1
