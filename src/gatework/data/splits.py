"""Which rows learn and which rows judge. Rows of one group (exact duplicates among them) never part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import polars as pl

from gatework.errors import OptionError

NEAR = 0.1  # part of what is to be held out that may be wanting
MOST = 0.9  # of what is left, that may be held out for choosing weights
Rows = TypeVar("Rows")


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
        groups: rows with equal values stay on one side. Groups of several labels are divided as one more label is;
            where groups are larger than the share of their label, the labels concerned share what is held out.

    Example: `split_rows(10, 0.2, labels=[0] * 5 + [1] * 5)` holds out one row of each label.
    """
    if not 0 < share < 1:
        raise OptionError(f"the share held out must lie between 0 and 1, not {share}")
    first, members = _grouped(count, groups)
    strata = _strata(first, members, labels)
    order = np.random.default_rng(seed).permutation(len(first))
    held = _drawn(order, strata, np.bincount(members, minlength=len(first)), share)
    rows = np.arange(count)
    return rows[~held[members]], rows[held[members]]


def _strata(first: np.ndarray, members: np.ndarray, labels: Sequence | np.ndarray | None) -> np.ndarray:
    """The label of each group as a number; -1 for a group that has several."""
    if labels is None:
        return np.zeros(len(first), np.int64)
    codes = _codes(labels)
    strata = codes[first]
    strata[members[codes != strata[members]]] = -1
    return strata


def _drawn(order: np.ndarray, strata: np.ndarray, sizes: np.ndarray, share: float) -> np.ndarray:
    """Whether each group is held out."""
    held = np.zeros(len(order), bool)
    short: list[np.ndarray] = []
    lacking = 0
    for stratum in np.unique(strata):
        mine = order[strata[order] == stratum]
        wanted = max(round(share * sizes[mine].sum()), 1 if len(mine) > 2 else 0)
        taken = _fitting(mine, sizes, wanted)
        held[taken] = True
        if len(mine) > 1 and 2 * (reached := sizes[taken].sum()) < wanted:  # a lone group is learned
            short.append(mine)
            lacking += wanted - reached
    if short:
        _fill(held, order[np.isin(order, np.concatenate(short))], sizes, lacking)
    return held


def _fitting(order: np.ndarray, sizes: np.ndarray, wanted: int) -> list[int]:
    """Groups in their order; one that is too large ends it, or is passed over where much is still wanting."""
    taken, left = [], wanted
    for group in order.tolist():
        if sizes[group] <= left:
            taken.append(group)
            left -= sizes[group]
        elif left <= NEAR * wanted:
            break
    return taken


def _fill(held: np.ndarray, order: np.ndarray, sizes: np.ndarray, wanted: int) -> None:
    """Holds out more of these groups: those that fit, and a larger one if that comes nearer or there is no other."""
    left = order[~held[order]]
    taken = _fitting(left, sizes, wanted)
    held[taken] = True
    wanted -= sizes[taken].sum()
    left = left[~held[left]]
    if len(left) > 1:
        nearest = left[np.argmin(np.abs(sizes[left] - wanted))]
        held[nearest] = not held[order].any() or abs(sizes[nearest] - wanted) < wanted


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


def with_held_out(
    whole: Rows,
    given: Mapping[str, Rows],
    held_out: Callable[[Rows, float], tuple[Rows, Rows]],
    *,
    valid: float,
    test: float,
    refit: bool = False,
) -> tuple[Rows, dict[str, Rows]]:
    """What is learned, and the parts "valid" and "test": those that are given, the others held out of the whole.

    Args:
        held_out: gives rows without a share of them, and that share.
        valid, test: shares of the whole; of 0 there is no test part.
        refit: what is held out for choosing weights is learned, too.
    """
    train, parts, left = whole, dict(given), 1.0
    if test and "test" not in parts:
        train, parts["test"] = held_out(train, test)
        left -= test
    if "valid" not in parts:
        kept, parts["valid"] = held_out(train, min(valid / left, MOST))
        train = train if refit else kept
    return train, parts


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
