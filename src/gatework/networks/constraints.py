"""Words that must occur: a beam in which every hypothesis comes to hold given sequences of symbols.

Letters: B rows, K places, P places before a step, C candidates, n words of a row, A ways to write each, L symbols of
the longest, t symbols written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gatework.errors import OptionError
from gatework.networks.choices import Beam, Candidates, candidates_at, largest
from gatework.networks.rules import Edges
from gatework.networks.written import Written

Ids = Sequence[int]


class Held(NamedTuple):
    """Whether what was written holds each word, (B, P, n), and how many of the first symbols of each way to write it
    stand at the end, (B, P, n, A)."""

    there: Tensor
    begun: Tensor


class Words:
    """What the rows of a search must hold: `words[row]` are words, and a word is the ways to write it, each of symbols.

        words = Words([[[[7, 3]], [[9], [4]]], []])         # row 0: 7 3 side by side, and 9 or 4; row 1: nothing
        best = search(decoder, state, last, Constrained(5, end, words))

    Two may overlap. With `edges` a word is there only where it does not go on in its neighbours.

    Raises: OptionError for a word without symbols.
    """

    def __init__(self, words: Sequence[Sequence[Sequence[Ids]]], edges: Edges | None = None):
        if not all(own and all(map(len, own)) for each in words for own in each):
            raise OptionError("a word without symbols cannot be held; leave it out")
        self.edges = edges
        ways = [own for each in words for own in each]
        shape = (len(words), longest(words), longest(ways), longest(way for own in ways for way in own))
        self.symbols = torch.full(shape, -1)  # (R, n, A, L)
        for row, each in enumerate(words):
            for number, own in enumerate(each):
                for way, symbols in enumerate(own):
                    self.symbols[row, number, way, : len(symbols)] = torch.tensor(list(symbols))
        self.lengths = (self.symbols >= 0).sum(3)  # (R, n, A); 0: there is none

    def held(self, ids: Tensor, rows: Tensor) -> Held:
        """What ids (B, P, t) of these rows hold."""
        lengths, symbols = self.lengths[rows][:, None], self.symbols[rows]
        begun = torch.zeros(lengths.expand(-1, ids.shape[1], -1, -1).shape, dtype=torch.long)
        there = torch.zeros_like(begun, dtype=torch.bool)
        starts, stops = self._edges(ids)
        ends = starts[:, :, None, None].expand(*begun.shape, -1)  # where the first symbols of each way end
        for number in range(symbols.shape[3] if ids.shape[2] else 0):
            if number:
                ends = torch.cat([torch.zeros_like(ends[..., :1]), ends[..., :-1]], 4)
            ends = ends & (ids[:, :, None, None] == symbols[:, None, :, :, number, None])
            there = there | ((ends & stops[:, :, None, None]).any(4) & (lengths == number + 1))
            begun = torch.where(ends[..., -1], number + 1, begun)
        return Held(there.any(3) | (lengths == 0).all(3), begun)

    def _edges(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Where in ids (B, P, t) a word can begin, and where one can end."""
        yes = torch.ones(ids.shape, dtype=torch.bool)
        if self.edges is None or not ids.shape[2]:
            return yes, yes
        joined = self.edges.closes[ids[..., :-1]] & self.edges.opens[ids[..., 1:]]
        return torch.cat([yes[..., :1], ~joined], 2), torch.cat([~joined, yes[..., :1]], 2)

    def progress(self, held: Held, rows: Tensor) -> Tensor:
        """(B, P): how many symbols of the words are written."""
        return torch.where(held.there, self.lengths[rows][:, None].amax(3), held.begun.amax(3)).sum(2)

    def following(self, held: Held, rows: Tensor) -> Tensor:
        """(B, P, n * A): the symbol that continues each way to write a word; -1 where the word is there."""
        lengths, symbols = self.lengths[rows][:, None], self.symbols[rows][:, None]
        complete = held.begun == lengths
        begun = held.begun.masked_fill(complete, 0).unsqueeze(4)
        found = symbols.expand(-1, begun.shape[1], -1, -1, -1).gather(4, begun).squeeze(4)
        return found.masked_fill(held.there.unsqueeze(3), -1).flatten(2)


def longest(several: Iterable[Sequence[object]]) -> int:
    return max(map(len, several), default=0)


@dataclass(frozen=True)
class Constrained:
    """A beam of hypotheses that hold `words` (Hokamp & Liu 2017; Post & Vilar 2018).

    Candidates are those of a beam, every symbol that continues a word, the likeliest symbol of each place, and its end.
    The places are shared among candidates of different progress: the best of each come first, of these the furthest,
    then the second best of each. The end is for those that hold all words, and so is the limit.
    """

    places: int
    end: int
    words: Words

    def __call__(self, alive: Tensor, scores: Tensor, written: Written) -> Candidates:
        words, rows = self.words, written.rows
        if not self.words.lengths[rows].any():
            return Beam(self.places, self.end)(alive, scores, written)
        held = words.held(written.ids, rows)
        scores = scores.clone()
        scores[:, :, self.end].masked_fill_(~held.there.all(2), -torch.inf)
        at, repeated = self._pool(alive, scores, words.following(held, rows))
        found = candidates_at(alive, scores, at, self.end)
        ids = written.ids.gather(1, found.parent.unsqueeze(2).expand(-1, -1, written.steps))
        held = words.held(torch.cat([ids, found.next.unsqueeze(2)], 2), rows)
        late = (written.left == 1)[:, None] & ~held.there.all(2)
        total = found.total.masked_fill(repeated | late, -torch.inf)
        order = shared(total, words.progress(held, rows))
        ended = found.ended | ~total.isfinite()
        return Candidates(*(each.gather(1, order) for each in found._replace(total=total, ended=ended)))

    def _pool(self, alive: Tensor, scores: Tensor, following: Tensor) -> tuple[Tensor, Tensor]:
        """Where in (B, P * V) the candidates lie, and which of them are there twice or say nothing."""
        first = torch.arange(scores.shape[1])[:, None] * scores.shape[2]
        at = torch.cat(
            [
                largest(alive, scores, 2 * self.places),
                (first + following.clamp(min=0)).flatten(1),
                (first + scores.argmax(2, keepdim=True)).flatten(1),
                (first + self.end).flatten().expand(len(scores), -1),
            ],
            1,
        )
        none = torch.zeros_like(at, dtype=torch.bool)
        start = at.shape[1] - following[0].numel() - 2 * scores.shape[1]
        none[:, start : start + following[0].numel()] = (following < 0).flatten(1)
        same = (at.unsqueeze(2) == at.unsqueeze(1)) & ~none.unsqueeze(1)
        return at, none | same.tril(-1).any(2)


def shared(total: Tensor, progress: Tensor) -> Tensor:
    """The order (B, C) of candidates: the best of each progress, the furthest first, then the second best of each, and
    so on; last what is impossible."""
    order = total.argsort(dim=1, descending=True, stable=True)
    sorted = progress.gather(1, order)
    rank = (sorted.unsqueeze(2) == sorted.unsqueeze(1)).tril(-1).sum(2)
    key = rank * (int(progress.max()) + 1) - sorted
    key = key.masked_fill(~total.gather(1, order).isfinite(), torch.iinfo(torch.long).max)
    return order.gather(1, key.argsort(dim=1, stable=True))
