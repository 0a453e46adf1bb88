"""From the forms in which callers hold sequences to flat rows, and back.

form                                       rows
(T, B, w), (B, T, w), (T, w)               a rectangle, as it stands
the same with lengths=                     packed, the longest first; the outputs beyond a sequence's end are zero
PackedSequence                             packed, as it stands
inside torch.compile                       a padded rectangle; the operator packs, as sizes may not depend on data
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from gatework.layers.errors import LayerError
from gatework.layers.ragged import Packed, Rectangle, put, take


class Entry:
    """A rectangle: `steps`, `batch` of the caller; `rows` is what the kernels see."""

    def __init__(self, input: Tensor, batch_first: bool):
        self.batched, self.batch_first = input.dim() == 3, batch_first and input.dim() == 3
        shape = input.shape
        self.steps, self.batch = (shape[1], shape[0]) if self.batch_first else (*shape[:-1], 1)[:2]
        self.rows: Any = Rectangle(self.steps, self.batch)

    def flat(self, values: Any, width: int, name: str) -> Tensor:
        """An input in the caller's form to (N, width); where the width is 1 its axis may be missing."""
        shape = (self.batch, self.steps) if self.batch_first else (self.steps, self.batch)
        shape = shape if self.batched else (self.steps,)
        if width == 1 and values.shape == shape:
            values = values.unsqueeze(-1)
        if values.shape != (*shape, width):
            raise LayerError(f"{name} must have shape {(*shape, width)}; got {tuple(values.shape)}")
        return self.rows_of(values, width)

    def rows_of(self, values: Tensor, width: int) -> Tensor:
        return (values.transpose(0, 1) if self.batch_first else values).reshape(self.steps * self.batch, width)

    def leave(self, flat: Tensor) -> Any:
        """(N, w) to the caller's form."""
        if not self.batched:
            return flat
        values = flat.view(self.steps, self.batch, flat.shape[1])
        return values.transpose(0, 1) if self.batch_first else values

    def later(self, flat: Tensor) -> Tensor:
        """(N, 1) to what each row holds one step later; zero at the last step of a sequence."""
        return torch.cat([flat[self.batch :], flat.new_zeros(min(self.batch, len(flat)), 1)])


class RaggedEntry(Entry):
    """A padded rectangle with `lengths`, packed."""

    def __init__(self, input: Tensor, batch_first: bool, lengths: Any):
        super().__init__(input, batch_first)
        self.rows = Packed.from_lengths(lengths, self.steps, self.batch)
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

    def __init__(self, input: PackedSequence, batch_first: bool):
        self.packed, self.batched, self.batch_first = input, True, batch_first
        counts = input.batch_sizes.numpy()
        order = None if input.sorted_indices is None else input.sorted_indices.cpu().numpy()
        self.steps, self.batch = len(counts), int(counts[0])
        self.rows = Packed(counts, self.batch, order)

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
    """A rectangle, with lengths or without, that stays padded."""

    def __init__(self, input: Tensor, batch_first: bool, lengths: Tensor | None):
        super().__init__(input, batch_first)
        self.lengths = lengths if lengths is None else torch.as_tensor(lengths)

    def later(self, flat: Tensor) -> Tensor:
        if self.lengths is not None:
            inside = torch.arange(self.steps)[:, None] < self.lengths[None, :]
            flat = flat * inside.reshape(-1, 1).to(flat.dtype)
        return super().later(flat)


def _later(rows: Packed, flat: Tensor) -> Tensor:
    running = rows.lengths[rows.places] - 1 > rows.times
    following = rows.offsets[np.minimum(rows.times + 1, rows.steps)] + rows.places
    index = torch.from_numpy(np.where(running, following, 0)).to(flat.device)
    mask = torch.from_numpy(running[:, None].astype(np.float32)).to(flat)
    return flat.index_select(0, index) * mask if rows.size else flat


def enter(input: Any, batch_first: bool, lengths: Any, traced: bool) -> Entry:
    """The entry for an input, checked for its number of axes by the caller."""
    if isinstance(input, PackedSequence):
        if lengths is not None:
            raise LayerError("a PackedSequence has its lengths already; leave lengths= away")
        return PackedEntry(input, batch_first)
    if traced:
        return TracedEntry(input, batch_first, lengths)
    return Entry(input, batch_first) if lengths is None else RaggedEntry(input, batch_first, lengths)
