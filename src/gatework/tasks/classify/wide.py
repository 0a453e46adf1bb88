"""A linear model on n-grams beside the recurrent network: their logits are added.

The network learns with the n-gram model's logits in place, so it must see them as they will be on new texts: those of
the training rows come from models that did not see the row (five folds; stacking, Wolpert 1992), those of other rows
from the model fitted on all training rows.
"""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import torch
from torch import nn

from gatework.data.ngrams import Bag
from gatework.data.splits import folds
from gatework.tasks.classify.options import ClassifyOptions

MANY_WORDS = 1_000_000
FOLDS = 5


def make_bag(options: ClassifyOptions, tokens: int) -> Bag | None:
    """The n-grams that `options.ngrams` asks for, for training texts of so many tokens; None for none of them."""
    kind = options.ngrams
    if kind == "auto":
        kind = "both" if tokens < MANY_WORDS else "words"
    if kind == "none":
        return None
    words = options.ngram_length if kind in ("words", "both") else 0
    characters = (1, 6) if kind in ("characters", "both") else None
    return Bag(words, characters, 1 if tokens < MANY_WORDS else 2, spaces=options.spaces)


class Wide(nn.Module):
    """Keys, weights and coefficients of the n-gram model, as buffers: they are saved with the network's weights."""

    def __init__(self, sizes: tuple[int, ...], classes: int):
        super().__init__()
        for i, size in enumerate(sizes):
            self.register_buffer(f"keys{i}", torch.zeros(size, dtype=torch.int64))
            self.register_buffer(f"weights{i}", torch.zeros(size))
        self.register_buffer("coefficients", torch.zeros(sum(sizes), classes))
        self.register_buffer("intercept", torch.zeros(classes))

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
        return bag.transform(texts) @ self.coefficients.numpy() + self.intercept.numpy()  # type: ignore[operator]


def fit_linear(features, labels: np.ndarray, classes: int, options: ClassifyOptions) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients [F, K] and intercept [K] of a logistic regression; a class without rows never wins."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    balanced = "balanced" if options.class_weights == "balanced" else None
    model = LogisticRegression(C=options.ngram_strength, class_weight=balanced, max_iter=200, tol=1e-3)
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):  # products are sparse: others would but spin
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly converged is good enough for an offset
        model.fit(features, labels)
    weights, start = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(model.classes_) == 2:
        weights, start = np.concatenate([-weights / 2, weights / 2]), np.concatenate([-start / 2, start / 2])
    coefficients = np.zeros((features.shape[1], classes), np.float32)
    intercept = np.full(classes, start.min() - 5, np.float32)
    coefficients[:, model.classes_], intercept[model.classes_] = weights.T, start - start.mean()
    return coefficients, intercept


def out_of_fold(features, labels: np.ndarray, classes: int, options: ClassifyOptions, groups: np.ndarray) -> np.ndarray:
    """Logits [n, K] of each row from a model that saw neither it nor its twins."""
    logits = np.zeros((len(labels), classes), np.float32)
    for kept, left in folds(len(labels), FOLDS, labels=labels, groups=groups, seed=options.seed):
        if len(np.unique(labels[kept])) < 2:
            continue
        coefficients, intercept = fit_linear(features[kept], labels[kept], classes, options)
        logits[left] = features[left] @ coefficients + intercept
    return logits
