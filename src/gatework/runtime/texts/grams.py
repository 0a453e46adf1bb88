"""N-grams of one text as features: words, characters inside words, letters at their places.

An n-gram is a 64-bit key: FNV-1a style mixing of its parts. Keys are stable across machines, and among the few million
n-grams of a text collection two of one key are not to be expected (chance below 1e-6), so nothing but the keys is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from gatework.errors import FileFormatError
from gatework.runtime.texts.points import points, readable
from gatework.runtime.texts.words import Words

PIECES = (3, 5)  # shortest and longest character n-gram of a word's vector
PRIME = np.uint64(0x9E3779B97F4A7C15)
SHIFT = np.uint64(29)
LONGEST = 32  # n-gram that a file may ask for

Keys = tuple[np.ndarray, np.ndarray]  # uint64 [N], sequence by sequence, and the number of each key's sequence [N]


@dataclass
class Grams:
    """Counts of n-grams as TF-IDF features, each block (words, characters, places) of length 1 in each text.

    Args:
        words: longest word n-gram, 0 for none.
        characters: (shortest, longest) character n-grams inside words, or None.
        min_rows: n-grams of fewer texts are left out.
        max_size: the largest number of columns in a block; n-grams that occur in the most texts stay.
        spaces: split at white space alone.
        places: longest character n-gram that is told apart by where it stands in the text, 0 for none.
        lower: compare letters at their places in lower case, as words and characters are.
        keys, weights: the fitted columns of each block: sorted keys [F] uint64 and inverse document frequencies [F].

    Example: `grams.features("a b")` are the columns int64 [n] of the n-grams that were learned, and their values.
    """

    words: int = 2
    characters: tuple[int, int] | None = None
    min_rows: int = 1
    max_size: int = 1_000_000
    spaces: bool = False
    places: int = 0
    lower: bool = True
    keys: tuple[np.ndarray, ...] = ()
    weights: tuple[np.ndarray, ...] = ()

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(keys) for keys in self.keys)

    def settings(self) -> dict[str, Any]:
        """What was chosen, as JSON: `Grams.restored` takes it with the columns."""
        characters = self.characters and list(self.characters)
        chosen = {"words": self.words, "characters": characters, "spaces": self.spaces}
        return chosen | {"places": self.places, "lower": self.lower}

    @classmethod
    def restored(cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Grams:
        """From settings and the arrays keys0 (int64 or uint64), weights0, keys1, ..., a pair for each block.

        Raises: FileFormatError for what does not fit.
        """
        words, places, between = settings.get("words"), settings.get("places"), settings.get("characters")
        lengths = [words, places, *(between if isinstance(between, list) else ())]
        if not all(isinstance(n, int) and 0 <= n <= LONGEST for n in lengths) or len(lengths) != (4 if between else 2):
            raise FileFormatError(f"n-grams are described by their lengths, not by {dict(settings)!r:.100}")
        made = cls(lengths[0], (lengths[2], lengths[3]) if between else None, places=lengths[1])
        made.spaces, made.lower = bool(settings.get("spaces")), bool(settings.get("lower"))
        blocks = range(bool(words) + bool(between) + bool(places))
        made.keys = tuple(_columns(arrays, f"keys{i}", (np.int64, np.uint64)).view(np.uint64) for i in blocks)
        made.weights = tuple(_columns(arrays, f"weights{i}", (np.float32,)) for i in blocks)
        for keys, weights in zip(made.keys, made.weights, strict=True):
            if len(keys) != len(weights) or (keys[1:] <= keys[:-1]).any():
                raise FileFormatError("the columns of n-grams are damaged: they are no sorted keys with a weight each")
        return made

    def features(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Columns int64 [n], sorted, and values float32 [n] of the n-grams of a text that have a column."""
        first = np.cumsum([0, *self.sizes])
        parts = zip(first, self._keys(readable(text)), self.keys, self.weights, strict=False)
        rows = [(start, *row(keys, known, weights)) for start, keys, known, weights in parts]
        columns = [start + columns for start, columns, _ in rows]
        values = [values for _, _, values in rows]
        return np.concatenate([*columns, np.zeros(0, np.int64)]), np.concatenate([*values, np.zeros(0, np.float32)])

    def _keys(self, text: str) -> list[np.ndarray]:
        """The keys of all n-grams of a text, block by block."""
        tokens = Words(spaces=self.spaces).tokens(text) if self.words or self.characters else []
        found = [grams(word_keys(tokens), np.zeros(len(tokens), np.int64), 1, self.words)] if self.words else []
        found += [character_grams(tokens, *self.characters)] if self.characters else []
        found += [place_grams([text.lower() if self.lower else text], self.places)] if self.places else []
        return [keys for keys, _ in found]


def row(keys: np.ndarray, known: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns and values of a text with these n-grams, by the columns' keys and weights."""
    different, counts = np.unique(keys, return_counts=True)
    columns, there = columns_of(different, known)
    values = tfidf(counts[there], weights[columns[there]])
    to_length_1(values, np.array([0, len(values)]))
    return columns[there], values


def columns_of(keys: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns [n] of sorted keys [n], and whether each has one."""
    places = np.searchsorted(known, keys).clip(0, max(len(known) - 1, 0))
    return places, known[places] == keys if len(known) else np.zeros(len(keys), bool)


def tfidf(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """float32 [n]: (1 + log count) times weight."""
    values = np.log(counts, dtype=np.float32)
    values += 1
    values *= weights
    return values


def to_length_1(values: np.ndarray, offsets: np.ndarray) -> None:
    """Divides some rows of a sparse matrix, in place, by their Euclidean lengths."""
    mine, owners = values[offsets[0] : offsets[-1]], np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    lengths = np.sqrt(np.bincount(owners, mine.astype(np.float64) ** 2, minlength=len(offsets) - 1))
    mine /= lengths[owners]


# -- keys ---------------------------------------------------------------------------------------------------


def word_keys(words: Sequence[str]) -> np.ndarray:
    """Keys [n] of single words, the same on every machine."""
    digests = (blake2b(word.encode(), digest_size=8).digest() for word in words)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def mixed(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Keys of pairs: a key that depends on both parts and on their order."""
    with np.errstate(over="ignore"):
        mixed = (keys ^ (keys >> SHIFT)) * PRIME + values
        return mixed ^ (mixed >> SHIFT)


def grams(values: np.ndarray, owners: np.ndarray, shortest: int, longest: int) -> Keys:
    """Keys of all n-grams of sequences, n from shortest to longest: `values` [N] of sequences `owners` [N]."""
    keys, parts, mine = values, [], []
    for n in range(1, longest + 1):
        count = max(len(owners) - n + 1, 0)
        same = owners[n - 1 :] == owners[:count]
        keys = mixed(keys[:count], values[n - 1 :]) if n > 1 else keys
        if n >= shortest:
            parts.append(keys[same])
            mine.append(owners[:count][same])
    owner = np.concatenate(mine)
    order = np.argsort(owner, kind="stable")
    return np.concatenate(parts)[order], owner[order]


def character_grams(words: Sequence[str], shortest: int, longest: int) -> Keys:
    """Keys of the character n-grams of words with a space on both sides: " cat " has " ca", "cat", "at "."""
    owners = np.repeat(np.arange(len(words)), [len(word) + 2 for word in words])
    return grams(points("".join(f" {word} " for word in words)).astype(np.uint64), owners, shortest, longest)


def place_grams(texts: Sequence[str], longest: int) -> Keys:
    """Keys of the character n-grams of texts, each with its place: "aa" has "a" at 0, "a" at 1, "aa" at 0.

    A letter's key holds its place, and so do those of the n-grams that are made of such letters.
    """
    lengths = [len(text) for text in texts]
    owners = np.repeat(np.arange(len(texts)), lengths)
    steps = np.arange(len(owners)) - np.repeat(np.cumsum([0, *lengths[:-1]]), lengths)
    return grams(mixed(points("".join(texts)).astype(np.uint64), steps.astype(np.uint64)), owners, 1, longest)


def character_buckets(words: Sequence[str], buckets: int, shortest: int, longest: int) -> list[np.ndarray]:
    """int64: of each word the buckets of its character n-grams."""
    keys, owners = character_grams(words, shortest, longest)
    ends = np.cumsum(np.bincount(owners, minlength=len(words)))[:-1]
    return np.split((keys % np.uint64(buckets)).astype(np.int64), ends)


def _columns(arrays: Mapping[str, np.ndarray], name: str, types: tuple[type, ...]) -> np.ndarray:
    array = arrays.get(name)
    if array is None or array.dtype not in types or array.ndim != 1:
        raise FileFormatError(f"the columns of n-grams are damaged: {name} is missing or of another type")
    return array
