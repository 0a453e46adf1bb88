"""The network: a map of a picture, or what is read of a film's frames both ways, and a decoder that looks at it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from gatework.networks.attention import AttentionLayer, Memory
from gatework.networks.decoder import Decoder
from gatework.networks.embedding import Embedding
from gatework.networks.encoder import Encoder, padded
from gatework.networks.heads import Symbols
from gatework.networks.pictures import PictureMap, moved, places
from gatework.networks.states import States
from gatework.networks.taught import Taught
from gatework.tasks.caption.examples import Batch
from gatework.tasks.caption.options import CaptionOptions

STD = 0.1  # of units' vectors at the start: they are the output's matrix, too


class Read(NamedTuple):
    """B pictures or films as the decoder needs them: what can be looked at, and the states that it starts from."""

    memory: Memory
    start: States


class Describer(nn.Module):
    """Scores of the units of captions, given pictures and what has been written of the captions.

        model = Describer(options, "image", channels=3, units=1500)
        logits, weights = model(batch)                     # (M, V) of the M symbols that are written, (B, T, S)
        read = model.read(batch)                           # for a search: model.decoder.begin(*read)

    Args:
        options: sizes, regularisation.
        medium: "image", "video" or "vectors".
        channels: C of pictures and films; M of vectors.
        units: of the vocabulary, V.

    S, what can be looked at, are the places of a picture's map row after row, those of every frame of a film one frame
    after another, or the vectors. Beside each place of a frame stands what a recurrence over the means of frames says
    there, both ways; to each place of a picture a learned vector is added, so that left can be told from right. The
    decoder starts by reading their mean: any cell and any depth can, whatever its states are.

    Attributes:
        spots: places of a step: of a frame; 1 of pictures, whose places are steps of their own, and of vectors.
    """

    def __init__(self, options: CaptionOptions, medium: str, channels: int, units: int):
        super().__init__()
        self.medium, self.shift, self.dropout = medium, options.shift, options.dropout
        width, dropped = options.memory_size(medium), options.dropout
        widths = list(options.widths or ())
        self.spots = _side(options.size or 1, len(widths)) ** 2 if medium == "video" else 1
        if medium == "vectors":
            self.entry = nn.Linear(channels, width)
        else:
            seen = channels * 2 if medium == "video" else channels
            self.pictures = PictureMap(seen, widths, bool(options.half))
        if medium == "video":
            reading = replace(options, hidden_size=options.encoder_size, layers=1, attention="general")
            self.frames = Encoder(reading, widths[-1], locked=dropped, bidirectional=True)
        elif medium == "image":
            self.where = nn.Parameter(torch.zeros(_side(options.size or 1, len(widths)) ** 2, width))
        size = options.embedding_size
        self.summary = nn.Linear(width, size)
        vectors = Embedding(units, size, std=STD)
        self.decoder = Decoder(
            vectors,
            Encoder(options, size, locked=dropped),
            Symbols(options.hidden_size, units, vectors if options.tied else None),
            AttentionLayer(options.hidden_size, width, options.attention),
        )

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        values, lengths = self.looked_at(batch)
        return self._written(values, lengths, batch)

    def read(self, batch: Batch) -> Read:
        """What is made of the pictures."""
        return self._begun(*self.looked_at(batch))

    def looked_at(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What can be looked at, (B, S, M), 0 beyond the lengths (B,)."""
        shown = self._shown(batch)
        if self.medium == "image":
            values = places(shown) + self.where
            return values, torch.full((len(values),), values.shape[1])
        return self._steps(shown, batch.counts), batch.lengths * self.spots

    def _shown(self, batch: Batch) -> Tensor:
        """Maps (B, M, h, w) of pictures; packed vectors (N, M); of packed frames the places (N, h * w * M) of each."""
        if self.medium == "vectors":
            return self.entry(batch.shown)
        shown = moved(batch.shown, batch.counts, self.shift) if self.training and self.shift else batch.shown
        if self.medium == "image":
            return self.pictures(shown)
        return places(self.pictures(before_beside(shown, batch.counts))).flatten(1)

    def _steps(self, packed: Tensor, counts: Tensor) -> Tensor:
        """What can be looked at (B, S, M) of packed vectors, or of the places of packed frames."""
        if self.medium == "video":
            spots = packed.unflatten(1, (self.spots, -1))
            read, _ = self.frames(PackedSequence(spots.mean(1), counts))
            assert isinstance(read, PackedSequence)
            packed = torch.cat([spots, read.data[:, None].expand(-1, self.spots, -1)], 2).flatten(1)
        values = padded(packed, counts)
        return values.view(len(values), values.shape[1] * self.spots, -1)

    def _begun(self, values: Tensor, lengths: Tensor) -> Read:
        summary = self.summary(values.sum(1) / lengths[:, None])
        assert self.decoder.attention is not None
        return Read(self.decoder.attention.memory(values, lengths), self.decoder.encoder(summary[None])[1])

    def _written(self, values: Tensor, lengths: Tensor, texts: Batch | Taught) -> tuple[Tensor, Tensor]:
        looked, weights, _ = self.decoder.looked(texts.read, *self._begun(values, lengths))
        assert weights is not None
        looked = looked * functional.dropout(looked.new_ones(1, *looked.shape[1:]), self.dropout, self.training)
        return self.decoder.head(looked.flatten(0, 1)[texts.places]), weights

    # -- for explanations: what is read of one picture or film, and scores of variants of that ---------------------

    def entries(self, batch: Batch) -> Tensor:
        """Of the only row of a batch: places of a map (S, M), vectors, or all places of each frame (T, h * w * M)."""
        shown = self._shown(batch)
        return (places(shown) + self.where)[0] if self.medium == "image" else shown

    def written(self, entries: Tensor, texts: Taught) -> tuple[Tensor, Tensor]:
        """Scores (M, V) of written symbols, and weights of steps, of entries (B, steps, I) such as `entries` gives."""
        rows, steps = entries.shape[:2]
        values = self._steps(entries.transpose(0, 1).flatten(0, 1), torch.full((steps,), rows))
        logits, weights = self._written(values, torch.full((rows,), steps * self.spots), texts)
        return logits, weights.unflatten(2, (-1, self.spots)).sum(3)


def _side(size: int, halvings: int) -> int:
    """Places of a side of a map."""
    for _ in range(halvings):
        size = (size + 1) // 2
    return size


def before_beside(frames: Tensor, counts: Tensor) -> Tensor:
    """Packed frames (N, H, W, C), each with the frame before it as further channels, (N, H, W, 2 C); the first frame of
    a film stands before itself. So one convolution sees what moves, and where to."""
    starts = torch.cumsum(counts, 0) - counts
    before = torch.cat([torch.arange(int(counts[0])), *map(_places, starts[:-1].tolist(), counts[1:].tolist())])
    return torch.cat([frames, frames[before]], 3)


def _places(start: int, count: int) -> Tensor:
    return torch.arange(start, start + count)
