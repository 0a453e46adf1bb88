"""Strategies of a search: the likeliest ways by a beam, or ways that are drawn.

Letters: B rows, K places of each, C candidates, V symbols.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gatework.errors import OptionError


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

    def start(self, rows: int) -> Tensor:
        """Totals (B, K) before the first step: 0 for a place in use, -inf for one that is not."""
        ...

    def __call__(self, alive: Tensor, scores: Tensor) -> Candidates:
        """From totals (B, K) and scores (B, K, V) to candidates, of which the first K that do not end go on."""
        ...


def going_on(candidates: Candidates, places: int) -> Candidates:
    """The first K candidates that do not end; where there are fewer, ended ones stand in for them."""
    if candidates.total.shape[1] == places and not candidates.ended.any():
        return candidates
    order = candidates.ended.to(torch.uint8).argsort(dim=1, stable=True)[:, :places]
    return Candidates(*(each.gather(1, order) for each in candidates))


@dataclass(frozen=True)
class Beam:
    """The K likeliest ways of each row (Graves 2012; Sutskever, Vinyals & Le 2014, section 3.2), of 2K candidates, so
    that places whose way ends are filled again. One place is greedy search."""

    places: int
    end: int

    def __post_init__(self) -> None:
        if self.places < 1:
            raise OptionError(f"a beam has 1 place or more, not {self.places}")

    def start(self, rows: int) -> Tensor:
        alive = torch.full((rows, self.places), -torch.inf)
        alive[:, 0] = 0.0  # all places are alike before the first step: one is enough
        return alive

    def __call__(self, alive: Tensor, scores: Tensor) -> Candidates:
        symbols = scores.shape[2]
        totals = (alive.unsqueeze(2) + scores).flatten(1)
        total, at = totals.topk(min(2 * self.places, totals.shape[1]), dim=1)
        log_p = scores.flatten(1).gather(1, at)
        parent, next = at // symbols, at % symbols
        return Candidates(parent, next, log_p, total, (next == self.end) | ~total.isfinite())


@dataclass(frozen=True)
class Drawn:
    """Every place draws its next symbol for itself.

    Args:
        temperature: 0 takes the likeliest symbol; below 1 likely ones are drawn more often than their probability.
        top_k: among the k likeliest; 0: all.
        top_p: among the fewest that hold this probability (Holtzman et al. 2020).
        generator: of torch; the same seed draws the same.
        places: how many are drawn for each row.
        end: the symbol that ends; None: none does.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    generator: torch.Generator | None = None
    places: int = 1
    end: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise OptionError(f"temperature must be 0 (the likeliest symbol) or more, not {self.temperature}")
        if self.top_k < 0:
            raise OptionError(f"top_k must be at least 0 (0 keeps all), not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise OptionError(f"top_p must lie in (0, 1], not {self.top_p}")

    def start(self, rows: int) -> Tensor:
        return torch.zeros(rows, self.places)

    def __call__(self, alive: Tensor, scores: Tensor) -> Candidates:
        next = self.draw(scores.flatten(0, 1)).view(alive.shape)
        log_p = scores.gather(2, next.unsqueeze(2)).squeeze(2)
        parent = torch.arange(alive.shape[1]).expand_as(next)
        ended = ~alive.isfinite() if self.end is None else (next == self.end) | ~alive.isfinite()
        return Candidates(parent, next, log_p, alive + log_p, ended)

    def draw(self, scores: Tensor) -> Tensor:
        """A symbol (N,) from each of N rows of scores (N, V)."""
        if self.temperature == 0:
            return scores.argmax(1)
        likely, ids = torch.softmax(scores.double() / self.temperature, 1).sort(dim=1, descending=True, stable=True)
        before = likely.cumsum(1) - likely
        left_out = before >= self.top_p
        if self.top_k:
            left_out[:, self.top_k :] = True
        at = torch.multinomial(likely.masked_fill(left_out, 0.0), 1, generator=self.generator)
        return ids.gather(1, at).squeeze(1)
