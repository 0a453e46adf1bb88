"""One long text as B streams read side by side, T steps at a time, with states carried from chunk to chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatework.data.codecs import TextCodec
from gatework.training.learner import Shard

IGNORED = -100  # a target that does not count; torch's own sign for it


@dataclass(frozen=True)
class Text:
    """An encoded text: (N,) ids, and how many characters all but the first stand for: those that are predicted.

    `counted` (N - 1,): what counts expect of each unit but the first, in nats; see `Counts`. `spelled` (N - 1,): what
    each costs where it must be spelled; `lengths` (N,): characters of each. `words`: words and ends of lines that are
    predicted; 0 where they were not counted.
    """

    ids: Tensor
    characters: int
    counted: Tensor | None = None
    spelled: Tensor | None = None
    lengths: Tensor | None = None
    words: int = 0

    def __len__(self) -> int:
        return len(self.ids)


def encoded(codec: TextCodec, text: str) -> Tensor:
    """(N,) ids of a text."""
    return torch.from_numpy(codec.encode([text]).values.astype(np.int64))


class Chunk(NamedTuple):
    """Inputs and the units that follow them, both (T, B)."""

    inputs: Tensor
    targets: Tensor


class Streams(Sequence[Chunk]):
    """The chunks of one epoch. Each epoch begins at another place, so that the cuts fall differently.

    A text of N ids in B streams gives B pieces of (N - shift - 1) // B steps; what is left over at the end waits for
    the next epoch's cuts.
    """

    def __init__(self, ids: Tensor, streams: int, length: int, epoch: int, seed: int, shard: Shard):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        spare = max((len(ids) - 1) // streams - length, 0)
        shift = int(torch.randint(min(length, spare) + 1, (), generator=generator)) if epoch else 0
        steps = (len(ids) - 1 - shift) // streams
        mine = slice(shard.rank, None, shard.world)
        self.length = length
        self.inputs, self.targets = (
            ids[first : first + steps * streams].view(streams, steps).t()[:, mine] for first in (shift, shift + 1)
        )

    def __len__(self) -> int:
        return max(len(self.inputs) // self.length, 1)

    def __getitem__(self, number: int) -> Chunk:
        if not 0 <= number < len(self):  # which also ends a `for` over the chunks
            raise IndexError(number)
        part = slice(number * self.length, (number + 1) * self.length)
        return Chunk(self.inputs[part].contiguous(), self.targets[part].contiguous())


def stream_count(units: int, wanted: int, length: int, world: int = 1) -> int:
    """How many streams a text of a given number of units fills with at least one chunk each; a multiple of `world`."""
    most = max((units - 1) // length, 1)
    return max(min(wanted, most) // world, 1) * world


def reading(ids: Tensor, streams: int, warm_up: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets (warm_up + L, S) to measure a text in S parallel streams as if it were read in one.

    Each stream reads `warm_up` units of its predecessor first, whose targets are ignored; the first has none, and its
    states must be zeroed when the warm-up ends.
    """
    steps = -(-(len(ids) - 1) // streams)
    positions = torch.arange(streams)[None, :] * steps + torch.arange(-warm_up, steps)[:, None]
    inside = positions < len(ids) - 1
    inputs = ids[positions.clamp(0, len(ids) - 1)]
    targets = ids[(positions + 1).clamp(0, len(ids) - 1)].masked_fill(~inside, IGNORED)
    targets[:warm_up] = IGNORED
    return inputs, targets
