"""What was read: source texts and their targets, each pair with its place in the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Pairs:
    """n source texts and the target of each.

    Example: sources ["ein mann"], targets ["a man"]; `where(0)` is "train.de, line 1 (train.en, line 1)".

    Attributes:
        sources: [n], as they stand, without the line's end.
        targets: [n]; None: there are none.
        where: source and place of a pair, by its number.
        form: "tsv", "csv", "jsonl", "files", "lines" or "rows".
    """

    sources: list[str]
    targets: list[str] | None
    where: Callable[[int], str]
    form: str
    source: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, rows: np.ndarray) -> Pairs:
        """The given pairs in the given order; they keep their places."""
        chosen = np.asarray(rows, np.int64).tolist()
        return replace(
            self,
            sources=[self.sources[i] for i in chosen],
            targets=None if self.targets is None else [self.targets[i] for i in chosen],
            where=lambda pair: self.where(chosen[pair]),
        )

    def wholes(self) -> list[str]:
        """[n]: what each pair says; equal ones are repeated pairs."""
        targets = self.targets or [""] * len(self)
        return [f"{source}\t{target}" for source, target in zip(self.sources, targets, strict=True)]
