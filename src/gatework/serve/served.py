"""What stands behind a name: an export, a saved layer, or a run, each with what it can do."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gatework.errors import DataError, OptionError, ShapeError
from gatework.runtime.model import Model
from gatework.runtime.runner import Runner
from gatework.runtime.stepper import Stepper, numbers

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,63}")
FOREIGN = {".c": "C", ".h": "C", ".onnx": "ONNX", ".py": "torch"}
Schema = dict[str, Any]


@dataclass
class Served:
    """A model as the server uses it; what it cannot do is None, and `lacks` says why."""

    name: str
    kind: str  # of answers
    hash: str
    predict: Callable[[list[Any]], list[dict[str, Any]]]
    row: Schema  # of a row of `predict`, as JSON schema
    stepper: Stepper | None = None
    step: Schema = field(default_factory=dict)  # of a step's input
    together: bool = False  # whether the rows of a request are one question, with any number of answers
    tables: bool = True  # whether a row can be a line of CSV
    generate: Callable[..., Iterator[str]] | None = None
    lacks: dict[str, str] = field(default_factory=dict)


def named(texts: Sequence[str]) -> dict[str, Path]:
    """PATH or NAME=PATH, by name: that of the file or folder unless told.

    >>> named(["runs/reviews", "words=exports/tagger.gw"])
    {'reviews': PosixPath('runs/reviews'), 'words': PosixPath('exports/tagger.gw')}
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, path = _parted(text)
        if not NAME.fullmatch(name):
            raise OptionError(f"{name!r} cannot be part of an address; give a name: NAME={path}")
        if name in found:
            raise OptionError(f"{found[name]} and {path} have the same name {name!r}; give one another: NAME={path}")
        found[name] = path
    return found


def _parted(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if equals and NAME.fullmatch(name) and not Path(text).exists():
        return name, Path(path)
    whole = Path(text)
    return whole.resolve().stem if whole.is_file() else whole.resolve().name, whole


def opened(name: str, path: Path) -> Served:
    """The model in a file or run folder. Raises OptionError, FileFormatError, or what the run says."""
    _refuse_foreign(path)
    if path.is_dir():
        return _of_run(name, path)
    from gatework.runtime import load

    model = load(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return _of_layer(name, model, digest) if isinstance(model, Runner) else _of_model(name, model)


def _refuse_foreign(path: Path) -> None:
    """Other forms of export hold the networks alone, for programs without gatework."""
    if (path / "config.json").is_file():
        return
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for kind in (FOREIGN[each.suffix] for each in files if each.suffix in FOREIGN):
        raise OptionError(
            f"{path} is an export for {kind}, which runs without gatework; serve the run's folder, or the file that "
            "gatework export RUN --to gatework writes"
        )


def _of_layer(name: str, runner: Runner, digest: str) -> Served:
    """A saved layer answers whole sequences (T, I) with its outputs (T, H), and steps one by one."""
    count, dtype = runner.input_size, runner.dtype

    def outputs(rows: list[Any]) -> list[dict[str, Any]]:
        found = []
        for number, row in enumerate(rows, 1):
            runner.reset(1)
            found.append({"outputs": runner.run(sequence(row, number, count, dtype)[:, None])[:, 0].tolist()})
        return found

    most = float(np.finfo(dtype).max)
    number = {"type": "number", "minimum": -most, "maximum": most}
    step = {"type": "array", "items": number, "minItems": count, "maxItems": count}
    row = {"type": "array", "items": step, "minItems": 1, "description": f"T steps of {count} numbers"}
    row["examples"] = [[[0.5] * count] * 2]
    served = Served(name, "outputs", digest, outputs, row, step=step, tables=False)
    served.lacks["generate"] = "a layer writes no text"
    try:
        served.stepper = runner.stepper
    except OptionError as error:
        served.lacks["stream"] = str(error)
    return served


def sequence(row: object, number: int, count: int, dtype: np.dtype) -> np.ndarray:
    """A row of steps as (T, I). Raises DataError that names row and step."""
    if not isinstance(row, list | np.ndarray) or not len(row):
        raise DataError(f"row {number} is {row!r:.60}; it must be a list of steps, each with {count} numbers")
    found = np.empty((len(row), count), dtype)
    for at, each in enumerate(row):
        try:
            found[at] = numbers(each, count, dtype)
        except (DataError, ShapeError) as error:
            raise DataError(f"row {number}, step {at + 1}: {error}") from error
    return found


def _of_model(name: str, model: Model) -> Served:
    """An exported model."""
    row = {**model.schema, "description": model.inputs, "examples": [model.example]}
    served = Served(name, model.kind, model.hash, model.predict, row, model.stepper)
    served.together = model.together
    if served.stepper is None:
        served.lacks["stream"] = model.why_no_stream
    if type(model).generate is Model.generate:
        served.lacks["generate"] = f"a model of the kind {model.kind!r} writes no text"
    else:
        served.generate = model.generate
    return served


def _of_run(name: str, path: Path) -> Served:
    """A run folder: exported in memory, or as PyTorch runs it where it has no export."""
    from gatework.exporting.run import exported
    from gatework.runtime.answers import of_kind
    from gatework.tasks.jobs import load

    trained = load(path)
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in sorted(path.glob("*.safetensors")))).hexdigest()
    try:
        found = exported(trained)
    except OptionError as error:
        if trained.task.rows_name_files:
            raise OptionError(
                f"{path}: rows of a run of {trained.task.name!r} can name files of this machine, which no client may "
                f"choose, and as numbers they need an export: {error}"
            ) from error
        row = {"description": f"a row as the task {trained.task.name} reads it"}
        why = {"stream": str(error), "generate": str(error)}
        return Served(name, trained.task.name, digest, trained.predict, row, lacks=why)
    return _of_model(name, of_kind(found.kind)(found, digest))
