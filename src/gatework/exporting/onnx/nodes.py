"""A node LSTM, GRU or RNN as a layer of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from onnx import NodeProto
from torch import Tensor

from gatework.backends.layouts import gates
from gatework.exporting.onnx.attributes import DIRECTIONS, Refused, Said, called, said_by
from gatework.exporting.onnx.constants import Constants
from gatework.exporting.onnx.equations import graph_of, own_cell
from gatework.layers import GRU, LSTM, RNN, Recurrent

OPERATORS = ("LSTM", "GRU", "RNN")
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}
Arrays = Mapping[str, np.ndarray]
Starts = Sequence[Mapping[str, ArrayLike]]  # of each direction, by the names of states


@dataclass
class OnnxLayer:
    """A recurrent node as a layer; calling it does what the node does.

    name     the node's
    layer    the layer with the node's weights; `batch_first` is the node's layout
    reverse  the node reads from the end; the layer alone would read from the beginning
    states   the states before the first step where the file holds them as numbers, (directions, B, H) each
    lengths  the lengths (B,) where the file holds them
    """

    name: str
    layer: Recurrent
    reverse: bool = False
    states: tuple[Tensor, ...] | None = None
    lengths: Tensor | None = None

    def __call__(
        self, x: Tensor, states: tuple[Tensor, ...] | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(T, B, I) to (T, B, H * directions), or batch first, and the last states (directions, B, H)."""
        states, lengths = self.states if states is None else states, self.lengths if lengths is None else lengths
        given = states[0] if states is not None and isinstance(self.layer, GRU | RNN) else states
        turned = self._turned(x, lengths) if self.reverse else x
        output, last = self.layer(turned, given, lengths=lengths)
        last = (last,) if isinstance(last, Tensor) else tuple(last)
        return self._turned(output, lengths) if self.reverse else output, last

    def _turned(self, values: Tensor, lengths: Tensor | None) -> Tensor:
        """Each sequence from its own end."""
        axis = 1 if self.layer.batch_first else 0
        if lengths is None:
            return values.flip(axis)
        steps, lengths = torch.arange(values.shape[axis]), torch.as_tensor(lengths).long()
        back = torch.where(steps[:, None] < lengths, lengths - 1 - steps[:, None], steps[:, None])
        index = (back.T if axis else back)[..., None].expand_as(values)
        return values.gather(axis, index)


def read(node: NodeProto, constants: Constants, starts: Starts = ()) -> OnnxLayer:
    """The layer of a node, with learned `starts` where there are. Raises Refused."""
    if len(node.input) > len(INPUTS):
        raise Refused(node, f"it has {len(node.input)} inputs; {len(INPUTS)} are known")
    names = {name: value for name, value in zip(INPUTS, node.input, strict=False) if value}
    found = {name: constants.get(value) for name, value in names.items()}
    arrays = {name: array for name, array in found.items() if array is not None}
    for name in (*"WR", *(n for n in "BP" if n in names)):
        if name not in names:
            raise Refused(node, f"it has no weights {name}")
        if name not in arrays:
            raise Refused(node, f"its weights {name} are {names[name]!r:.80}, which is computed and not in the file")
    said = said_by(node, "P" in arrays)
    _check(node, said, arrays)
    layer = _layer(said, arrays, starts)
    lengths = torch.from_numpy(arrays["sequence_lens"].astype(np.int64)) if "sequence_lens" in arrays else None
    return OnnxLayer(called(node), layer, said.direction == "reverse", _states(node, said, names, arrays), lengths)


def _check(node: NodeProto, said: Said, arrays: Arrays) -> None:
    """The weights' shapes and types are what the node and each other say."""
    W, R = arrays["W"], arrays["R"]
    directions, count = DIRECTIONS[said.direction], {"LSTM": 4, "GRU": 3, "RNN": 1}[node.op_type]
    if W.ndim != 3 or R.ndim != 3 or 0 in (*W.shape, *R.shape):
        raise Refused(node, f"W has the shape {W.shape} and R {R.shape}; both have three axes")
    inputs, hidden = W.shape[2], R.shape[2]
    if said.hidden not in (None, hidden):
        raise Refused(node, f"hidden_size is {said.hidden}, but R has the shape {R.shape}")
    rows = count * hidden
    wanted = {"W": (rows, inputs), "R": (rows, hidden), "B": (2 * rows,), "P": (3 * hidden,)}
    for name, shape in wanted.items():
        if name in arrays and arrays[name].shape != (directions, *shape):
            raise Refused(node, f"{name} has the shape {arrays[name].shape}; it must be {(directions, *shape)}")
    types = {arrays[name].dtype.name for name in wanted if name in arrays}
    if len(types) > 1 or not types <= set(DTYPES):
        raise Refused(node, f"its weights are {' and '.join(sorted(types))}; they must be {', '.join(DTYPES)}, all one")


def _states(node: NodeProto, said: Said, names: Mapping[str, str], arrays: Arrays) -> tuple[Tensor, ...] | None:
    """The states before the first step, (directions, B, H) each, where the file holds all that the node is given."""
    wanted = ("initial_h", "initial_c") if node.op_type == "LSTM" else ("initial_h",)
    given = [name for name in wanted if name in names]
    if not given or not all(name in arrays for name in given):
        return None
    found = {name: arrays[name].swapaxes(0, 1) if said.rows_first else arrays[name] for name in given}
    zeros = np.zeros_like(found[given[0]])
    return tuple(torch.from_numpy(np.array(found.get(name, zeros))) for name in wanted)


def _layer(said: Said, arrays: Arrays, starts: Starts) -> Recurrent:
    """The layer, as torch.nn's twin where there is one."""
    (directions, _, inputs), hidden = arrays["W"].shape, arrays["R"].shape[2]
    graph, biased = graph_of(said.options), "B" in arrays
    common = {"bias": biased, "batch_first": said.rows_first, "bidirectional": directions == 2}
    common |= {"dtype": DTYPES[arrays["W"].dtype.name], "learn_initial_state": any(starts)}
    if graph.name in ("lstm", "lstm_peephole"):
        layer: Recurrent = LSTM(inputs, hidden, **common, peephole=said.options.peephole)
    elif graph.name == "gru":
        layer = GRU(inputs, hidden, **common)
    elif graph.name in ("rnn", "rnn_relu"):
        layer = RNN(inputs, hidden, nonlinearity="relu" if graph.name == "rnn_relu" else "tanh", **common)
    else:
        layer = Recurrent(graph, inputs, hidden, **common)
    for d in range(directions):
        fill(layer, d, own_weights(said, {name: arrays[name][d] for name in "WRBP" if name in arrays}))
    fill_starts(layer, starts)
    return layer.eval()


def own_weights(said: Said, arrays: Arrays) -> dict[str, np.ndarray]:
    """Our weights by key, of one direction's W, R, B and P."""
    order = gates(own_cell(said.options), "onnx")
    parts = {name: np.split(arrays[name], len(order)) for name in "WR"}
    found: dict[str, np.ndarray] = {}
    for gate, w, r in zip(order, parts["W"], parts["R"], strict=True):
        found |= {gate.x: w, gate.h: r}
    halves = np.split(arrays["B"], 2) if "B" in arrays else ()
    for half, of_state in zip(halves, (False, True), strict=False):
        for gate, bias in zip(order, np.split(half, len(order)), strict=True):
            key = gate.bias_h if of_state else gate.bias_x
            found[key] = found[key] + bias if key in found else bias
    if "P" in arrays:
        found |= {f"peep_{gate}": p for gate, p in zip("iof", np.split(arrays["P"], 3), strict=True)}
    return found


@torch.no_grad()
def fill(layer: Recurrent, k: int, weights: Arrays) -> None:
    """Set the parameters of direction k, counted through the layers; of several that are summed the first."""
    parameters = layer.params_of_call(k)
    for key, pieces in layer.binding(k // layer.directions).pieces.items():
        for number, piece in enumerate(pieces):
            array = torch.from_numpy(np.array(weights[key], np.float64))
            piece.of(parameters).copy_(array if number == 0 else torch.zeros_like(array))


@torch.no_grad()
def fill_starts(layer: Recurrent, starts: Starts) -> None:
    """Set learned starts, of each direction of the first layer."""
    for suffix, of_direction in zip(layer.suffixes(0), starts, strict=False):
        for state, values in of_direction.items():
            getattr(layer, f"initial_{state}{suffix}").copy_(torch.from_numpy(np.array(values, np.float64)))
