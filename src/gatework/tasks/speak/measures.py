"""How near sounds are to recordings: mel cepstral distance after dynamic time warping, and whether texts ended.

    path, total = warped([(said, true), ...])              # frames (T, F) and (U, F) of each pair

Cepstra are the cosine transform of log-mel energies; the first ones say which sound it is, the zeroth how loud.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gatework.tasks.base import Metric

ORDER = 13  # coefficients that are compared (Kubichek 1993)
DECIBELS = 10 / np.log(10)  # of a difference of 1 between logarithms of power
DISTANCE = Metric("mcd", higher=False)
MCD, STEPS, ENDED, TEXTS = range(4)  # columns of the sums


class Warped(NamedTuple):
    """The best path through (T, U) distances: its places (P, 2), and the sum of the distances on it."""

    path: np.ndarray
    total: float


def cepstra(frames: np.ndarray) -> np.ndarray:
    """(T, 13) coefficients 1 to 13 of log-mel energies (T, F), so scaled that the Euclidean distance of two is the root
    mean square difference of their smoothed spectra in decibels (10 / ln 10 sqrt(2 sum of squares) in the scale of
    Kubichek 1993)."""
    size = frames.shape[1]
    places = (np.arange(size) + 0.5) * np.pi / size
    waves = np.cos(np.arange(1, min(ORDER, size - 1) + 1)[:, None] * places) * np.sqrt(2 / size)
    return DECIBELS / np.sqrt(size) * frames @ waves.T


def warped(said: np.ndarray, true: np.ndarray) -> Warped:
    """Dynamic time warping of cepstra (T, D) and (U, D): each step goes on in one or both (Sakoe & Chiba 1978).

    >>> warped(np.array([[0.0], [1.0]]), np.array([[0.0], [0.0], [1.0]]))
    Warped(path=array([[0, 0],
           [0, 1],
           [1, 2]]), total=0.0)
    """
    distances = np.sqrt(np.maximum(_squares(said, true), 0))
    return _followed(_costs(distances), distances)


def distances(said: Sequence[np.ndarray], true: Sequence[np.ndarray]) -> np.ndarray:
    """[n, 2]: for each pair of frames the sum of decibels on the best path, and the steps of that path."""
    found = [warped(cepstra(one), cepstra(other)) for one, other in zip(said, true, strict=True)]
    return np.array([(each.total, len(each.path)) for each in found], float).reshape(-1, 2)


def sums(distances: np.ndarray, stopped: Sequence[bool]) -> np.ndarray:
    """[n, 4]: what is counted of each recording, for `score`."""
    return np.column_stack([distances, np.asarray(stopped, float), np.ones(len(distances))])


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """A metric [...] of sums [..., 4] that were added up over recordings; NaN where there are none."""
    top, bottom = {"mcd": (MCD, STEPS), "ended": (ENDED, TEXTS)}[metric]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums[..., bottom] > 0, sums[..., top] / sums[..., bottom], np.nan)


def _squares(said: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(T, U) squared distances."""
    return np.square(said).sum(1)[:, None] + np.square(true).sum(1) - 2 * said @ true.T


def _costs(distances: np.ndarray) -> np.ndarray:
    """(T + 1, U + 1): the least sum of distances on the way to each place. The places of one diagonal depend on the
    two before it alone, so that each is one operation of arrays."""
    height, width = distances.shape
    costs = np.full((height + 1, width + 1), np.inf)
    costs[0, 0] = 0.0
    for diagonal in range(height + width - 1):
        rows = np.arange(max(0, diagonal - width + 1), min(diagonal + 1, height))
        columns = diagonal - rows
        before = np.minimum(np.minimum(costs[rows, columns + 1], costs[rows + 1, columns]), costs[rows, columns])
        costs[rows + 1, columns + 1] = before + distances[rows, columns]
    return costs


def _followed(costs: np.ndarray, distances: np.ndarray) -> Warped:
    """The path back from the end; of equal ways that which goes on in both."""
    row, column = distances.shape[0] - 1, distances.shape[1] - 1
    path = [(row, column)]
    while row or column:
        ways = costs[row, column], costs[row, column + 1], costs[row + 1, column]
        row, column = ((row - 1, column - 1), (row - 1, column), (row, column - 1))[int(np.argmin(ways))]
        path.append((row, column))
    return Warped(np.array(path[::-1]), float(costs[-1, -1]))
