"""Keras' activations in the language of cells: what a kernel can be made of.

Not here, as no elementary operation makes them: gelu (erf), sparsemax (a sort), glu (halves the width), threshold
(needs arguments), and functions of one's own. Layers with those run Keras' own loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import keras
import torch

from gatework.compiler.ops import (
    Value,
    exp,
    hard_sigmoid,
    log,
    log_sigmoid,
    max,
    maximum,
    minimum,
    relu,
    sigmoid,
    softmax,
    softplus,
    sqrt,
    stop,
    sum,
    tanh,
    where,
)

V = TypeVar("V", bound=Value)
Function = Callable[[Any], Any]  # of a value, to one of the same kind
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def elu(x: V) -> V:
    """x for x > 0, else exp(x) - 1, written so that nothing cancels near 0."""
    below = minimum(x, 0.0)
    return where(x > 0.0, x, tanh(below * 0.5) * (exp(below) + 1.0))


def selu(x: V) -> V:
    return SELU_SCALE * where(x > 0.0, x, SELU_ALPHA * elu(x))


def log_softmax(x: V) -> V:
    shifted = x - stop(max(x))
    return shifted - log(sum(exp(shifted)))


def sparse_plus(x: V) -> V:
    return where(x <= -1.0, 0.0, where(x < 1.0, 0.25 * (x + 1.0) * (x + 1.0), x))


def soft_shrink(x: V) -> V:
    return where(x > 0.5, x - 0.5, where(x < -0.5, x + 0.5, 0.0))


ACTIVATIONS: dict[str, Function] = {
    "celu": elu,
    "elu": elu,
    "exponential": exp,
    "hard_shrink": lambda x: where(abs(x) > 0.5, x, 0.0),
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": lambda x: x * hard_sigmoid(x),
    "hard_tanh": lambda x: minimum(maximum(x, -1.0), 1.0),
    "leaky_relu": lambda x: where(x > 0.0, x, 0.2 * x),
    "linear": lambda x: x,
    "log_sigmoid": log_sigmoid,
    "log_softmax": log_softmax,
    "mish": lambda x: x * tanh(softplus(x)),
    "relu": relu,
    "relu6": lambda x: minimum(maximum(x, 0.0), 6.0),
    "selu": selu,
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "soft_shrink": soft_shrink,
    "softmax": softmax,
    "softplus": softplus,
    "softsign": lambda x: x / (1.0 + abs(x)),
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": lambda x: minimum(maximum(0.5 * (x + 1.0), 0.0), 1.0),
    "squareplus": lambda x: 0.5 * (x + sqrt(x * x + 4.0)),
    "tanh": tanh,
    "tanh_shrink": lambda x: x - tanh(x),
}

_NAMES: dict[Any, str] = {None: "linear", torch.tanh: "tanh", torch.sigmoid: "sigmoid", torch.relu: "relu"}
_NAMES |= {getattr(keras.ops, name): name for name in ("tanh", "sigmoid", "relu")}
_NAMES |= {getattr(keras.activations, name): name for name in ACTIVATIONS if hasattr(keras.activations, name)}


def name_of(activation: object) -> str | None:
    """The name in ACTIVATIONS of what a Keras layer holds as its activation; None for what is not there."""
    try:
        return _NAMES.get(activation)
    except TypeError:
        return None
