"""`Answerer`: the job in the shape of scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

import numpy as np

from gatework.errors import DataError
from gatework.tasks.answer import reading
from gatework.tasks.answer.decoding import looks
from gatework.tasks.answer.task import Answer, rightly
from gatework.tasks.base import Source
from gatework.tasks.estimator import Estimator


class Answerer(Estimator):
    """Answers questions about stories.

        model = Answerer(epochs=30).fit(questions, answers)   # [{"story": ["Mary went home."], "question": "..."}, ...]
        model.predict([{"story": ["Mary went home."], "question": "Where is Mary?"}])            # ["home"]
        model.looks(questions)[0]                             # (hops, S): what each reading of the story looked at

    The parameters are the options of the job (`gatework train answer --help`). X is a list of n objects, a frame, or
    a path; it may hold the answers too.
    """

    Task = Answer
    _reads = ("dict",)

    def fit(self, X: Source, y: Sequence[str] | None = None) -> Self:
        """Learns from questions X [n] and their answers y [n]; or from a source X that holds the answers (y None)."""
        return self._fit(X if y is None else answered(X, y))

    def predict(self, X: Source) -> np.ndarray:
        """The answers to n questions, texts [n]."""
        return np.array([row["answer"] for row in self._fitted().predict(X)], object)

    def looks(self, X: Source) -> list[np.ndarray]:
        """What each reading looked at, for each of n questions: weights (hops, S) of the S sentences that were read,
        the first one first; each row adds up to 1."""
        trained = self._fitted()
        task = cast("Answer", trained.task)
        read = reading.read(X, task.options, answered=False)
        return looks(cast("Any", trained.model), task.codecs.encode(read))

    def score(self, X: Source, y: Sequence[str] | None = None) -> float:
        """Accuracy: the share of the answers that are right as a whole; X and y as for `fit`."""
        source = X if y is None else answered(X, y)
        read = reading.read(source, cast("Answer", self._fitted().task).options)
        return float(rightly(self.predict(source).tolist(), read).mean())


def answered(X: Source, y: Sequence[str]) -> list[dict[str, Any]]:
    """Objects with their answers."""
    rows = X.to_dicts() if hasattr(X, "to_dicts") else X.to_dict("records") if hasattr(X, "iloc") else X
    if not isinstance(rows, list | tuple | np.ndarray) or not all(isinstance(row, Mapping) for row in rows):
        raise DataError(f"with answers y, X is a list of objects such as {reading.AN_OBJECT}, not {type(X).__name__}")
    if len(rows) != len(y):
        raise DataError(f"{len(rows)} questions, but {len(y)} answers; give each question one")
    return [{**row, "answer": answer} for row, answer in zip(rows, y, strict=True)]
