"""Batches of windows, and what of a panel's values no window can be made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatework.data.augment import Augmentation
from gatework.errors import DataError
from gatework.runtime.series.panel import Panel
from gatework.runtime.series.windows import Windows, read
from gatework.training.learner import Shard
from gatework.training.state import random_generator


class Batch(NamedTuple):
    """`windows.Read` as tensors, but for center and scale [B], which stay in float64."""

    inputs: Tensor
    window: Tensor
    base: Tensor
    ahead: Tensor
    future: Tensor
    truth: Tensor
    center: np.ndarray
    scale: np.ndarray

    def __len__(self) -> int:
        return self.base.shape[0]


def make_batch(windows: Windows, rows: np.ndarray, changes: Augmentation = Augmentation()) -> Batch:  # noqa: B008 (frozen)
    """Windows as the model reads them; then the changes."""
    change = (lambda whole: changes.windows(whole, windows.shape.lookback, random_generator())) if changes else None
    *arrays, center, scale = read(windows, rows, change)
    return Batch(*map(torch.from_numpy, arrays), center=center, scale=scale)


class Batches(Sequence):
    """The batches of an epoch, drawn by (seed, epoch) alone; one process' share of each."""

    def __init__(
        self,
        windows: Windows,
        size: int,
        most: int,
        seed: int,
        epoch: int,
        shard: Shard,
        changes: Augmentation = Augmentation(),  # noqa: B008 (frozen)
    ):
        self.windows, self.changes = windows, changes
        order = np.random.default_rng([seed, epoch]).permutation(len(windows))[:most]
        whole = [order[start : start + size * shard.world] for start in range(0, len(order), size * shard.world)]
        self.rows = [shard.of(part) for part in whole]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        return make_batch(self.windows, self.rows[index], self.changes)


def positive(panel: Panel) -> None:
    """Refuses values that have no logarithm."""
    _refuse(panel, panel.values <= 0, "transform=log needs values above 0", "use transform=none")


def within(panel: Panel, lowest: float | None, highest: float | None) -> None:
    """Refuses values that no forecast may have."""
    if lowest is not None:
        _refuse(panel, panel.values < lowest, f"lowest={lowest:g} says that no value is below it", "choose a lower one")
    if highest is not None:
        _refuse(
            panel, panel.values > highest, f"highest={highest:g} says that no value is above it", "choose a higher one"
        )


def _refuse(panel: Panel, which: np.ndarray, what: str, advice: str) -> None:
    """An error that names the first of some values, where there are any."""
    bad = np.flatnonzero(which)
    if len(bad):
        number = int(np.searchsorted(panel.offsets, bad[0], side="right")) - 1
        value = f"{panel.values[bad[0]]:g} ({len(bad)} such values)"
        raise DataError(f"{what}, but series {panel.names[number]!r} has {value}; {advice}")
