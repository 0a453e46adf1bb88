"""Weights that stay packed from call to call, for calls of few rows: packing would cost more than such a call."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor

from gatework.layers.binding import Binding
from gatework.layers.words import Words, point
from gatework.runtime.frame import Frame
from gatework.runtime.memory import aligned_zeros


class PackedCall:
    """A prepared call whose weights stay packed from call to call."""

    def __init__(self, frame: Frame, words: Words):
        self.frame, self.words, self.place = frame, words, frame.layout.packed
        self.pointed: list[int] = []

    def run(self, params: Sequence[Tensor], weights: PackedWeights) -> bool:
        """Run; False, and nothing has run, if threads are missing."""
        addresses = [p.data_ptr() for p in params]
        if not weights.same(addresses):
            weights.take(params, addresses, self.words)
        if self.pointed is not weights.sources:
            self.pointed = weights.sources
            self.frame.table[self.place] = weights.place
            point(self.frame.table, self.words.params, weights.sources)
        weights.ready = self.frame.run(weights.ready)
        return weights.ready


class PackedWeights:
    """The packed weights of one direction, for calls of few rows of any shape. A parameter can change without a trace
    (through `.data`), so each call compares all of them with a copy, which costs less than packing."""

    def __init__(self, frame: Frame):
        self.memory = aligned_zeros(frame.packed_size, frame.layout.dtype)
        self.place = self.memory.ctypes.data
        self.nbytes = 2 * self.memory.nbytes
        self.ready, self.addresses, self.differ = False, [0], frame.differ
        self.sources: list[int] = []  # addresses of parameters and of sums
        self.pairs, self.pairs_at = array("q"), 0  # for `differ`: the parameters and their copies
        self.tensors: list[Tensor] = []

    def same(self, addresses: Sequence[int]) -> bool:
        """Whether the parameters at these addresses are those that are packed."""
        if addresses != self.addresses:
            return False
        self.differ(self.pairs_at)
        return not self.pairs[1]

    def take(self, params: Sequence[Tensor], addresses: list[int], words: Words) -> None:
        copies = [p.detach().clone() for p in params]
        sums = [torch.empty_like(copies[first]) for first, *_ in words.sums]
        words.added(copies, sums)
        self.ready, self.addresses = False, addresses
        self.sources = [*addresses, *(s.data_ptr() for s in sums)]
        pairs = zip(addresses, copies, strict=True)
        self.pairs = array("q", [len(copies), 0, *(w for a, c in pairs for w in (a, c.data_ptr(), c.nbytes))])
        self.pairs_at = self.pairs.buffer_info()[0]
        self.tensors = [*copies, *sums]


def packed_weights(binding: Binding, frame: Frame, params: Sequence[Tensor]) -> PackedWeights:
    """Where the packed weights of these parameters stay, for all calls that pack them in the same way."""
    key = (frame.panels, params[0].data_ptr() if params else 0)
    return binding.kept.get(key) or binding.kept.keep(key, PackedWeights(frame))
