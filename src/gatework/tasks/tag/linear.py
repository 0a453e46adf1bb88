"""A linear model on windows of tokens: a row of weights for each feature that training saw, and moves between tags.

It is fitted by minibatches with AdaGrad (Duchi, Hazan & Singer 2011), whose steps stay long for rare features: each
token by itself, or whole sentences as a CRF, or labels of sentences by the mean of their tokens. It answers beside the
network, and is a baseline of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gatework.data.batching import batch_rows
from gatework.data.ragged import Ragged
from gatework.networks.crf import Crf
from gatework.runtime.tags.weights import LOW, table_of
from gatework.tasks.tag.examples import within
from gatework.tasks.tag.sums import sums

Allowed = tuple[np.ndarray, np.ndarray, np.ndarray]  # see `Crf`
BATCH, AT_ONCE, COUNTED = 32, 20_000, 200_000  # sentences of a step; tokens that are scored, or counted, at once
EPOCHS, RATE, START = 4, 0.1, 1e-8  # passes; AdaGrad's step, falling to 0, and its first sum of squares
MOST_WORK = 3e9  # features times (tags + 16) of a training: about 30 s
MOST_WEIGHTS = 20_000_000  # features times tags


class Linear(nn.Module):
    """Scores (M, K) of features (M, F), and a CRF of the moves.

    Where the weights (D + 1, K) of a feature stand: see `gatework.runtime.tags.weights.Weights`.
    """

    keys: Tensor
    weight: Tensor

    def __init__(self, size: int, tags: int, allowed: Allowed | None = None, note: str = ""):
        super().__init__()
        self.register_buffer("keys", torch.zeros(size, dtype=torch.int32))
        self.register_buffer("weight", torch.zeros(size + 1, tags))
        self.crf = Crf(tags, allowed).requires_grad_(False)
        self.spans = allowed is not None  # tags are parts of spans, which must be whole
        self.note = note
        self._table: np.ndarray | None = None  # made of `keys` when it is needed

    def rows(self, features: np.ndarray) -> Tensor:
        """Which row of `weight` each feature has."""
        if self._table is None:
            self._table = table_of(self.keys.numpy())
        return torch.from_numpy(self._table[features & LOW])

    @torch.no_grad()
    def each(self, features: np.ndarray) -> Tensor:
        """The weights (F, K) of the features [F] of one token, which add up to its scores."""
        return self.weight[self.rows(features).long()]

    @torch.no_grad()
    def scores(self, features: np.ndarray) -> Tensor:
        """[M, K] of features [M, F]."""
        return sums(self.weight, self.rows(features))

    def means(self, features: np.ndarray, offsets: np.ndarray) -> Tensor:
        """[n, K]: of each sentence the mean of its tokens' scores; zeros of an empty one."""
        lengths = torch.from_numpy(np.diff(offsets))
        return _means(self.scores(features), torch.arange(len(lengths)).repeat_interleave(lengths), len(lengths))

    def predict(self, features: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """int64 [N]: of spans the best allowed path; else each token's most probable tag, which is what accuracy counts
        (of weak evidence the best path is one tag throughout)."""
        sentences = Ragged(np.arange(len(features)), offsets)
        found = np.zeros(len(features), np.int64)
        for rows in _batches(sentences.lengths, seed=0, epoch=0):
            places, counts, _ = sentences.pack(rows)
            scores, steps = self.scores(features[places]), torch.from_numpy(counts.astype(np.int64))
            best = self.crf.decode(scores, steps) if self.spans else self.crf.marginals(scores, steps).argmax(1)
            found[places] = best.numpy()
        return found


def fit_linear(
    features: np.ndarray,
    tags: np.ndarray,
    offsets: np.ndarray,
    classes: int,
    allowed: Allowed | None = None,
    seed: int = 0,
) -> Linear:
    """A softmax for each token.

        model = fit_linear(features(tokens, lengths), tags, offsets, 17)
        model.predict(other_features, other_offsets)

    Args:
        features: int32 [N, F], see `gatework.runtime.texts.windows.features`.
        tags: int64 [N], below `classes`; -1 does not count.
        offsets: [n + 1], where sentences start.
        allowed: which tags may start, follow each other and end, for the answers.
    """
    return _fit(features, tags, offsets, classes, allowed, _by_token, seed)


def fit_crf(
    features: np.ndarray,
    tags: np.ndarray,
    offsets: np.ndarray,
    classes: int,
    allowed: Allowed | None = None,
    seed: int = 0,
) -> Linear:
    """The same with weights of transitions, learned by the likelihood of whole sentences (Lafferty et al. 2001)."""
    return _fit(features, tags, offsets, classes, allowed, _by_sentence, seed)


def fit_sentences(features: np.ndarray, labels: np.ndarray, offsets: np.ndarray, classes: int, seed: int = 0) -> Linear:
    """Labels [n] of sentences by the mean of their tokens: `fit_sentences(...).means(features, offsets)`."""
    return _fit(features, np.repeat(labels, np.diff(offsets)), offsets, classes, None, _by_mean, seed)


Nats = Callable[[Crf, Tensor, Tensor, Tensor], Tensor]


def _by_token(crf: Crf, scores: Tensor, tags: Tensor, counts: Tensor) -> Tensor:
    return functional.cross_entropy(scores, tags, ignore_index=-1, reduction="sum")


def _by_sentence(crf: Crf, scores: Tensor, tags: Tensor, counts: Tensor) -> Tensor:
    return crf.loss(scores, tags, counts).sum()


def _by_mean(crf: Crf, scores: Tensor, tags: Tensor, counts: Tensor) -> Tensor:
    """All tokens of a sentence have its label as their tag."""
    count = int(counts[:1].sum())  # 0 where all sentences are empty
    sentence = torch.arange(len(scores)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    return functional.cross_entropy(_means(scores, sentence, count), tags[:count], ignore_index=-1, reduction="sum")


def _means(scores: Tensor, sentence: Tensor, count: int) -> Tensor:
    """[count, K]: means of scores [M, K] over each `sentence` [M]."""
    sums_of_each = scores.new_zeros(count, scores.shape[1]).index_add(0, sentence, scores)
    return sums_of_each / torch.bincount(sentence, minlength=count).clamp(min=1)[:, None]


@torch.enable_grad()
def _fit(
    features: np.ndarray,
    tags: np.ndarray,
    offsets: np.ndarray,
    classes: int,
    allowed: Allowed | None,
    nats: Nats,
    seed: int,
) -> Linear:
    sentences = Ragged(np.arange(len(tags)), offsets)
    chosen, epochs = _bounded(sentences, features.shape[1] * (classes + 16), seed)
    keys = _keys(features, classes)
    told = f"{len(keys):,} features, {epochs} passes over {len(chosen):,} sentences"
    told += f" of {len(sentences):,}, so that it takes seconds" if len(chosen) < len(sentences) else ""
    model = Linear(len(keys), classes, allowed, told)
    model.keys.copy_(torch.from_numpy(keys))
    descent = _Descent(model, nats)
    for epoch in range(epochs):
        batches = list(_batches(sentences.lengths[chosen], seed, epoch))
        for number, rows in enumerate(batches):
            places, counts, _ = sentences.pack(chosen[rows])
            rate = RATE * (1 - (epoch + number / len(batches)) / epochs)
            descent.step(features[places], tags[places], counts, rate)
    model.crf.requires_grad_(False)
    return model


def _bounded(sentences: Ragged, work: int, seed: int) -> tuple[np.ndarray, int]:
    """Which sentences are learned, and how often, where a token costs so much work. No clock decides, so that the same
    data has the same baseline on any machine."""
    whole = len(sentences.values) * work
    rows = np.random.default_rng(seed).permutation(len(sentences))
    kept = np.cumsum(sentences.lengths[rows]) * work <= max(MOST_WORK, work * int(sentences.lengths.max(initial=0)))
    return np.sort(rows[kept]), int(np.clip(MOST_WORK // max(whole, 1), 1, EPOCHS))


def _keys(features: np.ndarray, classes: int) -> np.ndarray:
    """The low bits int32 [D] of the features that are there, sorted. Where these are too many, the rarest are left
    out."""
    counts = np.zeros(LOW + 1, np.int64)
    for first in range(0, len(features), COUNTED):
        counts += np.bincount((features[first : first + COUNTED] & LOW).ravel(), minlength=LOW + 1)
    least = 1
    while np.count_nonzero(counts >= least) * classes > MOST_WEIGHTS:
        least += 1
    return np.flatnonzero(counts >= least).astype(np.int32)


def _batches(lengths: np.ndarray, seed: int, epoch: int) -> Iterator[np.ndarray]:
    for rows in batch_rows(lengths, BATCH, seed=seed, epoch=epoch):
        yield from within(rows, lengths, AT_ONCE)


class _Descent:
    """AdaGrad: each weight's step is divided by the root of the sum of its squared gradients so far. Only the rows of
    features that stand in a batch are touched."""

    def __init__(self, model: Linear, nats: Nats):
        self.model, self.nats = model, nats
        self.squares = torch.full_like(model.weight, START)
        model.crf.requires_grad_(nats is _by_sentence)
        self.moves = [(move, torch.full_like(move, START)) for move in model.crf.parameters() if move.requires_grad]

    def step(self, features: np.ndarray, tags: np.ndarray, counts: np.ndarray, rate: float) -> None:
        different, rows = torch.unique(self.model.rows(features), return_inverse=True)
        own = self.model.weight[different].requires_grad_()
        counts_of_steps = torch.from_numpy(counts.astype(np.int64))
        loss = self.nats(self.model.crf, sums(own, rows), torch.from_numpy(tags), counts_of_steps) / len(tags)
        first, *others = torch.autograd.grad(loss, [own, *(move for move, _ in self.moves)])
        with torch.no_grad():
            first[different == 0] = 0
            squares = self.squares[different] + first.square()
            self.squares[different] = squares
            self.model.weight[different] = own - rate * first / squares.sqrt()
            for (move, sum), gradient in zip(self.moves, others, strict=True):
                sum += gradient.square()
                move -= rate * gradient / sum.sqrt()
