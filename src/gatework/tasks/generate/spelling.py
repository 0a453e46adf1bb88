"""What it costs to spell a unit that the vocabulary lacks.

"Unknown" is one unit of the vocabulary, and a model may expect it rightly; but who writes the text must also say which
word it is. Without that the smallest vocabulary would seem to predict best. A code for any text spells the word: one
character after another and a sign where it ends, by n-grams of characters (see `Counts`) whose last resort is that all
code points are equally likely.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from gatework.data.codecs import UNKNOWN, TextCodec
from gatework.data.stored import stored
from gatework.errors import FileFormatError
from gatework.tasks.generate.counts import Counts

ORDER = 6  # of the n-grams of characters
MOST_SEEN = 1 << 30  # units of a training text
SYMBOLS = 0x110000 + 1  # every code point, and the end of a word, which is 0


@dataclass
class Spelling:
    """Units to learn from, and how often each: `Spelling({"cat": 2}).nats(["cats"])` is an array of one cost."""

    units: dict[str, int]

    @classmethod
    def of(cls, codec: TextCodec, ids: np.ndarray, units: Sequence[str]) -> Self:
        """From the units of a training text: unknown ones as often as they stand there, the others once each."""
        unknown = Counter(unit for unit, known in zip(units, ids != UNKNOWN, strict=True) if not known)
        return cls(dict.fromkeys(codec.vocabulary[len(codec.forbidden) :], 1) | dict(unknown))

    def to_json(self) -> str:
        return json.dumps(self.units, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        units = stored(text, dict[str, int], "spellings")
        if min(units.values(), default=1) < 1 or sum(units.values()) > MOST_SEEN:
            raise FileFormatError("spellings are units and how often each was seen, at least once")
        return cls(units)

    @cached_property
    def _counts(self) -> Counts:
        often = np.fromiter(self.units.values(), np.int64, len(self.units))
        return Counts.of(
            _spelled([word for word, n in zip(self.units, often, strict=True) for _ in range(n)])[0], ORDER, SYMBOLS
        )

    def nats(self, units: Sequence[str]) -> np.ndarray:
        """(n,): what each unit costs."""
        different = list(dict.fromkeys(units))
        if not different:
            return np.zeros(0)
        symbols, owners = _spelled(different)
        *_, likely = self._counts.likelihoods(symbols)
        costs = np.bincount(owners[owners >= 0], -np.log(likely[owners >= 0]), len(different))
        place = {unit: number for number, unit in enumerate(different)}
        return costs[[place[unit] for unit in units]]


def _spelled(words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Symbols of words, each with its end; then so many ends that the next begins afresh. And the word of each symbol,
    -1 for those further ends."""
    pad = ORDER - 2
    points = [
        np.frombuffer(word.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64) + 1 for word in words
    ]
    lengths = np.array([len(each) for each in points], np.int64)
    parts = [each for one in points for each in (one, np.zeros(1 + pad, np.int64))]
    marks = np.stack([np.arange(len(words)), np.full(len(words), -1)], axis=1).ravel()
    owners = np.repeat(marks, np.stack([lengths + 1, np.full(len(words), pad)], axis=1).ravel())
    return np.concatenate([np.zeros(1 + pad, np.int64), *parts]), np.concatenate([np.full(1 + pad, -1), owners])
