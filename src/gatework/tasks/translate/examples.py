"""Encoded pairs, and the batches made of them: of like length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatework.data.ragged import Ragged
from gatework.networks.taught import taught
from gatework.tasks.translate.pairs import Pairs
from gatework.training.learner import Shard

POOL = 50  # batches that are sorted by length together


@dataclass(frozen=True)
class Examples:
    """n pairs as ids: `sources` Ragged [n], each with NOTHING at its end; `targets` Ragged [n] without an end."""

    pairs: Pairs
    sources: Ragged
    targets: Ragged | None

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, rows: np.ndarray) -> Examples:
        """Some of the pairs."""
        targets = None if self.targets is None else self.targets.take(rows)
        return Examples(self.pairs.take(rows), self.sources.take(rows), targets)

    @property
    def written(self) -> np.ndarray:
        """Symbols [n] that are written for each target, the end among them."""
        return np.ones(len(self), np.int64) if self.targets is None else self.targets.lengths + 1


class Batch(NamedTuple):
    """B pairs, that with the longest source first: `sources` [N] packed ids with the `counts` [S] of each step and the
    `lengths` [B]; then what is read and written of the targets, see `Taught`; `rows` [B] say which example each pair
    is."""

    sources: Tensor
    counts: Tensor
    lengths: Tensor
    read: Tensor
    places: Tensor
    written: Tensor
    steps: Tensor
    rows: np.ndarray


def make_batch(examples: Examples, rows: np.ndarray) -> Batch:
    """The batch of these pairs; without targets nothing is read or written."""
    lengths = examples.sources.lengths[rows]
    order = np.argsort(-lengths, kind="stable")
    rows = rows[order]
    packed = examples.sources.pack(rows)
    nothing = Ragged.from_lengths(np.zeros(0, np.int64), np.zeros(len(rows), np.int64))
    targets = taught(nothing if examples.targets is None else examples.targets.take(rows))
    return Batch(
        torch.from_numpy(packed.values.astype(np.int64)),
        torch.from_numpy(packed.counts.astype(np.int64)),
        torch.from_numpy(lengths[order]),
        *targets,
        rows=rows,
    )


class Batches(Sequence):
    """The batches of an epoch, made when asked for; one process' share of each."""

    def __init__(self, examples: Examples, size: int, tokens: int, seed: int, epoch: int, shard: Shard):
        self.examples = examples
        generator = np.random.default_rng([seed, epoch])
        drawn = generator.permutation(len(examples))
        most = size * shard.world, tokens * shard.world
        cuts = [
            rows
            for start in range(0, len(drawn), most[0] * POOL)
            for rows in alike(examples, drawn[start : start + most[0] * POOL], *most)
        ]
        whole = [cuts[i] for i in generator.permutation(len(cuts))]
        self.rows = [shard.of(rows) for rows in whole]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        return make_batch(self.examples, self.rows[index])


def alike(examples: Examples, rows: np.ndarray, size: int, tokens: int) -> list[np.ndarray]:
    """Rows in groups of like length, each of at most `size` pairs, and of at most `tokens` written symbols or one
    pair."""
    written = examples.written[rows]
    order = np.lexsort((examples.sources.lengths[rows], written))
    rows, written = rows[order], written[order]
    groups, start, held = [], 0, 0
    for at, symbols in enumerate(written.tolist()):
        if at > start and (at - start == size or held + symbols > tokens):
            groups.append(rows[start:at])
            start, held = at, 0
        held += symbols
    return [*groups, rows[start:]] if start < len(rows) else groups
