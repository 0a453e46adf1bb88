"""What a result is compared with: each word's most frequent tag, a linear model on windows, a linear CRF on them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl

from gatework.data.ngrams import Bag
from gatework.tasks.tag.answers import Answers
from gatework.tasks.tag.examples import Examples
from gatework.tasks.tag.linear import Allowed, Linear, fit_crf, fit_linear

# Name and fit of the linear models, by the output (`TagOptions.output`) of the tagger that one is part of.
LINEAR = {"softmax": ("linear model on windows", fit_linear), "crf": ("linear CRF on windows", fit_crf)}
Features = tuple[Examples, np.ndarray]  # and the features int32 [N, F] of its tokens


class Baseline(NamedTuple):
    """What a baseline is called, what is to be said of it, and what it answers."""

    name: str
    note: str
    answers: Answers


def baselines(
    train: Features, last: Features, classes: int, allowed: Allowed | None, seed: int, fitted: Mapping[str, Linear]
) -> Iterator[Baseline]:
    """Fitted on `train`, answering for `last`: tags below `classes`, and labels where sentences have such. `fitted` are
    the linear models that are there already, by the keys of LINEAR."""
    (learned, features), (asked, others) = train, last
    usual, labels = _labelled(learned, asked)
    tags = most_frequent(learned.sentences.tokens, learned.tags)(asked.sentences.tokens)
    yield Baseline("most frequent tag", "of each word; of unknown words, of all", _answers(tags, usual))
    for output, (name, fit) in LINEAR.items():
        model = fitted.get(output) or fit(features, learned.tags, learned.inputs.offsets, classes, allowed, seed)
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
