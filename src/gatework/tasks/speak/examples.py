"""Encoded recordings, and the batches made of them: of like length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatework.data.media.store import Store
from gatework.data.ragged import Ragged
from gatework.tasks.speak.reading import Utterances
from gatework.training.learner import Shard

AFTER = 4  # steps behind an end that learn that it is over, so that an end that was missed once is seen later
POOL = 20  # batches that are sorted by length together


@dataclass(frozen=True)
class Scale:
    """What frames are subtracted from and divided by: mean [F] and deviation [F] over the training part."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, frames: Store) -> Scale:
        """Of all frames of a store, one recording after another."""
        count, total, squares = 0, np.zeros(1), np.zeros(1)
        for each in frames:
            values = each.astype(np.float64)
            count, total, squares = count + len(each), total + values.sum(0), squares + np.square(values).sum(0)
        mean = total / count
        return cls(mean, np.sqrt(np.maximum(squares / count - np.square(mean), 1e-6)))

    def scaled(self, frames: np.ndarray) -> np.ndarray:
        return ((frames - self.mean) / self.deviation).astype(np.float32)

    def energies(self, frames: np.ndarray) -> np.ndarray:
        """Log-mel energies of scaled frames."""
        return frames * self.deviation + self.mean


@dataclass(frozen=True)
class Examples:
    """n texts as ids `units` Ragged [n], numbers of their `speakers` [n], and what was recorded, `frames` of (T, F)
    log-mel energies; None where nothing was."""

    utterances: Utterances
    units: Ragged
    speakers: np.ndarray
    scale: Scale
    frames: Store | None = None

    def __len__(self) -> int:
        return len(self.units)

    @property
    def lengths(self) -> np.ndarray:
        """Frames [n] of each recording."""
        return np.zeros(len(self), np.int64) if self.frames is None else self.frames.lengths

    def take(self, rows: np.ndarray) -> Examples:
        """Some of the recordings."""
        frames = None if self.frames is None else self.frames.take(rows)
        utterances, units = self.utterances.take(rows), self.units.take(rows)
        return replace(self, utterances=utterances, units=units, speakers=self.speakers[rows], frames=frames)


class Batch(NamedTuple):
    """B texts: `units` (S, B) padded, their `lengths` [B] and `speakers` [B]; `frames` (B, T r, F) scaled, the last one
    of each repeated until AFTER steps behind its last step, 0 beyond; `steps` [B] of each and `rows` [B], which example
    it is."""

    units: Tensor
    lengths: Tensor
    speakers: Tensor
    frames: Tensor
    steps: Tensor
    rows: np.ndarray


def make_batch(examples: Examples, rows: np.ndarray, reduction: int) -> Batch:
    """The batch of these recordings."""
    units = [torch.from_numpy(examples.units[row].astype(np.int64)) for row in rows.tolist()]
    return Batch(
        units=torch.nn.utils.rnn.pad_sequence(units),
        lengths=torch.tensor([len(each) for each in units]),
        speakers=torch.from_numpy(examples.speakers[rows]),
        frames=_padded(examples, rows, reduction),
        steps=torch.from_numpy(-(-examples.lengths[rows] // reduction)),
        rows=rows,
    )


def _padded(examples: Examples, rows: np.ndarray, reduction: int) -> Tensor:
    counts = (-(-examples.lengths[rows] // reduction) + AFTER) * reduction
    found = torch.zeros(len(rows), int(counts.max()), len(examples.scale.mean))
    if examples.frames is not None:
        for place, (row, count) in enumerate(zip(rows.tolist(), counts.tolist(), strict=True)):
            frames = torch.from_numpy(examples.scale.scaled(examples.frames[row]))
            found[place, : len(frames)] = frames
            found[place, len(frames) : count] = frames[-1]
    return found


class Batches(Sequence):
    """The batches of an epoch, made when asked for; one process' share of each."""

    def __init__(self, examples: Examples, size: int, most: int, reduction: int, seed: int, epoch: int, shard: Shard):
        self.examples, self.reduction = examples, reduction
        generator = np.random.default_rng([seed, epoch])
        drawn, size, most = generator.permutation(len(examples)), size * shard.world, most * shard.world
        pools = [drawn[start : start + size * POOL] for start in range(0, len(drawn), size * POOL)]
        cuts = [rows for pool in pools for rows in alike(examples.lengths, pool, size, most)]
        self.rows = [shard.of(cuts[i]) for i in generator.permutation(len(cuts))]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        return make_batch(self.examples, self.rows[index], self.reduction)


def alike(lengths: np.ndarray, rows: np.ndarray, size: int, most: int) -> list[np.ndarray]:
    """Rows in groups of like length, each of at most `size`, and of at most `most` frames with padding or one row."""
    rows = rows[np.argsort(lengths[rows], kind="stable")]
    groups, start = [], 0
    for at, longest in enumerate(lengths[rows].tolist()):
        if at > start and (at - start == size or (at - start + 1) * longest > most):
            groups.append(rows[start:at])
            start = at
    return [*groups, rows[start:]] if start < len(rows) else groups
