"""Encoded examples, and the batches made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl
import torch
from torch import Tensor

from gatework.data.augment import Augmentation
from gatework.data.batching import batch_rows
from gatework.data.ragged import Ragged
from gatework.networks.embedding import Spelled
from gatework.tasks.classify.media import Media
from gatework.training.learner import Shard
from gatework.training.state import random_generator


class WordTable(NamedTuple):
    """The U different words of some texts: `ids` [U] in the vocabulary, `pieces` Ragged [U] buckets of their character
    n-grams, which tell something of unknown words too."""

    ids: np.ndarray
    pieces: Ragged


@dataclass(frozen=True)
class Examples:
    """n texts or sequences: `inputs` int32 ids [N] (rows of `words`, where there is such a table) or float32 channels
    [N, C], or frames of `media`; `labels` [n], -1 where there is none; `offsets` [n, K], logits of the n-gram model;
    `texts` as read, `cut` of them longer than what is in `inputs`."""

    inputs: Ragged
    labels: np.ndarray
    where: Callable[[int], str]
    texts: pl.Series | None = None
    offsets: np.ndarray | None = None
    words: WordTable | None = None
    cut: int = 0
    media: Media | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def with_offsets(self, offsets: np.ndarray) -> Examples:
        return replace(self, offsets=offsets)

    def take(self, rows: np.ndarray) -> Examples:
        """Some of the rows, without their texts."""
        offsets = None if self.offsets is None else self.offsets[rows]
        media = None if self.media is None else self.media.take(rows)
        where = self.where
        place = lambda row: where(int(rows[row]))  # noqa: E731
        return Examples(self.inputs.take(rows), self.labels[rows], place, None, offsets, self.words, media=media)

    def describe(self, row: int, limit: int = 300) -> str:
        """The text, shortened, or the place of a sequence."""
        if self.texts is None:
            return self.where(row)
        text = self.texts[row] or ""
        return text if len(text) <= limit else text[: limit - 1] + "…"


class Batch(NamedTuple):
    """A packed batch: longest sequence first, time-major (see `gatework.data.ragged.Packed`).

    values [N] or [N, C], counts [T], rows [N] (the sequence of each value), lengths [B], labels [B], offsets [B, K].
    With `words` the values number those.
    """

    values: Tensor
    counts: Tensor
    rows: Tensor
    lengths: Tensor
    labels: Tensor
    offsets: Tensor | None
    words: Spelled | None = None


def make_batch(examples: Examples, rows: np.ndarray) -> tuple[Batch, np.ndarray]:
    """The batch of these rows, and the rows in the order in which they stand in it."""
    packed = examples.inputs.pack(rows)
    order = rows[packed.order]
    counts = torch.from_numpy(packed.counts.astype(np.int64))
    sequence = np.arange(len(packed.values)) - np.repeat(np.cumsum(packed.counts) - packed.counts, packed.counts)
    offsets = None if examples.offsets is None else torch.from_numpy(examples.offsets[order])
    values, words = _batch_words(packed.values, examples.words)
    batch = Batch(
        torch.from_numpy(values),
        counts,
        torch.from_numpy(sequence),
        torch.from_numpy(examples.inputs.lengths[order]),
        torch.from_numpy(examples.labels[order]),
        offsets,
        words,
    )
    return batch, order


def _batch_words(values: np.ndarray, table: WordTable | None) -> tuple[np.ndarray, Spelled | None]:
    """The batch's values as numbers of its own different words, and these."""
    if table is None:
        return values, None
    different, values = np.unique(values, return_inverse=True)
    pieces = table.pieces.take(different)
    parts = table.ids[different], pieces.values, pieces.offsets[:-1]
    return values, Spelled(*map(torch.from_numpy, parts))


class Changes(Protocol):
    """What training sees in place of the very sequences; False where these are as they are."""

    def __bool__(self) -> bool: ...
    def sequences(self, sequences: Ragged, random: np.random.Generator) -> Ragged: ...


class Batches(Sequence):
    """The batches of an epoch, made when asked for; one process' share of each. Sequences may be changed copies."""

    def __init__(
        self,
        examples: Examples,
        size: int,
        seed: int,
        epoch: int,
        shard: Shard,
        augmentation: Changes = Augmentation(),  # noqa: B008 (frozen)
    ):
        self.examples, self.augmentation = examples, augmentation
        whole = batch_rows(examples.inputs.lengths, size * shard.world, seed=seed, epoch=epoch)
        self.rows = [shard.of(rows) for rows in whole]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        if not self.augmentation:
            return make_batch(self.examples, self.rows[index])[0]
        some = self.examples.take(self.rows[index])
        changed = self.augmentation.sequences(some.inputs, random_generator())
        return make_batch(replace(some, inputs=changed), np.arange(len(some)))[0]
