"""The runs in a folder and the folders below it: what each is, how good, who earned it, and whether it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatework.data.stored import restoring
from gatework.errors import GateworkError, OptionError
from gatework.tasks.origin import MEMORY
from gatework.training.folders import RUNS
from gatework.training.locks import is_training
from gatework.training.run import CONFIG, Run

DEEPEST = 4  # folders below the one that is named; runs of a search lie two below it


@dataclass(frozen=True)
class Listed:
    """A run in a list.

    `state` is "done", "running", "interrupted" or "damaged"; `note` says how far it came, or what is wrong. `value` is
    the model's result by `metric` on the part `part`, `other` that of the best baseline, `against`; `earned` as in
    `gatework.tasks.verdict.Verdict`. None where a run does not say.
    """

    run: str
    state: str
    bytes: int
    note: str = ""
    task: str | None = None
    data: str | None = None
    created: str | None = None
    seconds: float | None = None
    metric: str | None = None
    part: str | None = None
    value: float | None = None
    against: str | None = None
    other: float | None = None
    earned: str | None = None


def runs(folder: str | Path = RUNS) -> list[Listed]:
    """The runs in a folder, the oldest first; those that cannot be opened come last.

        for run in gatework.runs("runs"):
            print(run.run, run.value, run.against, run.other, run.earned)

    Raises: OptionError where there is no such folder.
    """
    if not Path(folder).is_dir():
        raise OptionError(
            f"there is no folder {folder}; gatework train makes runs, in runs/ where --out names no other"
        )
    return sorted(map(_listed, _found(Path(folder))), key=lambda run: (run.created is None, run.created or "", run.run))


def _found(folder: Path) -> Iterator[Path]:
    """The folders of runs; links are not followed, and nothing is looked for inside a run."""
    for place, below, files in os.walk(folder):
        path = Path(place)
        if CONFIG in files:
            below.clear()
            yield path
        elif len(path.relative_to(folder).parts) >= DEEPEST:
            below.clear()


def _listed(path: Path) -> Listed:
    shown = Listed(str(path), "damaged", size(path))
    try:
        with restoring(str(path)):
            return _opened(Run.open(path), shown)
    except (GateworkError, OSError) as error:
        return Listed(shown.run, "damaged", shown.bytes, str(error))


def _opened(run: Run, shown: Listed) -> Listed:
    source: Any = run.config["data"].get("source", MEMORY)
    files = source if isinstance(source, list) else [source]  # several, where each side of pairs has its own
    data = "rows in memory" if source == MEMORY else " + ".join(Path(file).name for file in files)
    about: dict[str, Any] = {"task": run.task, "data": data, "created": run.config["created"]}
    if run.finished:
        return Listed(shown.run, "done", shown.bytes, **about, **result(run.results()))
    history = run.history()
    done, of = (int(history[-1]["epoch"]) if history else 0), run.options.get("epochs")
    seconds = history[-1]["seconds"] if history else None
    state = "running" if is_training(run.path) else "interrupted"
    return Listed(shown.run, state, shown.bytes, f"{done} of {of} epochs", **about, seconds=seconds)


def result(results: Mapping[str, Any]) -> dict[str, Any]:
    """What a list says of a run's results."""
    part = "valid" if results["test"] is None else "test"
    compared, name = results["comparison"], results["metric"]["name"]
    measured = {"metric": name, "part": part, "value": number(results[part].get(name))}
    best = {"against": compared.get("against"), "other": number(compared.get("other"))}
    if compared.get("metric") != name:  # by which the verdict went where this one had no value
        best = {"against": None, "other": None}
    return {**measured, **best, "earned": compared.get("earned"), "seconds": number(results["training"].get("seconds"))}


def number(value: object) -> float | None:
    """A number of a file, if it is one."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def size(folder: Path) -> int:
    """The bytes of the files in a folder; links count nothing."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):  # it went in the meantime
                found = os.lstat(os.path.join(place, name))
                total += found.st_size
    return total
