"""The jobs: one folder for each task, found by its place here; the modules beside them are what tasks build with."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from gatework.errors import OptionError

if TYPE_CHECKING:
    from gatework.tasks.base import Task

_ESTIMATORS = {
    "Forecaster": "forecast.estimator",
    "SequenceClassifier": "classify",
    "TextClassifier": "classify",
    "TextGenerator": "generate.estimator",
}


def __getattr__(name: str) -> Any:
    if name not in _ESTIMATORS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ESTIMATORS[name]}"), name)


def names() -> list[str]:
    """The tasks there are, sorted; none is imported."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)


def get(name: str) -> type[Task]:
    """The task of that name, or an OptionError that lists them."""
    if name not in names():
        from gatework.training.options import known_names

        raise OptionError(f"there is no task {name!r}{known_names(name, names())}")
    return importlib.import_module(f"{__name__}.{name}").TASK
