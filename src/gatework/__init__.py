"""gatework: recurrent networks from their equations.

    import gatework
    layer = gatework.LSTM(32, 64)                      # torch.nn.LSTM's arguments, weights and results; a faster kernel
    output, (h, c) = layer(torch.zeros(100, 8, 32))    # (T, B, I) -> (T, B, H), and the last states

The names below are loaded when they are first used: `import gatework` loads neither torch nor llvmlite.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatework import errors
from gatework.extras import explained

if TYPE_CHECKING:
    from gatework import cells, keras, runtime
    from gatework.compiler.lang import (
        abs,
        cell,
        exp,
        gelu,
        hard_sigmoid,
        log,
        log1p,
        log_sigmoid,
        max,
        maximum,
        mean,
        minimum,
        relu,
        sigmoid,
        softmax,
        softplus,
        sqrt,
        stop,
        sum,
        tanh,
        var,
        where,
    )
    from gatework.diagnosis import diagnose
    from gatework.explanation import explain
    from gatework.layers import GRU, LSTM, RNN, Recurrent, save
    from gatework.tasks import Forecaster, SequenceClassifier, TextClassifier, TextGenerator
    from gatework.tuning import cross_validate, tune
    from gatework.verification import reference, verify

__version__ = "0.1.0"

__all__ = [
    "Forecaster",
    "GRU",
    "LSTM",
    "RNN",
    "Recurrent",
    "SequenceClassifier",
    "TextClassifier",
    "TextGenerator",
    "abs",
    "cell",
    "cells",
    "cross_validate",
    "diagnose",
    "errors",
    "exp",
    "explain",
    "gelu",
    "hard_sigmoid",
    "keras",
    "log",
    "log1p",
    "log_sigmoid",
    "max",
    "maximum",
    "mean",
    "minimum",
    "reference",
    "relu",
    "runtime",
    "save",
    "sigmoid",
    "softmax",
    "softplus",
    "sqrt",
    "stop",
    "sum",
    "tanh",
    "tune",
    "var",
    "verify",
    "where",
]

# Where a name lives; a name that is not here is a module of the package.
_HOMES = {
    "gatework.compiler.lang": (
        "abs", "cell", "exp", "gelu", "hard_sigmoid", "log", "log1p", "log_sigmoid", "max", "maximum", "mean",
        "minimum", "relu", "sigmoid", "softmax", "softplus", "sqrt", "stop", "sum", "tanh", "var", "where",
    ),
    "gatework.diagnosis": ("diagnose",),
    "gatework.explanation": ("explain",),
    "gatework.layers": ("GRU", "LSTM", "RNN", "Recurrent", "save"),
    "gatework.tasks": ("Forecaster", "SequenceClassifier", "TextClassifier", "TextGenerator"),
    "gatework.tuning": ("cross_validate", "tune"),
    "gatework.verification": ("reference", "verify"),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gatework' has no attribute {name!r}")
    try:
        value = getattr(import_module(_HOME[name]), name) if name in _HOME else import_module(f"gatework.{name}")
    except ImportError as error:
        raise explained(error) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
