"""The equations of ONNX's LSTM, GRU and RNN for any of their options, as cells of ours.

The operators' documents define them (https://onnx.ai/onnx/operators/onnx__LSTM.html); where these leave it open what is
clipped, ONNX Runtime does: what the gates and the candidate read, not what the last activation of an LSTM reads. The
gates' maps have the names of our own cells' (backends/layouts.py), so that one table orders the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gatework import cells
from gatework.compiler.ir import Graph
from gatework.compiler.lang import abs, cell, exp, maximum, minimum, relu, sigmoid, softplus, tanh, where
from gatework.compiler.ops import Value
from gatework.compiler.symbols import Namespace, Symbol

Function = Callable[[Symbol], Value]


class Kind(NamedTuple):
    """An activation by its constants, and what these are where a node does not say; None: it must."""

    function: Callable[..., Value]
    alpha: float | None = None
    beta: float | None = None
    constants: int = 0


ACTIVATIONS = {
    "relu": Kind(relu),
    "tanh": Kind(tanh),
    "sigmoid": Kind(sigmoid),
    "softsign": Kind(lambda x: x / (1.0 + abs(x))),
    "softplus": Kind(softplus),
    "affine": Kind(lambda x, alpha, beta: alpha * x + beta, 1.0, 0.0, 2),
    "leakyrelu": Kind(lambda x, alpha: where(x < 0.0, alpha * x, x), 0.01, constants=1),
    "thresholdedrelu": Kind(lambda x, alpha: where(x < alpha, 0.0, x), 1.0, constants=1),
    "scaledtanh": Kind(lambda x, alpha, beta: alpha * tanh(beta * x), constants=2),
    "hardsigmoid": Kind(lambda x, alpha, beta: maximum(minimum(alpha * x + beta, 1.0), 0.0), 0.2, 0.5, 2),
    "elu": Kind(lambda x, alpha: where(x < 0.0, alpha * (exp(x) - 1.0), x), 1.0, constants=1),
}
USUAL = {"LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh"), "RNN": ("tanh",)}


class Activation(NamedTuple):
    """A name of `ACTIVATIONS` with its constants."""

    name: str
    constants: tuple[float, ...] = ()

    def __call__(self, x: Value) -> Value:
        return ACTIVATIONS[self.name].function(x, *self.constants)


class Options(NamedTuple):
    """What says which cell a node is."""

    operator: str
    activations: tuple[Activation, ...]
    clip: float = 0.0  # 0: none
    peephole: bool = False
    coupled: bool = False  # LSTM's input_forget
    linear_before_reset: bool = False  # of a GRU


def graph_of(options: Options) -> Graph:
    """The cell; one of our own where there is it."""
    plain = not options.clip and not options.coupled
    names = tuple(each.name for each in options.activations)
    if plain and options.operator == "RNN" and names[0] in OWN_RNN:
        return cells.get(OWN_RNN[names[0]]).graph
    if plain and names == USUAL[options.operator]:
        return cells.get(own_cell(options)).graph
    return _MADE[options.operator](options)


OWN_RNN = {"tanh": "rnn", "relu": "rnn_relu", "sigmoid": "rnn_sigmoid"}


def own_cell(options: Options) -> str:
    """Our cell with the usual activations, whose gates have these names."""
    if options.operator == "LSTM":
        return "lstm_peephole" if options.peephole else "lstm"
    if options.operator == "RNN":
        return "rnn"
    return "gru" if options.linear_before_reset else "gru_reset_before"


def _functions(options: Options) -> Sequence[Function]:
    """The activations, with the clip of what they read."""
    limit = options.clip

    def clipped(activation: Activation) -> Function:
        return lambda x: activation(minimum(maximum(x, -limit), limit) if limit else x)

    return [clipped(each) for each in options.activations]


def _lstm(options: Options) -> Graph:
    gate, candidate, _ = _functions(options)
    outer = options.activations[2]

    def seen(W: Namespace, name: str, c: Symbol) -> Symbol | float:
        return getattr(W, f"peep_{name}") * c if options.peephole else 0.0

    @cell
    def lstm_of_onnx(x, h, c, W):
        i = gate(W.i(h, x) + seen(W, "i", c))
        f = 1.0 - i if options.coupled else gate(W.f(h, x) + seen(W, "f", c))
        g = candidate(W.g(h, x))
        c = f * c + i * g
        o = gate(W.o(h, x) + seen(W, "o", c))
        return o * outer(c), c

    return lstm_of_onnx.graph


def _gru(options: Options) -> Graph:
    gate, candidate = _functions(options)

    @cell
    def gru_of_onnx(x, h, W):
        r = gate(W.r(h, x))
        z = gate(W.z(h, x))
        n = candidate(W.nx(x) + r * W.nh(h) if options.linear_before_reset else W.n(r * h, x))
        return (1.0 - z) * n + z * h

    return gru_of_onnx.graph


def _rnn(options: Options) -> Graph:
    (activation,) = _functions(options)

    @cell
    def rnn_of_onnx(x, h, W):
        return activation(W.h(h, x))

    return rnn_of_onnx.graph


_MADE: dict[str, Callable[[Options], Graph]] = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}
