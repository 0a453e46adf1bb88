"""Search: what a decoder writes, one symbol after another; likeliest, by a beam, or drawn.

    beam = Beam(5, end=2)
    state = decoder.begin(memory, start)                    # start: states that an encoder ended with, or {}
    last = torch.full((B, 1), first)                        # the symbol that is read before any is written
    best = search(decoder, state, last, beam, limit=80, count=3, alpha=0.6)
    best[0][0].ids                                          # of row 0, the likeliest; ends with symbol 2

`Walk` is the only loop over steps. A *choice* (choices.py) is a strategy: it takes candidates, K of which go on. A
*rule* (rules.py) is a pure function on scores. Letters: B rows, K places of each, P places before a step (1 before the
first, as all would be alike, else K), C candidates, V symbols, t symbols written, S steps of a memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import torch
from torch import Tensor

from gatework.errors import ShapeError
from gatework.networks.choices import Candidates, Choice, going_on
from gatework.networks.hypotheses import Best, Hypothesis, Ranking
from gatework.networks.rules import Rule
from gatework.networks.written import Taken, Written


class State(Protocol):
    """What a decoder keeps between steps."""

    def select(self, parents: Tensor, rows: Tensor | None = None) -> Self:
        """Each place goes on from the place `parents` (B', K) of its row; only these `rows` (B',) stay, if given."""
        ...


S = TypeVar("S", bound=State)


class Steps(Protocol[S]):
    """A decoder, as the loop sees it; see `gatework.networks.decoder.Decoder`."""

    def step(self, state: S, last: Tensor) -> tuple[Tensor, Tensor | None, S]:
        """Outputs (B, P, V), whose log_softmax is the distribution of the next symbol; attention (B, P, S); state."""
        ...


class Moment(NamedTuple):
    """A step: what has been written before it, the candidates, and what each place looked at (B, P, S)."""

    written: Written
    candidates: Candidates
    attention: Tensor | None


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
        last: Tensor,
        choice: Choice,
        rules: Sequence[Rule] = (),
        limit: int | Tensor = 100,
    ):
        if last.dim() != 2 or last.shape[1] != 1:
            raise ShapeError(f"last has the shape {tuple(last.shape)}; give (rows, 1): what each row reads first")
        self.decoder, self.state, self.last, self.choice, self.rules = decoder, state, last, choice, rules
        self.written = Written(torch.as_tensor(limit).expand(len(last)))
        self.alive = torch.zeros(last.shape).masked_fill(self.written.left[:, None] < 1, -torch.inf)
        self._parents: Tensor | None = None  # the state is reordered before the next step, if there is one
        self._rows: Tensor | None = None

    def step(self) -> Moment:
        if self._parents is not None:
            self.state = self.state.select(self._parents, self._rows)
            self._parents = self._rows = None
        outputs, attention, self.state = self.decoder.step(self.state, self.last)
        scores = outputs.log_softmax(2)
        for rule in self.rules:
            scores = rule(scores, self.written)
        return Moment(self.written, self.choice(self.alive.to(scores), scores, self.written), attention)

    def take(self, candidates: Candidates) -> Tensor:
        """The first K candidates that do not end go on, from the places that are returned (B, K)."""
        taken = going_on(candidates, self.choice.places)
        self.written.taken.append(Taken(taken.parent, taken.next, taken.log_p))
        self.alive = taken.total.masked_fill(taken.ended | (self.written.left < 1)[:, None], -torch.inf)
        self._parents, self.last = taken.parent, taken.next
        return taken.parent

    def keep(self, rows: Tensor) -> None:
        """Only these rows stay."""
        self.written.select(rows)
        self.alive, self.last = self.alive[rows], self.last[rows]
        parents = torch.zeros(len(self.last), 1, dtype=torch.long) if self._parents is None else self._parents[rows]
        self._parents, self._rows = parents, rows

    @property
    def open(self) -> Tensor:
        """Rows (B,) of which a place can go on."""
        return self.alive.isfinite().any(1)


@torch.no_grad()
def unroll(
    decoder: Steps[S], state: S, last: Tensor, choice: Choice, rules: Sequence[Rule] = (), limit: int | Tensor = 100
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


@torch.no_grad()
def search(
    decoder: Steps[S],
    state: S,
    last: Tensor,
    choice: Choice,
    *,
    rules: Sequence[Rule] = (),
    limit: int | Tensor = 100,
    count: int = 1,
    alpha: float = 0.0,
    beta: float = 0.0,
    lengths: Tensor | None = None,
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
        walk.alive.masked_fill_(~open[:, None], -torch.inf)
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


def parted(open: Tensor) -> tuple[Tensor, Tensor]:
    """The rows that leave, and those that stay: some that have ended are among these, so that the number of rows takes
    few values. A layer's packed weights and streams are made for a number of rows."""
    order = (~open).to(torch.uint8).argsort(stable=True)
    stay = min(few(int(open.sum())), len(open))
    return order[stay:], order[:stay]


def few(rows: int) -> int:
    """The smallest of 0, 1, 2, 3, 4, 6, 8, 12, 16, ... that is at least this number."""
    power = 1 << max(rows - 1, 0).bit_length()
    return 0 if not rows else power * 3 // 4 if power >= 4 and rows <= power * 3 // 4 else power
