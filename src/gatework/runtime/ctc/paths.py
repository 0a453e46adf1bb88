"""One text and all paths that read as it: the sum of their probabilities, and the likeliest of them.

States of a text of L symbols stand around and on them: begin, blank, first, blank, second, ..., blank; S = 2L + 2. A
path leaves "begin" for the blank or the first symbol; then it stays, goes to the next state, or leaps over a blank
between two different symbols, and ends in one of the last two (Graves et al. 2006, section 4.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gatework.errors import DataError, ShapeError

BLANK = 0


class Path(NamedTuple):
    """A text of L symbols and where it stands.

    `ids` (L,); the steps `starts` and `ends` (L,) of each symbol, [start, end); `sure` (L,), the highest probability
    that a symbol has in its steps; `log_p`, the logarithm of the text's probability, all paths together; `score`, what
    a search ranked it by.
    """

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    sure: np.ndarray
    log_p: float
    score: float


def checked(log_p: np.ndarray, size: int | None = None) -> np.ndarray:
    """Log probabilities (T, V) of T steps; of one step (V,), too.

    Raises: ShapeError; DataError where one is not a number.
    """
    steps = np.atleast_2d(log_p)
    if steps.ndim != 2 or (size is not None and steps.shape[1] != size) or not np.issubdtype(steps.dtype, np.floating):
        raise ShapeError(
            f"log_p has the shape {np.shape(log_p)} and the type {steps.dtype}; give log probabilities (T, "
            f"{'V' if size is None else size})"
        )
    if np.isnan(steps).any():
        raise DataError(f"step {int(np.isnan(steps).any(1).argmax())} of log_p has a NaN")
    return steps


def read(path: np.ndarray) -> np.ndarray:
    """What a path (T,) reads as.

    read(np.array([1, 1, 0, 1, 2]))                                   # [1, 1, 2]
    """
    return path[_begins(path)]


def _begins(path: np.ndarray) -> np.ndarray:
    """The steps at which a symbol begins."""
    return np.flatnonzero((path != BLANK) & np.append(True, path[1:] != path[:-1])[: len(path)])


def likeliest(log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Symbols, starts and ends of the likeliest path of all, that of the likeliest symbol of each step."""
    path = log_p.argmax(1)
    starts = _begins(path)
    changes = np.append(np.flatnonzero(path[1:] != path[:-1]) + 1, len(path))
    return path[starts], starts, changes[np.searchsorted(changes, starts, "right")]


def likelihood(log_p: np.ndarray, ids: Sequence[int] | np.ndarray) -> float:
    """The logarithm of the probability of a text: the sum over all paths that read as it.

        likelihood(np.log([[0.4, 0.6], [0.5, 0.5]]), [1])             # log(0.4 * 0.5 + 0.6 * 0.5 + 0.6 * 0.5)

    Args:
        log_p: (T, V); symbol 0 is the blank.
        ids: L symbols. -inf is given where T steps cannot hold them.
    """
    given, leaps = _states(log_p, ids)
    score = _before(given)
    for now in given:
        ways = np.logaddexp(score, _shifted(score, 1))
        score = np.logaddexp(ways, _shifted(score, 2) + leaps) + now
    return float(np.logaddexp.reduce(score[-2:]))


def align(log_p: np.ndarray, ids: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The steps [start, end) of each symbol on the likeliest path that reads as a text: two arrays (L,).

        align(np.log([[0.9, 0.1], [0.2, 0.8], [0.2, 0.8]]), [1])      # ([1], [3])

    Raises: DataError where no path of so few steps reads as it.
    """
    if not len(ids):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    given, leaps = _states(log_p, ids)
    score, came = _before(given), []
    for now in given:
        ways = np.stack([score, _shifted(score, 1), _shifted(score, 2) + leaps])
        came.append(ways.argmax(0))
        score = ways.max(0) + now
    last = len(score) - 1 - int(score[-2] > score[-1])
    if np.isneginf(score[last]):
        raise DataError(f"no path of {len(given)} steps reads as these {len(ids)} symbols")
    states = np.empty(len(came) + 1, np.int64)
    for step in range(len(came) - 1, -1, -1):
        states[step + 1] = last
        last -= came[step][last]
    on = 2 * np.arange(len(ids)) + 2
    return np.searchsorted(states[1:], on), np.searchsorted(states[1:], on, "right")


def _states(log_p: np.ndarray, ids: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log probabilities (T, S) of the states, and 0 where a leap (S,) may end, -inf elsewhere.

    Before them stands one more, in which every path begins; it is left at once, to the blank or the first symbol.
    """
    symbols = np.full(2 * len(ids) + 2, BLANK)
    symbols[2::2] = ids
    leaps = np.full(len(symbols), -np.inf)
    leaps[2:3] = 0.0
    leaps[4::2] = np.where(symbols[4::2] == symbols[2:-2:2], -np.inf, 0.0)
    given = checked(log_p)[:, symbols].astype(np.float64)
    given[:, 0] = -np.inf
    return given, leaps


def _before(given: np.ndarray) -> np.ndarray:
    """Scores (S,) before the first step."""
    return np.append(0.0, np.full(given.shape[1] - 1, -np.inf))


def _shifted(score: np.ndarray, by: int) -> np.ndarray:
    return np.append(np.full(by, -np.inf), score[:-by])
