"""Ids to vectors: of a unit alone, or of a word and the character n-grams that it is made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gatework.data.codecs import UNKNOWN
from gatework.runtime.net.builder import Builder, Value


class Spelled(NamedTuple):
    """The u different words of a batch: ids [u], and all their pieces [P], those of word i from starts[i] on."""

    ids: Tensor
    pieces: Tensor
    starts: Tensor


class Embedding(nn.Embedding):
    """Vectors (..., I) of ids (...).

        embedding = Embedding(len(codec), 64, word_dropout=0.1)
        vectors = embedding(ids)

    Args:
        std: deviation of the vectors at the start.
        pieces: buckets of hashed character n-grams; a word's vector then is the sum of its own and of the mean of its
            pieces' (Bojanowski et al. 2017), and the call brings the words: `embedding(numbers, words)`.
        word_dropout: share of units made the unknown unit in training (Iyyer et al. 2015; Gal & Ghahramani 2016), so
            that its vector learns to stand for words of new texts. Of words with pieces, also their own vectors are
            left out at this rate, so that they live by their pieces.
    """

    def __init__(self, vocabulary: int, size: int, *, std: float = 1.0, pieces: int = 0, word_dropout: float = 0.0):
        super().__init__(vocabulary, size)
        nn.init.normal_(self.weight, std=std)
        self.word_dropout = word_dropout
        self.pieces = nn.EmbeddingBag(pieces, size, mode="mean") if pieces else None
        if self.pieces is not None:
            nn.init.normal_(self.pieces.weight, std=std)

    def forward(self, input: Tensor, words: Spelled | None = None) -> Tensor:
        """`input` are ids; with `words`, numbers of these."""
        if words is None or self.pieces is None:
            return super().forward(self._dropped(input))
        spelled = super().forward(self._dropped(words.ids)) + self.pieces(words.pieces, words.starts)
        vectors = spelled[input]
        if not (self.training and self.word_dropout):
            return vectors
        return torch.where(self._chosen(input).unsqueeze(-1), self.weight[UNKNOWN], vectors)

    def in_net(self, b: Builder, ids: Value, spelled: tuple[Value, Value] | None = None, name: str = "units") -> Value:
        """Vectors in a net; `spelled` are the pieces (..., P) of each word and their number (...)."""
        own = b.gather(b.array(name, self.weight), ids)
        if spelled is None or self.pieces is None:
            return own
        return b.add(own, b.bag(b.array(f"{name}.pieces", self.pieces.weight), *spelled, kind="mean"))

    def _dropped(self, ids: Tensor) -> Tensor:
        return ids.masked_fill(self._chosen(ids), UNKNOWN) if self.training and self.word_dropout else ids

    def _chosen(self, ids: Tensor) -> Tensor:
        return torch.rand(ids.shape) < self.word_dropout

    @torch.no_grad()
    def start_from(self, vectors: np.ndarray, known: np.ndarray, freeze: bool = False) -> None:
        """Vectors [V, I] for the units of which they are `known` [V]; `freeze`: training leaves all as they are."""
        self.weight[torch.from_numpy(known)] = torch.from_numpy(vectors[known])
        self.weight.requires_grad_(not freeze)
