"""`Captioner`: the job in the shape of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self, cast

import numpy as np

from gatework.errors import DataError
from gatework.tasks.base import Source
from gatework.tasks.caption import measures
from gatework.tasks.caption.task import Caption
from gatework.tasks.estimator import Estimator


class Looked(NamedTuple):
    """Attention of a caption: weights (t, S) of its t units, the last one its end (""), on the S places of a picture's
    map (row after row), frames of a film, or vectors."""

    units: list[str]
    weights: np.ndarray


class Captioner(Estimator):
    """Writes a text for a picture or a film.

        model = Captioner(epochs=20).fit(pictures, ["red circle", "two dogs"])       # arrays (n, H, W, C), or paths
        model.predict(pictures)                                    # ["red circle", "two dogs"]
        model.predict(["a.png"], beam=1)                           # how: the options of `gatework predict`
        model.n_best(pictures, 3)                                  # [[("red circle", -0.1), ...]]
        model.looks(pictures)[0].weights                           # (t, S): where each written unit looked

    The parameters are the options of the job (`gatework train caption --help`). X is a list of n pictures: paths or
    arrays, uint8 (H, W) or (H, W, C); of n films (T, H, W[, C]); or a path, a frame or a list of dicts that hold the
    captions too. `clone`, `cross_val_score` and grid searches work.
    """

    Task = Caption
    _reads = ("three_d_array", "one_d_array")

    def fit(self, X: Source, y: Sequence[str] | None = None) -> Self:
        """Learns from pictures X [n] and their captions y [n]; or from a source X of both (y None).

        Raises: DataError where the numbers differ, or what is broken in files.
        """
        return self._fit(X if y is None else pairs(X, y))

    def predict(self, X: Source, **how: object) -> np.ndarray:
        """The caption of each of n pictures, [n]. `how` are the options of `gatework predict`: beam, length_penalty,
        must, must_not, max_length, ..."""
        return np.array([row["caption"] for row in self._fitted().predict(X, **how)], object)

    def n_best(self, X: Source, count: int = 5, **how: object) -> list[list[tuple[str, float]]]:
        """At most `count` captions of each of n pictures with their scores, the best first; see `predict`."""
        rows = self._fitted().predict(X, n_best=count, **how)
        return [[(each["caption"], each["score"]) for each in row.get("n_best", [row])] for row in rows]

    def looks(self, X: Source, **how: object) -> list[Looked]:
        """What each unit of the best caption looked at, for each of n pictures; see `predict`."""
        return [_looked(row) for row in self._fitted().predict(X, attention=True, **how)]

    def score(self, X: Source, y: Sequence[str] | None = None) -> float:
        """The share that is right as a whole, or of sentences BLEU (0 to 100); X and y as for `fit`."""
        task = cast("Caption", self._fitted().task)
        if y is None:
            return self._fitted().evaluate(X)[task.metric.name]
        said, references = self.predict(X).tolist(), [[text] for text in y]
        return measures.measures(said, references)[task.metric.name]


def _looked(row: dict[str, Any]) -> Looked:
    units = row.get("units", [])
    return Looked(units, np.array(row.get("attention", []), float).reshape(len(units), -1))


def pairs(X: Source, y: Sequence[str]) -> tuple[Any, list[str]]:
    """Pictures and captions, of equal number."""
    texts = [str(text) for text in y]
    if len(X) != len(texts):
        raise DataError(f"{len(X)} pictures, but {len(texts)} captions; give each picture one")
    return X, texts
