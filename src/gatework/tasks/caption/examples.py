"""Encoded pictures and films with their captions, and the batches made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatework.data.media.listing import Listing
from gatework.data.media.store import Store
from gatework.data.ragged import Ragged
from gatework.networks.taught import taught
from gatework.training.learner import Shard


@dataclass(frozen=True)
class Examples:
    """n rows of a listing: what they show, decoded, and a caption of each. A picture may have several rows, one for
    each of its captions.

    Attributes:
        shown: arrays uint8 (H, W, C) of pictures, (T, H, W, C) of films, float32 (S, M) of vectors.
        captions: [n]; None: there are none.
        units: Ragged [n], their ids without an end.
        medium: "image", "video" or "vectors".
        channels: of those of a picture or a film, how many are read.
    """

    listing: Listing
    shown: Store
    captions: list[str] | None
    units: Ragged | None
    medium: str
    channels: int

    def __len__(self) -> int:
        return len(self.listing)

    def take(self, rows: np.ndarray) -> Examples:
        """Some of the rows."""
        chosen = np.asarray(rows, np.int64)
        captions = None if self.captions is None else [self.captions[row] for row in chosen.tolist()]
        units = None if self.units is None else self.units.take(chosen)
        return replace(
            self, listing=self.listing.take(chosen), shown=self.shown.take(chosen), captions=captions, units=units
        )

    @property
    def pictures(self) -> list[np.ndarray]:
        """The rows of each different picture, in the order of their first rows."""
        _, first, which = np.unique(self.shown.starts, return_index=True, return_inverse=True)
        rows = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1])
        return [rows[number] for number in np.argsort(first)]

    @property
    def once(self) -> Examples:
        """Each different picture once."""
        return self.take(np.array([rows[0] for rows in self.pictures], np.int64))

    @property
    def references(self) -> list[list[str]]:
        """The captions of each different picture."""
        captions = self.captions or [""] * len(self)
        return [[captions[row] for row in rows.tolist()] for rows in self.pictures]

    def array(self, row: int) -> np.ndarray:
        """What a row shows, in the channels that are read."""
        shown = self.shown[row]
        return shown if self.medium == "vectors" else shown[..., : self.channels]

    @property
    def width(self) -> int:
        """Channels of a picture or a film as it is read, or numbers of a vector."""
        return self.shown.shapes[0][-1] if self.medium == "vectors" else self.channels


class Batch(NamedTuple):
    """B rows, that with the longest film first. `shown` are pictures (B, H, W, C), or packed frames (N, H, W, C) with
    the `counts` [T] of each step, or packed vectors (N, M); `lengths` [B] of films and vectors, else all 1. Then what
    is read and written of the captions, see `Taught`; `rows` [B] say which example each is."""

    shown: Tensor
    counts: Tensor
    lengths: Tensor
    read: Tensor
    places: Tensor
    written: Tensor
    steps: Tensor
    rows: np.ndarray


def make_batch(examples: Examples, rows: np.ndarray) -> Batch:
    """The batch of these rows; without captions nothing is read or written."""
    single = examples.medium == "image"
    arrays = [examples.array(row)[None] if single else examples.array(row) for row in rows.tolist()]
    packed = Ragged.of(arrays).pack(np.arange(len(rows)))
    lengths = np.array([len(each) for each in arrays], np.int64)[packed.order]
    rows = rows[packed.order]
    nothing = Ragged.from_lengths(np.zeros(0, np.int64), np.zeros(len(rows), np.int64))
    return Batch(
        torch.from_numpy(packed.values),
        torch.from_numpy(packed.counts.astype(np.int64)),
        torch.from_numpy(lengths),
        *taught(nothing if examples.units is None else examples.units.take(rows)),
        rows=rows,
    )


class Batches(Sequence):
    """The batches of an epoch, made when asked for; one process' share of each."""

    def __init__(self, examples: Examples, size: int, seed: int, epoch: int, shard: Shard):
        self.examples = examples
        drawn = np.random.default_rng([seed, epoch]).permutation(len(examples))
        count = max(-(-len(drawn) // (size * shard.world)), 1)
        self.rows = [shard.of(rows) for rows in np.array_split(drawn, count)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        return make_batch(self.examples, self.rows[index])
