"""Bags of word and character n-grams as sparse matrices, built from integer codes and not from strings.

An n-gram is a 64-bit key: FNV-1a style mixing of its parts. Keys are stable across machines, and among the few million
n-grams of a text collection two of one key are not to be expected (chance below 1e-6), so nothing but the keys is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import polars as pl

from gatework.data.codecs.words import Words
from gatework.data.ragged import Ragged

PRIME = np.uint64(0x9E3779B97F4A7C15)
SHIFT = np.uint64(29)


@dataclass
class Bag:
    """Counts of n-grams as TF-IDF features, each block (words, characters) of length 1 in each text.

    Args:
        words: longest word n-gram, 0 for none.
        characters: (shortest, longest) character n-grams inside words, or None.
        min_rows: n-grams of fewer texts are left out.
        max_size: the largest number of columns in a block; n-grams that occur in the most texts stay.
        spaces: split at white space alone.
        keys, weights: the fitted columns of each block: sorted keys [F] uint64 and inverse document frequencies [F].

    Example: `Bag(words=2).fit_transform(["a b", "b"])` is a sparse matrix [2, 3]: "a", "b", "a b".
    """

    words: int = 2
    characters: tuple[int, int] | None = None
    min_rows: int = 1
    max_size: int = 1_000_000
    spaces: bool = False
    keys: tuple[np.ndarray, ...] = ()
    weights: tuple[np.ndarray, ...] = ()

    def fit_transform(self, texts: Sequence[str] | pl.Series):
        """Learns the columns and gives the features, scipy CSR float32 [n, F]."""
        blocks = self._blocks(texts)
        fitted = [_columns(block, len(texts), self.min_rows, self.max_size) for block in blocks]
        self.keys = tuple(keys for keys, _ in fitted)
        self.weights = tuple(weights for _, weights in fitted)
        return self._matrix(blocks, len(texts))

    def transform(self, texts: Sequence[str] | pl.Series):
        """The features of other texts; n-grams without a column are left out."""
        return self._matrix(self._blocks(texts), len(texts))

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(keys) for keys in self.keys)

    def _blocks(self, texts: Sequence[str] | pl.Series) -> list[pl.DataFrame]:
        tokens, lengths = Words(spaces=self.spaces).split(texts)
        different = tokens.unique()
        codes = tokens.replace_strict(different, pl.Series(np.arange(len(different))), return_dtype=pl.Int64)
        rows = Ragged.from_lengths(codes.cast(pl.Int64).to_numpy(), lengths)
        words = different.to_list()
        blocks = []
        if self.words:
            blocks.append(grams(Ragged(word_keys(words)[rows.values], rows.offsets), 1, self.words))
        if self.characters:
            blocks.append(_inside_words(rows, words, *self.characters))
        return [_counted(block) for block in blocks]

    def _matrix(self, blocks: list[pl.DataFrame], count: int):
        from scipy import sparse

        fitted = zip(blocks, self.keys, self.weights, strict=True)
        parts = [_tfidf(block, count, keys, weights) for block, keys, weights in fitted]
        return sparse.hstack(parts, format="csr", dtype=np.float32)


def word_keys(words: Sequence[str]) -> np.ndarray:
    """Keys [n] of single words, the same on every machine."""
    digests = (blake2b(word.encode(), digest_size=8).digest() for word in words)
    return np.array([int.from_bytes(digest, "little") for digest in digests], np.uint64)


def grams(rows: Ragged, shortest: int, longest: int) -> Ragged:
    """Keys of all n-grams of each sequence, n from shortest to longest."""
    keys, owners = rows.values, rows.owners
    parts, mine = [], []
    for n in range(1, longest + 1):
        count = max(len(owners) - n + 1, 0)
        same = owners[n - 1 :] == owners[:count]
        keys = _mixed(keys[:count], rows.values[n - 1 :]) if n > 1 else keys
        if n >= shortest:
            parts.append(keys[same])
            mine.append(owners[:count][same])
    owner = np.concatenate(mine)
    order = np.argsort(owner, kind="stable")
    return Ragged.from_lengths(np.concatenate(parts)[order], np.bincount(owner, minlength=len(rows)))


def _mixed(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        mixed = (keys ^ (keys >> SHIFT)) * PRIME + values
        return mixed ^ (mixed >> SHIFT)


def _inside_words(rows: Ragged, words: list[str], shortest: int, longest: int) -> Ragged:
    """Keys of the character n-grams of each word, as many times as the word stands in the text."""
    of_word = character_grams(words, shortest, longest)
    lengths = np.add.reduceat(
        np.append(of_word.lengths[rows.values], 0), np.minimum(rows.offsets[:-1], len(rows.values))
    )
    return Ragged.from_lengths(of_word.take(rows.values).values, np.where(rows.lengths > 0, lengths, 0))


def character_grams(words: list[str], shortest: int, longest: int) -> Ragged:
    """Keys of the character n-grams of words with a space on both sides: " cat " has " ca", "cat", "at "."""
    points = [np.frombuffer(f" {word} ".encode("utf-32-le"), np.uint32) for word in words]
    return grams(Ragged.of(points, np.uint64), shortest, longest)


def _counted(block: Ragged) -> pl.DataFrame:
    """How often each key stands in each row: columns row, key, count."""
    frame = pl.DataFrame({"row": block.owners.astype(np.uint32), "key": block.values})
    return frame.group_by("row", "key").agg(count=pl.len())


def _columns(counted: pl.DataFrame, count: int, min_rows: int, max_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted keys that become columns, and log((1 + n) / (1 + rows)) + 1 of each, in n = `count` rows."""
    keys = counted.group_by("key").agg(rows=pl.len()).sort("key")
    rows = keys["rows"].to_numpy().astype(np.int64)
    kept = rows >= min(min_rows, rows.max(initial=1))
    if kept.sum() > max_size:
        kept &= rows >= np.partition(rows, len(rows) - max_size)[len(rows) - max_size]
    return keys["key"].to_numpy()[kept], (np.log((1 + count) / (1 + rows[kept])) + 1).astype(np.float32)


def _tfidf(counted: pl.DataFrame, count: int, keys: np.ndarray, weights: np.ndarray):
    """CSR [n, F]: (1 + log count) times weight, each row of length 1."""
    from scipy import sparse

    columns = pl.DataFrame({"key": keys, "column": np.arange(len(keys), dtype=np.int32)})
    known = counted.join(columns, on="key").sort("row", "column")
    rows, column = known["row"].to_numpy(), known["column"].to_numpy()
    values = (1 + np.log(known["count"].to_numpy())) * weights[column]
    squares = np.bincount(rows, values**2, minlength=count)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
    values = (values / np.sqrt(squares[rows])).astype(np.float32)
    return sparse.csr_matrix((values, column, offsets), (count, len(keys)))
