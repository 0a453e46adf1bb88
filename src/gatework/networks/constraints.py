"""Words that must occur: a beam in which every hypothesis comes to hold given sequences of symbols.

Letters: B rows, K places, P places before a step, C candidates, n sequences of a row, L symbols of the longest,
t symbols written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from gatework.errors import OptionError
from gatework.networks.choices import Beam, Candidates, candidates_at, largest
from gatework.networks.written import Written


class Held(NamedTuple):
    """How far what was written holds each sequence, (B, P, n): whether it occurs, and how many of its first symbols
    stand at the end."""

    there: Tensor
    begun: Tensor


class Words:
    """Sequences of symbols that the rows of a search must hold, `sequences[row]` those of a row.

        words = Words([[[7, 3], [9]], []])                  # row 0: 7 3 in a row, and 9; row 1: nothing
        best = search(decoder, state, last, Constrained(5, end, words))

    A sequence is held where its symbols stand side by side, wherever that is; two of them may overlap.

    Raises: OptionError for an empty sequence.
    """

    def __init__(self, sequences: Sequence[Sequence[Sequence[int]]]):
        if not all(len(each) for own in sequences for each in own):
            raise OptionError("an empty sequence cannot be held; leave it out")
        most = max((len(own) for own in sequences), default=0)
        self.lengths = torch.zeros(len(sequences), most, dtype=torch.long)  # (R, n); 0: there is none
        longest = max((len(each) for own in sequences for each in own), default=0)
        self.symbols = torch.full((len(sequences), most, longest), -1)
        for row, own in enumerate(sequences):
            for number, each in enumerate(own):
                self.lengths[row, number] = len(each)
                self.symbols[row, number, : len(each)] = torch.tensor(list(each))

    def held(self, ids: Tensor, rows: Tensor) -> Held:
        """What ids (B, P, t) of these rows hold."""
        lengths, symbols = self.lengths[rows][:, None], self.symbols[rows]  # (B, 1, n), (B, n, L)
        there = (lengths == 0).expand(-1, ids.shape[1], -1)
        begun = torch.zeros(there.shape, dtype=torch.long)
        ends = torch.ones(*there.shape, ids.shape[2], dtype=torch.bool)  # where a sequence's first symbols end
        for number in range(symbols.shape[2] if ids.shape[2] else 0):
            if number:
                ends = torch.cat([torch.zeros_like(ends[..., :1]), ends[..., :-1]], 3)
            ends = ends & (ids.unsqueeze(2) == symbols[:, None, :, number, None])
            there = there | (ends.any(3) & (lengths == number + 1))
            begun = torch.where(ends[..., -1], number + 1, begun)
        return Held(there, begun)

    def progress(self, held: Held, rows: Tensor) -> Tensor:
        """(B, P): how many symbols of the sequences are written."""
        return torch.where(held.there, self.lengths[rows][:, None], held.begun).sum(2)

    def following(self, held: Held, rows: Tensor) -> Tensor:
        """(B, P, n): the symbol that continues each sequence; -1 of those that are held."""
        begun = held.begun.masked_fill(held.there, 0)
        symbols = self.symbols[rows][:, None].expand(-1, begun.shape[1], -1, -1)
        return symbols.gather(3, begun.unsqueeze(3)).squeeze(3).masked_fill(held.there, -1)


@dataclass(frozen=True)
class Constrained:
    """A beam of hypotheses that hold `words` (Hokamp & Liu 2017; Post & Vilar 2018).

    Candidates are those of a beam, every symbol that continues a sequence, and the likeliest symbol of each place. The
    places are shared among candidates of different progress: the best of each come first, of these the furthest, then
    the second best of each. The end is for those that hold all words, and so is the limit.
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
            ],
            1,
        )
        none = torch.zeros_like(at, dtype=torch.bool)
        start = at.shape[1] - following[0].numel() - scores.shape[1]
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
