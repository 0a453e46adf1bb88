"""Estimators in the shape of scikit-learn: a task's options are the parameters, so get_params and clone just work."""

from __future__ import annotations

import dataclasses
import html
import importlib
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from gatework.errors import OptionError
from gatework.tasks import jobs
from gatework.tasks.base import Source, Task
from gatework.training.options import Options, known_names


class Estimator(BaseEstimator):
    """Base of TextClassifier, TextGenerator and the others.

        gatework.TextGenerator(hidden_size=64).get_params()["hidden_size"]

    `out` names the run folder that `fit` writes; without it the folder is temporary and goes with the estimator and its
    copies, unless `save` copies it. A pickle holds the model without the folder. `quiet` is true, as scikit-learn's
    estimators are.
    """

    Task: ClassVar[type[Task]]
    trained_: jobs.Trained

    def __init__(self, *, out: str | None = None, quiet: bool = True, **options: Any):
        self.out, self.quiet = out, quiet
        defaults = self._defaults()
        for name in options:
            if name not in defaults:
                raise OptionError(f"{type(self).__name__} has no option {name!r}{known_names(name, defaults)}")
        for name, value in (defaults | options).items():
            setattr(self, name, value)

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        return {field.name: field.default for field in dataclasses.fields(cls.Task.Options)}

    @classmethod
    def _get_param_names(cls) -> list[str]:  # scikit-learn reads the names off __init__, which has them not
        return sorted(["out", "quiet", *cls._defaults()])

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Every option by name."""
        return {name: getattr(self, name) for name in self._get_param_names()}

    def _options(self) -> Options:
        return self.Task.Options.of({name: getattr(self, name) for name in self._defaults()})

    def _fit(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Self:
        """Trains and sets `trained_`."""
        folder = _Temporary() if self.out is None else None
        out = folder.path / "run" if folder else Path(str(self.out))
        task = self.Task(self._options())  # pyright: ignore[reportArgumentType]
        self.trained_ = jobs.train(task, source, valid=valid, test=test, out=out, quiet=self.quiet)
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
        shown = ", ".join(f"{k}={v!r}" for k, v in changed.items() if (k, v) not in (("out", None), ("quiet", True)))
        return f"{type(self).__name__}({shown})"

    def _repr_html_(self) -> str:
        inner = self.trained_._repr_html_() if hasattr(self, "trained_") else "not fitted"
        return f"<div><code>{html.escape(repr(self))}</code><br>{inner}</div>"


class _Temporary:
    """A folder that goes with the last run that holds it; copies of a run share it, a pickle only knows its path."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp(prefix="gatework-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def __deepcopy__(self, memo: Any) -> Self:
        return self
