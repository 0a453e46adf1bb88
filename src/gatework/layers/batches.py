"""Batches: from the forms in which callers hold sequences to the flat rows that kernels see, and back.

form                                       rows
(T, B, w), (B, T, w), (T, w)               a rectangle, as it stands: T*B rows, step after step
the same with lengths=                     packed, the longest first; the outputs beyond a sequence's end are zero
PackedSequence                             packed, as it stands
inside torch.compile and torch.func        a padded rectangle, as sizes may not depend on data: the operator packs, the
                                           reference masks

Packed as torch's PackedSequence is: at step s the first `counts[s]` sequences are still running. A batch then costs
what its real steps cost.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch._C._functorch import get_unwrapped, is_functorch_wrapped_tensor
from torch.autograd.function import BackwardCFunction
from torch.nn.utils.rnn import PackedSequence

from gatework.layers.errors import LayerError
from gatework.runtime.lazy import lazy
from gatework.runtime.rows import Rows

_transformed = torch._C._are_functorch_transforms_active

Sequences = Tensor | PackedSequence
Lengths = ArrayLike | None


class Entry:
    """A rectangle: `steps`, `batch` of the caller; `rows` is what the kernels see, unless the call is traced; a layer's
    history is (*axes, w)."""

    traced = False
    lengths: Tensor | None = None  # of sequences that stay padded

    def __init__(self, input: Tensor, batch_first: bool):
        self.batched, self.batch_first = input.dim() == 3, batch_first and input.dim() == 3
        shape = input.shape
        self.steps, self.batch = (shape[1], shape[0]) if self.batch_first else (*shape[:-1], 1)[:2]
        self.rows: Any = Rectangle(self.steps, self.batch)
        self.axes: tuple[int, ...] = (self.steps, self.batch)

    def flat(self, values: Any, width: int, name: str) -> Tensor:
        """An input in the caller's form to (N, width); where the width is 1 its axis may be missing."""
        shape = (self.batch, self.steps) if self.batch_first else (self.steps, self.batch)
        shape = shape if self.batched else (self.steps,)
        if width == 1 and values.shape == shape:
            values = values.unsqueeze(-1)
        if values.shape != (*shape, width):
            wanted = shape if width == 1 else (*shape, width)
            raise LayerError(f"{name} must have shape {wanted}, as the input lies; got {tuple(values.shape)}")
        return self.rows_of(values, width)

    def rows_of(self, values: Tensor, width: int) -> Tensor:
        return (values.transpose(0, 1) if self.batch_first else values).reshape(self.steps * self.batch, width)

    def leave(self, values: Tensor) -> Any:
        """A history to the caller's form."""
        if not self.batched:
            return values.squeeze(1)
        return values.transpose(0, 1) if self.batch_first else values

    def later(self, flat: Tensor) -> Tensor:
        """(N, 1) to what each row holds one step later; zero at the last step of a sequence."""
        return torch.cat([flat[self.batch :], flat.new_zeros(min(self.batch, len(flat)), 1)])


class RaggedEntry(Entry):
    """A padded rectangle with `lengths`, packed."""

    def __init__(self, input: Tensor, batch_first: bool, lengths: Lengths):
        super().__init__(input, batch_first)
        self.rows = Packed.from_lengths(lengths, self.steps, self.batch)
        self.axes = (self.rows.size,)
        self.index = self.rows.index(self.steps, self.batch_first).to(input.device)

    def rows_of(self, values: Tensor, width: int) -> Tensor:
        return take(values.reshape(self.steps * self.batch, width), self.index)

    def leave(self, flat: Tensor) -> Any:
        padded = put(flat, self.index, self.steps * self.batch)
        first, second = (self.batch, self.steps) if self.batch_first else (self.steps, self.batch)
        return padded.view(first, second, flat.shape[1]) if self.batched else padded

    def later(self, flat: Tensor) -> Tensor:
        return _later(self.rows, flat)


class PackedEntry(Entry):
    """A PackedSequence; other inputs may be padded, in the order in which the caller packed them."""

    def __init__(self, input: PackedSequence, batch_first: bool, traced: bool):
        self.packed, self.batched, self.batch_first, self.traced = input, True, batch_first, traced
        counts = visible(input.batch_sizes)
        if counts.ndim != 1:
            raise LayerError(
                "torch.vmap gave each element a PackedSequence of its own; give padded sequences and lengths="
            )
        order = None if input.sorted_indices is None else visible(input.sorted_indices)
        self.steps, self.batch = len(counts), int(counts[0])
        self.rows = Packed(counts, self.batch, order)
        self.axes = (self.rows.size,)

    def flat(self, values: Any, width: int, name: str) -> Tensor:
        if not isinstance(values, PackedSequence):
            return super().flat(values, width, name)
        data = values.data.reshape(len(values.data), -1)
        if data.shape != (self.rows.size, width):
            raise LayerError(f"{name} must be rows of shape {(self.rows.size, width)}; got {tuple(values.data.shape)}")
        return data

    def rows_of(self, values: Tensor, width: int) -> Tensor:
        index = self.rows.index(self.steps, self.batch_first).to(values.device)
        return take(values.reshape(self.steps * self.batch, width), index)

    def leave(self, flat: Tensor) -> PackedSequence:
        return PackedSequence(flat, self.packed.batch_sizes, self.packed.sorted_indices, self.packed.unsorted_indices)

    def later(self, flat: Tensor) -> Tensor:
        return _later(self.rows, flat)


class TracedEntry(Entry):
    """A rectangle, with lengths or without, that stays padded: nothing depends on the lengths' values, which compilers
    do not know yet, and of which torch.vmap has several."""

    traced = True

    def __init__(self, input: Tensor, batch_first: bool, lengths: Lengths):
        super().__init__(input, batch_first)
        self.lengths = None if lengths is None else torch.as_tensor(lengths)

    def later(self, flat: Tensor) -> Tensor:
        if self.lengths is not None:
            inside = torch.arange(self.steps, device=flat.device)[:, None] < self.lengths[None, :]
            flat = flat * inside.reshape(-1, 1).to(flat.dtype)
        return super().later(flat)


def _later(rows: Packed, flat: Tensor) -> Tensor:
    running = rows.lengths[rows.places] - 1 > rows.times
    following = rows.offsets[np.minimum(rows.times + 1, rows.steps)] + rows.places
    index = torch.from_numpy(np.where(running, following, 0)).to(flat.device)
    mask = torch.from_numpy(running[:, None].astype(np.float32)).to(flat)
    return flat.index_select(0, index) * mask if rows.size else flat


def enter(input: Sequences, batch_first: bool, lengths: Lengths, traced: bool) -> Entry:
    """The entry for an input, checked for its number of axes by the caller."""
    if isinstance(input, PackedSequence):
        if lengths is not None:
            raise LayerError("a PackedSequence has its lengths already; leave lengths= away")
        return PackedEntry(input, batch_first, traced)
    if traced:
        return TracedEntry(input, batch_first, lengths)
    return Entry(input, batch_first) if lengths is None else RaggedEntry(input, batch_first, lengths)


class Rectangle:
    """T steps of B sequences that all run to the end."""

    whole = True

    def __init__(self, steps: int, batch: int):
        self.steps, self.batch, self.size = steps, batch, steps * batch

    def rows(self, reverse: bool = False) -> Rows:
        return _rectangle(self.steps, self.batch, reverse)

    def sort(self, values: Tensor) -> Tensor:
        """(B, w) in the caller's order to (B, w) in the rows' order; further axes may stand in front."""
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
    """Sequences, sorted by their lengths: `counts[s]` of the `batch` sequences run at step s; `order` sorts them. If
    all are equally long (`whole`), their rows are those of a rectangle, which kernels read from either end."""

    def __init__(self, counts: np.ndarray, batch: int, order: np.ndarray | None = None):
        self.counts, self.batch, self.order = np.asarray(counts, np.int64), batch, order
        self.offsets = np.concatenate([[0], np.cumsum(self.counts)])
        self.steps, self.size = len(self.counts), int(self.offsets[-1])
        self.whole = self.size == self.steps * batch

    @classmethod
    def from_lengths(cls, lengths: Lengths, steps: int, batch: int) -> Packed:
        """Sort sequences by their lengths, (B,) integers between 0 and T."""
        lengths = checked_lengths(lengths, steps, batch)
        order = np.argsort(-lengths, kind="stable")
        ended = np.cumsum(np.bincount(lengths))  # sequences of so many steps or fewer
        return cls(batch - ended[:-1], batch, order)

    def rows(self, reverse: bool = False) -> Rows:
        return _rectangle(self.steps, self.batch, reverse) if self.whole else self._rows

    @lazy
    def _rows(self) -> Rows:
        return Rows.packed(self.counts, self.batch)

    def sort(self, values: Tensor) -> Tensor:
        return values if self.order is None else values.index_select(-2, self._index(self.order, values))

    def unsort(self, values: Tensor) -> Tensor:
        return values if self.order is None else values.index_select(-2, self._index(self.back, values))

    @lazy
    def back(self) -> np.ndarray:
        """(B,) for each sequence of the caller's, which it is in sorted order."""
        return np.arange(self.batch) if self.order is None else np.argsort(self.order)

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
        return flat if self.whole else flip(flat, self._index(self.flipped, flat))

    @lazy
    def flipped(self) -> np.ndarray:
        """(N,) for each row, the row of the same sequence as far from its end as this is from its beginning."""
        return self.offsets[self.lengths[self.places] - 1 - self.times] + self.places

    @staticmethod
    def _index(index: np.ndarray, values: Tensor) -> Tensor:
        return torch.from_numpy(index).to(values.device)


def checked_lengths(lengths: Lengths, steps: int, batch: int) -> np.ndarray:
    """`lengths` as integers, (B,) of them to whoever looks, or an error that names the first that cannot be."""
    array = visible(lengths) if isinstance(lengths, Tensor) else np.asarray(lengths)
    shape = tuple(lengths.shape) if isinstance(lengths, Tensor) else array.shape
    if shape != (batch,):
        raise LayerError(f"lengths must have one entry per sequence, shape ({batch},); got shape {shape}")
    if batch and array.dtype.kind not in "iu":
        raise LayerError(f"lengths must be integers; got dtype {array.dtype}")
    array = array.astype(np.int64)
    if array.size and not 0 <= array.min() <= array.max() <= steps:
        bad = np.argwhere((array < 0) | (array > steps))
        at, value = ", ".join(map(str, bad[0])), array[tuple(bad[0])]
        raise LayerError(f"lengths[{at}] is {value}; a length lies between 0 and the input's {steps} steps")
    return array


def visible(tensor: Tensor) -> np.ndarray:
    """All values of a tensor, also where torch.func transforms it: torch.vmap's axes are then among the array's own."""
    while is_functorch_wrapped_tensor(tensor):
        tensor = get_unwrapped(tensor)
    with torch._C._DisableFuncTorch():
        return tensor.detach().cpu().numpy()


class _Take(torch.autograd.Function):
    """Rows of `padded` at `index`, each taken at most once, so that the gradient is one scatter without additions."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.size = padded.shape[0]
        return padded.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (index,) = ctx.saved_tensors
        return put(grads[0], index, ctx.size), None


class _Flip(torch.autograd.Function):
    """Rows of `flat` at `index`, which names each row once, and twice leads back to it: the gradient goes the same
    way."""

    @staticmethod
    def forward(ctx: BackwardCFunction, flat: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        return flat.index_select(0, index)

    @staticmethod
    def backward(ctx: BackwardCFunction, gradient: Tensor) -> tuple[Tensor, None]:
        (index,) = list(ctx.saved_tensors)
        return flip(gradient, index), None


class _Put(torch.autograd.Function):
    """The rows of `flat` put at `index` of zeros (size, w)."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor, index: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(index)
        return flat.new_zeros(size, *flat.shape[1:]).index_copy_(0, index, flat)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (index,) = ctx.saved_tensors
        return take(grads[0], index), None, None


def take(padded: Tensor, index: Tensor) -> Tensor:
    """(R, w) to (N, w): the rows at `index` (N,), no row twice."""
    return padded.index_select(0, index) if _transformed() else _Take.apply(padded, index)


def flip(flat: Tensor, index: Tensor) -> Tensor:
    """(N, w) to (N, w): the rows at `index` (N,), of which each pair leads to each other."""
    return flat.index_select(0, index) if _transformed() else _Flip.apply(flat, index)


def put(flat: Tensor, index: Tensor, size: int) -> Tensor:
    """(N, w) to (size, w): rows put at `index`, zeros elsewhere."""
    if _transformed():
        return flat.new_zeros(size, *flat.shape[1:]).index_copy(0, index, flat)
    return _Put.apply(flat, index, size)
