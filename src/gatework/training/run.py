"""The run folder: everything a training leaves behind, in one place that can be moved and that notices damage.

config.json            what was asked and on what: options with every default, data, environment, hashes of the assets
assets/                tokenizer, labels, scaler: what the model needs besides its weights
best.safetensors       weights of the best epoch            last.safetensors   weights of the last step
training.safetensors   the whole state, to go on from       metrics.csv        one row per validation
results.json           what the report shows                sums.safetensors   what it is compared with other runs by
log.txt, plots/, tensorboard/, report.html

Of a training that is done, last.safetensors and training.safetensors go, unless the option `keep_state` keeps them.
"""

from __future__ import annotations

import csv
import html
import io
import json
import math
import re
import shlex
import shutil
import time
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypedDict

from torch import Tensor

from gatework.data.stored import conform, restoring
from gatework.errors import FileFormatError, OptionError
from gatework.training.environment import environment
from gatework.training.files import (
    JSON_BYTES,
    Shapes,
    must_be_plain,
    plainly,
    read_json,
    read_plain,
    read_tensors,
    sha256,
    write_bytes,
    write_json,
    write_tensors,
)
from gatework.training.state import Progress, Tensors, split

FORMAT, VERSION = "gatework run", 2
EARLIER = "0.1"  # the gatework that wrote and reads the version before
ASSET_BYTES, STATE_BYTES, SUMS_BYTES = 1 << 29, 1 << 28, 1 << 28
CONFIG, STATE, METRICS, RESULTS, LOG = "config.json", "training.safetensors", "metrics.csv", "results.json", "log.txt"
BEST, LAST, SUMS = "best.safetensors", "last.safetensors", "sums.safetensors"
WRITTEN = (CONFIG, STATE, METRICS, RESULTS, LOG, BEST, LAST, SUMS, "report.html", "assets", "plots", "tensorboard")


class Apart(TypedDict, total=False):
    """What a config says of data in several places."""

    source: str | list[str]
    train_sha256: str
    valid_source: str | list[str]
    test_source: str | list[str]


class Data(Apart):
    """What a config says of the data; tasks say more."""

    sha256: str


class Config(TypedDict):
    """config.json."""

    format: str
    version: int
    task: str
    created: str
    options: dict[str, Any]
    data: Data
    environment: dict[str, Any]
    assets: dict[str, str]
    checksum: str


class Row(TypedDict):
    """A contender's, of results.json."""

    name: str
    metrics: dict[str, float]
    role: str
    note: str


class Results(TypedDict):
    """results.json."""

    task: str
    metric: dict[str, Any]
    data: dict[str, Any]
    training: dict[str, Any]
    history: list[dict[str, float]]
    train: dict[str, float] | None
    valid: dict[str, float] | None
    test: dict[str, float] | None
    contenders: list[Row]
    verdict: str
    comparison: dict[str, Any]
    sections: dict[str, Any]


class Run:
    """An open run folder.

    run = Run.open("runs/book")
    run.options["hidden_size"], run.weights("best").keys(), run.results()["test"]
    """

    def __init__(self, path: Path, config: dict[str, Any]):
        self.path, self.config = path, config
        self.folder: Any = None  # what removes a temporary folder when no run needs it any more

    # -- making and opening ---------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        task: str,
        options: Mapping[str, Any],
        data: Mapping[str, Any],
        assets: Mapping[str, str],
    ) -> Self:
        """A new run; a folder that already holds one is an OptionError."""
        path = Path(path)
        cls.refuse_taken(path)
        _must_be_names(assets, "a task")
        config = {
            "format": FORMAT,
            "version": VERSION,
            "task": task,
            "created": datetime.now().astimezone().isoformat(" ", "microseconds"),  # tells equal runs apart
            "options": dict(options),
            "data": dict(data),
            "environment": environment(),
            "assets": {name: sha256(text.encode()) for name, text in assets.items()},
        }
        _make_folder(path / "assets")
        for name, text in assets.items():
            write_bytes(path / "assets" / name, text.encode())
        run = cls(path, config)
        run._write_config()
        return run

    @staticmethod
    def refuse_taken(path: str | Path) -> None:
        """Raises an OptionError for a folder that holds a run."""
        if not (Path(path) / CONFIG).exists():
            return
        ways = ["choose another folder (--out)", "replace it (--overwrite)"]
        if (Path(path) / STATE).exists() or not (Path(path) / RESULTS).exists():
            ways.append(f"go on with it: gatework resume {shlex.quote(str(path))}")
        raise OptionError(f"{path} already holds a run; {', '.join(ways[:-1])}, or {ways[-1]}")

    def remove(self) -> None:
        """Deletes what a training wrote, and nothing else that lies in the folder; of a folder whose files are not a
        run's, a FileFormatError or OptionError: they would be lost."""
        if any((self.path / name).exists() for name in WRITTEN):
            type(self).open(self.path)
        for name in WRITTEN:
            path = self.path / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    @classmethod
    def open(cls, path: str | Path, task: str | None = None) -> Self:
        """An existing run, verified; a FileFormatError says how it is damaged, an OptionError if it is another's."""
        path = Path(path)
        if not path.is_dir():
            raise OptionError(f"{path} is no run folder; gatework train makes one")
        hint = "; the run of a search is in its folder best/" if (path / "best" / CONFIG).exists() else ""
        config = read_json(path / CONFIG, f"the folder is no run, or an incomplete copy of one{hint}")
        _verify(path / CONFIG, config)
        must_be_plain(path / "assets")
        if task is not None and config["task"] != task:
            raise OptionError(f"{path} is a run of {config['task']!r}, not of {task!r}")
        return cls(path, config)

    @property
    def task(self) -> str:
        return self.config["task"]

    @property
    def options(self) -> dict[str, Any]:
        """Every option of the training."""
        return self.config["options"]

    def change_options(self, options: Mapping[str, Any]) -> None:
        """Records options that a resumed training changed."""
        if dict(options) != self.options:
            self.config["options"] = dict(options)
            self._write_config()

    def _write_config(self) -> None:
        self.config["checksum"] = _checksum(self.config)
        write_json(self.path / CONFIG, self.config)

    # -- assets and weights ---------------------------------------------------------------------------------

    @cached_property
    def assets(self) -> dict[str, str]:
        """File name -> text, each checked against its hash."""
        return {name: self._asset(name, digest) for name, digest in self.config["assets"].items()}

    def _asset(self, name: str, digest: str) -> str:
        path = self.path / "assets" / name
        try:
            data = read_plain(path, ASSET_BYTES)
        except OSError as error:
            raise FileFormatError(f"{path} is missing; the copy of the run is incomplete") from error
        if sha256(data) != digest:
            raise FileFormatError(f"{path} ({len(data):,} bytes) was changed or cut short since the training wrote it")
        with restoring(str(path)):
            return data.decode()

    def save_weights(self, which: str, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Writes `best` or `last` weights, bound to this run's assets."""
        write_tensors(self.path / f"{which}.safetensors", tensors, {**about, "run": self._identity()})

    def weights(self, which: str = "best", shapes: Shapes | None = None) -> Tensors:
        """The weights; those of a training that was killed come from its saved state. Of other shapes than the model's,
        where these are given, none is read."""
        path = self.path / f"{which}.safetensors"
        if not path.exists() and self.has_state():
            if shapes is not None:
                must_be_plain(self.path / STATE, STATE_BYTES + 100 * sum(map(math.prod, shapes.values())))
            groups = split(self.state()[0])
            return groups.get(which) or groups["model"]
        tensors, about = read_tensors(path, shapes)
        self._must_belong(path, about)
        return tensors

    def has_state(self) -> bool:
        """Whether there is a state to go on from."""
        return (self.path / STATE).exists()

    def drop_state(self) -> None:
        """Deletes what only a training that goes on needs."""
        for name in (STATE, LAST):
            (self.path / name).unlink(missing_ok=True)

    def drop_results(self) -> None:
        """Deletes what was measured: a training that goes on will have other weights."""
        for name in (RESULTS, SUMS):
            (self.path / name).unlink(missing_ok=True)

    def save_state(self, tensors: Mapping[str, Tensor], progress: Mapping[str, Any]) -> None:
        """Writes the whole state of the training, in one step."""
        write_tensors(self.path / STATE, tensors, {"progress": progress, "run": self._identity()})

    def save_sums(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Writes what the run is compared with others by."""
        write_tensors(self.path / SUMS, tensors, {"about": about, "run": self._identity()})

    def sums(self) -> tuple[Tensors, dict[str, Any]]:
        """What `save_sums` wrote."""
        must_be_plain(self.path / SUMS, SUMS_BYTES)
        tensors, about = read_tensors(self.path / SUMS)
        self._must_belong(self.path / SUMS, about)
        return tensors, about

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """What `save_state` wrote last: tensors and progress."""
        tensors, about = read_tensors(self.path / STATE)
        self._must_belong(self.path / STATE, about)
        return tensors, conform(about.get("progress"), Progress, f"{self.path / STATE}: progress")

    def _identity(self) -> str:
        kept = {key: self.config[key] for key in ("task", "created", "assets", "data")}
        return sha256(_canonical(kept))

    def _must_belong(self, path: Path, about: Mapping[str, Any]) -> None:
        if about.get("run") != self._identity():
            raise FileFormatError(f"{path} belongs to another run than {self.path / CONFIG}")

    # -- numbers and words ----------------------------------------------------------------------------------

    def write_metrics(self, history: list[dict[str, float]]) -> None:
        """Writes metrics.csv anew from all rows."""
        columns = list(dict.fromkeys(key for row in history for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        write_bytes(self.path / METRICS, text.getvalue().encode())

    def history(self) -> list[dict[str, float]]:
        """The rows of metrics.csv, as numbers; [] before the first validation."""
        if not (self.path / METRICS).exists():
            return []
        with restoring(str(self.path / METRICS)):
            rows = csv.DictReader(io.StringIO(read_plain(self.path / METRICS, JSON_BYTES).decode()))
            return [{key: float(value) for key, value in row.items() if value} for row in rows]

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Writes results.json."""
        write_json(self.path / RESULTS, results)

    def results(self) -> dict[str, Any]:
        """What `write_results` wrote; a FileFormatError where the training has not finished."""
        go_on = f"the training has not finished; go on with it: gatework resume {shlex.quote(str(self.path))}"
        found = read_json(self.path / RESULTS, go_on)
        return conform(found, Results, str(self.path / RESULTS))

    @property
    def finished(self) -> bool:
        """Whether the training has come to its end and left results."""
        return (self.path / RESULTS).exists()

    def _repr_html_(self) -> str:
        """For notebooks: who earned the result, the model beside its parts and the baselines, and where the run is."""
        name = f"<code>{html.escape(str(self.path))}</code>"
        if not self.finished:
            return f"<p>{html.escape(self.task)} in {name}: no results yet</p>"
        results = self.results()
        rows = [("model", results["test"] or results["valid"])]
        rows += [(each["name"], each["metrics"]) for each in results["contenders"] if each["role"] != "model"]
        columns = list(dict.fromkeys(key for _, metrics in rows[1:] or rows for key in metrics))
        lines = [[who, *(f"{metrics[key]:.4g}" if key in metrics else "–" for key in columns)] for who, metrics in rows]
        head = "".join(f"<th>{html.escape(key.replace('_', ' '))}</th>" for key in ("", *columns))
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
        told = f"<p>{html.escape(results['verdict'])}</p><table><tr>{head}</tr>{body}</table>"
        return f"{told}<p>{html.escape(self.task)} in {name}</p>"

    def log(self, line: str) -> None:
        """Appends a line with the time to log.txt."""
        with open(self.path / LOG, "a", encoding="utf-8", opener=plainly) as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{path} cannot be made ({error.strerror}); choose another folder (--out)") from error


def _verify(path: Path, config: object) -> None:
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise FileFormatError(f"{path} is not the config of a gatework run")
    if type(config.get("version")) is not int:
        raise FileFormatError(f"{path} has no version; it was changed after the training wrote it")
    if config["version"] > VERSION:
        raise FileFormatError(f"{path} has version {config['version']}; this gatework reads up to {VERSION}: update it")
    if config["version"] < VERSION:
        raise FileFormatError(
            f"{path}: this run was written by gatework {EARLIER}; gatework {EARLIER} reads it: train anew, or install "
            "that version"
        )
    conform(config, Config, str(path))
    _must_be_names(config["assets"], str(path))
    if config["checksum"] != _checksum(config):
        raise FileFormatError(f"{path} was changed after the training wrote it: its checksum does not fit")


def _must_be_names(assets: Mapping[str, str], what: str) -> None:
    """Assets are files of one folder: their names lead nowhere else."""
    for name in assets:
        if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
            raise FileFormatError(f"{what} has an asset called {name!r:.80}; a name is of letters, digits, . _ and -")


def _checksum(config: Mapping[str, Any]) -> str:
    return sha256(_canonical({key: value for key, value in config.items() if key != "checksum"}))


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
