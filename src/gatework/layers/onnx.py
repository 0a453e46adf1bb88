"""The layers in torch.onnx.export: for each layer of a stack one node LSTM, GRU or RNN, with both directions in it, or
for other cells a Scan for each direction (scans.py).

The weights stay parameters of the model: the graph cuts and orders them, which runtimes do once, as they load it.
Beyond a sequence's end outputs are zero, and states are those of its last step, as ours; no length may be 0, which
ONNX Runtime refuses.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.jit._trace import TracerWarning
from torch.nn.utils.rnn import PackedSequence

from gatework import cells
from gatework.backends import layouts
from gatework.backends.onnx.operators import OPERATORS, Operator, operator_of
from gatework.layers.batches import Sequences
from gatework.layers.call import Asked, cast, check_input, tracing
from gatework.layers.errors import LayerError
from gatework.layers.scans import PaddedCall, PaddedEntry, Scans

if TYPE_CHECKING:
    from gatework.layers.recurrent import Recurrent


Attributes = dict[str, Any]


def run(layer: Recurrent, input: Sequences, asked: Asked) -> Any:
    """The call of a layer, recorded as ONNX's nodes; refuses what they cannot say."""
    with warnings.catch_warnings():  # our checks look at shapes, which an example's are as good for as any
        warnings.simplefilter("ignore", TracerWarning)
        operator = operator_for(layer, asked)
        if isinstance(input, PackedSequence):
            return _packed(layer, input, asked)
        check_input(layer, input)
        entry = PaddedEntry(input, layer.batch_first, asked.lengths)
        call = (Nodes if operator else Scans)(layer, entry, asked)
        data = call.run(entry.flat(input, layer.input_size, "input"))
        return entry.leave(cast(data, call.given)), call.last_states()


def operator_for(layer: Recurrent, asked: Asked) -> Operator | None:
    """ONNX's operator for a layer, or None where its step is a Scan. Refuses what neither says."""
    masks = ("recurrent_dropout", "weight_drop", "zoneout") if layer.training else ()
    odd = [name for name in masks if getattr(layer, name)]
    odd += ["reset"] * (asked.reset is not None) + ["return_all"] * bool(asked.return_all)
    if odd:
        raise LayerError(f"a layer with {odd[0]} cannot be exported to ONNX; {_ADVICE}")
    graph = layer.graph_in_evaluation()
    found = operator_of(graph, cells.get(graph.name).graph) if graph.name in OPERATORS else None
    if found is None and tracing():
        raise LayerError(
            f"torch.onnx.export(..., dynamo=False) cannot hold the cell {graph.name} of this layer: a trace keeps "
            f"operators, of which ONNX has those of {', '.join(OPERATORS)}, and no loop over a step; {_ADVICE}"
        )
    return found


_ADVICE = (
    "export it in evaluation with dynamo=True, or without torch's exporter: a run by gatework export RUN --to onnx, a "
    "layer by gatework.exporting.onnx.write_layers(layer, path)"
)


def _packed(layer: Any, packed: PackedSequence, asked: Asked) -> Any:
    """By way of torch.nn's layer: the exporter that traces puts its packed sequences into nodes."""
    if not (tracing() and layer.native):
        raise LayerError(
            "torch.onnx.export cannot hold a packed sequence here: give the layer the padded input and lengths=, as in "
            "layer(x, lengths=lengths), in place of pack_padded_sequence and pad_packed_sequence"
        )
    return layer.through_torch(packed, asked.states)


class Nodes(PaddedCall):
    """A call whose layers are nodes."""

    def layer_over(self, depth: int, data: Tensor) -> Tensor:
        """(T, B, w) to (T, B, directions * H)."""
        layer = self.layer
        of_layer = range(depth * layer.directions, (depth + 1) * layer.directions)
        weights = zip(*(self.weights(depth, k) for k in of_layer), strict=True)
        W, R, B, P = (torch.stack(each) if None not in each else None for each in weights)
        lengths = None if self.entry.lengths is None else self.entry.lengths.to(torch.int32)
        inputs = [data, W, R, B, lengths, *self.initial(of_layer), P]
        operator = OPERATORS[layer.graph.name]
        output, *finals = _nodes(operator.name, self.attributes(operator), inputs, len(self.names))
        for final, last in zip(self.finals, finals, strict=True):
            final.append(last)
        return output.transpose(1, 2).flatten(2)

    def attributes(self, operator: Operator) -> Attributes:
        return operator.options(self.layer.hidden_size, "bidirectional" if self.layer.directions == 2 else "forward")

    def weights(self, depth: int, k: int) -> tuple[Tensor | None, ...]:
        """W, R, B and P (peepholes) of direction k, counted through the layers."""
        layer, cell = self.layer, self.layer.graph.name
        own = layer.binding(depth).weights([cast(p, self.dtype) for p in layer.params_of_call(k)])
        W, R, *B = layouts.to_onnx(cell, own, torch)
        P = torch.cat([own[f"peep_{gate}"] for gate in "iof"]) if cell == "lstm_peephole" else None
        return W, R, B[0] if B else None, P

    def initial(self, of_layer: range) -> list[Tensor | None]:
        """The states of a layer before the first step, (directions, B, w) each; None where they are zero."""
        if self.starts is not None:
            return [cast(start[of_layer.start : of_layer.stop], self.dtype) for start in self.starts]
        if self.layer.learn_initial_state:
            return [torch.stack([self.fresh(name, k) for k in of_layer]) for name in self.names]
        return [None] * len(self.names)


def _nodes(name: str, attributes: Attributes, inputs: list[Tensor | None], states: int) -> Sequence[Tensor]:
    """A node in the graph that is being recorded; `inputs` as ONNX orders them. Gives the output (T, directions, B, H)
    and the last states."""
    while inputs[-1] is None:
        inputs.pop()
    if tracing():
        return _Node.apply(name, attributes, states, *inputs)
    if not hasattr(torch.onnx, "ops"):
        raise LayerError(f"torch {torch.__version__} cannot put ONNX's nodes into a graph: dynamo=False, or torch 2.8")
    given = [each for each in inputs if each is not None]
    shapes = _shapes(given, states)
    dtypes = [given[0].dtype] * len(shapes)
    return torch.onnx.ops.symbolic_multi_out(name, inputs, attributes, dtypes=dtypes, shapes=shapes)


def _shapes(inputs: Sequence[Tensor], states: int) -> list[tuple[int, ...]]:
    (steps, batch, _), (directions, _, hidden) = inputs[0].shape, inputs[2].shape
    return [(steps, directions, batch, hidden), *[(directions, batch, hidden)] * states]


class _Graph(Protocol):
    def op(self, name: str, *inputs: torch.Value, **attributes: object) -> torch.Value: ...


class _Node(torch.autograd.Function):
    """A node for the exporter that traces. Its values are never asked for: a trace keeps operations."""

    @staticmethod
    def forward(ctx: object, name: str, attributes: Attributes, states: int, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(inputs[0].new_zeros(shape) for shape in _shapes(inputs, states))

    @staticmethod
    def symbolic(g: _Graph, name: str, attributes: Attributes, states: int, *inputs: torch.Value | None) -> object:
        kinds = {int: "i", str: "s", list: "s"}
        said = {f"{key}_{kinds[type(value)]}": value for key, value in attributes.items()}
        none = g.op("prim::Constant")
        none.setType(torch._C.OptionalType.ofTensor())
        return g.op(name, *(none if each is None else each for each in inputs), **said, outputs=1 + states)
