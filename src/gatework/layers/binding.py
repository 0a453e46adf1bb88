"""A cell's step bound to sizes and to the parameters of a layer: what the autograd operator is told to run."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatework import runtime
from gatework.compiler.ir import Graph
from gatework.layers.parameters import Declared
from gatework.runtime.frame import Layout
from gatework.runtime.memory import Recent
from gatework.runtime.program import Program
from gatework.runtime.rows import Rows

PREPARED_BYTES, KEPT_BYTES = 64 << 20, 256 << 20
DTYPES = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}

Tensors = Sequence[Any]  # tensors in a binding's order; None is a start that the cell gives itself


# What a forward pass gives: last values of the states, their histories (None where not kept), and what else the way
# back needs.
Passed = tuple[list[Any], list[Any], Tensor | None]


class Room(NamedTuple):
    """Where an output's history goes, if somewhere in particular: `place` (*axes, w) has memory of its own columns of
    `whole`, which the caller gets."""

    place: Tensor
    whole: Tensor


class Setting(NamedTuple):
    """What a call says beside its tensors.

    rates    the inputs that are one number for the whole call
    axes     of a layer's histories before their units: (T, B) or (N,); its last states are then (1, B, w), its share of
             those of all layers. None: rows (N, w) and (B, w)
    lengths  (B,) steps of each sequence of a padded rectangle, for the reference alone
    """

    rows: Rows
    return_all: bool = False
    rates: Mapping[str, float] = MappingProxyType({})
    axes: tuple[int, ...] | None = None
    room: Room | None = None
    lengths: Tensor | None = None


class Saved(NamedTuple):
    """What a forward pass leaves for the backward one, all of it tensors."""

    tensors: Tensors
    histories: Tensors
    block: Tensor | None


def as_last(state: Tensor, setting: Setting) -> Tensor:
    """A state (B, w) in the form of a call's last states."""
    return state if setting.axes is None else state.unsqueeze(0)


class Binding:
    """One direction of one layer. `pieces[key]` says which rows of which parameters are the graph's weight `key`; where
    there are several (torch's two biases), the weight is their sum. Tensors are passed in the order: `steps` (inputs at
    each step), `sequences` (inputs once a sequence), `states` (starts), parameters. `key` names the binding for the
    registered operator, the same in every process. `turned` parameters lie transposed in memory (Keras'). `precision`
    is that of products (see `runtime.program`)."""

    def __init__(
        self,
        graph: Graph,
        sizes: dict[str, int],
        declared: Declared,
        recompute: bool = False,
        turned: tuple[int, ...] = (),
        precision: str | None = None,
    ):
        pieces = declared.pieces
        self.graph, self.sizes, self.pieces, self.recompute = graph, sizes, pieces, recompute
        self.param_shapes = list(declared.shapes.values())
        self.steps = tuple(i.name for i in graph.inputs if i.per == "step")
        self.sequences = tuple(i.name for i in graph.inputs if i.per == "sequence")
        self.rates = tuple(i.name for i in graph.inputs if i.per == "call")
        self.states = tuple(s.name for s in graph.states)
        self.widths = tuple(self.size(s.width) for s in graph.states)
        self.input_widths = {i.name: self.size(i.width) for i in graph.inputs}
        self.output = self.states[0]
        self.first_start = len(self.steps) + len(self.sequences)
        self.first_param = self.first_start + len(self.states)
        self.single = tuple((key, found[0]) for key, found in pieces.items() if len(found) == 1)
        self.summed = tuple((key, found) for key, found in pieces.items() if len(found) > 1)
        self._programs: dict[torch.dtype, Program] = {}
        self.turned, self.precision = turned, precision
        self.prepared, self.kept = Recent(64, PREPARED_BYTES), Recent(16, KEPT_BYTES)
        self.own_starts = Recent(16, PREPARED_BYTES)  # the cell's own, by batch and dtype
        self.words: dict[Layout, Any] = {}  # what `direct` has worked out, for each layout of arrays
        said = repr(
            (graph, sorted(sizes.items()), sorted(pieces.items()), self.param_shapes, recompute, turned, precision)
        )
        self.key = hashlib.sha256(said.encode()).hexdigest()[:24]
        _RECIPES.setdefault(self.key, (graph, sizes, declared, recompute, turned, precision))
        _living.setdefault(self.key, self)

    def size(self, width: str) -> int:
        return 1 if width == "1" else self.sizes[width]

    def program(self, dtype: torch.dtype) -> Program:
        """What runs, for float32 or float64."""
        found = self._programs.get(dtype)
        if found is None:
            found = runtime.program(self.graph, self.sizes, DTYPES[dtype], self.recompute, precision=self.precision)
            self._programs[dtype] = found
        return found

    def starts(self, batch: int, dtype: torch.dtype) -> list[Tensor]:
        """The states that the cell gives itself, (B, w) each: to be read only."""
        key = batch, dtype
        found = self.own_starts.get(key)
        if found is None:
            states = zip(self.graph.states, self.widths, strict=True)
            with torch.inference_mode(False):  # for training too, whoever asks first
                found = self.own_starts.keep(key, [torch.full((batch, w), s.start, dtype=dtype) for s, w in states])
        return found

    def weights(self, params: Sequence[Any]) -> dict[str, Any]:
        """The graph's weights by key, as views of the parameters (sums where a weight has several pieces)."""
        found = {key: piece.of(params) for key, piece in self.single}
        for key, pieces in self.summed:
            parts = [piece.of(params) for piece in pieces]
            found[key] = sum(parts[1:], parts[0])
        return found

    def gradients(self, grads: dict[str, np.ndarray], params: Sequence[Tensor]) -> list[Tensor]:
        """The parameters' gradients from those of the graph's weights."""
        arrays = [np.empty(p.shape, DTYPES[p.dtype]) for p in params]
        for key, piece in self.single:
            piece.of(arrays)[...] = grads[key]
        for key, pieces in self.summed:
            for piece in pieces:
                piece.of(arrays)[...] = grads[key]
        return [torch.from_numpy(a) for a in arrays]


def to_numpy(tensor: Tensor) -> np.ndarray:
    """A tensor as an array of float32 or float64."""
    tensor = tensor.detach().cpu()
    return (tensor if tensor.dtype in DTYPES else tensor.float()).numpy()


_RECIPES: dict[str, tuple] = {}  # not bindings, which would hold kernels and memory of layers that are gone
_living: weakref.WeakValueDictionary[str, Binding] = weakref.WeakValueDictionary()
_called = Recent(16, PREPARED_BYTES)  # those that compiled code calls whose layer is gone


def known(key: str) -> Binding:
    """A binding that has this key: a layer's own, as long as there is one."""
    found = _living.get(key) or _called.get(key)
    return found or _called.keep(key, Binding(*_RECIPES[key]))
