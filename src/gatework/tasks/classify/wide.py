"""A linear model on n-grams beside the recurrent network; the two decide together.

Each learns for itself and their logits are averaged (Classifier.forward). Learning the network on top of the n-gram
model's logits was tried and leaves it nothing to learn from: on held-out questions and reviews it then added nothing.
"""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import torch
from torch import nn

from gatework.data.batching import pieces
from gatework.data.ngrams import Bag
from gatework.tasks.classify.options import ClassifyOptions

MANY_WORDS = 1_000_000
PLACES = 3  # longest n-gram of letters at their places


def make_bag(options: ClassifyOptions, tokens: int) -> Bag | None:
    """The n-grams that `options.ngrams` asks for, given the number of tokens to train on; None: no n-grams."""
    kind = options.ngrams
    if kind == "auto":
        kind = "both" if tokens < MANY_WORDS else "words"
    if kind == "none":
        return None
    words = options.ngram_length if kind in ("words", "both") else 0
    characters = (1, 6) if kind in ("characters", "both", "places") else None
    places = PLACES if kind == "places" else 0
    rare = 1 if tokens < MANY_WORDS else 2
    return Bag(words, characters, rare, spaces=options.spaces, places=places, lower=options.lower)


class Wide(nn.Module):
    """Keys, weights and coefficients of the n-gram model, as buffers: they are saved with the network's weights."""

    def __init__(self, sizes: tuple[int, ...], classes: int):
        super().__init__()
        for i, size in enumerate(sizes):
            self.register_buffer(f"keys{i}", torch.zeros(size, dtype=torch.int64))
            self.register_buffer(f"weights{i}", torch.zeros(size))
        self.register_buffer("coefficients", torch.zeros(sum(sizes), classes))
        self.register_buffer("intercept", torch.zeros(classes))

    @property
    def is_empty(self) -> bool:
        """Whether it has shapes, and no memory yet."""
        return bool(self.intercept.is_meta)

    def take(self, bag: Bag, coefficients: np.ndarray, intercept: np.ndarray) -> None:
        """Fills the buffers with a fitted model."""
        for i, (keys, weights) in enumerate(zip(bag.keys, bag.weights, strict=True)):
            getattr(self, f"keys{i}").copy_(torch.from_numpy(keys.view(np.int64)))
            getattr(self, f"weights{i}").copy_(torch.from_numpy(weights))
        self.coefficients.copy_(torch.from_numpy(coefficients))  # type: ignore[operator]
        self.intercept.copy_(torch.from_numpy(intercept))  # type: ignore[operator]

    def logits(self, bag: Bag, texts: pl.Series) -> np.ndarray:
        """Logits [n, K] of texts; `bag` says which n-grams, the buffers what they weigh."""
        blocks = len(self._buffers) // 2 - 1
        bag.keys = tuple(getattr(self, f"keys{i}").numpy().view(np.uint64) for i in range(blocks))
        bag.weights = tuple(getattr(self, f"weights{i}").numpy() for i in range(blocks))
        return np.concatenate([self.scores(bag.transform(texts[piece])) for piece in pieces(texts)])

    def scores(self, features) -> np.ndarray:
        """Logits [n, K] of sparse features [n, F]."""
        return features @ self.coefficients.numpy() + self.intercept.numpy()  # type: ignore[operator]


def fit_linear(features, labels: np.ndarray, classes: int, options: ClassifyOptions) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients [F, K] and intercept [K]; a class without rows never wins.

    One logistic regression for each class, on features weighed by their naive Bayes log-count ratio for that class
    (Wang & Manning 2012, section 2.3). With two classes one serves both.
    """
    coefficients = np.zeros((features.shape[1], classes), np.float32)
    intercept = np.full(classes, np.nan, np.float32)
    present = np.unique(labels)
    for k in present[1:] if len(present) == 2 else present:
        coefficients[:, k], intercept[k] = _one_class(features, labels == k, options)
    if len(present) == 2:
        other, one = present
        coefficients[:, one], intercept[one] = coefficients[:, one] / 2, intercept[one] / 2
        coefficients[:, other], intercept[other] = -coefficients[:, one], -intercept[one]
    return coefficients, np.where(np.isnan(intercept), np.nanmin(intercept) - 5, intercept).astype(np.float32)


def _one_class(features, mine: np.ndarray, options: ClassifyOptions) -> tuple[np.ndarray, float]:
    """Coefficients [F] and intercept of a logistic regression that tells one class from the rest."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    balanced = "balanced" if options.class_weights == "balanced" else None
    model = LogisticRegression(C=options.ngram_strength, class_weight=balanced, max_iter=300)
    ratios = log_ratios(features, mine)
    weighed = features.copy()
    weighed.data *= ratios[weighed.indices]
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):  # products are sparse: others would but spin
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly converged is good enough for an offset
        model.fit(weighed, mine)
    return np.asarray(model.coef_)[0] * ratios, float(np.asarray(model.intercept_)[0])


def log_ratios(features, mine: np.ndarray) -> np.ndarray:
    """log((p / |p|) / (q / |q|)) [F]: p counts the rows of a class that hold a feature, plus one, q all others'."""
    size = features.shape[1]
    inside = np.bincount(features[mine].indices, minlength=size) + 1.0
    outside = np.bincount(features[~mine].indices, minlength=size) + 1.0
    return np.log((inside / inside.sum()) / (outside / outside.sum())).astype(np.float32)
