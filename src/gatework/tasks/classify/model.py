"""Embedding, recurrent layers, pooling, a linear layer: all on packed rows, so that padding costs nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatework.networks.embedding import Embedding
from gatework.networks.encoder import Encoder
from gatework.networks.pooling import Pooling
from gatework.tasks.classify.examples import Batch
from gatework.tasks.classify.fronts import reader
from gatework.tasks.classify.mixture import USUAL
from gatework.tasks.classify.options import ClassifyOptions


class Classifier(nn.Module):
    """Logits [B, K] of a packed batch.

    Args:
        options: sizes, pooling, dropout.
        classes: K.
        vocabulary: number of ids; None for numeric sequences.
        channels: C of numeric sequences.
        pieces: whether batches bring words with their character n-grams (Bojanowski et al. 2017).
        wide: the n-gram model whose weights travel with these; its logits are in the batch.

    Sounds, pictures and films go through convolutions first: see `fronts`.
    """

    decision: Tensor
    decision_apart: Tensor
    share: Tensor
    temperatures: Tensor

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
        self.reader = reader(options)
        width = self.reader.features if self.reader else channels if vocabulary is None else options.embedding_size
        self.embedding = None
        if vocabulary is not None:
            hashed, dropped = options.subwords if pieces else 0, options.word_dropout or 0.0
            self.embedding = Embedding(vocabulary, width, std=0.1, pieces=hashed, word_dropout=dropped)
        self.recurrent = Encoder(
            options, width, dropout=options.dropout, bidirectional=options.bidirectional, known=False
        )
        self.directions = 2 if options.bidirectional else 1
        features = options.hidden_size * self.directions
        self.pool = Pooling(options.pooling, features)
        self.dropout = nn.Dropout(options.dropout)
        self.output = nn.Linear(features, classes)
        self.wide = wide
        share = USUAL if options.ngram_share is None else options.ngram_share
        self.register_buffer("share", torch.tensor(share))
        self.register_buffer("temperatures", torch.ones(3))  # of the model; of the n-gram model and the network, alone
        self.register_buffer("decision", torch.zeros(classes))
        self.register_buffer("decision_apart", torch.zeros(2, classes))  # of the n-gram model and the network, alone

    def forward(self, batch: Batch) -> Tensor:
        """The network's logits; out of training those of `mixed`."""
        logits = self.network(batch)
        return logits if self.training else self.mixed(logits, batch)

    def network(self, batch: Batch) -> Tensor:
        """The network's logits alone: what is trained."""
        return self.answered(self.entered(batch))

    def entered(self, batch: Batch) -> Batch:
        """The batch with the vectors that the recurrent layers read as its values."""
        if self.reader is not None:
            return self.reader(batch)
        if self.embedding is None:
            return batch
        return batch._replace(values=self.dropout(self.embedding(batch.values, batch.words)))

    def answered(self, batch: Batch) -> Tensor:
        """The network's logits of vectors."""
        outputs, states = self.recurrent(PackedSequence(batch.values, batch.counts))
        ends = states["0.0"][-self.directions :]
        return self.output(self.dropout(self.pool(outputs.data, ends, batch.rows, batch.lengths)))

    def mixed(self, logits: Tensor, batch: Batch) -> Tensor:
        """The network's logits, averaged with the n-gram model's where the batch brings them, at the temperature."""
        whole = logits if batch.offsets is None else torch.lerp(logits, batch.offsets, self.share)
        return whole / self.temperatures[0]
