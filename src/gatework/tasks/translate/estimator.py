"""`Translator`: the job in the shape of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self, cast

import numpy as np

from gatework.errors import DataError
from gatework.tasks.base import Source
from gatework.tasks.estimator import Estimator
from gatework.tasks.translate import measures
from gatework.tasks.translate.task import Translate


class Looked(NamedTuple):
    """Attention of a translation: weights (t, S) of its t units, the last one its end (""), on the S of the source."""

    target_units: list[str]
    source_units: list[str]
    weights: np.ndarray


class Translator(Estimator):
    """Writes a sequence for a sequence: sentences in another language, sounds of letters, numbers in words.

        model = Translator(epochs=20).fit(["eins", "zwei"], ["one", "two"])
        model.predict(["zwei"])                                     # ["two"]
        model.predict(["zwei"], beam=1, max_length=10)              # how: the options of `gatework predict`
        model.n_best(["zwei"], 3)                                   # [[("two", -0.1), ...]]
        model.looks(["zwei"])[0].weights                            # (t, S): where each written unit looked

    The parameters are the options of the job (`gatework train translate --help`). X is a list of n texts; or a path, a
    frame or a list of pairs that hold the targets too. `clone`, `cross_val_score` and grid searches work.
    """

    Task = Translate
    _reads = ("string", "one_d_array")

    def fit(self, X: Source, y: Sequence[str] | None = None) -> Self:
        """Learns from source texts X [n] and their targets y [n]; or from a source X of pairs (y None).

        Raises: DataError where the numbers of texts differ, or a text is missing.
        """
        return self._fit(X if y is None else pairs(X, y))

    def predict(self, X: Source, **how: object) -> np.ndarray:
        """The translation of each of n texts, [n]; of an empty text an empty one. `how` are the options of
        `gatework predict`: beam, length_penalty, must, must_not, max_length, ..."""
        return np.array([row["translation"] for row in self._fitted().predict(X, **how)], object)

    def n_best(self, X: Source, count: int = 5, **how: object) -> list[list[tuple[str, float]]]:
        """At most `count` translations of each of n texts with their scores, the best first; see `predict`."""
        rows = self._fitted().predict(X, n_best=count, **how)
        return [[(each["translation"], each["score"]) for each in row.get("n_best", [row])] for row in rows]

    def looks(self, X: Source, **how: object) -> list[Looked]:
        """What each unit of the best translation looked at, for each of n texts; see `predict`."""
        rows = self._fitted().predict(X, attention=True, **how)
        return [_looked(row) for row in rows]

    def score(self, X: Source, y: Sequence[str] | None = None) -> float:
        """BLEU (0 to 100), or of spellings the share that is right as a whole; X and y as for `fit`."""
        if y is None:
            found = self._fitted().evaluate(X)
        else:
            (sources, targets), task = pairs(X, y), self._task()
            said = self.predict(sources).tolist()
            found = measures.measures(said, targets, task.codecs.kind, lower=task.lower)
        return found["bleu"] if "bleu" in found else 1.0 - found["word_error"]

    def signature(self) -> dict[str, str]:
        """How BLEU, chrF and TER are counted, as sacrebleu writes it."""
        return measures.signature(lower=self._task().lower)

    def _task(self) -> Translate:
        return cast("Translate", self._fitted().task)


def _looked(row: dict[str, Any]) -> Looked:
    units = row.get("target_units", []), row.get("source_units", [])
    return Looked(*units, np.array(row.get("attention", []), float).reshape(len(units[0]), len(units[1])))


def pairs(X: Source, y: Sequence[str]) -> tuple[list[str], list[str]]:
    """Both sides, of equal length."""
    sides = list(X), list(y)
    if len(sides[0]) != len(sides[1]):
        raise DataError(f"{len(sides[0])} source texts, but {len(sides[1])} targets; give each text one")
    return sides
