"""Bags of n-grams of words, characters and letters at their places as sparse matrices, built from integer codes.

Character n-grams stand inside words, and most words repeat: what texts hold of them is a product of two sparse matrices
of counts, (texts x different words) by (different words x n-grams), which needs no memory for each occurrence.

An n-gram is a 64-bit key: FNV-1a style mixing of its parts. Keys are stable across machines, and among the few million
n-grams of a text collection two of one key are not to be expected (chance below 1e-6), so nothing but the keys is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from gatework.data.codecs.words import Words
from gatework.data.ragged import Ragged

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PRIME = np.uint64(0x9E3779B97F4A7C15)
SHIFT = np.uint64(29)
SLICE = 1_000  # rows of features that are brought to length 1 at once


class Block(NamedTuple):
    """How often n-grams stand in n texts: sorted `keys` [F], and counts [n, F], CSR with sorted columns."""

    keys: np.ndarray
    counts: csr_matrix


@dataclass
class Bag:
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

    Example: `Bag(words=2).fit_transform(["a b", "b"])` is a sparse matrix [2, 3]: "a", "b", "a b".
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

    def fit_transform(self, texts: Sequence[str] | pl.Series) -> csr_matrix:
        """Learns the columns and gives the features, scipy CSR float32 [n, F]."""
        blocks = self._blocks(texts)
        fitted = [_columns(block, self.min_rows, self.max_size) for block in blocks]
        self.keys = tuple(keys for keys, _ in fitted)
        self.weights = tuple(weights for _, weights in fitted)
        return self._matrix(blocks)

    def transform(self, texts: Sequence[str] | pl.Series) -> csr_matrix:
        """The features of other texts; n-grams without a column are left out."""
        return self._matrix(self._blocks(texts))

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(keys) for keys in self.keys)

    def _blocks(self, texts: Sequence[str] | pl.Series) -> list[Block]:
        blocks = self._of_words(texts) if self.words or self.characters else []
        if self.places:
            blocks.append(_counted(place_grams(letters(texts, self.lower), self.places)))
        return blocks

    def _of_words(self, texts: Sequence[str] | pl.Series) -> list[Block]:
        tokens, lengths = Words(spaces=self.spaces).split(texts)
        different = tokens.unique()
        codes = tokens.replace_strict(different, pl.Series(np.arange(len(different))), return_dtype=pl.Int64)
        rows = Ragged.from_lengths(codes.cast(pl.Int64).to_numpy(), lengths)
        words = different.to_list()
        blocks = []
        if self.words:
            blocks.append(_counted(grams(Ragged(word_keys(words)[rows.values], rows.offsets), 1, self.words)))
        if self.characters:
            keys, inside = _counted(character_grams(words, *self.characters))
            blocks.append(Block(keys, _product(_counts(rows.values, rows.offsets, len(words)), inside)))
        return blocks

    def _matrix(self, blocks: list[Block]) -> csr_matrix:
        from scipy import sparse

        fitted = zip(blocks, self.keys, self.weights, strict=True)
        parts = [_tfidf(block, keys, weights) for block, keys, weights in fitted]
        blocks.clear()  # counts and features of many texts need not stand beside each other
        return sparse.csr_matrix(sparse.hstack(parts, format="csr", dtype=np.float32))


def word_keys(words: Sequence[str]) -> np.ndarray:
    """Keys [n] of single words, the same on every machine."""
    digests = (blake2b(word.encode(), digest_size=8).digest() for word in words)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def grams(rows: Ragged, shortest: int, longest: int) -> Ragged:
    """Keys of all n-grams of each sequence, n from shortest to longest."""
    keys, owners = rows.values, rows.owners
    parts, mine = [], []
    for n in range(1, longest + 1):
        count = max(len(owners) - n + 1, 0)
        same = owners[n - 1 :] == owners[:count]
        keys = mixed(keys[:count], rows.values[n - 1 :]) if n > 1 else keys
        if n >= shortest:
            parts.append(keys[same])
            mine.append(owners[:count][same])
    owner = np.concatenate(mine)
    order = np.argsort(owner, kind="stable")
    return Ragged.from_lengths(np.concatenate(parts)[order], np.bincount(owner, minlength=len(rows)))


def mixed(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Keys of pairs: a key that depends on both parts and on their order."""
    with np.errstate(over="ignore"):
        mixed = (keys ^ (keys >> SHIFT)) * PRIME + values
        return mixed ^ (mixed >> SHIFT)


def character_grams(words: list[str], shortest: int, longest: int) -> Ragged:
    """Keys of the character n-grams of words with a space on both sides: " cat " has " ca", "cat", "at "."""
    points = [np.frombuffer(f" {word} ".encode("utf-32-le"), np.uint32) for word in words]
    return grams(Ragged.of(points, np.uint64), shortest, longest)


def letters(texts: Sequence[str] | pl.Series, lower: bool) -> list[str]:
    """Texts in the case in which they are compared; missing ones are empty."""
    return [(text or "").lower() if lower else text or "" for text in texts]


def place_grams(texts: Sequence[str], longest: int) -> Ragged:
    """Keys of the character n-grams of texts, each with its place: "aa" has "a" at 0, "a" at 1, "aa" at 0.

    A letter's key holds its place, and so do those of the n-grams that are made of such letters.
    """
    rows = Ragged.of([np.frombuffer(text.encode("utf-32-le"), np.uint32) for text in texts], np.uint64)
    steps = np.arange(len(rows.values)) - np.repeat(rows.offsets[:-1], rows.lengths)
    return grams(Ragged(mixed(rows.values, steps.astype(np.uint64)), rows.offsets), 1, longest)


def _counted(rows: Ragged) -> Block:
    """The different keys of some sequences, and how often each stands in each."""
    keys, places = np.unique(rows.values, return_inverse=True)
    return Block(keys, _counts(places, rows.offsets, len(keys)))


def _counts(places: np.ndarray, offsets: np.ndarray, size: int) -> csr_matrix:
    """CSR int32 [n, size]: how often each number stands in each sequence."""
    from scipy import sparse

    counts = sparse.csr_matrix((np.ones(len(places), np.int32), places, offsets), (len(offsets) - 1, size))
    counts.sum_duplicates()
    return counts


def _product(texts: csr_matrix, words: csr_matrix) -> csr_matrix:
    from scipy import sparse

    product = sparse.csr_matrix(texts @ words)
    product.sort_indices()
    return product


def _columns(block: Block, min_rows: int, max_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted keys that become columns, and log((1 + n) / (1 + rows)) + 1 of each, in n texts."""
    count, rows = len(block.counts.indptr) - 1, np.bincount(block.counts.indices, minlength=len(block.keys))
    kept = rows >= min(min_rows, rows.max(initial=1))
    if kept.sum() > max_size:
        kept &= rows >= np.partition(rows, len(rows) - max_size)[len(rows) - max_size]
    return block.keys[kept], (np.log((1 + count) / (1 + rows[kept])) + 1).astype(np.float32)


def _tfidf(block: Block, keys: np.ndarray, weights: np.ndarray) -> csr_matrix:
    """CSR [n, F]: (1 + log count) times weight, each row of length 1."""
    from scipy import sparse

    counts, count = block.counts, len(block.counts.indptr) - 1
    place = np.searchsorted(keys, block.keys).clip(0, max(len(keys) - 1, 0)).astype(np.int32)
    known = keys[place] == block.keys if len(keys) else np.zeros(len(block.keys), bool)
    there = known[counts.indices]
    columns = place[counts.indices[there]]
    offsets = np.concatenate([[0], np.cumsum(there)])[counts.indptr]
    values = np.log(counts.data[there], dtype=np.float32)
    values += 1
    values *= weights[columns]
    for start in range(0, count, SLICE):
        _to_length_1(values, offsets[start : start + SLICE + 1])
    return sparse.csr_matrix((values, columns, offsets), (count, len(keys)))


def _to_length_1(values: np.ndarray, offsets: np.ndarray) -> None:
    """Divides some rows of a sparse matrix, in place, by their Euclidean lengths."""
    mine, owners = values[offsets[0] : offsets[-1]], np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    lengths = np.sqrt(np.bincount(owners, mine.astype(np.float64) ** 2, minlength=len(offsets) - 1))
    mine /= lengths[owners]
