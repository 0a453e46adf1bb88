"""Words that must occur: a beam in which every hypothesis comes to hold given sequences of symbols.

Letters: B rows, K places, P places before a step, C candidates, n words of a row, A ways to write each, L symbols of
the longest, t symbols written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gatework.errors import OptionError
from gatework.runtime.search.choices import Beam, Candidates, candidates_at, largest
from gatework.runtime.search.rules import Edges
from gatework.runtime.search.written import Written, picked

Array = np.ndarray
Ids = Sequence[int]


class Held(NamedTuple):
    """Whether what was written holds each word, (B, P, n), and how many of the first symbols of each way to write it
    stand at the end, (B, P, n, A)."""

    there: Array
    begun: Array


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
        self.symbols = np.full(shape, -1)  # (R, n, A, L)
        for row, each in enumerate(words):
            for number, own in enumerate(each):
                for way, symbols in enumerate(own):
                    self.symbols[row, number, way, : len(symbols)] = symbols
        self.lengths = (self.symbols >= 0).sum(3)  # (R, n, A); 0: there is none

    def held(self, ids: Array, rows: Array) -> Held:
        """What ids (B, P, t) of these rows hold."""
        lengths, symbols = self.lengths[rows][:, None], self.symbols[rows]
        begun = np.zeros((*ids.shape[:2], *lengths.shape[2:]), np.int64)
        there = np.zeros(begun.shape, bool)
        starts, stops = self._edges(ids)
        ends = np.broadcast_to(starts[:, :, None, None], (*begun.shape, ids.shape[2]))  # of each way's first symbols
        for number in range(symbols.shape[3] if ids.shape[2] else 0):
            if number:
                ends = np.concatenate([np.zeros_like(ends[..., :1]), ends[..., :-1]], 4)
            ends = ends & (ids[:, :, None, None] == symbols[:, None, :, :, number, None])
            there = there | ((ends & stops[:, :, None, None]).any(4) & (lengths == number + 1))
            begun = np.where(ends[..., -1], number + 1, begun)
        return Held(there.any(3) | (lengths == 0).all(3), begun)

    def _edges(self, ids: Array) -> tuple[Array, Array]:
        """Where in ids (B, P, t) a word can begin, and where one can end."""
        yes = np.ones(ids.shape, bool)
        if self.edges is None or not ids.shape[2]:
            return yes, yes
        joined = self.edges.closes[ids[..., :-1]] & self.edges.opens[ids[..., 1:]]
        return np.concatenate([yes[..., :1], ~joined], 2), np.concatenate([~joined, yes[..., :1]], 2)

    def progress(self, held: Held, rows: Array) -> Array:
        """(B, P): how many symbols of the words are written."""
        return np.where(held.there, self.lengths[rows][:, None].max(3), held.begun.max(3)).sum(2)

    def following(self, held: Held, rows: Array) -> Array:
        """(B, P, n * A): the symbol that continues each way to write a word; -1 where the word is there."""
        lengths, symbols = self.lengths[rows][:, None], self.symbols[rows][:, None]
        begun = np.where(held.begun == lengths, 0, held.begun)
        found = np.take_along_axis(symbols, begun[..., None], 4)[..., 0]
        return np.where(held.there[..., None], -1, found).reshape(*begun.shape[:2], -1)


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

    def __call__(self, alive: Array, scores: Array, written: Written) -> Candidates:
        words, rows = self.words, written.rows
        if not self.words.lengths[rows].any():
            return Beam(self.places, self.end)(alive, scores, written)
        held = words.held(written.ids, rows)
        scores[~held.there.all(2), self.end] = -np.inf
        at, repeated = self._pool(alive, scores, words.following(held, rows))
        found = candidates_at(alive, scores, at, self.end)
        ids = np.concatenate([picked(written.ids, found.parent), found.next[:, :, None]], 2)
        held = words.held(ids, rows)
        late = (written.left == 1)[:, None] & ~held.there.all(2)
        total = np.where(repeated | late, -np.inf, found.total)
        order = shared(total, words.progress(held, rows))
        ended = found.ended | ~np.isfinite(total)
        return Candidates(*(picked(each, order) for each in found._replace(total=total, ended=ended)))

    def _pool(self, alive: Array, scores: Array, following: Array) -> tuple[Array, Array]:
        """Where in (B, P * V) the candidates lie, and which of them are there twice or say nothing."""
        rows, places, symbols = scores.shape
        first = np.arange(places)[:, None] * symbols
        beam = largest(alive, scores, 2 * self.places)
        continuing = (first + np.maximum(following, 0)).reshape(rows, -1)
        likeliest = (first + scores.argmax(2)[:, :, None]).reshape(rows, -1)
        ends = np.broadcast_to((first + self.end).reshape(-1), (rows, places))
        at = np.concatenate([beam, continuing, likeliest, ends], 1)
        none = np.zeros(at.shape, bool)
        none[:, beam.shape[1] : beam.shape[1] + continuing.shape[1]] = (following < 0).reshape(rows, -1)
        same = (at[:, :, None] == at[:, None]) & ~none[:, None]
        return at, none | np.tril(same, -1).any(2)


def shared(total: Array, progress: Array) -> Array:
    """The order (B, C) of candidates: the best of each progress, the furthest first, then the second best of each, and
    so on; last what is impossible."""
    order = np.argsort(-total, axis=1, kind="stable")
    sorted = picked(progress, order)
    rank = np.tril(sorted[:, :, None] == sorted[:, None], -1).sum(2)
    key = rank * (int(progress.max()) + 1) - sorted
    key = np.where(np.isfinite(picked(total, order)), key, np.iinfo(np.int64).max)
    return picked(order, np.argsort(key, axis=1, kind="stable"))
