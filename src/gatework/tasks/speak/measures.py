"""How near sounds are to recordings: mel cepstral distance after dynamic time warping, and whether texts ended.

    distances([said], [true])                  # frames (T, F) and (U, F) of each pair -> [[sum of decibels, steps]]

Cepstra are the cosine transform of log-mel energies; the first ones say which sound it is, the zeroth how loud.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatework.runtime.sounds.warping import path
from gatework.tasks.base import Metric, ratio

ORDER = 13  # coefficients that are compared (Kubichek 1993)
DECIBELS = 10 / np.log(10)  # of a difference of 1 between logarithms of power
DISTANCE = Metric("mcd", higher=False)
MCD, STEPS, ENDED, TEXTS = range(4)  # columns of the sums


def cepstra(frames: np.ndarray) -> np.ndarray:
    """(T, 13) coefficients 1 to 13 of log-mel energies (T, F), so scaled that the Euclidean distance of two is the root
    mean square difference of their smoothed spectra in decibels (10 / ln 10 sqrt(2 sum of squares) in the scale of
    Kubichek 1993)."""
    size = frames.shape[1]
    places = (np.arange(size) + 0.5) * np.pi / size
    waves = np.cos(np.arange(1, min(ORDER, size - 1) + 1)[:, None] * places) * np.sqrt(2 / size)
    return DECIBELS / np.sqrt(size) * frames @ waves.T


def distances(said: Sequence[np.ndarray], true: Sequence[np.ndarray]) -> np.ndarray:
    """[n, 2]: for each pair of frames the sum of decibels on the best path, and the steps of that path."""
    found = [path(cepstra(one), cepstra(other)) for one, other in zip(said, true, strict=True)]
    return np.array([(each.total, len(each.places)) for each in found], float).reshape(-1, 2)


def sums(distances: np.ndarray, stopped: Sequence[bool]) -> np.ndarray:
    """[n, 4]: what is counted of each recording, for `score`."""
    return np.column_stack([distances, np.asarray(stopped, float), np.ones(len(distances))])


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """A metric [...] of sums [..., 4] that were added up over recordings; NaN where there are none."""
    top, bottom = {"mcd": (MCD, STEPS), "ended": (ENDED, TEXTS)}[metric]
    return ratio(sums[..., top], sums[..., bottom])
