"""What a shell offers when the tab key is pressed: cells, columns of the file at hand, runs, choices."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import Field
from itertools import islice
from pathlib import Path
from typing import Any

import typer

HEAD = 1 << 16  # bytes of a file in which its first line is looked for
MOST = 200  # runs that are offered
Complete = Callable[..., list[str]]


def completion(field: Field[Any], what: str | None) -> Complete | None:
    """How the value of an option is completed; None: not at all."""
    if what is not None:
        return {"cell": cells, "column": columns}[what]
    choices = [str(each) for each in field.metadata.get("choices") or ()]
    return of(choices) if choices else None


def of(choices: Sequence[str]) -> Complete:
    """Completes with one of a few words."""

    def complete(incomplete: str) -> list[str]:
        return begun(choices, incomplete)

    return complete


def begun(words: Sequence[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


def cells(incomplete: str) -> list[str]:
    """Names of cells."""
    from gatework import cells as known

    return begun(known.names(), incomplete)


def columns(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of the columns of the file that was named before; after a comma, the next of several."""
    named = [ctx.params.get("file"), *ctx.args]  # among the rest where the line ends with an option without its value
    file = next((Path(each) for each in named if each is not None and Path(each).is_file()), None)
    if file is None:
        return []
    before, comma, last = incomplete.rpartition(",")
    with suppress(OSError, ValueError, csv.Error):  # nothing is offered of what cannot be read
        return [before + comma + name for name in begun(head(file), last)]
    return []


def head(path: Path) -> list[str]:
    """The names in the first line of a table, or the keys of its first JSON object."""
    with open(path, "rb") as file:
        line = file.read(HEAD).decode("utf-8-sig").lstrip().partition("\n")[0].rstrip("\r")
    if line.startswith("{"):
        return list(json.loads(line))
    delimiter = max("\t;,|", key=line.count)
    return next(csv.reader([line], delimiter=delimiter), [])


def runs(incomplete: str) -> list[str]:
    """Folders of runs below runs/, and other folders that begin so."""
    known = islice((str(path.parent) for path in _configs(Path("runs"))), MOST)
    there = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    with suppress(OSError):
        beside = [str(path) for path in sorted(there.iterdir()) if path.is_dir()] if incomplete else []
        return sorted({*begun(list(known), incomplete), *begun(beside, incomplete)})
    return begun(list(known), incomplete)


def _configs(folder: Path) -> Iterator[Path]:
    """The configs of runs down to the third folder below: those of a search, or of a demo, lie deeper."""
    for depth in range(1, 4):
        yield from sorted(folder.glob("/".join(["*"] * depth) + "/config.json"))
