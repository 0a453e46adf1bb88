"""Search: what a decoder writes, one symbol after another; likeliest, by a beam, or drawn.

    beam = Beam(5, end=2)
    state = decoder.begin(memory, start, beam.places)       # start: states that an encoder ended with, or {}
    last = torch.full((B, beam.places), first)              # the symbol that is read before any is written
    best = search(decoder, state, last, beam, limit=80, count=3, alpha=0.6)
    best[0][0].ids                                          # of row 0, the likeliest; ends with symbol 2

`unroll` is the only loop over steps. A *choice* (choices.py) is a strategy: it starts the places and takes candidates.
A *rule* (rules.py) is a pure function on scores. Letters: B rows, K places of each, C candidates, V symbols, t symbols
written, S steps of a memory.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self, TypeVar

import torch
from torch import Tensor

from gatework.errors import ShapeError
from gatework.networks.choices import Candidates, Choice, going_on
from gatework.networks.rules import Rule


class State(Protocol):
    """What a decoder keeps between steps."""

    def select(self, parents: Tensor) -> Self: ...


S = TypeVar("S", bound=State)


class Steps(Protocol[S]):
    """A decoder, as the loop sees it; see `gatework.networks.decoder.Decoder`."""

    def step(self, state: S, last: Tensor) -> tuple[Tensor, Tensor | None, S]:
        """Outputs (B, K, V), whose log_softmax is the distribution of the next symbol; attention (B, K, S); state."""
        ...


class Written(NamedTuple):
    """What each place has written, (B, K, t) each: symbols, their log probabilities, and the place of each at its
    step."""

    ids: Tensor
    log_p: Tensor
    places: Tensor

    @classmethod
    def nothing(cls, rows: int, places: int) -> Self:
        empty = torch.zeros(rows, places, 0)
        return cls(empty.long(), empty, empty.long())

    def grown(self, taken: Candidates) -> Self:
        """One step later, in the places that the candidates take."""
        at = taken.parent.unsqueeze(2)
        before = (each.gather(1, at.expand(-1, -1, each.shape[2])) for each in self)
        added = (taken.next, taken.log_p.to(self.log_p), taken.parent)
        return type(self)(*(torch.cat([b, a.unsqueeze(2)], 2) for b, a in zip(before, added, strict=True)))


class Moment(NamedTuple):
    """A step: what had been written before it, the candidates, and what each place looked at (B, K, S)."""

    written: Written
    candidates: Candidates
    attention: Tensor | None


@torch.no_grad()
def unroll(
    decoder: Steps[S], state: S, last: Tensor, choice: Choice, rules: Sequence[Rule] = (), limit: int = 100
) -> Iterator[Moment]:
    """The moments of a search, as they come: at most `limit`, fewer where every place has ended.

    Args:
        state, last: what was read before, and what is read next, (B, K).

    Raises: ShapeError where `last` has not a column for each of the choice's places.
    """
    if last.dim() != 2 or last.shape[1] != choice.places:
        raise ShapeError(
            f"last has the shape {tuple(last.shape)}, but the choice has {choice.places} places: give (rows, places)"
        )
    alive, written = choice.start(len(last)), Written.nothing(*last.shape)
    for _ in range(limit):
        outputs, attention, state = decoder.step(state, last)
        scores = outputs.log_softmax(2)
        for rule in rules:
            scores = rule(scores, written.ids)
        candidates = choice(alive.to(scores), scores)
        yield Moment(written, candidates, attention)
        taken = going_on(candidates, choice.places)
        alive = taken.total.masked_fill(taken.ended, -torch.inf)
        if not alive.isfinite().any():
            return
        state, written, last = state.select(taken.parent), written.grown(taken), taken.next


@dataclass(frozen=True)
class Hypothesis:
    """What was written: symbols, the end among them, and their log probabilities; their sum `score`, and the same
    `normalised` by length, by which hypotheses are ranked; whether it came to an `ended`; `attention` (t, S)."""

    ids: list[int]
    token_log_p: list[float]
    score: float
    normalised: float
    ended: bool
    attention: Tensor | None = None

    @property
    def rank(self) -> tuple[bool, float]:
        """Higher is better: one that came to an end is better than any that was cut off."""
        return self.ended, self.normalised


def length_penalty(length: int, alpha: float) -> float:
    """What a score is divided by: ((5 + length) / 6) ** alpha (Wu et al. 2016, equation 14)."""
    return ((5 + length) / 6) ** alpha


@torch.no_grad()
def search(
    decoder: Steps[S],
    state: S,
    last: Tensor,
    choice: Choice,
    *,
    rules: Sequence[Rule] = (),
    limit: int = 100,
    count: int = 1,
    alpha: float = 0.0,
) -> list[list[Hypothesis]]:
    """The best hypotheses of each row, at most `count`, the best first; fewer where fewer were found.

    The search stops when nothing alive can still become one of them: totals only fall, so the best total over the
    penalty at the limit is a bound. That is exact unless a rule raises scores.
    """
    best = [Best(count, alpha) for _ in range(len(last))]
    looked: list[Tensor] = []
    moment = None
    for moment in unroll(decoder, state, last, choice, rules, limit):
        looked += [] if moment.attention is None else [moment.attention]
        real = moment.candidates.total.isfinite()
        keep(best, moment, looked, (moment.candidates.ended & real)[:, : choice.places])
        alive = moment.candidates.total.masked_fill(moment.candidates.ended, -torch.inf).amax(1)
        if all(mine.full(float(top), limit) for mine, top in zip(best, alive, strict=True)):
            break
    else:
        if moment is not None:
            cut_off(best, moment, looked, choice.places)
    return [mine.found for mine in best]


class Best:
    """The best hypotheses of a row so far."""

    def __init__(self, count: int, alpha: float):
        self.count, self.alpha = count, alpha
        self.found: list[Hypothesis] = []

    def add(self, hypothesis: Hypothesis) -> None:
        insort(self.found, hypothesis, key=lambda each: (not each.ended, -each.normalised))
        del self.found[self.count :]

    def full(self, top: float, limit: int) -> bool:
        """Whether a total of `top` can no longer grow into one of the best."""
        if top == -torch.inf:
            return True
        bound = top / length_penalty(limit, self.alpha)
        return len(self.found) == self.count and bound < self.found[-1].normalised


def keep(best: Sequence[Best], moment: Moment, looked: Sequence[Tensor], which: Tensor) -> None:
    """Makes hypotheses of the candidates at `which` (B, C)."""
    candidates = moment.candidates
    for row, place in which.nonzero().tolist():
        mine, parent = best[row], int(candidates.parent[row, place])
        score, ended = float(candidates.total[row, place]), bool(candidates.ended[row, place])
        normalised = score / length_penalty(moment.written.ids.shape[2] + 1, mine.alpha)
        if len(mine.found) == mine.count and mine.found[-1].rank >= (ended, normalised):
            continue
        ids, log_p, places = (each[row, parent].tolist() for each in moment.written)
        ids, log_p = [*ids, int(candidates.next[row, place])], [*log_p, float(candidates.log_p[row, place])]
        path = [*places, parent]
        seen = torch.stack([each[row, at] for each, at in zip(looked, path, strict=True)]) if looked else None
        mine.add(Hypothesis(ids, log_p, score, normalised, ended, seen))


def cut_off(best: Sequence[Best], moment: Moment, looked: Sequence[Tensor], places: int) -> None:
    """At the limit, what is still alive is a hypothesis without an end."""
    alive = ~moment.candidates.ended
    first = alive & (alive.cumsum(1) <= places)
    keep(best, moment, looked, first)
