"""A cell's step bound to sizes and to the parameters of a layer: what the autograd operator is told to run."""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatework import runtime
from gatework.compiler.ir import Graph
from gatework.layers.errors import LayerError
from gatework.layers.parameters import Declared
from gatework.runtime import checks
from gatework.runtime.memory import Recent
from gatework.runtime.program import Program

PREPARED_BYTES, KEPT_BYTES = 64 << 20, 256 << 20
DTYPES = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}


class Binding:
    """One direction of one layer. `pieces[key]` says which rows of which parameters are the graph's weight `key`; where
    there are several (torch's two biases), the weight is their sum. Tensors are passed in the order: `steps` (inputs at
    each step), `sequences` (inputs once a sequence), `states` (starts), parameters. `key` names the binding for the
    registered operator, the same in every process. `turned` parameters lie transposed in memory (Keras')."""

    def __init__(
        self, graph: Graph, sizes: dict[str, int], declared: Declared, recompute: bool = False,
        turned: tuple[int, ...] = (),
    ):  # fmt: skip
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
        self._programs: dict[torch.dtype, Any] = {}
        self.turned = turned
        self.prepared, self.kept = Recent(64, PREPARED_BYTES), Recent(16, KEPT_BYTES)
        said = repr((graph, sorted(sizes.items()), sorted(pieces.items()), self.param_shapes, recompute, turned))
        self.key = hashlib.sha256(said.encode()).hexdigest()[:24]
        _RECIPES.setdefault(self.key, (graph, sizes, declared, recompute, turned))
        _living.setdefault(self.key, self)

    def size(self, width: str) -> int:
        return 1 if width == "1" else self.sizes[width]

    def program(self, dtype: torch.dtype) -> Any:
        """The kernel for float32 or float64."""
        found = self._programs.get(dtype)
        if found is None:
            options = {"recompute": True} if self.recompute else {}
            found = self._programs[dtype] = runtime.program(self.graph, self.sizes, DTYPES[dtype], **options)
        return found

    def checked(self, tensors: Sequence[Any]) -> list[Any]:
        """The tensors as kernels read them, contiguous and with their signs; refuses parameters that are not what the
        layer was built with."""
        params = tensors[self.first_param :]
        self.check_parameters(params)
        tensors = [t if t is None else t.resolve_neg() if t.is_contiguous() else t.contiguous() for t in tensors]
        for p in self.turned:
            given = params[p].resolve_neg()
            tensors[self.first_param + p] = given if given.t().is_contiguous() else given.t().contiguous().t()
        return tensors

    def check_parameters(self, params: Sequence[Any]) -> None:
        if [p.shape for p in params] != self.param_shapes or not all(p.is_cpu for p in params):
            found = ", ".join(f"{tuple(p.shape)} on {p.device}" for p in params)
            raise LayerError(f"parameters of {self.graph.name} must be {self.param_shapes} on the cpu; got {found}")

    def direct(self, tensors: Sequence[Any]) -> bool:
        """Whether a compiled kernel reads these tensors where they lie."""
        return not checks.finite() and isinstance(self.program(tensors[0].dtype), Program)

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
