"""Search: what a decoder writes, one symbol after another; likeliest, by a beam, or drawn.

    beam = Beam(5, end=2)
    state = decoder.begin(memory, start)                    # start: states that an encoder ended with, or {}
    last = np.full((B, 1), first)                           # the symbol that is read before any is written
    best = search(decoder, state, last, beam, limit=80, count=3, alpha=0.6)
    best[0][0].ids                                          # of row 0, the likeliest; ends with symbol 2

`Walk` is the only loop over steps. A *choice* (choices.py) is a strategy: it takes candidates, K of which go on. A
*rule* (rules.py) is a function on scores. Letters: B rows, K places of each, P places before a step (1 before the
first, as all would be alike, else K), C candidates, V symbols, t symbols written, S steps of a memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np

from gatework.errors import ShapeError
from gatework.runtime.search.choices import Candidates, Choice, going_on
from gatework.runtime.search.hypotheses import Best, Hypothesis, Ranking
from gatework.runtime.search.rules import Rule
from gatework.runtime.search.written import Taken, Written

Array = np.ndarray


class State(Protocol):
    """What a decoder keeps between steps."""

    def select(self, parents: Array, rows: Array | None = None) -> Self:
        """Each place goes on from the place `parents` (B', K) of its row; only these `rows` (B',) stay, if given."""
        ...


S = TypeVar("S", bound=State)


class Steps(Protocol[S]):
    """A decoder, as the loop sees it; see `gatework.networks.decoder.Decoder`."""

    def step(self, state: S, last: Array) -> tuple[Array, Array | None, S]:
        """Log probabilities (B, P, V) of the next symbol, which the loop may write into; attention (B, P, S); state."""
        ...


class Moment(NamedTuple):
    """A step: what has been written before it, the candidates, and what each place looked at (B, P, S)."""

    written: Written
    candidates: Candidates
    attention: Array | None


class Walk(Generic[S]):
    """Where a search stands. A `step` gives candidates; with `take` the places go on; with `keep` rows leave.

    Args:
        state, last: what was read before, and what is read next, (B, 1).
        limit: most symbols that are written; one for all rows or (B,).

    Raises: ShapeError where `last` has another shape.
    """

    def __init__(
        self,
        decoder: Steps[S],
        state: S,
        last: Array,
        choice: Choice,
        rules: Sequence[Rule] = (),
        limit: int | Array = 100,
    ):
        if last.ndim != 2 or last.shape[1] != 1:
            raise ShapeError(f"last has the shape {last.shape}; give (rows, 1): what each row reads first")
        self.decoder, self.state, self.last, self.choice, self.rules = decoder, state, last, choice, rules
        self.written = Written(np.broadcast_to(limit, len(last)))
        self.alive = np.where(self.written.left[:, None] < 1, -np.inf, np.zeros(last.shape, np.float32))
        self._parents: Array | None = None  # the state is reordered before the next step, if there is one
        self._rows: Array | None = None

    def step(self) -> Moment:
        if self._parents is not None:
            self.state = self.state.select(self._parents, self._rows)
            self._parents = self._rows = None
        scores, attention, self.state = self.decoder.step(self.state, self.last)
        for rule in self.rules:
            scores = rule(scores, self.written)
        alive = self.alive.astype(scores.dtype, copy=False)
        return Moment(self.written, self.choice(alive, scores, self.written), attention)

    def take(self, candidates: Candidates) -> Array:
        """The first K candidates that do not end go on, from the places that are returned (B, K)."""
        taken = going_on(candidates, self.choice.places)
        self.written.taken.append(Taken(taken.parent, taken.next, taken.log_p))
        self.alive = np.where(taken.ended | (self.written.left < 1)[:, None], -np.inf, taken.total)
        self._parents, self.last = taken.parent, taken.next
        return taken.parent

    def keep(self, rows: Array) -> None:
        """Only these rows stay."""
        self.written.select(rows)
        self.alive, self.last = self.alive[rows], self.last[rows]
        parents = np.zeros((len(self.last), 1), np.int64) if self._parents is None else self._parents[rows]
        self._parents, self._rows = parents, rows

    @property
    def open(self) -> Array:
        """Rows (B,) of which a place can go on."""
        return np.isfinite(self.alive.max(1))


def unroll(
    decoder: Steps[S], state: S, last: Array, choice: Choice, rules: Sequence[Rule] = (), limit: int | Array = 100
) -> Iterator[Moment]:
    """The moments of a search, as they come: at most `limit`, fewer where every place has ended. See `Walk`.

    for moment in unroll(decoder, state, last, Drawn(), limit=1000):
        print(moment.candidates.next)                       # (B, K)
    """
    walk = Walk(decoder, state, last, choice, rules, limit)
    while walk.open.any():
        moment = walk.step()
        yield moment
        walk.take(moment.candidates)


def search(
    decoder: Steps[S],
    state: S,
    last: Array,
    choice: Choice,
    *,
    rules: Sequence[Rule] = (),
    limit: int | Array = 100,
    count: int = 1,
    alpha: float = 0.0,
    beta: float = 0.0,
    lengths: Array | None = None,
    patience: float = float("inf"),
) -> list[list[Hypothesis]]:
    """The best hypotheses of each row, at most `count`, the best first; fewer where fewer were found.

    Args:
        state, last: what was read before, and what is read next, (B, 1).
        limit: most symbols that are written; one for all rows or (B,).
        alpha, beta, lengths: how hypotheses are ranked, see `Ranking`.
        patience: a row ends when patience * K hypotheses have come to an end (Kasai et al. 2022, section 2).

    Without patience, a row ends when nothing alive can still become one of its best; that is exact unless a rule
    raises scores. Rows that have ended leave, and the others go on in smaller batches.
    """
    walk = Walk(decoder, state, last, choice, rules, limit)
    best = Best(walk.written, count, Ranking(alpha, beta, lengths))
    results: list[list[Hypothesis]] = [[] for _ in last]
    while len(walk.written.rows):
        open = walk.open & ~best.full(walk.alive, patience * choice.places)
        walk.alive[~open] = -np.inf
        leaving, staying = parted(open)
        if len(leaving):
            for row, found in zip(walk.written.rows[leaving].tolist(), best.hypotheses(leaving), strict=True):
                results[row] = found
            walk.keep(staying)
            best.select(staying)
        if len(staying):
            moment = walk.step()
            best.add(moment.candidates, moment.attention, choice.places)
            best.follow(walk.take(moment.candidates))
    return results


def parted(open: Array) -> tuple[Array, Array]:
    """The rows that leave, and those that stay: some that have ended are among these, so that the number of rows takes
    few values. A layer's packed weights and streams are made for a number of rows."""
    order = np.argsort(~open, kind="stable")
    stay = min(few(int(open.sum())), len(open))
    return order[stay:], order[:stay]


def few(rows: int) -> int:
    """The smallest of 0, 1, 2, 3, 4, 6, 8, 12, 16, ... that is at least this number."""
    power = 1 << max(rows - 1, 0).bit_length()
    return 0 if not rows else power * 3 // 4 if power >= 4 and rows <= power * 3 // 4 else power
