"""The network: words, characters, columns, language models; recurrent layers; scores of tags beside windows'."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from gatework.data.codecs import UNKNOWN
from gatework.networks.characters import Spelling
from gatework.networks.crf import Crf
from gatework.networks.embedding import Embedding, Spelled
from gatework.networks.encoder import Encoder
from gatework.networks.neighbours import Neighbours
from gatework.networks.pooling import Pooling
from gatework.networks.states import States
from gatework.tasks.tag.codecs import Sizes
from gatework.tasks.tag.examples import UNCOUNTED, Batch
from gatework.tasks.tag.linear import Linear
from gatework.tasks.tag.options import TagOptions
from gatework.tasks.tag.states import Language, WordStates

EMBEDDING = 100  # numbers of a word's vector
COLUMN_SIZE = 25  # most numbers of a further column's vector
USUAL = 0.5  # the windows' share where nothing chooses it


class Scores(NamedTuple):
    """What the network says of a batch: scores of `tags` [M, K] and of `labels` [B, L]."""

    tags: Tensor
    labels: Tensor | None


class Judge(NamedTuple):
    """Scores [M, K] of packed tokens, the moves between tags, and whether these count as more than allowed or not."""

    scores: Tensor
    crf: Crf | None
    chained: bool

    def best(self, counts: Tensor) -> Tensor:
        """The best tags [M]; where tags write spans, of whole ones."""
        if self.crf is None:
            return self.scores.argmax(1)
        return self.crf.decode(self.scores if self.chained else torch.log_softmax(self.scores, 1), counts)

    def marginals(self, counts: Tensor) -> Tensor:
        """The probability of each tag at each token, [M, K]."""
        if self.crf is None or not self.chained:
            return torch.softmax(self.scores, 1)
        return self.crf.marginals(self.scores, counts)

    def nats(self, tags: Tensor, counts: Tensor) -> Tensor:
        """Negative log-likelihoods that add up to the batch's: of sequences with a CRF, else of tokens that count."""
        if self.crf is not None and self.chained:
            return self.crf.loss(self.scores, tags, counts)
        return functional.cross_entropy(self.scores, tags, ignore_index=UNCOUNTED, reduction="none")


class Tagger(nn.Module):
    """Scores of the tags of a packed batch.

        scores = Tagger(options, sizes)(batch).tags               # the network's, [M, K]
        model.judge("model", scores, windows).best(batch.counts)  # [M], beside those of the linear model on windows

    Args:
        options: sizes of vectors and states, dropout.
        sizes: numbers of words, characters, values of each further column, tags (K) and labels (L).
        allowed: which tags may begin, follow each other and end: see `Crf`. With output=softmax each token is scored by
            itself, and this holds in decoding alone; None: anything may follow anything, and there are no moves.
        windows: the linear model that answers beside the network.
        label_windows: the one that labels sentences beside it, by the mean of their tokens.
        languages: language models whose states are word vectors too.
    """

    share: Tensor
    label_share: Tensor

    def __init__(
        self,
        options: TagOptions,
        sizes: Sizes,
        allowed: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
        windows: Linear | None = None,
        label_windows: Linear | None = None,
        languages: Sequence[Language] = (),
    ):
        super().__init__()
        width = options.embedding_size or EMBEDDING
        self.words = Embedding(sizes.words, width, std=0.1, pieces=options.subwords)
        self.spelling = Spelling(sizes.letters, options.characters) if options.characters else None
        self.columns = nn.ModuleList(nn.Embedding(count, min(count, COLUMN_SIZE)) for count in sizes.columns)
        width += 0 if self.spelling is None else self.spelling.features
        width += sum(min(n, COLUMN_SIZE) for n in sizes.columns)
        self.states = WordStates(languages, options.dropout or 0.0) if languages else None
        width += 0 if self.states is None else self.states.size
        self.word_dropout, self.common_dropout = options.word_dropout, options.common_dropout or 0.0
        self.neighbours = Neighbours(width, options.neighbours) if options.neighbours else None
        width += 0 if self.neighbours is None else self.neighbours.features
        self.encoder = Encoder(options, width, locked=options.dropout or 0.0, bidirectional=True, known=False)
        self.output = nn.Linear(2 * options.hidden_size, sizes.tags)
        self.windows, self.label_windows = windows, label_windows
        share = USUAL if options.window_share is None else options.window_share
        self.register_buffer("share", torch.tensor(share if windows is not None else 0.0))
        self.register_buffer("label_share", torch.tensor(share if label_windows is not None else 0.0))
        self.crf = None if allowed is None else Crf(sizes.tags, allowed)
        self.chained = options.output == "crf"
        if self.crf is not None:
            self.crf.requires_grad_(self.chained)
        self.pool, self.label = None, None
        if sizes.labels:
            self.pool = Pooling("max", 2 * options.hidden_size)
            self.label = nn.Linear(2 * options.hidden_size, sizes.labels)

    def forward(self, batch: Batch) -> Scores:
        outputs, states = self.read(PackedSequence(self.entry(batch), batch.counts))
        assert isinstance(outputs, PackedSequence)
        labels = None
        if self.label is not None and self.pool is not None:
            labels = self.label(self.pool(outputs.data, states["0.0"], batch.rows, batch.lengths))
        return Scores(self.output(outputs.data), labels)

    def read(self, entry: Tensor | PackedSequence) -> tuple[Tensor | PackedSequence, States]:
        """Outputs (T, B, 2H) of what `entry` gave, and the last states."""
        return self.encoder(entry if self.neighbours is None else self.neighbours(entry))

    def judge(self, role: str, network: Tensor, windows: Tensor | None) -> Judge:
        """How the "model", its "network" or its "simple" part judge, given the scores [M, K] of both: the model by
        their mean, weighted by `share`."""
        crf, linear = self.crf, self.windows
        if role == "network" or linear is None or windows is None:
            return Judge(network, crf, self.chained)
        own = None if crf is None else linear.crf
        if role == "simple":
            return Judge(windows, own, self.chained)
        return Judge(torch.lerp(network, windows, self.share), self.moves(), self.chained)

    def labelled(self, role: str, network: Tensor, windows: Tensor | None) -> Tensor:
        """Logits [m, L] of labels by the "model", its "network" or its "simple" part, given those of both."""
        if role == "network" or windows is None:
            return network
        return windows if role == "simple" else torch.lerp(network, windows, self.label_share)

    def moves(self) -> Crf | None:
        """The whole model's moves between tags."""
        if self.windows is None or self.crf is None:
            return self.crf
        return mean_of(self.crf, self.windows.crf, self.share)

    def entry(self, batch: Batch) -> Tensor:
        """What is known of each token by itself, [M, I]."""
        parts = [self._words(batch)]
        parts += [table(batch.columns[:, i]) for i, table in enumerate(self.columns)]
        if self.states is not None:
            assert batch.lines is not None
            parts.append(self.states(batch.lines))
        return torch.cat(parts, 1)

    def _words(self, batch: Batch) -> Tensor:
        """Vectors of words by their names and their letters; in training, words may lose their names in a batch."""
        ids = batch.ids
        if self.training and (self.word_dropout or self.common_dropout):
            share = torch.where(batch.once, self.word_dropout, self.common_dropout)
            ids = ids.masked_fill(torch.rand(len(ids)) < share, UNKNOWN)
        if batch.pieces is None:
            vectors = self.words(ids)
        else:
            vectors = self.words(torch.arange(len(ids)), Spelled(ids, *batch.pieces))
        if self.spelling is not None:
            vectors = torch.cat([vectors, self.spelling(batch.letters, batch.sizes)], 1)
        return vectors[batch.words]


@torch.no_grad()
def mean_of(first: Crf, second: Crf, share: Tensor) -> Crf:
    """The moves of two, weighted: of the second by `share`."""
    mean = copy.deepcopy(first)
    for move, other in zip(mean.parameters(), second.parameters(), strict=True):
        move.lerp_(other, share)
    return mean
