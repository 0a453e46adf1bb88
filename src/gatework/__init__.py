"""gatework: recurrent networks from their equations.

    import gatework
    layer = gatework.LSTM(32, 64)                      # torch.nn.LSTM's arguments, weights and results; a faster kernel
    output, (h, c) = layer(torch.zeros(100, 8, 32))    # (T, B, I) -> (T, B, H), and the last states

The names below are loaded when they are first used: `import gatework` loads neither torch nor llvmlite.
"""

from __future__ import annotations

import builtins
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatework import errors
from gatework.extras import explained, installed

if TYPE_CHECKING:
    from gatework import cells, keras, layers, runtime
    from gatework.comparison import compare, runs
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
    from gatework.exporting import export
    from gatework.exporting.onnx import from_onnx
    from gatework.layers import GRU, LSTM, RNN, GRUCell, LSTMCell, Recurrent, RNNCell, save
    from gatework.tasks import Forecaster, SequenceClassifier, TextClassifier, TextGenerator
    from gatework.tuning import cross_validate, tune, validate
    from gatework.verbs import check, evaluate, predict, resume, train
    from gatework.verification import reference, verify

__version__ = "0.2.0"

__all__ = [
    "Forecaster",
    "GRU",
    "GRUCell",
    "LSTM",
    "LSTMCell",
    "RNN",
    "RNNCell",
    "Recurrent",
    "SequenceClassifier",
    "TextClassifier",
    "TextGenerator",
    "abs",
    "cell",
    "cells",
    "check",
    "compare",
    "cross_validate",
    "diagnose",
    "errors",
    "evaluate",
    "exp",
    "explain",
    "export",
    "from_onnx",
    "gelu",
    "hard_sigmoid",
    "keras",
    "layers",
    "log",
    "log1p",
    "log_sigmoid",
    "max",
    "maximum",
    "mean",
    "minimum",
    "predict",
    "reference",
    "relu",
    "resume",
    "runs",
    "runtime",
    "save",
    "sigmoid",
    "softmax",
    "softplus",
    "sqrt",
    "stop",
    "sum",
    "tanh",
    "train",
    "tune",
    "validate",
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
    "gatework.comparison": ("compare", "runs"),
    "gatework.diagnosis": ("diagnose",),
    "gatework.explanation": ("explain",),
    "gatework.exporting": ("export",),
    "gatework.exporting.onnx": ("from_onnx",),
    "gatework.layers": ("GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell", "Recurrent", "save"),
    "gatework.tasks": ("Forecaster", "SequenceClassifier", "TextClassifier", "TextGenerator"),
    "gatework.tuning": ("cross_validate", "tune", "validate"),
    "gatework.verbs": ("check", "evaluate", "predict", "resume", "train"),
    "gatework.verification": ("reference", "verify"),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}


# What the modules import: without these packages, their names are explained when they are used.
_NEEDS = {
    "gatework.comparison": ("torch", "scipy"),
    "gatework.diagnosis": ("torch",),
    "gatework.explanation": ("torch",),
    "gatework.exporting": ("torch",),
    "gatework.exporting.onnx": ("torch", "onnx"),
    "gatework.layers": ("torch",),
    "gatework.tasks": ("torch", "sklearn", "polars"),
    "gatework.tuning": ("torch", "polars"),
    "gatework.verbs": ("torch", "polars"),
}
_PUBLIC = tuple(__all__)


def _starred(name: str) -> bool:
    needed = _NEEDS.get(_HOME.get(name, f"gatework.{name}"), ())
    return name != "keras" and not hasattr(builtins, name) and all(map(installed, needed))


# `from gatework import *` fetches every name of `__all__` at once; Python knows no lazy way. So when the program runs,
# the list holds what can be had: no names of packages that are not installed; not `keras`, which would import Keras and
# refuse any other backend than torch (`import gatework.keras` is the way); and not `abs`, `max` and `sum`, which would
# take the place of Python's own, as they do not in numpy's star either.
if not TYPE_CHECKING:
    __all__ = [name for name in _PUBLIC if _starred(name)]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC and not _of_a_task(name):
        raise AttributeError(f"module 'gatework' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    try:
        home = _HOME.get(name, f"gatework.{name}" if name in _PUBLIC else "gatework.tasks")
        value = getattr(import_module(home), name) if home != f"gatework.{name}" else import_module(home)
    except ImportError as error:
        raise explained(error) from error
    globals()[name] = value
    return value


def _of_a_task(name: str) -> bool:
    """Whether a task of another package brings an estimator of that name."""
    return name[:1].isupper() and name in import_module("gatework.tasks").estimators()


def __dir__() -> list[str]:
    return [*_PUBLIC, "__version__"]
