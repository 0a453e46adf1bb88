"""What every result is compared with: the majority, the best linear model on n-grams, the nearest neighbour."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gatework.data.ngrams import Bag
from gatework.data.splits import split_rows
from gatework.tasks.base import Contender, Parts
from gatework.tasks.classify.examples import Examples
from gatework.tasks.classify.measures import hard_measures, measures, score, sums
from gatework.tasks.classify.media_baselines import media_baselines
from gatework.tasks.classify.options import ClassifyOptions
from gatework.tasks.classify.reading import width

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

STEPS = 100  # points to which sequences of different lengths are stretched
HELD = 0.1  # of the training rows, where they must choose
MOST_CHARACTERS = 5_000_000  # of texts whose character n-grams are tried


def baselines(parts: Parts, classes: int, options: ClassifyOptions, metric: str) -> list[Contender]:
    """Fitted on the training part, measured on `parts.last`; `metric` chooses, and with `class_weights` they weigh rare
    classes up as the model does."""
    train, test = parts.train, parts.last[1]
    majority = majority_baseline(train, test, classes)
    if train.media is not None:
        return [majority, *media_baselines(parts, classes, options, metric)]
    if train.texts is None:
        return [majority, nearest_baseline(train, test, classes)]
    return [majority, linear_baseline(parts, classes, options, metric)]


def majority_baseline(train: Examples, test: Examples, classes: int) -> Contender:
    most = int(np.bincount(train.labels, minlength=classes).argmax())
    predicted = np.full(len(test), most)
    return _hard("majority", predicted, test, classes, "always the most frequent label")


def _hard(name: str, predicted: np.ndarray, test: Examples, classes: int, note: str) -> Contender:
    """A method that gives labels without probabilities."""
    found = hard_measures(predicted, test.labels, classes)
    return Contender(name, found, note, sums=sums(predicted, test.labels, classes))


@dataclass
class Tried:
    """A linear model on TF-IDF features, and how good it is where the best is chosen."""

    words: str
    method: str
    bag: Bag
    features: csr_matrix
    fitted: Any
    score: float

    def contender(self, train: Examples, test: Examples, classes: int, beside: str, again: bool) -> Contender:
        """Measured on the test part; `again`: fitted to all training rows first."""
        if again:
            _fit(self.fitted, self.features, train.labels)
        features = self.bag.transform(_texts(test))
        predicted = self.fitted.predict(features)
        name, counted = f"TF-IDF of {self.words} + {self.method}", sums(predicted, test.labels, classes)
        note = f"{sum(self.bag.sizes):,} features, C = {self.fitted.C:g}{beside}"
        if not hasattr(self.fitted, "predict_proba"):
            return Contender(name, hard_measures(predicted, test.labels, classes), note, sums=counted)
        probabilities = np.zeros((len(test), classes))
        probabilities[:, self.fitted.classes_] = self.fitted.predict_proba(features)
        return Contender(name, measures(probabilities, predicted, test.labels), note, sums=counted)


def linear_baseline(parts: Parts, classes: int, options: ClassifyOptions, metric: str) -> Contender:
    """The best linear model on validation rows: of words alone, of characters too, or of letters at their places where
    all texts have one length; a support vector machine (Joachims 1998) or logistic regression. Scripts without spaces
    are read by character.

    What would take more than some seconds is left out, by the size of the features and not by the clock, so that the
    same data has the same baseline on any machine; the note tells it.
    """
    train, balanced = parts.train, options.class_weights == "balanced"
    tried = list(_tries(parts, classes, options, metric))
    best = max(tried, key=lambda each: each.score)
    most = (len(FEATURES) if width(_texts(train)) else len(FEATURES) - 1) * len(METHODS)
    left = f"; {most - len(tried)} left out, as they would take long" if len(tried) < most else ""
    beside = f"{', balanced classes' if balanced else ''}; best of {len(tried)} on validation rows{left}"
    return best.contender(train, parts.last[1], classes, beside, again=options.refit)


def _tries(parts: Parts, classes: int, options: ClassifyOptions, metric: str) -> Iterator[Tried]:
    """Every linear model that takes no more than seconds, the quickest first."""
    train, balanced = parts.train, "balanced" if options.class_weights == "balanced" else None
    kept, held = np.arange(len(train)), None
    if options.refit:  # validation rows are learned: others must choose
        kept, held = split_rows(len(train), HELD, labels=train.labels, seed=options.seed)
    for words, (characters, places) in FEATURES.items():
        if places and not width(_texts(train)):
            continue
        if characters and _texts(train).str.len_chars().sum() > MOST_CHARACTERS:
            return
        bag = Bag(0 if places else 2, characters, spaces=options.spaces, places=places, lower=options.lower)
        features = bag.fit_transform(_texts(train))
        judges = bag.transform(_texts(parts.valid)) if held is None else features[held]
        truth = parts.valid.labels if held is None else train.labels[held]
        for method, (make, most) in METHODS.items():
            if features.nnz * (classes if classes > 2 else 1) > most and (words, method) != FIRST:
                continue
            fitted = _fit(make(class_weight=balanced), features[kept], train.labels[kept])
            judged = sums(fitted.predict(judges), truth, classes).sum(axis=0)
            yield Tried(words, method, bag, features, fitted, float(score(judged, metric)))


def _fit(model: Any, features: csr_matrix, labels: np.ndarray) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with warnings.catch_warnings(), threadpool_limits(1, "blas"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, labels)


def _texts(examples: Examples) -> pl.Series:
    assert examples.texts is not None
    return examples.texts.fill_null("").str.strip_chars()


def support_vectors(class_weight: str | None) -> Any:
    from sklearn.svm import LinearSVC

    return LinearSVC(C=1.0, class_weight=class_weight, random_state=0)


def logistic_regression(class_weight: str | None) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10.0, max_iter=100, class_weight=class_weight)


# Character n-grams inside words, and the longest of letters at their places, which only texts of one length have.
FEATURES: dict[str, tuple[tuple[int, int] | None, int]] = {
    "words": (None, 0),
    "letters at their places": (None, 3),
    "words and characters": ((2, 5), 0),
}
# Each method, and the largest product of stored features and classes that it is given: some ten seconds.
METHODS: dict[str, tuple[Callable[..., Any], int]] = {
    "linear SVM": (support_vectors, 60_000_000),
    "logistic regression": (logistic_regression, 10_000_000),
}
FIRST = ("words", "linear SVM")  # always tried


def nearest_baseline(train: Examples, test: Examples, classes: int) -> Contender:
    """The label of the training sequence at the smallest Euclidean distance, all stretched to equal length."""
    from sklearn.neighbors import KNeighborsClassifier

    steps = _steps(train)
    model = KNeighborsClassifier(1, algorithm="brute").fit(_stretched(train, steps), train.labels)
    predicted = model.predict(_stretched(test, steps))
    note = f"Euclidean distance, sequences stretched to {steps} steps"
    return _hard("1-NN", predicted, test, classes, note)


def _steps(train: Examples) -> int:
    lengths = train.inputs.lengths
    return int(lengths[0]) if (lengths == lengths[0]).all() else min(STEPS, int(lengths.max()))


def _stretched(examples: Examples, steps: int) -> np.ndarray:
    """[n, steps * C]: every channel at `steps` equally spaced points."""
    rows = []
    for i in range(len(examples)):
        values = examples.inputs[i]
        at = np.linspace(0, len(values) - 1, steps)
        rows.append(np.concatenate([np.interp(at, np.arange(len(values)), column) for column in values.T]))
    return np.stack(rows)
