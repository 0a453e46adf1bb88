"""Which word is the translation of which: a lexicon learned from pairs of sentences by IBM model 1.

    lexicon = fit([["das", "haus"], ["das", "buch"]], [["the", "house"], ["the", "book"]])
    lexicon.translate(["haus"])                          # ["house"]
    lexicon.probability("haus", "house")                 # 0.84

Model 1 says that each target word comes from one of the source words or from none, wherever they stand, with the
probability t(target | source); t is learned by EM. The likelihood is concave, so any start leads to the same end.
Source: Brown, Della Pietra, Della Pietra, Mercer 1993, "The mathematics of statistical machine translation", section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from gatework.data.ragged import Ragged

ROUNDS = 5
MOST_LINKS = 10_000_000  # pairs of a source and a target word of one sentence, in all
NONE = 0  # the source word that stands for none


@dataclass(frozen=True)
class Lexicon:
    """t(target | source) of the P pairs of words that stand in sentences together.

    Attributes:
        sources, targets: the words, each once; source 0 is none at all.
        source, target: int32 [P], numbers of both, sorted by source.
        probabilities: [P]; those of each source sum to 1.
        pairs: how many pairs of sentences it was learned from.
    """

    sources: list[str]
    targets: list[str]
    source: np.ndarray
    target: np.ndarray
    probabilities: np.ndarray
    pairs: int

    @cached_property
    def best(self) -> dict[str, str]:
        """Each source word's likeliest translation; of equal ones the target that was seen first."""
        order = np.lexsort((self.target, -self.probabilities, self.source))
        words, first = np.unique(self.source[order], return_index=True)
        chosen = self.target[order[first]]
        return {self.sources[s]: self.targets[t] for s, t in zip(words, chosen, strict=True) if s != NONE}

    def translate(self, words: Iterable[str]) -> list[str]:
        """Each word's likeliest translation; an unknown word stays as it is."""
        return [self.best.get(word, word) for word in words]

    def probability(self, source: str | None, target: str) -> float:
        """t(target | source), of None that of no source word; 0 where they never stood in sentences together."""
        numbers = (NONE if source is None else self.sources.index(source, 1), self.targets.index(target))
        found = (self.source == numbers[0]) & (self.target == numbers[1])
        return float(self.probabilities[found].sum())


def fit(sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]], rounds: int = ROUNDS) -> Lexicon:
    """A lexicon of n pairs of sentences, each a list of words.

    Of more than MOST_LINKS a part of the pairs is learned, spread over all of them; sentences of hundreds of words are
    left out. Cost on one core: 29,000 pairs of 13 words take 3 seconds.
    """
    read, source_words = _numbered([("", *words) for words in sources])  # "" is the first word seen: NONE
    written, target_words = _numbered(targets)
    rows = _learned_rows(read.lengths * written.lengths)
    links = Links.of(read.take(rows), written.take(rows), max(len(target_words), 1))
    return Lexicon(source_words, target_words, links.source, links.target, _expected(links, rounds), len(rows))


def _numbered(sentences: Sequence[Sequence[str]]) -> tuple[Ragged, list[str]]:
    """Words as numbers, and the different ones as they were seen first."""
    number: dict[str, int] = {}
    ids = [number.setdefault(word, len(number)) for words in sentences for word in words]
    return Ragged.from_lengths(np.array(ids, np.int64), [len(words) for words in sentences]), list(number)


def _learned_rows(links: np.ndarray) -> np.ndarray:
    """Sentences that together have about MOST_LINKS, of those that have links [n]."""
    rows = np.flatnonzero((links > 0) & (links <= MOST_LINKS // 100))
    share = min(MOST_LINKS / max(links[rows].sum(), 1), 1)
    return rows[np.unique(np.linspace(0, len(rows) - 1, int(np.ceil(share * len(rows)))).astype(np.int64))]


class Links(NamedTuple):
    """Each target word of each sentence linked with each of its source words: `place` [L] says which of the P pairs
    (`source`, `target`) a link is; those of a target word lie together, `sizes` [N] of them."""

    place: np.ndarray
    sizes: np.ndarray
    source: np.ndarray
    target: np.ndarray

    @classmethod
    def of(cls, read: Ragged, written: Ragged, targets: int) -> Links:
        owners = written.owners
        each = read.take(owners)  # for each target word the source sentence
        pairs, place = np.unique(each.values * targets + np.repeat(written.values, each.lengths), return_inverse=True)
        return cls(place, each.lengths, *np.divmod(pairs, targets))


def _expected(links: Links, rounds: int) -> np.ndarray:
    """t [P] after rounds of EM (Brown et al. 1993, equations 14 to 17) from equal probabilities."""
    t = np.ones(len(links.source))
    first = np.cumsum(links.sizes) - links.sizes
    for _ in range(rounds):
        share = t[links.place]
        share /= np.repeat(np.add.reduceat(share, first), links.sizes)
        counts = np.bincount(links.place, share, len(t))
        t = counts / np.bincount(links.source, counts)[links.source]
    return t
