"""`Transcriber`: the job in the shape of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self, cast

import numpy as np

from gatework.errors import DataError
from gatework.tasks.base import Source
from gatework.tasks.estimator import Estimator
from gatework.tasks.transcribe import measures
from gatework.tasks.transcribe.options import TranscribePredicting
from gatework.tasks.transcribe.streams import Recogniser
from gatework.tasks.transcribe.task import Transcribe


class Word(NamedTuple):
    """A word of a transcript, where it begins and ends (seconds; of a picture points), and how sure the model is."""

    word: str
    start: float
    end: float
    confidence: float


class Transcriber(Estimator):
    """Writes what is said in recordings, or what stands on pictures of lines.

        model = Transcriber(rate=8_000, epochs=20).fit(samples, texts)      # n arrays (t,) and n texts
        model.predict(samples)                                              # [n] texts
        model.predict("call.wav", beam=16, lm_weight=0.5)                   # how: the options of `gatework predict`
        model.words("call.wav")[0]                                          # [Word("seven", 0.12, 0.48, 0.99), ...]
        Transcriber(image="file", text="words").fit("lines.csv")            # or a table, a folder, a frame

    The parameters are the options of the job (`gatework train transcribe --help`). X is a list of n recordings: arrays
    (t,) at `rate`, pairs (array, its rate), or paths; of pictures arrays (H, W) or paths; or a table, a folder or a
    frame that holds the texts too. `clone`, `cross_val_score` and grid searches work.
    """

    Task = Transcribe
    _reads = ("one_d_array", "string")

    def fit(self, X: Source, y: Sequence[str] | None = None) -> Self:
        """Learns from recordings X [n] and their texts y [n]; or from a source X that holds both (y None).

        Raises: DataError where the numbers differ, or a file cannot be read: all such files are named.
        """
        return self._fit(X) if y is None else self._fit(paired(X, y), text=None)

    def predict(self, X: Source, **how: object) -> np.ndarray:
        """The text of each of n recordings, [n]. `how` are the options of `gatework predict`: beam, lm_weight,
        unit_bonus, word_list."""
        return np.array([row["text"] for row in self._fitted().predict(X, **how)], object)

    def confidence(self, X: Source, **how: object) -> np.ndarray:
        """The probability [n] that the network gives to the text of each recording."""
        return np.array([row["confidence"] for row in self._fitted().predict(X, **how)], float)

    def words(self, X: Source, **how: object) -> list[list[Word]]:
        """The words of each of n recordings with their times; see `predict`."""
        rows = self._fitted().predict(X, timestamps=True, **how)
        return [[Word(**word) for word in row["words"]] for row in rows]

    def n_best(self, X: Source, count: int = 5, **how: object) -> list[list[tuple[str, float]]]:
        """At most `count` texts of each of n recordings with their scores, the best first; see `predict`."""
        asked = 2 if count == 1 else count  # where one is asked for, no scores are told
        rows = self._fitted().predict(X, n_best=asked, **how)
        return [[(each["text"], each["score"]) for each in row["n_best"][:count]] for row in rows]

    def stream(self, rate: int | None = None, **how: object) -> Recogniser:
        """Reads a recording as it comes: `feed(samples)`, `partial()`, `finish()`; of a model with bidirectional=False.

        `rate` of the samples; None: that of the model. `how` as for `predict`."""
        trained, task = self._fitted(), self._task()
        searching = task.searching(TranscribePredicting.of(how))
        return Recogniser(cast("Any", trained.model), task.hearing, searching, rate)

    def score(self, X: Source, y: Sequence[str] | None = None) -> float:
        """1 - word error, or 1 - character error where characters are the units; X and y as for `fit`."""
        found = self._fitted().evaluate(X) if y is None else measures.measures(self.predict(X).tolist(), list(y))
        return 1.0 - found[self._task().metric.name]

    def _task(self) -> Transcribe:
        return cast("Transcribe", self._fitted().task)


def paired(X: Source, y: Sequence[str]) -> tuple[Source, list[str]]:
    """Recordings or pictures beside their texts; numbers are read as they are written."""
    items = X if hasattr(X, "__len__") and not isinstance(X, str) else list(X)
    if len(items) != len(y):
        raise DataError(f"{len(items)} recordings, but {len(y)} texts; give each recording one")
    return items, [text if text is None else str(text) for text in y]
