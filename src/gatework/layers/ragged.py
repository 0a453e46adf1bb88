"""Batches as the kernels see them: flat rows, step after step, the longest sequence first.

A rectangle of T steps and B sequences is T*B rows as it stands. Sequences of unequal length are sorted by length and
packed, as torch's PackedSequence is: at step s the first `counts[s]` sequences are still running. A batch then costs
what its real steps cost.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatework.layers.errors import LayerError
from gatework.runtime.lazy import lazy
from gatework.runtime.rows import Rows


class Rectangle:
    """T steps of B sequences that all run to the end."""

    def __init__(self, steps: int, batch: int):
        self.steps, self.batch, self.size = steps, batch, steps * batch

    def rows(self, reverse: bool = False) -> Rows:
        return _rectangle(self.steps, self.batch, reverse)

    def sort(self, values: Tensor) -> Tensor:
        """(B, w) in the caller's order to (B, w) in the rows' order."""
        return values

    unsort = sort

    def flip(self, flat: Tensor) -> Tensor:
        """(N, w) to rows in the order in which the reversed direction visits them (a rectangle's rows say it alone)."""
        return flat

    @lazy
    def times(self) -> np.ndarray:
        """(N,) the step of each row."""
        return np.repeat(np.arange(self.steps), self.batch)


@lru_cache(maxsize=256)
def _rectangle(steps: int, batch: int, reverse: bool) -> Rows:
    return Rows.rectangle(steps, batch, reverse)


class Packed:
    """Sequences of unequal length, sorted: `counts[s]` of the `batch` sequences run at step s; `order` sorts them."""

    def __init__(self, counts: np.ndarray, batch: int, order: np.ndarray | None = None):
        self.counts, self.batch, self.order = np.asarray(counts, np.int64), batch, order
        self.offsets = np.concatenate([[0], np.cumsum(self.counts)])
        self.steps, self.size = len(self.counts), int(self.offsets[-1])

    @classmethod
    def from_lengths(cls, lengths: Any, steps: int, batch: int) -> Packed:
        """Sort sequences by their lengths, (B,) integers between 0 and T."""
        lengths = checked_lengths(lengths, steps, batch)
        order = np.argsort(-lengths, kind="stable")
        counts = (lengths[None, :] > np.arange(lengths.max(initial=0))[:, None]).sum(1)
        return cls(counts, batch, order)

    def rows(self, reverse: bool = False) -> Rows:
        return self._rows

    @lazy
    def _rows(self) -> Rows:
        return Rows.packed(self.counts, self.batch)

    def sort(self, values: Tensor) -> Tensor:
        return values if self.order is None else values.index_select(0, self._index(self.order, values))

    def unsort(self, values: Tensor) -> Tensor:
        return values if self.order is None else values.index_select(0, self._index(np.argsort(self.order), values))

    @lazy
    def times(self) -> np.ndarray:
        return np.repeat(np.arange(self.steps), self.counts)

    @lazy
    def places(self) -> np.ndarray:
        """(N,) which sequence, in sorted order, a row belongs to."""
        return np.arange(self.size) - self.offsets[self.times]

    @lazy
    def lengths(self) -> np.ndarray:
        """(B,) lengths in sorted order."""
        return (self.counts[:, None] > np.arange(self.batch)[None, :]).sum(0)

    def index(self, steps: int, batch_first: bool) -> Tensor:
        """(N,) where the rows lie in the caller's padded (T, B) or (B, T) rectangle, flattened."""
        rows = self.places if self.order is None else self.order[self.places]
        flat = rows * steps + self.times if batch_first else self.times * self.batch + rows
        return torch.from_numpy(flat)

    def flip(self, flat: Tensor) -> Tensor:
        return flat.index_select(0, self._index(self.flipped, flat))

    @lazy
    def flipped(self) -> np.ndarray:
        """(N,) for each row, the row of the same sequence as far from its end as this is from its beginning."""
        return self.offsets[self.lengths[self.places] - 1 - self.times] + self.places

    @staticmethod
    def _index(index: np.ndarray, values: Tensor) -> Tensor:
        return torch.from_numpy(index).to(values.device)


def checked_lengths(lengths: Any, steps: int, batch: int) -> np.ndarray:
    """`lengths` as (B,) integers, or an error that names the first that cannot be."""
    array = lengths.detach().cpu().numpy() if isinstance(lengths, Tensor) else np.asarray(lengths)
    if array.shape != (batch,):
        raise LayerError(f"lengths must have one entry per sequence, shape ({batch},); got shape {array.shape}")
    if batch and array.dtype.kind not in "iu":
        raise LayerError(f"lengths must be integers; got dtype {array.dtype}")
    array = array.astype(np.int64)
    bad = np.flatnonzero((array < 0) | (array > steps))
    if bad.size:
        raise LayerError(f"lengths[{bad[0]}] is {array[bad[0]]}; a length lies between 0 and the input's {steps} steps")
    return array


class _Take(torch.autograd.Function):
    """Rows of `padded` at `index`, each taken at most once, so that the gradient is one scatter without additions."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.size = padded.shape[0]
        return padded.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (index,) = ctx.saved_tensors
        return _Put.apply(grads[0], index, ctx.size), None


class _Put(torch.autograd.Function):
    """The rows of `flat` put at `index` of zeros (size, w)."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor, index: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(index)
        return flat.new_zeros(size, *flat.shape[1:]).index_copy_(0, index, flat)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (index,) = ctx.saved_tensors
        return _Take.apply(grads[0], index), None, None


def take(padded: Tensor, index: Tensor) -> Tensor:
    """(R, w) to (N, w): the rows at `index` (N,), no row twice."""
    return _Take.apply(padded, index)


def put(flat: Tensor, index: Tensor, size: int) -> Tensor:
    """(N, w) to (size, w): rows put at `index`, zeros elsewhere."""
    return _Put.apply(flat, index, size)
