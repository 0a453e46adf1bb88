"""What every result is compared with: the majority, a linear model on TF-IDF bigrams, the nearest neighbour."""

from __future__ import annotations

import warnings

import numpy as np

from gatework.tasks.base import Contender
from gatework.tasks.classify.examples import Examples
from gatework.tasks.classify.measures import hard_measures, measures, sums

MARKS = r"\w+|[^\w\s]"  # words and punctuation marks
STEPS = 100  # points to which sequences of different lengths are stretched


def baselines(
    train: Examples, test: Examples, classes: int, spaces: bool = False, balanced: bool = False
) -> list[Contender]:
    """Fitted on the training part, measured on the test part; `balanced` weighs rare classes up, as the model does."""
    majority = majority_baseline(train, test, classes)
    if train.texts is None:
        return [majority, nearest_baseline(train, test, classes)]
    return [majority, linear_baseline(train, test, classes, spaces, balanced)]


def majority_baseline(train: Examples, test: Examples, classes: int) -> Contender:
    most = int(np.bincount(train.labels, minlength=classes).argmax())
    predicted = np.full(len(test), most)
    return _hard("majority", predicted, test, classes, "always the most frequent label")


def _hard(name: str, predicted: np.ndarray, test: Examples, classes: int, note: str) -> Contender:
    """A method that gives labels without probabilities."""
    found = hard_measures(predicted, test.labels, classes)
    return Contender(name, found, note, sums=sums(predicted, test.labels, classes))


def linear_baseline(
    train: Examples, test: Examples, classes: int, spaces: bool = False, balanced: bool = False
) -> Contender:
    """scikit-learn's own pipeline with its defaults, except for sublinear counts and C, as commonly recommended."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    assert train.texts is not None and test.texts is not None
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+" if spaces else MARKS)
    features = vectorizer.fit_transform(train.texts.fill_null("").to_list())
    model = LogisticRegression(C=10.0, max_iter=300, class_weight="balanced" if balanced else None)
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, train.labels)
    some = model.predict_proba(vectorizer.transform(test.texts.fill_null("").to_list()))
    probabilities = np.zeros((len(test), classes))
    probabilities[:, model.classes_] = some
    predicted = probabilities.argmax(axis=1)
    result, counted = measures(probabilities, predicted, test.labels), sums(predicted, test.labels, classes)
    note = f"{features.shape[1]:,} features, C = 10{', balanced classes' if balanced else ''}"
    return Contender("TF-IDF bigrams + logistic regression", result, note, sums=counted)


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
