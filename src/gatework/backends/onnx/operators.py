"""The cells for which ONNX has an operator: LSTM, GRU and RNN, and the attributes that say which cell it is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from gatework.compiler.edit import is_known
from gatework.compiler.ir import Graph


class Operator(NamedTuple):
    """A node's type, the attributes that say which cell it is, and its activation where that is not the usual one."""

    name: str
    attributes: Mapping[str, int] = MappingProxyType({})
    activation: str = ""

    def options(self, hidden: int, direction: str) -> dict[str, int | str | list[str]]:
        """All attributes of a node; `direction` is "forward", "reverse" or "bidirectional"."""
        count = 2 if direction == "bidirectional" else 1
        own = {"activations": [self.activation] * count} if self.activation else {}
        return {"hidden_size": hidden, "direction": direction, **self.attributes, **own}


OPERATORS = {
    "lstm": Operator("LSTM"),
    "lstm_peephole": Operator("LSTM"),
    "gru": Operator("GRU", {"linear_before_reset": 1}),
    "gru_reset_before": Operator("GRU"),
    "rnn": Operator("RNN", activation="Tanh"),
    "rnn_relu": Operator("RNN", activation="Relu"),
    "rnn_sigmoid": Operator("RNN", activation="Sigmoid"),
}


def operator_of(graph: Graph, known: Graph) -> Operator | None:
    """The operator of a graph; `known` is the graph of our cell of that name, which another cell may have taken."""
    return OPERATORS.get(graph.name) if is_known(graph, known) else None
