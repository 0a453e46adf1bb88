"""What columns known ahead do to values: taken out of the past that a model sees, put into what it forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

LEAST = 0.05  # of the mean of a column: what a smaller value does is that of this one, where its logarithm counts


@dataclass(frozen=True)
class Effects:
    """`each` [S, (1 + D) * F]: what a unit of each of F channels known ahead adds to a series' value (`log`: to its
    logarithm) at the same step, then what it adds one step later, and so on, D times.

    `usual` [(1 + D) * F] is that of a series which training had not, for each unit of the deviation of its values; of
    logarithms as it is. `bends` [F] are 0 where the effect is a straight line; else it goes with the logarithm of the
    column, whose mean is 1 / bend of the channel's units.
    """

    each: np.ndarray
    usual: np.ndarray
    bends: np.ndarray
    log: bool

    def take(self, numbers: np.ndarray) -> Effects:
        return replace(self, each=self.each[numbers])

    def and_of(self, later: Effects) -> Effects:
        """Those of these series, then of others."""
        return replace(self, each=np.concatenate([self.each, later.each]))

    def of(self, numbers: Sequence[int | None], values: Sequence[np.ndarray]) -> Effects:
        """Those of some series, None for a new one, of which these are the values."""
        rows = [
            self.usual * deviation(part, self.log) if number is None else self.each[number]
            for number, part in zip(numbers, values, strict=True)
        ]
        return replace(self, each=np.array(rows).reshape(len(rows), len(self.usual)))

    def added(self, known: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """[M]: what is added at each step of series that lie one after another, by what is known ahead [M, F]."""
        owners = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        several = len(self.usual) // max(len(self.bends), 1)
        return (lagged(bent(known, self.bends), offsets, several) * self.each[owners]).sum(axis=1)


def bent(known: np.ndarray, bends: np.ndarray) -> np.ndarray:
    """[M, F]: log(1 + bend * x) / bend, which is x near the mean."""
    known, divisor = known.astype(np.float64), np.where(bends > 0, bends, 1.0)
    return np.where(bends > 0, np.log(np.maximum(1 + divisor * known, LEAST)) / divisor, known)


def lagged(known: np.ndarray, offsets: np.ndarray, several: int) -> np.ndarray:
    """[M, several * F]: what is known ahead [M, F], then that of the step before, and so on; 0 before a series."""
    parts = [known]
    for _ in range(several - 1):
        before = np.concatenate([np.zeros((1, known.shape[1])), parts[-1]])[:-1] if len(known) else known
        before[offsets[:-1][np.diff(offsets) > 0]] = 0.0
        parts.append(before)
    return np.concatenate(parts, axis=1)


def deviation(values: np.ndarray, log: bool) -> float:
    """The unit of a series' effects: 1 of logarithms, and of values that do not vary."""
    known = values[~np.isnan(values)]
    return (float(known.std()) if len(known) and not log else 1.0) or 1.0
