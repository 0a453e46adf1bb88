"""Where the rows of a batch of sequences lie: flat, step after step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gatework.errors import ShapeError
from gatework.runtime.lazy import lazy

MOST = 1 << 40  # no layout is larger; products of its numbers stay below 64 bits


class _Fields(NamedTuple):
    counts: np.ndarray
    offsets: np.ndarray
    batch: int


class Rows(_Fields):
    """At step s, `counts[s]` rows are active (never growing with s), at `offsets[s]` of the flat arrays (N, w); row j
    of step s continues row j of step s-1. `batch` sequences in all: those that no step reaches have length zero.

    >>> Rows.rectangle(3, 2, reverse=True).offsets        # T=3, B=2, the last step first
    array([4, 2, 0])

    Steps lie without gaps, the first at the front or (reversed) at the end. Anything else raises ShapeError, as machine
    code relies on it; the arrays are copied and cannot be written to.
    """

    def __new__(cls, counts: ArrayLike, offsets: ArrayLike, batch: int) -> Rows:
        counts, offsets = _whole_numbers("counts", counts), _whole_numbers("offsets", offsets)
        _check(counts, offsets, batch)
        return super().__new__(cls, counts, offsets, int(batch))

    @classmethod
    def rectangle(cls, steps: int, batch: int, reverse: bool = False) -> Rows:
        """T steps of B rows; `reverse` visits the last step first."""
        for name, value in (("T", steps), ("B", batch)):
            if value < 0:
                raise ShapeError(f"a rectangle of rows needs {name} >= 0; got {name} = {value}")
        offsets = np.arange(steps, dtype=np.int64) * batch
        return cls(np.full(steps, batch, np.int64), offsets[::-1].copy() if reverse else offsets, batch)

    @classmethod
    def packed(cls, counts: np.ndarray, batch: int) -> Rows:
        """Rows that follow one another without gaps."""
        counts = _whole_numbers("counts", counts)
        return cls(counts, np.cumsum(counts) - counts, batch)

    @lazy
    def size(self) -> int:
        """N, the number of rows."""
        return int(self.counts.sum())

    @lazy
    def lists(self) -> tuple[list[int], list[int]]:
        """Counts and offsets as numbers of Python."""
        return self.counts.tolist(), self.offsets.tolist()

    @lazy
    def key(self) -> tuple:
        """What tells one layout from another."""
        steps = len(self.counts)
        if steps and self.counts[0] == self.counts[-1]:
            step = int(self.offsets[1] - self.offsets[0]) if steps > 1 else 0
            if steps < 3 or bool((np.diff(self.offsets) == step).all()):
                return steps, int(self.counts[0]), self.batch, step
        return self.batch, self.counts.tobytes(), self.offsets.tobytes()

    @lazy
    def last_steps(self) -> np.ndarray:
        """For each sequence the flat row of its last step, -1 if it has none."""
        lengths = np.searchsorted(-self.counts, -np.arange(self.batch), side="left")
        rows = np.arange(self.batch)
        return (
            np.where(lengths > 0, self.offsets[np.maximum(lengths, 1) - 1] + rows, -1)
            if len(self.counts)
            else rows * 0 - 1
        )


def _whole_numbers(name: str, values: ArrayLike) -> np.ndarray:
    """A copy as int64, one dimension, that nobody can change."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ShapeError(f"Rows: {name} must be whole numbers, one a step; got {array.dtype} of shape {array.shape}")
    array = np.array(array, np.int64, order="C")
    array.setflags(write=False)
    return array


def _check(counts: np.ndarray, offsets: np.ndarray, batch: int) -> None:
    if counts.shape != offsets.shape:
        raise ShapeError(f"Rows: {len(counts)} counts but {len(offsets)} offsets; there is one of each for a step")
    if isinstance(batch, bool) or not isinstance(batch, (int, np.integer)) or not 0 <= batch < MOST:
        raise ShapeError(f"Rows: the batch must be a whole number from 0 on; got {batch!r}")
    if not len(counts):
        return
    if not 0 <= int(counts.min()) <= int(counts.max()) <= batch:
        bad = int(np.flatnonzero((counts < 0) | (counts > batch))[0])
        raise ShapeError(f"Rows: counts[{bad}] is {counts[bad]}; it must lie between 0 and the batch, {batch}")
    growing = np.flatnonzero(counts[1:] > counts[:-1])
    if growing.size:
        s = int(growing[0])
        raise ShapeError(
            f"Rows: the counts grow from {counts[s]} at step {s} to {counts[s + 1]}; sort sequences longest first"
        )
    ends = np.cumsum(counts)
    if not ((offsets == ends - counts).all() or (offsets == ends[-1] - ends).all()):
        raise ShapeError(
            f"Rows: offsets {offsets[:8].tolist()} must follow one another without gaps, from 0 on or (reversed) back "
            f"to 0, for counts {counts[:8].tolist()}; Rows.packed(counts, batch) makes them"
        )
