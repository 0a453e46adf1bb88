"""What stands around a token, as hashed features: words, affixes, shapes and further columns in small windows.

A feature is a value at a place, as "the word before is of"; it becomes a number of 31 bits, the same on every machine
and in every run. Who counts in fewer buckets takes the low bits (feature hashing, Weinberger et al. 2009). The windows
are those of linear taggers (Ratnaparkhi 1996; Sha & Pereira 2003).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, reduce

import numpy as np

from gatework.runtime.texts.grams import PRIME, mixed, word_keys
from gatework.runtime.texts.points import has, lowered

BITS = 31  # of a feature
BLOCK = 8192  # tokens
OUTSIDE = ""  # no token is empty
Places = tuple[int, ...]  # of the tokens that a feature is made of, counted from the one that it belongs to


def near(reach: int) -> list[Places]:
    return [(place,) for place in range(-reach, reach + 1)]


def runs(length: int, reach: int) -> list[Places]:
    """Neighbours that stand together, within `reach`."""
    return [tuple(range(first, first + length)) for first in range(-reach, reach - length + 2)]


AFFIXES = tuple(f"{end} {size}" for end in ("prefix", "suffix") for size in (1, 2, 3, 4))
OF_WORDS: dict[str, list[Places]] = {
    "lower": [*near(2), *runs(2, 2)],
    "form": near(1),
    **dict.fromkeys((*AFFIXES, "shape", "short shape"), near(1)),
}
OF_LETTERS: dict[str, list[Places]] = {"form": [*near(10), *runs(2, 3)]}
OF_COLUMNS: list[Places] = [*near(2), *runs(2, 2), *runs(3, 2)]
SHAPE = {"upper": "X", "lower": "x", "digit": "d"}


def features(
    tokens: Sequence[str],
    lengths: np.ndarray,
    further: Mapping[str, Sequence[str]] | None = None,
    letters: bool = False,
) -> np.ndarray:
    """int32 [N, F], each at least 0: the features of N tokens in sentences of these lengths.

        features(["He", "ran", "off"], np.array([3]))                 # shape [3, 48]

    Args:
        further: more columns of the tokens, as parts of speech; each adds 12 features, whatever its place.
        letters: windows of single letters (see `are_letters`), as far as ten to both sides.
    """
    columns = list(_columns(tokens, further or {}, letters))
    made = np.empty((len(tokens), sum(len(column.slots) for column in columns)), np.int32)
    for start, beside in _beside(np.asarray(lengths, np.int64), {place for c in columns for place in c.places}):
        block = [feature for column in columns for feature in column.features(beside)]
        made[start : start + BLOCK] = np.stack(block, axis=1)
    return made


def places_of(further: int, letters: bool) -> list[Places]:
    """The places that each of the F features is made of, in the order of `features`; `further` columns beside."""
    windows = [*(OF_LETTERS if letters else OF_WORDS).values(), *[OF_COLUMNS] * further]
    return [places for several in windows for places in several]


def are_letters(tokens: Sequence[str]) -> bool:
    """Whether no token is longer than one letter, as in chains of residues or bases."""
    return max(map(len, tokens), default=0) == 1


class _Column:
    """An attribute of N tokens: `keys` [U + 1] of its different values, the last for what is outside of a sentence;
    `ids` [N] say which each token has."""

    def __init__(self, name: str, keys: np.ndarray, ids: np.ndarray, windows: list[Places]):
        self.keys, self.ids = keys, np.append(ids, len(keys) - 1)  # so that number -1 is outside
        self.slots = {places: word_keys([f"{name} {places}"]) for places in windows}
        self.places = {place for places in windows for place in places}
        self.single = {  # hashed for each different value, not for each token
            places[0]: _feature(mixed(keys, slot)) for places, slot in self.slots.items() if len(places) == 1
        }

    def features(self, beside: Mapping[int, np.ndarray]) -> Iterator[np.ndarray]:
        """int32 [M] for each window; `beside` are the numbers of the tokens at each place, -1 outside."""
        for places, slot in self.slots.items():
            ids = [self.ids[beside[place]] for place in places]
            if len(ids) == 1:
                yield self.single[places[0]][ids[0]]
            else:
                yield _feature(mixed(reduce(mixed, (self.keys[each] for each in ids)), slot))


def _columns(tokens: Sequence[str], further: Mapping[str, Sequence[str]], letters: bool) -> Iterator[_Column]:
    words, ids = different(tokens)
    for name, windows in (OF_LETTERS if letters else OF_WORDS).items():
        values, of_words = different(_attribute(words, name))
        yield _Column(name, word_keys([*values, OUTSIDE])[np.append(of_words, len(values))], ids, windows)
    for name, column in further.items():
        values, ids = different(column)
        yield _Column(f"column {name}", word_keys([*values, OUTSIDE]), ids, OF_COLUMNS)


def different(values: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The U different values, and which of them each is [N]."""
    number = {value: i for i, value in enumerate(dict.fromkeys(values))}
    return [*number], np.fromiter(map(number.__getitem__, values), np.int64, len(values))


def _attribute(words: list[str], name: str) -> list[str]:
    """An attribute of each word: of "USA-2" prefix 2 is US, shape XXX-d, short shape X-d."""
    kind, _, size = name.rpartition(" ")
    if name == "lower":
        return [lowered(word) for word in words]
    if kind == "prefix":
        return [word[: int(size)] for word in words]
    if kind == "suffix":
        return [word[-int(size) :] for word in words]
    if name == "short shape":
        return [re.sub(r"([Xxd])\1+", r"\1", word.translate(_shapes())) for word in words]
    return [word.translate(_shapes()) for word in words] if name == "shape" else words


@cache
def _shapes() -> dict[int, str]:
    """What stands for each code point that is a capital, a small letter or a digit."""
    return {int(point): sign for name, sign in SHAPE.items() for point in np.flatnonzero(has(name))}


def _beside(lengths: np.ndarray, places: set[int]) -> Iterator[tuple[int, dict[int, np.ndarray]]]:
    """Blocks of tokens, small enough for the cache: the first's number, and of all [M] the numbers of the tokens at
    these places, -1 where their sentence has none."""
    ends = np.repeat(np.cumsum(lengths), lengths)
    starts = ends - np.repeat(lengths, lengths)
    for first in range(0, len(ends), BLOCK):
        start, end = starts[first : first + BLOCK], ends[first : first + BLOCK]
        at = {place: np.arange(first, first + len(start)) + place for place in places}
        yield first, {place: np.where((here >= start) & (here < end), here, -1) for place, here in at.items()}


def _feature(keys: np.ndarray) -> np.ndarray:
    """int32 [M]: upper bits, which depend on every bit of a key once it is multiplied."""
    return ((keys * PRIME) >> np.uint64(64 - BITS)).astype(np.int32)
