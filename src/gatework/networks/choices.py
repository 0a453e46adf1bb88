"""Strategies of a search: the likeliest ways by a beam, or ways that are drawn.

Letters: B rows, K places of each, P places before the step (1 before the first, else K), C candidates, V symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gatework.errors import OptionError
from gatework.networks.written import Written
from gatework.runtime.drawing import Drawing

BLOCK = 64  # symbols side by side of which the largest is taken first; see `largest`


class Candidates(NamedTuple):
    """C ways to go on in each row, (B, C) each, the best first: from which place, with which symbol, that symbol's log
    probability, the sum of all so far (-inf where there is no way), and whether it ends there."""

    parent: Tensor
    next: Tensor
    log_p: Tensor
    total: Tensor
    ended: Tensor


class Choice(Protocol):
    """A strategy of K `places`."""

    @property
    def places(self) -> int: ...

    def __call__(self, alive: Tensor, scores: Tensor, written: Written) -> Candidates:
        """From totals (B, P) and scores (B, P, V) to candidates, of which the first K that do not end go on."""
        ...


def going_on(candidates: Candidates, places: int) -> Candidates:
    """The first K candidates that do not end; where there are fewer, ended ones stand in for them."""
    if candidates.total.shape[1] == places and not candidates.ended.any():
        return candidates
    order = candidates.ended.to(torch.uint8).argsort(dim=1, stable=True)[:, :places]
    if order.shape[1] < places:  # there are fewer symbols than places
        order = torch.cat([order, order[:, :1].expand(-1, places - order.shape[1])], 1)
    taken = Candidates(*(each.gather(1, order) for each in candidates))
    taken.total[:, candidates.total.shape[1] :] = -torch.inf
    return taken


def candidates_at(alive: Tensor, scores: Tensor, at: Tensor, end: int) -> Candidates:
    """The candidates at (B, C) places of scores (B, P * V)."""
    parent, next = at // scores.shape[2], at % scores.shape[2]
    log_p = scores.flatten(1).gather(1, at)
    total = log_p + alive.gather(1, parent)
    return Candidates(parent, next, log_p, total, (next == end) | ~total.isfinite())


def largest(alive: Tensor, scores: Tensor, count: int) -> Tensor:
    """Where in (B, P * V) the `count` largest sums of totals (B, P) and scores (B, P, V) lie, the largest first.

    They lie in the `count` blocks with the largest maxima. What the blocks leave over is looked at as it stands.
    """
    rows, places, symbols = scores.shape
    blocks = symbols // BLOCK
    if blocks * places <= 2 * count:
        totals = (alive.unsqueeze(2) + scores).flatten(1)
        return totals.topk(min(count, totals.shape[1]), dim=1).indices
    maxima = scores[:, :, : blocks * BLOCK].unflatten(2, (blocks, BLOCK)).amax(3) + alive.unsqueeze(2)
    block = maxima.flatten(1).topk(count, dim=1).indices
    first = block // blocks * symbols + block % blocks * BLOCK
    inside = (first.unsqueeze(2) + torch.arange(BLOCK)).flatten(1)
    over = torch.arange(places).unsqueeze(1) * symbols + torch.arange(blocks * BLOCK, symbols)
    at = torch.cat([inside, over.flatten().expand(rows, -1)], 1)
    totals = scores.flatten(1).gather(1, at) + alive.gather(1, at // symbols)
    return at.gather(1, totals.topk(count, dim=1).indices)


@dataclass(frozen=True)
class Beam:
    """The K likeliest ways of each row (Graves 2012; Sutskever, Vinyals & Le 2014, section 3.2), of 2K candidates, so
    that places whose way ends are filled again. One place is greedy search."""

    places: int
    end: int

    def __post_init__(self) -> None:
        if self.places < 1:
            raise OptionError(f"a beam has 1 place or more, not {self.places}")

    def __call__(self, alive: Tensor, scores: Tensor, written: Written) -> Candidates:
        return candidates_at(alive, scores, largest(alive, scores, 2 * self.places), self.end)


@dataclass(frozen=True)
class Drawn(Drawing):
    """Every place draws its next symbol for itself, as `Drawing` says.

    Args:
        generator: of torch; the same seed draws the same. One for each row: what a row draws does not hang on others.
        places: how many are drawn for each row.
        end: the symbol that ends; None: none does.
    """

    generator: torch.Generator | Sequence[torch.Generator] | None = None
    places: int = 1
    end: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.places < 1:
            raise OptionError(f"at least 1 way is drawn for a row, not {self.places}")

    def __call__(self, alive: Tensor, scores: Tensor, written: Written) -> Candidates:
        before = alive.shape[1]
        numbers = self.numbers(written.rows).unflatten(1, (before, -1))
        next = torch.from_numpy(self.drawn(scores.numpy(), numbers.numpy())).flatten(1)
        parent = torch.arange(before).repeat_interleave(self.places // before).expand_as(next)
        log_p = scores.flatten(1).gather(1, parent * scores.shape[2] + next)
        total = alive.gather(1, parent) + log_p
        ended = ~total.isfinite() if self.end is None else (next == self.end) | ~total.isfinite()
        return Candidates(parent, next, log_p, total, ended)

    def numbers(self, rows: Tensor) -> Tensor:
        """(B, K) in [0, 1)."""
        if self.generator is None or isinstance(self.generator, torch.Generator):
            return torch.rand(len(rows), self.places, dtype=torch.double, generator=self.generator)
        own = [self.generator[row] for row in rows.tolist()]
        return torch.stack([torch.rand(self.places, dtype=torch.double, generator=each) for each in own])
