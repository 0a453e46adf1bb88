"""The Theta method with its parameters fitted, for many series at once: what a loop over a library's model takes long
for.

A series without its season is smoothed exponentially, and part of its straight line is added: half of it in the method
of Assimakopoulos & Nikolopoulos (2000), which Hyndman & Billah (2003) showed to be this; here the part and the
smoothing are those with the least squared one-step errors, as in Fiorucci et al. (2016).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatework.runtime.series.naive2 import factors, varies_by_season

RATES = np.concatenate([[0.01, 0.02, 0.05], np.linspace(0.1, 1.0, 19)])  # of smoothing
MOST, SEASONS = 500, 4  # points at the end of a series that are read, or seasons where these are more
CHUNK = 2_000  # series at once


def points(season: int) -> int:
    """How many points at the end of a series have a say."""
    return max(MOST, SEASONS * season)


def theta(histories: Sequence[np.ndarray], horizon: int, season: int) -> np.ndarray:
    """[n, h] after the values [T] of each series, none of which is missing.

    Example: `theta([np.arange(9.0)], 2, 1)` is close to [[9, 10]].
    """
    parts = [histories[at : at + CHUNK] for at in range(0, len(histories), CHUNK)]
    return np.concatenate([np.zeros((0, horizon)), *(_theta(part, horizon, season) for part in parts)])


def _theta(histories: Sequence[np.ndarray], horizon: int, season: int) -> np.ndarray:
    ends = [values[-points(season) :] for values in histories]
    lengths = np.array([len(values) for values in ends])
    values, ahead = np.zeros((len(ends), max(lengths.max(), 1))), np.zeros((2, len(ends), horizon))
    for row, known in enumerate(ends):
        size, shift = _season(known, season)
        places = np.arange(len(known) + horizon) % season
        values[row, : len(known)] = (known - shift[places[: len(known)]]) / size[places[: len(known)]]
        ahead[:, row] = size[places[len(known) :]], shift[places[len(known) :]]
    return _smoothed(values, lengths, horizon) * ahead[0] + ahead[1]


def _season(values: np.ndarray, season: int) -> tuple[np.ndarray, np.ndarray]:
    """Factors and summands [m] of each place in the season; values above 0 have factors."""
    ones, zeros = np.ones(season), np.zeros(season)
    if season == 1 or len(values) <= 2 * season or not varies_by_season(values, season):
        return ones, zeros
    return (factors(values, season), zeros) if (values > 0).all() else (ones, factors(values, season, np.subtract))


def _smoothed(values: np.ndarray, lengths: np.ndarray, horizon: int) -> np.ndarray:
    """[n, h] after the first `lengths` [n] of values [n, T] without a season, 0 after them.

    After t values the line has added slope * grown[t] to a forecast of the next one; its part follows from least
    squares, so that only the rates are tried one by one.
    """
    slopes = _slopes(values, lengths)[:, None]
    grown = (1 - (1 - RATES) ** np.arange(values.shape[1] + 1)[:, None]) / RATES
    level = np.repeat(values[:, :1], len(RATES), axis=1)
    squares, crossed = np.zeros_like(level), np.zeros_like(level)
    for t in range(1, values.shape[1]):
        error = np.where((t < lengths)[:, None], values[:, t : t + 1] - level, 0.0)
        squares += error**2
        crossed += error * grown[t]
        level += RATES * error
    lines = slopes**2 * (np.cumsum(grown**2, axis=0) - grown**2)[lengths]  # of t = 1 to length - 1
    crossed *= slopes
    share = np.clip(crossed / np.where(lines > 0, lines, 1.0), 0, 1)
    best = (squares - 2 * share * crossed + share**2 * lines).argmin(axis=1)
    rows = np.arange(len(values))
    added = np.arange(horizon) + grown[lengths, best][:, None]
    return level[rows, best][:, None] + share[rows, best][:, None] * slopes * added


def _slopes(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """[n] of the straight line through the first values of each row."""
    times = np.arange(values.shape[1]) - (lengths[:, None] - 1) / 2
    times = np.where(np.arange(values.shape[1]) < lengths[:, None], times, 0.0)
    return (times * values).sum(axis=1) / np.maximum((times**2).sum(axis=1), 1e-12)
