"""The first use of a cell in a fresh process: all compiled, the cell alone compiled, or all from the disk cache."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from gatework.bench import child
from gatework.bench.rows import OURS, Row
from gatework.bench.settings import Settings
from gatework.bench.timing import Sample


def empty(folder: Path) -> None:
    for file in folder.glob("*"):
        file.unlink()


def without_cells(folder: Path) -> None:
    """Only the tiles and drivers stay, which all cells share."""
    for file in folder.glob("*"):
        if not file.name.startswith("library-"):
            file.unlink()


STATES: dict[str, Callable[[Path], None]] = {
    "all compiled": empty,
    "the cell compiled": without_cells,
    "from the cache": lambda folder: None,
}


def measure(settings: Settings) -> Iterator[Row]:
    s = settings.or_else(cell="lstm", dtype="float32")
    with tempfile.TemporaryDirectory() as name:
        found = times(s, Path(name))
    for what, runs in found.items():
        samples = {OURS: Sample(tuple(run["first"] for run in runs))}
        imports = Sample(tuple(run["import"] for run in runs)).median
        words = ("first-use", what, f"{s.cell} {s.dtype}", 1)
        yield Row(*words, samples, facts={"import before, ms": imports * 1e3})


def times(s: Settings, folder: Path) -> dict[str, list[dict[str, float]]]:
    """The three states of the cache in turns, each in a fresh process."""
    found: dict[str, list[dict[str, float]]] = {what: [] for what in STATES}
    for _ in range(s.runs):
        for what, prepare in STATES.items():
            prepare(folder)
            job = {"task": "first_use", "cell": s.cell, "dtype": s.dtype}
            found[what].append(child.run(job, {"GATEWORK_CACHE": str(folder), "GATEWORK_THREADS": "1"}))
    return found
