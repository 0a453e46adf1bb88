"""What a search has written: backpointers of every step, from which ids are read when somebody asks."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor


class Taken(NamedTuple):
    """What K places of B rows took at a step, (B, K) each: from which place, which symbol, its log probability."""

    parent: Tensor
    next: Tensor
    log_p: Tensor

    def select(self, rows: Tensor) -> Self:
        return type(self)(*(each.index_select(0, rows) for each in self))


class Written:
    """What the places of B rows have written so far; it grows with the search.

    Attributes: `rows` (B,) which rows of the search these are, as rows leave that have ended; `limits` (B,) most
    symbols of each; `taken` the steps; `steps` t; `left` (B,) how many symbols may still be written; `ids` (B, K, t),
    of a single place (B, 1, 0) before the first step.
    """

    def __init__(self, limits: Tensor):
        self.rows, self.limits = torch.arange(len(limits)), limits
        self.taken: list[Taken] = []
        self._ids, self._read = torch.zeros(len(limits), 1, 0, dtype=torch.long), 0

    @property
    def steps(self) -> int:
        return len(self.taken)

    @property
    def left(self) -> Tensor:
        return self.limits - self.steps

    @property
    def ids(self) -> Tensor:
        for taken in self.taken[self._read :]:
            before = self._ids.gather(1, taken.parent.unsqueeze(2).expand(-1, -1, self._ids.shape[2]))
            self._ids = torch.cat([before, taken.next.unsqueeze(2)], 2)
        self._read = len(self.taken)
        return self._ids

    def select(self, rows: Tensor) -> None:
        """Only these rows stay."""
        self.rows, self.limits = self.rows[rows], self.limits[rows]
        self.taken = [each.select(rows) for each in self.taken]
        self._ids = self._ids[rows]
