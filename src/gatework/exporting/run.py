"""From a run to a file: the task says what its model is as data, and a form writes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import gatework
from gatework.data.suggest import did_you_mean
from gatework.errors import OptionError
from gatework.exporting.costs import told
from gatework.exporting.written import Written
from gatework.runtime.exported import Exported
from gatework.runtime.quantised import KINDS
from gatework.tasks.jobs import Trained, load

if TYPE_CHECKING:
    from gatework.tasks.estimator import Estimator

EXPORTS = Path("exports")
WEIGHTS = ("float32", *KINDS)


class Form(NamedTuple):
    """A form of a file: the module that writes it, how its files end, and whether it takes smaller weights."""

    module: str
    ending: str
    smaller: bool = False


FORMS = {
    "gatework": Form("file", ".safetensors", smaller=True),
    "onnx": Form("onnx", ".onnx"),
    "torch": Form("torch_source", "-torch"),
    "c": Form("c", "-c", smaller=True),
}


def export(
    run: str | os.PathLike[str] | Trained | Estimator,
    out: str | os.PathLike[str] | None = None,
    *,
    to: str = "gatework",
    weights: str = "float32",
) -> Written:
    """Write a trained run as a file that needs neither torch nor the run.

        gatework.export("runs/reviews", "reviews.safetensors")
        gatework.runtime.load("reviews.safetensors").predict(["a superb film"])

    Args:
        run: the run folder, what `gatework.train` gave, or a fitted estimator.
        out: the file, or the folder of forms that are several files; without it exports/RUN with the form's ending.
        to: the form, one of `FORMS`.
        weights: of recurrent layers: "float32", "bf16", or "int8" with a scale for each row.

    Raises: OptionError for a form that is not there, and for runs that the form cannot hold, with the reason.
    """
    if to not in FORMS:
        raise OptionError(f"no form {to!r}: there are {', '.join(FORMS)}{did_you_mean(to, list(FORMS))}")
    if weights not in WEIGHTS:
        raise OptionError(f"weights are {', '.join(WEIGHTS)}; got {weights!r}{did_you_mean(weights, list(WEIGHTS))}")
    if weights != "float32" and not FORMS[to].smaller:
        able = " and ".join(name for name, form in FORMS.items() if form.smaller)
        raise OptionError(f"the form {to} has weights in float32, not {weights}; the forms {able} have these")
    if out is not None and (not os.fspath(out) or (Path(out) / "config.json").is_file()):
        raise OptionError(f"out={os.fspath(out)!r} is {'no name' if not os.fspath(out) else 'a run'}; name a new place")
    trained = opened(run)
    found = exported(trained)
    kind = "" if weights == "float32" else f"-{weights}"
    target = EXPORTS / f"{found.about['run']}{kind}{FORMS[to].ending}" if out is None else Path(out)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        written = writer(to)(found, target, weights)
    except OSError as error:
        raise OptionError(f"{target} cannot be written: {error.strerror}") from error
    if weights != "float32":
        written.notes.append(told(trained, weights))
    return written


def exported(run: str | os.PathLike[str] | Trained | Estimator) -> Exported:
    """A run as data."""
    trained = opened(run)
    found = trained.task.exported(trained.model.eval())
    about = {"task": trained.task.name, "run": trained.run.path.name, "gatework": gatework.__version__}
    return replace(found, about={**about, **found.about})


def opened(run: str | os.PathLike[str] | Trained | Estimator) -> Trained:
    """The run of a folder, of a training or of an estimator."""
    if isinstance(run, Trained):
        return run
    return load(Path(run)) if isinstance(run, str | os.PathLike) else run.trained_


def writer(to: str) -> Callable[[Exported, Path, str], Written]:
    return import_module(f"gatework.exporting.{FORMS[to].module}").write
