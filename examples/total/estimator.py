"""`Totaler`: the task in the shape of a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from gatework.tasks.estimator import Estimator

from . import Total


class Totaler(Estimator):
    """Adds up: `Totaler(epochs=50).fit(["1 2 = 3", "2 -1 0.5 = 1.5", ...]).predict(["0.5 1"])` is near [1.5]."""

    Task = Total

    def fit(self, X: Sequence[str], y: None = None) -> Self:
        """Learns from rows with sums."""
        return self._fit(list(X))

    def predict(self, X: Sequence[str]) -> list[float]:
        """The sum of each row."""
        return [row["sum"] for row in self._fitted().predict(list(X))]
