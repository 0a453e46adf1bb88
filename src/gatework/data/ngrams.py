"""Bags of n-grams of whole columns of texts as sparse matrices, built from integer codes (one text, and what keys are:
`gatework.runtime.texts.grams`).

Character n-grams stand inside words, and most words repeat: what texts hold of them is a product of two sparse matrices
of counts, (texts x different words) by (different words x n-grams), which needs no memory for each occurrence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from gatework.data.codecs.words import Words
from gatework.data.ragged import Ragged
from gatework.runtime.texts import grams as keyed
from gatework.runtime.texts.grams import Grams, Keys, columns_of, tfidf, to_length_1, word_keys

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SLICE = 1_000  # rows of features that are brought to length 1 at once


class Block(NamedTuple):
    """How often n-grams stand in n texts: sorted `keys` [F], and counts [n, F], CSR with sorted columns."""

    keys: np.ndarray
    counts: csr_matrix


@dataclass
class Bag(Grams):
    """Features of whole columns of texts, and learning them; `Grams` says what they are.

    Example: `Bag(words=2).fit_transform(["a b", "b"])` is a sparse matrix [2, 3]: "a", "b", "a b".
    """

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


def grams(rows: Ragged, shortest: int, longest: int) -> Ragged:
    """Keys of all n-grams of each sequence, n from shortest to longest."""
    return _ragged(keyed.grams(rows.values, rows.owners, shortest, longest), len(rows))


def character_grams(words: Sequence[str], shortest: int, longest: int) -> Ragged:
    """Keys of the character n-grams of each word."""
    return _ragged(keyed.character_grams(words, shortest, longest), len(words))


def letters(texts: Sequence[str] | pl.Series, lower: bool) -> list[str]:
    """Texts in the case in which they are compared; missing ones are empty."""
    return [(text or "").lower() if lower else text or "" for text in texts]


def place_grams(texts: Sequence[str], longest: int) -> Ragged:
    """Keys of the character n-grams of each text, told apart by their places."""
    return _ragged(keyed.place_grams(texts, longest), len(texts))


def _ragged(found: Keys, count: int) -> Ragged:
    keys, owners = found
    return Ragged.from_lengths(keys, np.bincount(owners, minlength=count))


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
    place, known = columns_of(block.keys, keys)
    place = place.astype(np.int32)
    there = known[counts.indices]
    columns = place[counts.indices[there]]
    offsets = np.concatenate([[0], np.cumsum(there)])[counts.indptr]
    values = tfidf(counts.data[there], weights[columns])
    for start in range(0, count, SLICE):
        to_length_1(values, offsets[start : start + SLICE + 1])
    return sparse.csr_matrix((values, columns, offsets), (count, len(keys)))
