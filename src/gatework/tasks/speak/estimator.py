"""`Speaker`: the job in the shape of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, cast

import numpy as np

from gatework.errors import DataError
from gatework.tasks.base import Source
from gatework.tasks.estimator import Estimator
from gatework.tasks.speak.options import SpeakPredicting
from gatework.tasks.speak.task import Speak


class Speaker(Estimator):
    """Says texts, in the voices of those who were recorded.

        model = Speaker(epochs=60).fit([(samples, 8000), ...], ["seven", ...])   # or fit("clips.csv")
        (said,) = model.predict(["seven two"])                      # samples float32 (n,), model.rate_ of them a second
        model.predict(["seven"], speaker="george")                  # whose voice: where there are several

    The parameters are the options of the job (`gatework train speak --help`). X of `fit` is a path, a frame, a list of
    dicts, or a list of recordings with their texts y; X of `predict` is a list of n texts, dicts, a frame or a path.
    """

    Task = Speak
    _reads = ("string", "one_d_array", "dict")

    def fit(self, X: Source, y: Sequence[str] | None = None) -> Self:
        """Learns from recordings X [n], arrays (samples, rate) or paths, and what they say, y [n]; or from a source X
        that holds the texts (y None).

        Raises: DataError where the numbers differ.
        """
        return self._fit(X if y is None else spoken(X, y))

    def predict(self, X: Source, **how: object) -> list[np.ndarray]:
        """The sound of each of n texts: samples float32 (n,) from -1 to 1, `rate_` of them a second. `how` are the
        options of `gatework predict`: speaker, threshold, max_seconds, rounds."""
        trained = self._fitted()
        found = self._task().soundings(cast("Any", trained.model), X, SpeakPredicting.of(how))
        return [each.samples for each in found]

    def score(self, X: Source, y: Sequence[str] | None = None) -> float:
        """Minus the mean distance in decibels from recordings (see `gatework train speak`): higher is better; X and y
        as for `fit`."""
        return -self._fitted().evaluate(X if y is None else spoken(X, y))["mcd"]

    @property
    def rate_(self) -> int:
        """Samples a second of what `predict` gives."""
        return self._task().codecs.mel.rate

    @property
    def speakers_(self) -> list[str]:
        """The voices there are; one without a name where none was named."""
        return self._task().codecs.speakers.classes

    def _task(self) -> Speak:
        return cast("Speak", self._fitted().task)


def spoken(X: Source, y: Sequence[str]) -> list[dict[str, Any]]:
    """Recordings with their texts."""
    sounds = list(X)
    if len(sounds) != len(y):
        raise DataError(f"{len(sounds)} recordings, but {len(y)} texts; give each recording one")
    return [
        {"audio": str(sound) if hasattr(sound, "__fspath__") else sound, "text": text}
        for sound, text in zip(sounds, y, strict=True)
    ]
