"""Estimators in the shape of scikit-learn: a task's options are the parameters, so get_params and clone just work."""

from __future__ import annotations

import dataclasses
import html
import importlib
import inspect
import shutil
import tempfile
import typing
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils import InputTags, Tags

from gatework.errors import OptionError
from gatework.tasks import jobs
from gatework.tasks.base import Source, Task
from gatework.training.console import in_notebook
from gatework.training.options import Options, known_names

KEYWORD = inspect.Parameter.KEYWORD_ONLY
METHODS = frozenset({"transform"})  # options that scikit-learn would take for methods


class Estimator(BaseEstimator):
    """Base of all estimators: a subclass names its `Task`, whose options become its parameters.

        gatework.TextGenerator(hidden_size=64).get_params()["hidden_size"]

    `out` names the run folder that `fit` writes; without it the folder is temporary and goes with the estimator and its
    copies, unless `save` copies it. A pickle holds the model without the folder. `quiet` None says nothing, as
    scikit-learn's estimators do, but draws live curves in a notebook. An option with the name of one of scikit-learn's
    methods (`transform`) is read by `get_params`.
    """

    Task: ClassVar[type[Task]]
    _reads: ClassVar[tuple[str, ...]] = ()  # what X may be, as scikit-learn's tags of inputs call it
    trained_: jobs.Trained

    def __init__(self, *, out: str | None = None, quiet: bool | None = None, **options: Any):
        self.out, self.quiet = out, quiet
        defaults = self._defaults()
        for name in options:
            if name not in defaults:
                raise OptionError(f"{type(self).__name__} has no option {name!r}{known_names(name, defaults)}")
        for name, value in (defaults | options).items():
            setattr(self, name, value)

    def __init_subclass__(cls, **others: Any):
        """Gives the class an `__init__` that names and types its parameters: scikit-learn, `inspect` and help read it.

        For editors the same stands in a file estimator.pyi beside the task's estimator.py; `make docs` writes it.
        """
        super().__init_subclass__(**others)
        if hasattr(cls, "Task") and "__init__" not in vars(cls):
            cls.__init__ = _named_parameters(cls)

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(_kept_as(name), value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Every parameter by its name; none holds another estimator, so `deep` changes nothing."""
        return {name: getattr(self, _kept_as(name)) for name in self._get_param_names()}

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags = InputTags(**({"two_d_array": False} | dict.fromkeys(self._reads, True)))
        return tags

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        return {field.name: field.default for field in dataclasses.fields(cls.Task.Options)}

    def _options(self) -> Options:
        params = self.get_params()
        return self.Task.Options.of({name: params[name] for name in self._defaults()})

    def _fit(self, source: Source, valid: Source | None = None, test: Source | None = None, **changes: object) -> Self:
        """Trains and sets `trained_`; `changes` are options that follow from what was given."""
        folder = _Temporary() if self.out is None else None
        out = folder.path / "run" if folder else Path(str(self.out))
        task = self.Task(dataclasses.replace(self._options(), **changes))  # pyright: ignore[reportArgumentType]
        quiet = not in_notebook() if self.quiet is None else self.quiet
        self.trained_ = jobs.train(task, source, valid=valid, test=test, out=out, quiet=quiet)
        self.trained_.run.folder = folder
        return self

    def _fitted(self) -> jobs.Trained:
        if not hasattr(self, "trained_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted; call fit or load first")
        return self.trained_

    def save(self, path: str | Path) -> None:
        """Copies the run folder; `load` takes it from there, on another machine too."""
        if Path(path).exists():
            raise OptionError(f"{path} exists; choose another folder")
        there = self._fitted().run.path
        if not there.exists():
            raise OptionError(
                f"the run folder {there} is gone: a temporary one goes with the estimator that was fitted and its "
                "copies, but a pickle does not hold it; fit with out=, or call save before pickling"
            )
        shutil.copytree(there, path)

    def report(self, path: str | Path | None = None) -> Path:
        """Writes the page about the training, by default report.html in the run folder; gives its path."""
        if path is None and self.out is None:
            raise OptionError(
                f"{type(self).__name__} was fitted in a temporary folder; name a file: report('report.html')"
            )
        writer = importlib.import_module("gatework.report")  # by name, as tasks are below reports
        return writer.write(self._fitted().run, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The estimator of a run folder, fitted."""
        trained = jobs.load(path, cls.Task.name)
        estimator = cls(out=str(path), **vars(trained.task.options))
        estimator.trained_ = trained
        return estimator

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        changed = {name: value for name, value in self.get_params().items() if value != self._defaults().get(name)}
        shown = ", ".join(f"{name}={value!r}" for name, value in changed.items())
        return f"{type(self).__name__}({shown})"

    def _repr_html_(self) -> str:
        inner = self.trained_._repr_html_() if hasattr(self, "trained_") else "not fitted"
        return f"<div><code>{html.escape(repr(self))}</code><br>{inner}</div>"


def _kept_as(name: str) -> str:
    """The attribute that holds a parameter."""
    return f"_{name}" if name in METHODS else name


def _named_parameters(cls: type[Estimator]) -> Callable[..., None]:
    """An `__init__` whose signature has a parameter for each option, under its name, type and default."""

    def __init__(self: Estimator, **options: Any) -> None:
        Estimator.__init__(self, **options)

    types = typing.get_type_hints(cls.Task.Options)
    first, *own = inspect.signature(Estimator.__init__, eval_str=True).parameters.values()
    named = [
        inspect.Parameter(name, KEYWORD, default=value, annotation=types[name])
        for name, value in cls._defaults().items()
    ]
    __init__.__signature__ = inspect.Signature([first, *(each for each in own if each.kind == KEYWORD), *named])
    return __init__


class _Temporary:
    """A folder that goes with the last run that holds it; copies of a run share it, a pickle only knows its path."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp(prefix="gatework-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self
