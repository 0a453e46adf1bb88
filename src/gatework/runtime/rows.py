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
    """At step s, `counts[s]` rows are active (never growing with s), at `offsets[s] ...` of the flat arrays (N, w); row j
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
