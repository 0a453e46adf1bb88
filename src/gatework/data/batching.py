"""Which rows form a batch: shuffled, yet of similar length, so that a batch is dense work."""

from __future__ import annotations

import numpy as np
import polars as pl

PIECE = 2_000_000  # characters of texts that are worked on at once


def batch_rows(
    lengths: np.ndarray, batch_size: int, *, seed: int = 0, epoch: int = 0, shuffle: bool = True, pool: int = 50
) -> list[np.ndarray]:
    """Row numbers of each batch of an epoch: a function of (seed, epoch), so that a resumed run sees the same.

    Shuffled rows are cut into pools of `pool` batches, sorted by length within a pool, cut into batches, and these are
    shuffled. Without `shuffle` the rows are sorted by length, which is the fastest way to evaluate.

    Example: `batch_rows(np.array([5, 1, 4, 2]), 2, shuffle=False)` gives `[[1, 3], [2, 0]]`.
    """
    lengths = np.asarray(lengths)
    if not shuffle:
        return _cut(np.argsort(lengths, kind="stable"), batch_size)
    generator = np.random.default_rng([seed, epoch])
    rows = generator.permutation(len(lengths))
    pools = _cut(rows, batch_size * pool)
    batches = [batch for part in pools for batch in _cut(part[np.argsort(lengths[part], kind="stable")], batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]


def _cut(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def pieces(texts: pl.Series) -> list[np.ndarray]:
    """Row numbers in pieces of about PIECE characters: what is made of texts at once does not grow with them."""
    ends = (texts.str.len_chars().fill_null(0).cast(pl.Int64) + 1).cum_sum().to_numpy()
    return np.split(np.arange(len(texts)), np.flatnonzero(np.diff(ends // PIECE)) + 1)
