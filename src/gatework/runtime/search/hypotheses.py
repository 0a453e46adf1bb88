"""Hypotheses of a search: how they are ranked, the best of each row, and the way back to their beginning.

Letters: B rows, K places, C candidates, n hypotheses kept of a row, t symbols written, S steps of a memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self, overload

import numpy as np

from gatework.runtime.search.choices import Candidates
from gatework.runtime.search.written import Written, picked

Array = np.ndarray


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
    attention: Array | None = None


@overload
def length_penalty(length: int, alpha: float) -> float: ...
@overload
def length_penalty(length: Array, alpha: float) -> Array: ...
def length_penalty(length: int | Array, alpha: float) -> float | Array:
    """What a score is divided by: ((5 + length) / 6) ** alpha (Wu et al. 2016, equation 14)."""
    return ((5 + length) / 6) ** alpha


class Ranking(NamedTuple):
    """How hypotheses are ranked: score / length_penalty + coverage (Wu et al. 2016, equations 14 and 15).

    Attributes: `alpha` of the length penalty; `beta`, the weight of the coverage; `lengths` (B,) of the memory's
    steps, None where all are there.
    """

    alpha: float = 0.0
    beta: float = 0.0
    lengths: Array | None = None

    def coverage(self, seen: Array) -> Array:
        """beta * sum over steps of log(min(seen, 1)) <= 0, of what hypotheses looked at in all: (B, P, S) -> (B, P)."""
        missed = np.log(np.clip(seen, np.finfo(seen.dtype).tiny, 1))
        if self.lengths is not None:
            missed = np.where((np.arange(seen.shape[2]) < self.lengths[:, None])[:, None], missed, 0)
        return self.beta * missed.sum(2)

    def select(self, rows: Array) -> Self:
        return self if self.lengths is None else self._replace(lengths=self.lengths[rows])


class Ends(NamedTuple):
    """The last symbols of hypotheses, (B, n) each: by what they are ranked (-inf: there is none), whether they came to
    an end, the sum and the symbol's log probability, which it is, from which place, and at which step."""

    normalised: Array
    ended: Array
    total: Array
    log_p: Array
    next: Array
    parent: Array
    step: Array

    def joined(self, other: Ends) -> Self:
        return type(self)(*(np.concatenate([a.astype(b.dtype), b], 1) for a, b in zip(self, other, strict=True)))

    def best(self, count: int) -> Self:
        """One that came to an end is better than any that was cut off; of equals the earlier."""
        order = np.lexsort((-self.normalised, ~self.ended), axis=1)[:, :count]
        return type(self)(*(picked(each, order) for each in self))

    def select(self, rows: Array) -> Self:
        return type(self)(*(each[rows] for each in self))


class Best:
    """The best hypotheses of each row so far: `add` at every step, `follow` when places have gone on."""

    def __init__(self, written: Written, count: int, ranking: Ranking):
        rows = len(written.rows)
        self.written, self.count, self.ranking = written, count, ranking
        none, whole = np.full((rows, count), -np.inf, np.float32), np.zeros((rows, count), np.int64)
        self.ends = Ends(none, none > 0, none, none, whole, whole, whole)
        self.found = np.zeros(rows, np.int64)  # hypotheses that ended, those that were no longer kept, too
        self.looked: list[Array] = []
        self.seen: Array | None = None

    def add(self, candidates: Candidates, attention: Array | None, places: int) -> None:
        """Keeps what ends at this step among the first candidates, and what is cut off."""
        if attention is not None:
            self.looked.append(attention)
            if self.ranking.beta:
                self.seen = attention if self.seen is None else self.seen + attention
        real = np.isfinite(candidates.total)
        ended = candidates.ended & real
        ended[:, places:] = False
        cut = real & ~candidates.ended & (self.written.left == 1)[:, None]
        cut &= np.cumsum(cut, 1) <= places
        if (ended | cut).any():
            self.found += ended.sum(1)
            self.ends = self.ends.joined(self._ends(candidates, ended, ended | cut)).best(self.count)

    def _ends(self, candidates: Candidates, ended: Array, which: Array) -> Ends:
        step = self.written.steps
        normalised = candidates.total / length_penalty(step + 1, self.ranking.alpha)
        if self.seen is not None:
            normalised = normalised + picked(self.ranking.coverage(self.seen), candidates.parent)
        normalised = np.where(which, normalised, -np.inf)
        steps = np.full_like(candidates.next, step)
        return Ends(normalised, ended, candidates.total, candidates.log_p, candidates.next, candidates.parent, steps)

    def follow(self, parent: Array) -> None:
        """Places went on from the places `parent` (B, K)."""
        if self.seen is not None:
            self.seen = picked(self.seen, parent)

    def full(self, alive: Array, enough: float) -> Array:
        """Rows (B,) whose places with totals `alive` (B, K) can no longer grow into one of the best, or of which
        `enough` hypotheses have come to an end.

        Totals and coverage only fall, so the best total over the penalty at the limit is a bound.
        """
        bound = alive.max(1) / length_penalty(self.written.limits, self.ranking.alpha)
        return (self.ends.ended[:, -1] & (bound < self.ends.normalised[:, -1])) | (self.found >= enough)

    def select(self, rows: Array) -> None:
        """Only these rows stay."""
        self.ends, self.found, self.ranking = self.ends.select(rows), self.found[rows], self.ranking.select(rows)
        self.looked = [each[rows] for each in self.looked]
        self.seen = None if self.seen is None else self.seen[rows]

    def hypotheses(self, rows: Array) -> list[list[Hypothesis]]:
        """Those of some rows, the best first: symbols and attention are followed back, of these alone."""
        ends = self.ends.select(rows)
        back = Back.of(self.written, self.looked, ends, rows)
        kept = [[number for number, value in enumerate(row) if value > -np.inf] for row in ends.normalised.tolist()]
        return [[back.hypothesis(ends, row, number) for number in own] for row, own in enumerate(kept)]


class Back(NamedTuple):
    """The steps of hypotheses, from the first: symbols and log probabilities (B, n, t + 1), attention (B, n, t + 1, S);
    what lies beyond a hypothesis' own end says nothing."""

    ids: Array
    log_p: Array
    attention: Array | None

    @classmethod
    def of(cls, written: Written, looked: list[Array], ends: Ends, rows: Array) -> Self:
        place, steps = ends.parent, int(ends.step.max())
        ids, log_p, seen = [], [], []
        for step in range(steps, -1, -1):
            if step < steps:
                taken = written.taken[step].select(rows)
                ids.append(picked(taken.next, place))
                log_p.append(picked(taken.log_p, place))
                place = np.where(step < ends.step, picked(taken.parent, place), place)
            if looked:
                seen.append(picked(looked[step][rows], place))
        nothing = np.zeros((*ends.next.shape, 0), np.int64)
        return cls(
            np.stack(ids[::-1], 2) if ids else nothing,
            np.stack(log_p[::-1], 2) if ids else nothing,
            np.stack(seen[::-1], 2) if seen else None,
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
