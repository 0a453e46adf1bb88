"""Embedding, recurrent layers, pooling, a linear layer: all on packed rows, so that padding costs nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatework.data.codecs import UNKNOWN
from gatework.tasks.classify.examples import Batch
from gatework.tasks.classify.options import ClassifyOptions
from gatework.tasks.recurrent import recurrent_stack


class Classifier(nn.Module):
    """Logits [B, K] of a packed batch.

    Args:
        options: sizes, pooling, dropout.
        classes: K.
        vocabulary: number of ids; None for numeric sequences.
        channels: C of numeric sequences.
        pieces: whether batches bring words with their character n-grams (Bojanowski et al. 2017).
        wide: the n-gram model whose weights travel with these; its logits are in the batch.
    """

    decision: Tensor
    decision_apart: Tensor

    def __init__(
        self,
        options: ClassifyOptions,
        classes: int,
        vocabulary: int | None,
        channels: int,
        wide: nn.Module | None = None,
        pieces: bool = False,
    ):
        super().__init__()
        self.options = options
        width = channels if vocabulary is None else options.embedding_size
        self.embedding = None if vocabulary is None else nn.Embedding(vocabulary, width)
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=0.1)
        self.pieces = nn.EmbeddingBag(options.subwords, width, mode="mean") if pieces else None
        if self.pieces is not None:
            nn.init.normal_(self.pieces.weight, std=0.1)
        self.recurrent = recurrent_stack(
            options,
            width,
            options.layers,
            known=False,
            dropout=options.dropout if options.layers > 1 else 0.0,
            bidirectional=options.bidirectional,
        )
        features = options.hidden_size * (2 if options.bidirectional else 1)
        self.score = Attention(features) if options.pooling == "attention" else None
        self.dropout = nn.Dropout(options.dropout)
        self.output = nn.Linear(features, classes)
        self.wide = wide
        self.register_buffer("decision", torch.zeros(classes))
        self.register_buffer("decision_apart", torch.zeros(2, classes))  # of the n-gram model and the network, alone

    def forward(self, batch: Batch) -> Tensor:
        """The network's logits; out of training averaged with the n-gram model's, where the batch brings them."""
        logits = self.network(batch)
        return logits if self.training else self.mixed(logits, batch)

    def network(self, batch: Batch) -> Tensor:
        """The network's logits alone: what is trained."""
        return self.output(self.dropout(self._pool(batch, *self._read(batch))))

    def mixed(self, logits: Tensor, batch: Batch) -> Tensor:
        """The network's logits averaged with the n-gram model's, where the batch brings them."""
        return logits if batch.offsets is None else torch.lerp(logits, batch.offsets, self.options.ngram_share)

    def _read(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Outputs [N, H] of the last layer and the states [layers * directions, B, H] at the ends."""
        values = batch.values if self.embedding is None else self.dropout(self._embedded(batch))
        packed = PackedSequence(values, batch.counts)
        output, states = self.recurrent(packed)
        return output.data, states[0] if isinstance(states, tuple) else states

    def _embedded(self, batch: Batch) -> Tensor:
        """Vectors [N, I]: of words alone, or the sum of the word's vector and the mean of its pieces'."""
        assert self.embedding is not None
        if batch.words is None or self.pieces is None:
            return self.embedding(self._dropped(batch.values))
        words = self.embedding(self._dropped(batch.words.ids)) + self.pieces(batch.words.pieces, batch.words.starts)
        unknown = self.embedding.weight[UNKNOWN]
        vectors = words[batch.values]
        if not (self.training and self.options.word_dropout):
            return vectors
        return torch.where(self._chosen(batch.values)[:, None], unknown, vectors)

    def _dropped(self, ids: Tensor) -> Tensor:
        """Ids of which some are made unknown in training; a word with pieces then lives by these."""
        return ids.masked_fill(self._chosen(ids), UNKNOWN) if self.training and self.options.word_dropout else ids

    def _chosen(self, ids: Tensor) -> Tensor:
        return torch.rand(ids.shape) < (self.options.word_dropout or 0.0)

    def _pool(self, batch: Batch, output: Tensor, ends: Tensor) -> Tensor:
        pooling = self.options.pooling
        if pooling == "last":
            return torch.cat([ends[-2], ends[-1]], dim=1) if self.options.bidirectional else ends[-1]
        zeros = output.new_zeros(len(batch.lengths), output.shape[1])
        if pooling == "mean":
            return zeros.index_add(0, batch.rows, output) / batch.lengths[:, None]
        if pooling == "max":
            return RowMax.apply(output, batch.rows, len(batch.lengths))  # type: ignore[return-value]
        assert self.score is not None
        return zeros.index_add(0, batch.rows, output * self.score(output, batch.rows, len(batch.lengths)))


class RowMax(torch.autograd.Function):
    """Maximum over the steps of each sequence; the gradient goes to every step that holds it. (torch's scatter_reduce
    divides the gradient among ties, which takes 7 times as long.)"""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: Tensor, count: int) -> Tensor:
        start = values.new_full((count, values.shape[1]), float("-inf"))
        most = start.scatter_reduce(0, rows[:, None].expand_as(values), values, "amax")
        ctx.save_for_backward(values, rows, most)
        return most

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        values, rows, most = ctx.saved_tensors
        return gradient[rows].mul_(values == most[rows]), None, None


class Attention(nn.Module):
    """Weights of the steps: softmax of v . tanh(W y + b) (Yang et al. 2016, section 2.2)."""

    def __init__(self, features: int):
        super().__init__()
        self.map = nn.Linear(features, features)
        self.vector = nn.Linear(features, 1, bias=False)

    def forward(self, output: Tensor, rows: Tensor, count: int) -> Tensor:
        """Weights [N, 1] that sum to 1 over each sequence."""
        scores = self.vector(torch.tanh(self.map(output)))[:, 0]
        top = torch.full((count,), float("-inf")).scatter_reduce(0, rows, scores.detach(), "amax")
        weights = torch.exp(scores - top[rows])
        return (weights / torch.zeros(count).index_add(0, rows, weights)[rows])[:, None]
