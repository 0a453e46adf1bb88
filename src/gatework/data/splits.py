"""Which rows learn and which rows judge. Rows of one group (exact duplicates among them) never part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from gatework.errors import OptionError


def split_rows(
    count: int,
    share: float,
    *,
    labels: Sequence | np.ndarray | None = None,
    groups: Sequence | np.ndarray | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """(kept, held out) row numbers, `share` of the rows held out at random.

    Args:
        labels: each label's rows are divided in the same proportion (stratified).
        groups: rows with equal values stay on one side.

    Example: `split_rows(10, 0.2, labels=[0] * 5 + [1] * 5)` holds out one row of each label.
    """
    if not 0 < share < 1:
        raise OptionError(f"the share held out must lie between 0 and 1, not {share}")
    first, members = _grouped(count, groups)
    strata = np.zeros(len(first), np.int64) if labels is None else _codes(labels)[first]
    held = np.zeros(len(first), bool)
    order = np.random.default_rng(seed).permutation(len(first))
    sizes = np.bincount(members, minlength=len(first))
    for stratum in np.unique(strata):
        mine = order[strata[order] == stratum]
        reached = np.cumsum(sizes[mine])
        held[mine[reached <= max(round(share * reached[-1]), 1 if len(mine) > 2 else 0)]] = True
    rows = np.arange(count)
    return rows[~held[members]], rows[held[members]]


def folds(
    count: int,
    k: int,
    *,
    labels: Sequence | np.ndarray | None = None,
    groups: Sequence | np.ndarray | None = None,
    seed: int = 0,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """k (train, test) pairs: each row is tested once; stratified by label, groups kept together."""
    first, members = _grouped(count, groups)
    strata = np.zeros(len(first), np.int64) if labels is None else _codes(labels)[first]
    order = np.random.default_rng(seed).permutation(len(first))
    order = order[np.argsort(strata[order], kind="stable")]
    fold = np.empty(len(first), np.int64)
    fold[order] = np.arange(len(first)) % k
    rows = np.arange(count)
    return [(rows[fold[members] != i], rows[fold[members] == i]) for i in range(k)]


def split_by_time(times: pl.Series | Sequence, share: float) -> tuple[np.ndarray, np.ndarray]:
    """(earlier, later): the last `share` of the rows in the order of `times`; equal times stay on one side."""
    series = times if isinstance(times, pl.Series) else pl.Series(times)
    order = series.arg_sort(nulls_last=False).to_numpy()
    ranks = series.rank("dense").fill_null(0).to_numpy()[order]
    cut = len(order) - round(share * len(order))
    while 0 < cut < len(order) and ranks[cut] == ranks[cut - 1]:
        cut += 1
    return np.sort(order[:cut]), np.sort(order[cut:])


def _grouped(count: int, groups: Sequence | np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """First row of each group, and the group of each row."""
    if groups is None:
        return np.arange(count), np.arange(count)
    _, first, members = np.unique(_codes(groups), return_index=True, return_inverse=True)
    return first, members


def _codes(values: Sequence | np.ndarray) -> np.ndarray:
    series = values if isinstance(values, pl.Series) else pl.Series(values, strict=False)
    return (series.rank("dense").fill_null(0)).cast(pl.Int64).to_numpy()
