"""Sequences of different lengths without padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike


class Packed(NamedTuple):
    """A batch in time-major rows, longest sequence first: `values` [N, ...], `counts` [T] sequences alive at each step,
    `order` [B] the sequence each row belongs to. The same layout as `torch.nn.utils.rnn.PackedSequence`."""

    values: np.ndarray
    counts: np.ndarray
    order: np.ndarray


class Ragged:
    """n sequences in one array: sequence i is `values[offsets[i]:offsets[i + 1]]`.

    Example: `Ragged.of([[1, 2, 3], [4]]).lengths` is `[3, 1]`; `values` has shape [4], `offsets` is [0, 3, 4].
    """

    def __init__(self, values: np.ndarray, offsets: np.ndarray):
        self.values, self.offsets = values, np.asarray(offsets, np.int64)

    @classmethod
    def of(cls, sequences: Sequence, dtype: DTypeLike | None = None) -> Ragged:
        arrays = [np.asarray(sequence, dtype) for sequence in sequences]
        values = np.concatenate(arrays) if arrays else np.zeros(0, dtype)
        return cls.from_lengths(values, [len(array) for array in arrays])

    @classmethod
    def from_lengths(cls, values: np.ndarray, lengths: Sequence[int] | np.ndarray) -> Ragged:
        return cls(values, np.concatenate([[0], np.cumsum(np.asarray(lengths, np.int64))]))

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """The sequences of several, one after another."""
        lengths = np.concatenate([part.lengths for part in parts])
        return cls.from_lengths(np.concatenate([part.values for part in parts]), lengths)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    @property
    def owners(self) -> np.ndarray:
        """The sequence each value belongs to, [N]."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, rows: Sequence[int] | np.ndarray) -> Ragged:
        """The given sequences in the given order."""
        rows = np.asarray(rows, np.int64)
        lengths = self.lengths[rows]
        taken = Ragged.from_lengths(self.values[:0], lengths)
        steps = np.arange(taken.offsets[-1]) - np.repeat(taken.offsets[:-1], lengths)
        return Ragged(self.values[np.repeat(self.offsets[rows], lengths) + steps], taken.offsets)

    def truncate(self, head: int, tail: int = 0) -> Ragged:
        """Each sequence's first `head` and last `tail` values; shorter ones stay whole."""
        lengths = self.lengths
        long = lengths > head + tail
        if not long.any():
            return self
        steps = np.arange(len(self.values)) - np.repeat(self.offsets[:-1], lengths)
        after = np.repeat(lengths, lengths) - steps
        keep = (steps < head) | (after <= tail) | ~np.repeat(long, lengths)
        return Ragged.from_lengths(self.values[keep], np.where(long, head + tail, lengths))

    def pack(self, rows: Sequence[int] | np.ndarray) -> Packed:
        """A batch of the given sequences; none may be empty. `order` indexes `rows`."""
        rows = np.asarray(rows, np.int64)
        lengths = self.lengths[rows]
        order = np.argsort(-lengths, kind="stable")
        starts = self.offsets[rows[order]]
        steps = int(lengths.max(initial=0))
        counts = len(rows) - np.searchsorted(np.sort(lengths), np.arange(steps), side="right")
        step = np.repeat(np.arange(steps), counts)
        first = np.concatenate([[0], np.cumsum(counts)[:-1]]) if steps else np.zeros(0, np.int64)
        sequence = np.arange(len(step)) - np.repeat(first, counts)
        return Packed(self.values[starts[sequence] + step], counts, order)
