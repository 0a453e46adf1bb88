"""Hypotheses of a search: how they are ranked, the best of each row, and the way back to their beginning.

Letters: B rows, K places, C candidates, n hypotheses kept of a row, t symbols written, S steps of a memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self, overload

import torch
from torch import Tensor

from gatework.networks.choices import Candidates
from gatework.networks.written import Written


@dataclass(frozen=True)
class Hypothesis:
    """What was written: symbols, the end among them, and their log probabilities; their sum `score`; the same
    `normalised` by length and coverage, by which hypotheses are ranked; whether it came to an `ended`; `attention`
    (t, S)."""

    ids: list[int]
    token_log_p: list[float]
    score: float
    normalised: float
    ended: bool
    attention: Tensor | None = None


@overload
def length_penalty(length: int, alpha: float) -> float: ...
@overload
def length_penalty(length: Tensor, alpha: float) -> Tensor: ...
def length_penalty(length: int | Tensor, alpha: float) -> float | Tensor:
    """What a score is divided by: ((5 + length) / 6) ** alpha (Wu et al. 2016, equation 14)."""
    return ((5 + length) / 6) ** alpha


class Ranking(NamedTuple):
    """How hypotheses are ranked: score / length_penalty + coverage (Wu et al. 2016, equations 14 and 15).

    Attributes: `alpha` of the length penalty; `beta`, the weight of the coverage; `lengths` (B,) of the memory's
    steps, None where all are there.
    """

    alpha: float = 0.0
    beta: float = 0.0
    lengths: Tensor | None = None

    def coverage(self, seen: Tensor) -> Tensor:
        """beta * sum over steps of log(min(seen, 1)) <= 0, of what hypotheses looked at in all: (B, P, S) -> (B, P)."""
        missed = seen.clamp(torch.finfo(seen.dtype).tiny, 1).log()
        if self.lengths is not None:
            missed = missed.masked_fill((torch.arange(seen.shape[2]) >= self.lengths[:, None])[:, None], 0.0)
        return self.beta * missed.sum(2)

    def select(self, rows: Tensor) -> Self:
        return self if self.lengths is None else self._replace(lengths=self.lengths[rows])


class Ends(NamedTuple):
    """The last symbols of hypotheses, (B, n) each: by what they are ranked (-inf: there is none), whether they came to
    an end, the sum and the symbol's log probability, which it is, from which place, and at which step."""

    normalised: Tensor
    ended: Tensor
    total: Tensor
    log_p: Tensor
    next: Tensor
    parent: Tensor
    step: Tensor

    def joined(self, other: Ends) -> Self:
        return type(self)(*(torch.cat([a.to(b), b], 1) for a, b in zip(self, other, strict=True)))

    def best(self, count: int) -> Self:
        """One that came to an end is better than any that was cut off; of equals the earlier."""
        order = self.normalised.argsort(dim=1, descending=True, stable=True)
        cut = (~self.ended).gather(1, order).to(torch.uint8)
        order = order.gather(1, cut.argsort(dim=1, stable=True))[:, :count]
        return type(self)(*(each.gather(1, order) for each in self))

    def select(self, rows: Tensor) -> Self:
        return type(self)(*(each[rows] for each in self))


class Best:
    """The best hypotheses of each row so far: `add` at every step, `follow` when places have gone on."""

    def __init__(self, written: Written, count: int, ranking: Ranking):
        rows = len(written.rows)
        self.written, self.count, self.ranking = written, count, ranking
        none, whole = torch.full((rows, count), -torch.inf), torch.zeros(rows, count, dtype=torch.long)
        self.ends = Ends(none, none > 0, none, none, whole, whole, whole)
        self.found = torch.zeros(rows, dtype=torch.long)  # hypotheses that ended, those that were no longer kept, too
        self.looked: list[Tensor] = []
        self.seen: Tensor | None = None

    def add(self, candidates: Candidates, attention: Tensor | None, places: int) -> None:
        """Keeps what ends at this step among the first candidates, and what is cut off."""
        if attention is not None:
            self.looked.append(attention)
            if self.ranking.beta:
                self.seen = attention if self.seen is None else self.seen + attention
        real = candidates.total.isfinite()
        ended = candidates.ended & real
        ended[:, places:] = False
        cut = real & ~candidates.ended & (self.written.left == 1)[:, None]
        cut &= cut.cumsum(1) <= places
        if (ended | cut).any():
            self.found += ended.sum(1)
            self.ends = self.ends.joined(self._ends(candidates, ended, ended | cut)).best(self.count)

    def _ends(self, candidates: Candidates, ended: Tensor, which: Tensor) -> Ends:
        step = self.written.steps
        normalised = candidates.total / length_penalty(step + 1, self.ranking.alpha)
        if self.seen is not None:
            normalised = normalised + self.ranking.coverage(self.seen).gather(1, candidates.parent)
        normalised = normalised.masked_fill(~which, -torch.inf)
        steps = torch.full_like(candidates.next, step)
        return Ends(normalised, ended, candidates.total, candidates.log_p, candidates.next, candidates.parent, steps)

    def follow(self, parent: Tensor) -> None:
        """Places went on from the places `parent` (B, K)."""
        if self.seen is not None:
            self.seen = self.seen.gather(1, parent.unsqueeze(2).expand(-1, -1, self.seen.shape[2]))

    def full(self, alive: Tensor, enough: float) -> Tensor:
        """Rows (B,) whose places with totals `alive` (B, K) can no longer grow into one of the best, or of which
        `enough` hypotheses have come to an end.

        Totals and coverage only fall, so the best total over the penalty at the limit is a bound.
        """
        bound = alive.amax(1) / length_penalty(self.written.limits, self.ranking.alpha)
        return (self.ends.ended[:, -1] & (bound < self.ends.normalised[:, -1])) | (self.found >= enough)

    def select(self, rows: Tensor) -> None:
        """Only these rows stay."""
        self.ends, self.found, self.ranking = self.ends.select(rows), self.found[rows], self.ranking.select(rows)
        self.looked = [each[rows] for each in self.looked]
        self.seen = None if self.seen is None else self.seen[rows]

    def hypotheses(self, rows: Tensor) -> list[list[Hypothesis]]:
        """Those of some rows, the best first: symbols and attention are followed back, of these alone."""
        ends = self.ends.select(rows)
        back = Back.of(self.written, self.looked, ends, rows)
        kept = [[number for number, value in enumerate(row) if value > -torch.inf] for row in ends.normalised.tolist()]
        return [[back.hypothesis(ends, row, number) for number in own] for row, own in enumerate(kept)]


class Back(NamedTuple):
    """The steps of hypotheses, from the first: symbols and log probabilities (B, n, t + 1), attention (B, n, t + 1, S);
    what lies beyond a hypothesis' own end says nothing."""

    ids: Tensor
    log_p: Tensor
    attention: Tensor | None

    @classmethod
    def of(cls, written: Written, looked: list[Tensor], ends: Ends, rows: Tensor) -> Self:
        place, steps = ends.parent, int(ends.step.max())
        ids, log_p, seen = [], [], []
        for step in range(steps, -1, -1):
            if step < steps:
                taken = written.taken[step].select(rows)
                before = step < ends.step
                ids.append(taken.next.gather(1, place))
                log_p.append(taken.log_p.gather(1, place))
                place = torch.where(before, taken.parent.gather(1, place), place)
            if looked:
                own = looked[step][rows]
                seen.append(own.gather(1, place.unsqueeze(2).expand(-1, -1, own.shape[2])))
        nothing = ends.next.new_zeros(*ends.next.shape, 0)
        return cls(
            torch.stack(ids[::-1], 2) if ids else nothing,
            torch.stack(log_p[::-1], 2) if ids else nothing,
            torch.stack(seen[::-1], 2) if seen else None,
        )

    def hypothesis(self, ends: Ends, row: int, number: int) -> Hypothesis:
        at = (row, number)
        step = int(ends.step[at])
        return Hypothesis(
            [*self.ids[at][:step].tolist(), int(ends.next[at])],
            [*self.log_p[at][:step].tolist(), float(ends.log_p[at])],
            float(ends.total[at]),
            float(ends.normalised[at]),
            bool(ends.ended[at]),
            None if self.attention is None else self.attention[at][: step + 1],
        )
