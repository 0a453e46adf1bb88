"""Sources of pairs, and their faults."""

from __future__ import annotations

import gzip
from pathlib import Path

from gatework.data.finding import Finding
from gatework.errors import DataError
from gatework.tasks.base import Source
from gatework.tasks.translate.options import TranslateOptions
from gatework.tasks.translate.pairs import Pairs


def read(source: Source, options: TranslateOptions, *, target: str | None = None, paired: bool = True) -> Pairs:
    """Pairs of a source; with `target`, a further file of targets."""
    if isinstance(source, str | Path):
        sources = _lines(source)
        targets = None if target is None else _lines(target)
        if targets is None and paired:
            halves = [line.split("\t") for line in sources]
            sources, targets = [half[0] for half in halves], [half[1] for half in halves]
        return Pairs(sources, targets, lambda i: f"{source}, line {i + 1}", "files", str(source))
    if not paired:
        return Pairs(list(source), None, lambda i: f"text {i + 1}", "rows", "texts")
    if not source:
        raise DataError("there are no pairs")
    sources, targets = map(list, zip(*source, strict=True))
    return Pairs(sources, targets, lambda i: f"pair {i + 1}", "rows", "pairs")


def check(pairs: Pairs) -> list[Finding]:
    """What is wrong with pairs."""
    return []


def _lines(path: str | Path) -> list[str]:
    data = Path(path).read_bytes()
    data = gzip.decompress(data) if str(path).endswith(".gz") else data
    return data.decode().splitlines()
