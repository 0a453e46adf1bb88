"""The network: words, characters, columns, language models; recurrent layers; scores of tags beside windows'."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatework.data.codecs import UNKNOWN
from gatework.networks.characters import Spelling
from gatework.networks.crf import Crf
from gatework.networks.embedding import Embedding, Spelled
from gatework.networks.encoder import Encoder
from gatework.networks.pooling import Pooling
from gatework.tasks.tag.codecs import Sizes
from gatework.tasks.tag.examples import Batch
from gatework.tasks.tag.options import TagOptions
from gatework.tasks.tag.states import Language, WordStates
from gatework.tasks.tag.windows import Windows

COLUMN_SIZE = 25  # most numbers of a further column's vector


class Scores(NamedTuple):
    """What a batch is judged by: `network` and `windows` [M, K], each None where it has no part; `labels` [B, L]."""

    network: Tensor
    windows: Tensor | None
    labels: Tensor | None

    @property
    def tags(self) -> Tensor:
        """The network's scores and the windows' together, [M, K]."""
        return self.network if self.windows is None else self.network + self.windows


class Tagger(nn.Module):
    """Scores of the tags of a packed batch.

        scores = Tagger(options, sizes)(batch)
        scores.tags                                  # [M, K]

    Args:
        options: sizes of vectors and states, dropout.
        sizes: numbers of words, characters, values of each further column, tags (K) and labels (L).
        allowed: which tags may begin, follow each other and end: see `Crf`. With output=softmax each token is scored by
            itself, and this holds in decoding alone; None: anything may follow anything, and there are no moves.
        languages: language models whose states are word vectors too.
    """

    def __init__(
        self,
        options: TagOptions,
        sizes: Sizes,
        allowed: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
        languages: Sequence[Language] = (),
    ):
        super().__init__()
        self.words = Embedding(sizes.words, options.embedding_size, std=0.1, pieces=options.subwords)
        self.spelling = Spelling(sizes.letters, options.characters) if options.characters else None
        self.columns = nn.ModuleList(nn.Embedding(count, min(count, COLUMN_SIZE)) for count in sizes.columns)
        width = options.embedding_size + (options.characters or 0) + sum(min(n, COLUMN_SIZE) for n in sizes.columns)
        self.states = WordStates(languages, options.dropout or 0.0) if languages else None
        width += 0 if self.states is None else self.states.size
        self.word_dropout, self.window_dropout = options.word_dropout, options.window_dropout
        self.encoder = Encoder(options, width, locked=options.dropout or 0.0, bidirectional=True, known=False)
        self.output = nn.Linear(2 * options.hidden_size, sizes.tags)
        self.windows = Windows(sizes.buckets, sizes.tags, options.feature_dropout) if options.windows else None
        self.crf = None if allowed is None else Crf(sizes.tags, allowed)
        self.chained = options.output == "crf"
        if self.crf is not None:
            self.crf.requires_grad_(self.chained)
        self.pool, self.label = None, None
        if sizes.labels:
            self.pool = Pooling("max", 2 * options.hidden_size)
            self.label = nn.Linear(2 * options.hidden_size, sizes.labels)

    def forward(self, batch: Batch) -> Scores:
        entry = PackedSequence(self.entry(batch), batch.counts)
        outputs, states = self.encoder(entry)
        assert isinstance(outputs, PackedSequence)
        windows = None if self.windows is None or batch.windows is None else self._windows(batch)
        labels = None
        if self.label is not None and self.pool is not None:
            labels = self.label(self.pool(outputs.data, states["0.0"], batch.rows, batch.lengths))
        return Scores(self.output(outputs.data), windows, labels)

    def _windows(self, batch: Batch) -> Tensor:
        """The windows' scores [M, K]; in training some stretches go without, so that the network learns to do alone."""
        assert self.windows is not None and batch.windows is not None
        scores = self.windows(batch.windows)
        if not (self.training and self.window_dropout):
            return scores
        kept = torch.rand(len(batch.lengths)) >= self.window_dropout
        return scores * kept[batch.rows, None]

    def entry(self, batch: Batch) -> Tensor:
        """What the recurrent layers read, [M, I]."""
        parts = [self._words(batch)]
        parts += [table(batch.columns[:, i]) for i, table in enumerate(self.columns)]
        if self.states is not None:
            assert batch.lines is not None
            parts.append(self.states(batch.lines))
        return torch.cat(parts, 1)

    def _words(self, batch: Batch) -> Tensor:
        """Vectors of words by their names and their letters; in training, words seen once may lose their names."""
        ids = batch.ids
        if self.training and self.word_dropout:
            lost = batch.once & (torch.rand(len(ids)) < self.word_dropout)
            ids = ids.masked_fill(lost, UNKNOWN)
        if batch.pieces is None:
            vectors = self.words(ids)
        else:
            vectors = self.words(torch.arange(len(ids)), Spelled(ids, *batch.pieces))
        if self.spelling is not None:
            vectors = torch.cat([vectors, self.spelling(batch.letters, batch.sizes)], 1)
        return vectors[batch.words]
