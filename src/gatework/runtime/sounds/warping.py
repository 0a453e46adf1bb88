"""Dynamic time warping: how alike two recordings are where one may be slower here and faster there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gatework.errors import ShapeError


class Path(NamedTuple):
    """The best way through two recordings: `places` [P, 2], which frame of each at every step; the `total` distance of
    these frames."""

    places: np.ndarray
    total: float


def distances(asked: np.ndarray, known: Sequence[np.ndarray]) -> np.ndarray:
    """The distances [n] of frames to n others: the least mean of Euclidean distances along a path that goes on in one
    or both at each step; a step in both counts twice (Sakoe & Chiba 1978, the symmetric form, without a window).

        distances(np.array([[0.0], [1.0]]), [np.array([[0.0], [0.0], [1.0]]), np.array([[1.0]])])     # [0, 2 / 3]

    Args:
        asked: (T, F).
        known: n arrays (U, F); all are compared at once.

    Raises: ShapeError where one has no frame, or another F.
    """
    widths, lengths = {each.shape[1:] for each in (asked, *known)}, np.array([len(each) for each in known], np.int64)
    if len(widths) > 1 or asked.ndim != 2 or not len(asked) or (lengths == 0).any():
        raise ShapeError("frames are (T, F) with at least one frame, and one F for all")
    if not len(known):
        return np.zeros(0)
    apart = _apart(asked, known, lengths)  # (T, U, n)
    steps, longest, count = apart.shape
    last = np.full((steps + 1, count), np.inf, np.float32)  # of a diagonal: the best sum behind each frame asked
    before = last.copy()
    before[0] = 0.0  # where every path begins
    ends = np.empty(count)
    for diagonal in range(steps + longest - 1):
        rows = np.arange(max(0, diagonal - longest + 1), min(diagonal + 1, steps))
        now = np.full_like(before, np.inf)
        here = apart[rows, diagonal - rows]
        now[rows + 1] = here + np.minimum(np.minimum(last[rows], last[rows + 1]), before[rows] + here)
        before, last = last, now
        done = lengths == diagonal - steps + 2
        ends[done] = now[steps, done]
    return ends / (steps + lengths)


def _apart(asked: np.ndarray, known: Sequence[np.ndarray], lengths: np.ndarray) -> np.ndarray:
    """(T, U, n) Euclidean distances; what lies beyond an end is not asked for."""
    padded = np.zeros((lengths.max(), len(known), asked.shape[1]), np.float32)
    for place, each in enumerate(known):
        padded[: len(each), place] = each
    flat = padded.reshape(-1, asked.shape[1])
    squares = np.square(asked).sum(1)[:, None] + np.square(flat).sum(1) - 2 * asked.astype(np.float32) @ flat.T
    return np.sqrt(np.maximum(squares, 0)).reshape(len(asked), *padded.shape[:2]).astype(np.float32)


def path(one: np.ndarray, other: np.ndarray) -> Path:
    """The path of the least sum of Euclidean distances between frames (T, F) and (U, F), by steps that go on in
    one or both and count once; of equal ones that which goes on in both.

    >>> path(np.array([[0.0], [1.0]]), np.array([[0.0], [0.0], [1.0]])).places.tolist()
    [[0, 0], [0, 1], [1, 2]]
    """
    lengths = np.array([len(other)])
    apart = _apart(one, [other], lengths)[:, :, 0].astype(np.float64)
    (steps, longest), sums = apart.shape, np.full((len(one) + 1, len(other) + 1), np.inf)
    sums[0, 0] = 0.0
    for diagonal in range(steps + longest - 1):
        rows = np.arange(max(0, diagonal - longest + 1), min(diagonal + 1, steps))
        columns = diagonal - rows
        best = np.minimum(np.minimum(sums[rows, columns + 1], sums[rows + 1, columns]), sums[rows, columns])
        sums[rows + 1, columns + 1] = best + apart[rows, columns]
    return Path(_back(sums), float(sums[-1, -1]))


def _back(sums: np.ndarray) -> np.ndarray:
    """The places of the best path, from its end to its beginning and turned round; `sums` have an edge of their own."""
    row, column = sums.shape[0] - 2, sums.shape[1] - 2
    places = [(row, column)]
    while row or column:
        ways = sums[row, column], sums[row, column + 1], sums[row + 1, column]
        row, column = ((row - 1, column - 1), (row - 1, column), (row, column - 1))[int(np.argmin(ways))]
        places.append((row, column))
    return np.array(places[::-1])
