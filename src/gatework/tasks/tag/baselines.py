"""What every result is compared with: each word's most frequent tag, a linear model on windows, a linear CRF on them.

The linear ones hold a row of weights for each feature that training saw, and learn by minibatches with AdaGrad (Duchi,
Hazan & Singer 2011), whose steps stay long for rare features. Both answer with sequences of tags that are allowed.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor
from torch.nn import functional

from gatework.data.batching import batch_rows
from gatework.data.ngrams import Bag
from gatework.data.ragged import Ragged
from gatework.networks.crf import Crf
from gatework.tasks.tag.answers import Answers
from gatework.tasks.tag.examples import Examples, within
from gatework.tasks.tag.windows import sums

Allowed = tuple[np.ndarray, np.ndarray, np.ndarray]  # see `Crf`
Features = tuple[Examples, np.ndarray]  # and the features int32 [N, F] of its tokens
BATCH, AT_ONCE, COUNTED = 32, 20_000, 200_000  # sentences of a step; tokens that are scored, or counted, at once
EPOCHS, RATE, START = 4, 0.1, 1e-8  # passes; AdaGrad's step, falling to 0, and its first sum of squares
BITS = 22  # of a feature that are looked at
MOST_WORK = 3e9  # features times (tags + 16) of a training: about 30 s
MOST_WEIGHTS = 50_000_000  # features times tags


class Baseline(NamedTuple):
    """What a baseline is called, what is to be said of it, and what it answers."""

    name: str
    note: str
    answers: Answers


def baselines(train: Features, last: Features, classes: int, allowed: Allowed | None, seed: int) -> Iterator[Baseline]:
    """Fitted on `train`, answering for `last`: tags below `classes`, and labels where sentences have such."""
    (learned, features), (asked, others) = train, last
    usual, labels = _labelled(learned, asked)
    tags = most_frequent(learned.sentences.tokens, learned.tags)(asked.sentences.tokens)
    yield Baseline("most frequent tag", "of each word; of unknown words, of all", _answers(tags, usual))
    for name, fit in {"linear model on windows": fit_linear, "linear CRF on windows": fit_crf}.items():
        model = fit(features, learned.tags, learned.inputs.offsets, classes, allowed, seed)
        yield Baseline(name, model.note, _answers(model.predict(others, asked.inputs.offsets), labels))


def _answers(tags: np.ndarray, labels: np.ndarray | None) -> Answers:
    return Answers(tags, None, math.nan, 0, labels)


def _labelled(train: Examples, last: Examples) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The most frequent label, and those of a linear model, as probabilities 0 and 1 [n, L]."""
    if train.labels is None:
        return None, None
    counts = np.bincount(train.labels[train.labels >= 0], minlength=1)
    found = fit_labels(_texts(train), train.labels)(_texts(last))
    sure = np.eye(len(counts), dtype=np.float32)
    return sure[np.full(len(last), counts.argmax())], sure[found]


def _texts(examples: Examples) -> list[str]:
    tokens, offsets = examples.sentences.tokens, examples.inputs.offsets
    return [" ".join(tokens[first:end]) for first, end in pairwise(offsets.tolist())]


def most_frequent(words: Sequence[str], tags: np.ndarray) -> Callable[[Sequence[str]], np.ndarray]:
    """Each word's most frequent tag, of unknown words the most frequent one of all.

        most_frequent(["a", "b", "a"], np.array([1, 0, 1]))(["a", "c"])                  # [1, 1]

    Tags are numbers [N]; -1 does not count.
    """
    table = pl.DataFrame({"word": pl.Series(words, dtype=pl.String), "tag": tags}).filter(pl.col("tag") >= 0)
    counts = table.group_by("word", "tag").len().sort("len", "tag", descending=[True, False])
    best = counts.unique("word", keep="first", maintain_order=True)
    overall = int(np.bincount(tags[tags >= 0], minlength=1).argmax())

    def tagged(words: Sequence[str]) -> np.ndarray:
        series = pl.Series(words, dtype=pl.String)
        found = series.replace_strict(best["word"], best["tag"], default=overall, return_dtype=pl.Int64)
        return found.to_numpy()

    return tagged


@dataclass(frozen=True)
class Linear:
    """A fitted model. The weights of a feature are `weight` [D, K] at `numbers` [2^BITS] of its low bits; 0, where they
    are 0, is that of features which training never saw."""

    numbers: np.ndarray
    weight: Tensor
    crf: Crf
    note: str = ""

    def rows(self, features: np.ndarray) -> Tensor:
        return torch.from_numpy(self.numbers[features & (2**BITS - 1)])

    @torch.no_grad()
    def scores(self, features: np.ndarray) -> Tensor:
        """[M, K] of features [M, F]."""
        return sums(self.weight, self.rows(features))

    def predict(self, features: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """The best allowed tags int64 [N] of sentences."""
        sentences = Ragged(np.arange(len(features)), offsets)
        found = np.zeros(len(features), np.int64)
        for rows in _batches(sentences.lengths, seed=0, epoch=0):
            places, counts, _ = sentences.pack(rows)
            best = self.crf.decode(self.scores(features[places]), torch.from_numpy(counts.astype(np.int64)))
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
        features: int32 [N, F], see `gatework.tasks.tag.windows.features`.
        tags: int64 [N], below `classes`; -1 does not count.
        offsets: [n + 1], where sentences start.
        allowed: which tags may start, follow each other and end, for the answers.
    """
    return _fit(features, tags, offsets, Crf(classes, allowed), _by_token, seed)


def fit_crf(
    features: np.ndarray,
    tags: np.ndarray,
    offsets: np.ndarray,
    classes: int,
    allowed: Allowed | None = None,
    seed: int = 0,
) -> Linear:
    """The same with weights of transitions, learned by the likelihood of whole sentences (Lafferty et al. 2001)."""
    return _fit(features, tags, offsets, Crf(classes, allowed), _by_sentence, seed)


Nats = Callable[[Crf, Tensor, Tensor, Tensor], Tensor]


def _by_token(crf: Crf, scores: Tensor, tags: Tensor, counts: Tensor) -> Tensor:
    return functional.cross_entropy(scores, tags, ignore_index=-1, reduction="sum")


def _by_sentence(crf: Crf, scores: Tensor, tags: Tensor, counts: Tensor) -> Tensor:
    return crf.loss(scores, tags, counts).sum()


@torch.enable_grad()
def _fit(features: np.ndarray, tags: np.ndarray, offsets: np.ndarray, crf: Crf, nats: Nats, seed: int) -> Linear:
    classes, sentences = len(crf.start), Ragged(np.arange(len(tags)), offsets)
    chosen, epochs = _bounded(sentences, features.shape[1] * (classes + 16), seed)
    numbers, size = _numbered(features, classes)
    told = f"{size - 1:,} features, {epochs} passes over {len(chosen):,} sentences"
    told += f" of {len(sentences):,}, so that it takes seconds" if len(chosen) < len(sentences) else ""
    model = Linear(numbers, torch.zeros(size, classes), crf, told)
    descent = _Descent(model, nats)
    for epoch in range(epochs):
        batches = list(_batches(sentences.lengths[chosen], seed, epoch))
        for number, rows in enumerate(batches):
            places, counts, _ = sentences.pack(chosen[rows])
            rate = RATE * (1 - (epoch + number / len(batches)) / epochs)
            descent.step(features[places], tags[places], counts, rate)
    crf.requires_grad_(False)
    return model


def _bounded(sentences: Ragged, work: int, seed: int) -> tuple[np.ndarray, int]:
    """Which sentences are learned, and how often, where a token costs so much work. No clock decides, so that the same
    data has the same baseline on any machine."""
    whole = len(sentences.values) * work
    rows = np.random.default_rng(seed).permutation(len(sentences))
    kept = np.cumsum(sentences.lengths[rows]) * work <= max(MOST_WORK, work * int(sentences.lengths.max(initial=0)))
    return np.sort(rows[kept]), int(np.clip(MOST_WORK // max(whole, 1), 1, EPOCHS))


def _numbered(features: np.ndarray, classes: int) -> tuple[np.ndarray, int]:
    """int32 [2^BITS]: numbers 1 to D - 1 of the features that are there, and D. Where these are too many, the rarest
    are left out."""
    counts = np.zeros(2**BITS, np.int64)
    for first in range(0, len(features), COUNTED):
        counts += np.bincount((features[first : first + COUNTED] & (2**BITS - 1)).ravel(), minlength=2**BITS)
    least = 1
    while np.count_nonzero(counts >= least) * classes > MOST_WEIGHTS:
        least += 1
    kept = counts >= least
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32), int(kept.sum()) + 1


def _batches(lengths: np.ndarray, seed: int, epoch: int) -> Iterator[np.ndarray]:
    for rows in batch_rows(lengths, BATCH, seed=seed, epoch=epoch):
        yield from within(rows, lengths, AT_ONCE)


class _Descent:
    """AdaGrad: each weight's step is divided by the root of the sum of its squared gradients so far. Only the rows of
    features that stand in a batch are touched."""

    def __init__(self, model: Linear, nats: Nats):
        self.model, self.nats = model, nats
        self.squares = torch.full_like(model.weight, START)
        self.moves = (
            [] if nats is _by_token else [(move, torch.full_like(move, START)) for move in model.crf.parameters()]
        )

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


def fit_labels(texts: Sequence[str], labels: np.ndarray) -> Callable[[Sequence[str]], np.ndarray]:
    """Labels of whole sentences: logistic regression on TF-IDF of their words and pairs of words.

        fit_labels(["play a song", "rain in Rome ?"], np.array([1, 0]))(["a song"])       # [1]

    `texts` are tokens joined by spaces; `labels` are numbers [n], -1 does not count.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    known = np.flatnonzero(labels >= 0)
    different = np.unique(labels[known])
    if len(different) < 2:
        return lambda others: np.full(len(others), different[0] if len(different) else 0)
    bag = Bag(2, spaces=True)
    features = bag.fit_transform([texts[row] for row in known.tolist()])
    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=10.0, max_iter=100).fit(features, labels[known])
    return lambda others: model.predict(bag.transform(others))
