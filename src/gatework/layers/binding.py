"""A cell's step bound to sizes and to the parameters of a layer: what the autograd operator is told to run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatework import runtime
from gatework.compiler.ir import Graph

DTYPES = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}


class Piece(NamedTuple):
    """Rows `start:stop` of the layer's parameter number `param`; `stop` None is the whole parameter."""

    param: int
    start: int = 0
    stop: int | None = None

    def of(self, params: Sequence[Any]) -> Any:
        array = params[self.param]
        return array if self.stop is None else array[self.start : self.stop]


Pieces = dict[str, tuple[Piece, ...]]


class Binding:
    """One direction of one layer. `pieces[key]` says which rows of which parameters are the graph's weight `key`; where
    there are several (torch's two biases), the weight is their sum. Tensors are passed in the order: `steps` (inputs at
    each step), `sequences` (inputs once a sequence), `states` (starts), parameters. `key` names the binding for the
    registered operator, the same in every process."""

    def __init__(self, graph: Graph, sizes: dict[str, int], pieces: Pieces, recompute: bool = False):
        self.graph, self.sizes, self.pieces, self.recompute = graph, sizes, pieces, recompute
        self.steps = tuple(i.name for i in graph.inputs if i.per == "step")
        self.sequences = tuple(i.name for i in graph.inputs if i.per == "sequence")
        self.rates = tuple(i.name for i in graph.inputs if i.per == "call")
        self.states = tuple(s.name for s in graph.states)
        self.widths = tuple(self.size(s.width) for s in graph.states)
        self.input_widths = {i.name: self.size(i.width) for i in graph.inputs}
        self.output = self.states[0]
        self.first_start = len(self.steps) + len(self.sequences)
        self.first_param = self.first_start + len(self.states)
        self.single = tuple((key, *found[0]) for key, found in pieces.items() if len(found) == 1)
        self.summed = tuple((key, found) for key, found in pieces.items() if len(found) > 1)
        self._programs: dict[torch.dtype, Any] = {}
        said = repr((graph, sorted(sizes.items()), sorted(pieces.items()), recompute))
        self.key = hashlib.sha256(said.encode()).hexdigest()[:24]
        _KNOWN.setdefault(self.key, self)

    def size(self, width: str) -> int:
        return 1 if width == "1" else self.sizes[width]

    def program(self, dtype: torch.dtype) -> Any:
        """The kernel for float32 or float64."""
        found = self._programs.get(dtype)
        if found is None:
            options = {"recompute": True} if self.recompute else {}
            found = self._programs[dtype] = runtime.program(self.graph, self.sizes, DTYPES[dtype], **options)
        return found

    def weights(self, params: Sequence[Any]) -> dict[str, Any]:
        """The graph's weights by key, as views of the parameters (sums where a weight has several pieces)."""
        found = {key: params[p] if stop is None else params[p][start:stop] for key, p, start, stop in self.single}
        for key, pieces in self.summed:
            parts = [piece.of(params) for piece in pieces]
            found[key] = sum(parts[1:], parts[0])
        return found

    def gradients(self, grads: dict[str, np.ndarray], params: Sequence[Tensor]) -> list[Tensor]:
        """The parameters' gradients from those of the graph's weights."""
        arrays = [np.empty(p.shape, DTYPES[p.dtype]) for p in params]
        for key, p, start, stop in self.single:
            arrays[p][start:stop] = grads[key]
        for key, pieces in self.summed:
            for piece in pieces:
                piece.of(arrays)[...] = grads[key]
        return [torch.from_numpy(a) for a in arrays]


def to_numpy(tensor: Tensor) -> np.ndarray:
    """A tensor as an array of float32 or float64."""
    tensor = tensor.detach().cpu()
    return (tensor if tensor.dtype in DTYPES else tensor.float()).numpy()


_KNOWN: dict[str, Binding] = {}


def known(key: str) -> Binding:
    """The binding that has this key."""
    return _KNOWN[key]
