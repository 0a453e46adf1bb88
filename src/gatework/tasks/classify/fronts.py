"""What reads sounds, pictures and films before the recurrent layers: packed frames in, packed vectors out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from gatework.networks.fronts import SoundFront
from gatework.networks.pictures import PictureMap, places
from gatework.tasks.classify.examples import Batch
from gatework.tasks.classify.options import ClassifyOptions

NARROWEST, WIDEST = 16, 256  # channels of convolutions over pictures, from the first to the last
SIDE = 4  # places that a side of a picture's map has, about


class SoundReader(nn.Module):
    """Log-mel energies, scaled by the training part, through convolutions over time: `stride` frames are a step."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, options: ClassifyOptions):
        super().__init__()
        self.features = options.front_size
        self.front = SoundFront(options.mels, self.features, stride=options.stride)
        self.register_buffer("mean", torch.zeros(options.mels))
        self.register_buffer("deviation", torch.ones(options.mels))

    def scale_by(self, frames: np.ndarray) -> None:
        """Takes mean and deviation of each band from frames (N, F)."""
        self.mean.copy_(torch.from_numpy(frames.mean(0)))
        self.deviation.copy_(torch.from_numpy(np.maximum(frames.std(0), 1e-3)))

    def forward(self, batch: Batch) -> Batch:
        steps = torch.arange(len(batch.counts)).repeat_interleave(batch.counts)
        scaled = (batch.values - self.mean) / self.deviation
        frames = scaled.new_zeros(len(batch.lengths), len(batch.counts), scaled.shape[1])
        return packed(batch, *self.front(frames.index_put((batch.rows, steps), scaled), batch.lengths))


class PictureReader(nn.Module):
    """A picture's map, place after place, row after row: each place is a step."""

    def __init__(self, options: ClassifyOptions):
        super().__init__()
        self.widths = _widths(options.size or 1)
        self.features = self.widths[-1]
        self.map = PictureMap(3 if options.colour else 1, self.widths)

    @property
    def mean(self) -> Tensor:
        """Of each channel of the pictures that were learned."""
        return self.map.mean

    def scale_by(self, frames: np.ndarray) -> None:
        self.map.scale_by(frames)

    def forward(self, batch: Batch) -> Batch:
        found = places(self.map(batch.values)).transpose(0, 1)
        return packed(batch, found, torch.full_like(batch.lengths, len(found)))


class FilmReader(PictureReader):
    """A vector for each frame, of all places of its map: where something is must be known to see how it moves."""

    def __init__(self, options: ClassifyOptions):
        super().__init__(options)
        side = options.size or 1
        for _ in self.widths:
            side = -(-side // 2)
        self.output = nn.Linear(side * side * self.features, options.front_size)
        self.features = options.front_size

    def forward(self, batch: Batch) -> Batch:
        return batch._replace(values=torch.relu(self.output(self.map(batch.values).flatten(1))))


READERS = {"sounds": SoundReader, "pictures": PictureReader, "films": FilmReader}
Reader = SoundReader | PictureReader


def reader(options: ClassifyOptions) -> Reader | None:
    """What reads rows of the kind that the options say; None of texts and numbers."""
    return READERS[options.kind](options) if options.kind in READERS else None


def packed(batch: Batch, values: Tensor, lengths: Tensor) -> Batch:
    """The batch with other values (T, B, C), of which the first `lengths` [B] of each row are there, longest first."""
    there = torch.arange(len(values))[:, None] < lengths
    rows = torch.arange(len(lengths)).expand_as(there)[there]
    return batch._replace(values=values[there], counts=there.sum(1), rows=rows, lengths=lengths)


def _widths(size: int) -> list[int]:
    """One for each halving of the sides that leaves some places: 28 points make 4, as 64 do."""
    halvings = max(round(np.log2(size / SIDE)), 1)
    return [min(NARROWEST * 2**number, WIDEST) for number in range(halvings)]
