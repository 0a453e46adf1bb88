"""Encoded clips, and the batches made of them: of like length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatework.data.ragged import Ragged
from gatework.tasks.transcribe.augment import Augmentation
from gatework.tasks.transcribe.clips import Clips
from gatework.tasks.transcribe.hearing import Hearing
from gatework.training.learner import Shard
from gatework.training.state import random_generator

POOL = 20  # batches that are sorted by length together
FRAMES = 24  # of whose multiples batches are long: libraries keep memory (10 MB) for each shape that they convolve


@dataclass(frozen=True)
class Examples:
    """n clips with the ids of their texts, Ragged [n]; None where no texts were read."""

    clips: Clips
    targets: Ragged | None

    def __len__(self) -> int:
        return len(self.clips)

    def take(self, rows: np.ndarray) -> Examples:
        """Some of the clips."""
        return Examples(self.clips.take(rows), None if self.targets is None else self.targets.take(rows))


class Batch(NamedTuple):
    """B clips, the longest first: `frames` (B, T, F) or (B, W, H, C), 0 beyond `lengths` [B]; `targets` [N] ids one
    after another, `target_lengths` [B]. `rows` [B] say which example each clip is."""

    frames: Tensor
    lengths: Tensor
    targets: Tensor
    target_lengths: Tensor
    rows: np.ndarray


def make_batch(
    examples: Examples, rows: np.ndarray, hearing: Hearing, augmentation: Augmentation | None = None
) -> Batch:
    """The batch of these clips, scaled; with an augmentation, changed copies drawn from torch's generator."""
    frames = [examples.clips.store[row] for row in rows.tolist()]
    if augmentation is None:
        frames = [hearing.scaled(each) for each in frames]
    else:
        random = random_generator()
        frames = [augmentation.masked(hearing.scaled(augmentation.changed(each, random)), random) for each in frames]
    order = np.argsort([-len(each) for each in frames], kind="stable")
    rows, frames = rows[order], [frames[place] for place in order.tolist()]
    lengths = np.array([len(each) for each in frames], np.int64)
    longest = -(-int(lengths.max(initial=0)) // FRAMES) * FRAMES
    padded = np.zeros((len(frames), longest, *frames[0].shape[1:]), np.float32)
    for place, each in enumerate(frames):
        padded[place, : len(each)] = each
    nothing = Ragged.from_lengths(np.zeros(0, np.int64), np.zeros(len(rows), np.int64))
    targets = nothing if examples.targets is None else examples.targets.take(rows)
    return Batch(
        torch.from_numpy(padded),
        torch.from_numpy(lengths),
        torch.from_numpy(targets.values),
        torch.from_numpy(targets.lengths),
        rows,
    )


class Batches(Sequence[Batch]):
    """The batches of an epoch, made when asked for; one process' share of each."""

    def __init__(
        self,
        examples: Examples,
        hearing: Hearing,
        augmentation: Augmentation,
        groups: list[np.ndarray],
        shard: Shard,
    ):
        self.examples, self.hearing, self.augmentation = examples, hearing, augmentation
        self.rows = [shard.of(rows) for rows in groups]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        return make_batch(self.examples, self.rows[index], self.hearing, self.augmentation)


def drawn(
    lengths: np.ndarray, size: int, most: int, random: np.random.Generator, short_first: bool
) -> list[np.ndarray]:
    """All rows in groups of like length, as `alike` makes them: in a random order, or the shortest first."""
    if short_first:
        return alike(lengths, random.permutation(len(lengths)), size, most)
    order = random.permutation(len(lengths))
    groups = [
        rows
        for start in range(0, len(order), size * POOL)
        for rows in alike(lengths, order[start : start + size * POOL], size, most)
    ]
    return [groups[place] for place in random.permutation(len(groups)).tolist()]


def alike(lengths: np.ndarray, rows: np.ndarray, size: int, most: int) -> list[np.ndarray]:
    """Rows in groups of like length, the shortest first, each of at most `size` clips, and with its padding of at most
    `most` frames, or of one clip."""
    rows = rows[np.argsort(lengths[rows], kind="stable")]
    groups, start = [], 0
    for at, length in enumerate(lengths[rows].tolist()):
        if at > start and (at - start == size or length * (at - start + 1) > most):
            groups.append(rows[start:at])
            start = at
    return [*groups, rows[start:]] if len(rows) else groups
