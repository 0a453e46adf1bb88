"""Which words of a call's table of slots hold which addresses of a binding's tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable, MutableSequence, Sequence

import torch
from torch import Tensor

from gatework.layers.binding import Binding
from gatework.runtime.frame import Layout


class Words:
    """Where the addresses of a binding's tensors go in the tables of a layout of arrays, whatever the rows: lists of
    (word of the table, which tensor, bytes from its beginning)."""

    def __init__(self, binding: Binding, layout: Layout, item: int):
        inputs = [layout.inputs.get(name) for name in (*binding.steps, *binding.sequences)]
        places = [*inputs, *(layout.starts.get(state) for state in binding.states)]
        self.reads = [(place, k) for k, place in enumerate(places) if place is not None]
        self.rates = [(layout.inputs[name], name) for name in binding.rates if name in layout.inputs]
        strides = [_strides(shape, p in binding.turned) for p, shape in enumerate(binding.param_shapes)]
        roles = (layout.weights, layout.vectors)
        read = [(role[key], pieces) for key, pieces in binding.pieces.items() for role in roles if key in role]
        self.sums = sorted({tuple(p.param for p in pieces) for _, pieces in read if len(pieces) > 1})
        sources = {(p,): p for p in range(len(strides))} | {s: len(strides) + k for k, s in enumerate(self.sums)}
        written = [(word, binding.pieces[key]) for key, word in layout.d_weights.items() if key in binding.pieces]
        self.params = [
            (word, sources[tuple(p.param for p in pieces)], pieces[0].start * strides[pieces[0].param][0] * item)
            for word, pieces in read
        ]
        self.gradients = [(w, p[0].param, p[0].start * strides[p[0].param][0] * item) for w, p in written]
        # Parameters that lie transposed (see Binding) have other strides than contiguous ones.
        found = [(word, strides[pieces[0].param]) for word, pieces in (*read, *written)]
        self.lays = [(word, *between) for word, between in found if len(between) == 2]

    def added(self, params: Sequence[Tensor], into: Sequence[Tensor]) -> None:
        """The sums of parameters."""
        for (first, second, *others), total in zip(self.sums, into, strict=True):
            torch.add(params[first], params[second], out=total)
            for p in others:
                total.add_(params[p])

    def room(self, binding: Binding, dtype: torch.dtype) -> list[Tensor]:
        """For these sums; tensors that may be written to in inference and outside of it."""
        with torch.inference_mode(False):
            return [torch.empty(binding.param_shapes[s[0]], dtype=dtype, device="cpu") for s in self.sums]


def _strides(shape: Sequence[int], turned: bool) -> tuple[int, ...]:
    """Those of a parameter, in elements; a scale of bytes for one of no other than two dimensions."""
    if len(shape) != 2:
        return (math.prod(shape[1:]),)
    return (1, shape[0]) if turned else (shape[1], 1)


def point(table: MutableSequence[int], words: Iterable[tuple[int, int, int]], addresses: Sequence[int]) -> None:
    for word, source, offset in words:
        table[word] = addresses[source] + offset
