"""Where along a line gradients are best taken, found from outputs alone: closest together where the output bends.

The slope of a network's output leaps where a maximum over time changes hands, and rises steeply where the network tips
over. So outputs are computed ever closer together where the slope changes most. Then the line is divided into pieces
that have one gradient (in the middle) or two (Gauss-Legendre). Of all divisions with borders at or between the bends,
dynamic programming finds the one that misses least of the slope. It adds up absolute deviations over each piece, so
that errors which cancel in the sum, but not in its parts, count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

EVEN = 64  # intervals of equal width to begin with; their ends may be borders of pieces
ROUNDS = 20  # looks at the slopes while outputs are added
FINE = 2e-5  # of all changes: a change of slope times width that needs no closer look
KINKS, LADDERS = 128, 64  # more borders: where the slope bends more than beside; steps down to where it bends most
WIDEST = 1 / 24  # piece: parts of the gradient may change where their sum does not
POINTS = 128  # gradients that are placed one by one
CELLS = 64  # of a piece, in which its slopes are compared
MIDDLE, GAUSS = CELLS // 2, int(CELLS * (0.5 - 0.5 / np.sqrt(3)))  # cells of the gradients' places
SPREAD = (2.0, 1.0)  # weights of absolute deviations beside the sum's, for one gradient and for two

Outputs = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Samples:
    """Outputs (S,) at places (S,) from 0 to 1, and for each how much its interval bent before it was halved there."""

    places: np.ndarray
    values: np.ndarray
    bent: np.ndarray

    @classmethod
    def even(cls, outputs: Outputs) -> Samples:
        places = np.linspace(0, 1, EVEN + 1)
        return cls(places, outputs(places), np.full(len(places), np.inf))

    def closer(self, outputs: Outputs, count: int, narrowest: float) -> Samples:
        """With at most `count` more, by halving the intervals whose slope is least like those beside them."""
        found, most = self, len(self.places) + count
        while len(found.places) < most:
            turn = found.turns() * (np.diff(found.places) > narrowest)
            room = min(max(count // ROUNDS, 1), most - len(found.places))
            worst = np.sort(np.argsort(-turn, kind="stable")[:room])
            worst = worst[turn[worst] > FINE * np.abs(np.diff(found.values)).sum()]
            if not len(worst):
                break
            found = found._halved(worst, turn[worst], outputs)
        return found

    def _halved(self, which: np.ndarray, turn: np.ndarray, outputs: Outputs) -> Samples:
        halves = (self.places[which] + self.places[which + 1]) / 2
        new = ((self.places, halves), (self.values, outputs(halves)), (self.bent, turn))
        return Samples(*(np.insert(old, which + 1, more) for old, more in new))

    def bends(self) -> np.ndarray:
        """Changes of slope (S,) at the places; none at both ends."""
        return np.pad(np.abs(np.diff(np.diff(self.values) / np.diff(self.places))), 1)

    def turns(self) -> np.ndarray:
        """How far the output may be from straight within each interval (S - 1,)."""
        bend = self.bends()
        return np.maximum(bend[:-1], bend[1:]) * np.diff(self.places)

    def between(self, places: np.ndarray) -> np.ndarray:
        """Outputs at any places."""
        return np.interp(places, self.places, self.values)

    def borders(self) -> np.ndarray:
        """Places (M,) where pieces may end."""
        bend = self.bends()
        peaks = np.flatnonzero((bend[1:-1] >= bend[:-2]) & (bend[1:-1] > bend[2:])) + 1
        kinks = peaks[np.argsort(-bend[peaks], kind="stable")[:KINKS]]
        ladders = np.argsort(-self.bent, kind="stable")[: EVEN + 1 + LADDERS]
        return self.places[np.union1d(kinks, ladders)]


def costs(samples: Samples, ends: np.ndarray, widest: float) -> np.ndarray:
    """What a piece from one border to another would miss with one gradient and with two, (2, M, M)."""
    wide = ends[None] - ends[:, None]
    start, stop = np.nonzero((wide > 0) & (wide <= widest))
    at = ends[start, None] + wide[start, stop][:, None] * np.linspace(0, 1, CELLS + 1)
    parts = np.diff(samples.between(at)) * CELLS
    even = (parts + parts[:, ::-1]) / 2  # what is uneven about the middle adds up to nothing, in the sum as in the rule
    found = np.full((2, *wide.shape), np.inf)
    for each, (cell, weight) in enumerate(zip((MIDDLE, GAUSS), SPREAD, strict=True)):
        off = even - even[:, [cell]]
        found[each, start, stop] = np.abs(off.mean(1)) + weight * np.abs(off).mean(1)
    return found


def pieces(samples: Samples, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Ends (P + 1,) of pieces from 0 to 1 and how many gradients each has, (P,): 1 or 2, `points` in all.

    More than `POINTS` gradients go to parts of equal width of the same pieces, `points` of them or a few less.
    """
    parts = max(points // POINTS, 1)
    ends, each = divided(samples, points // parts)
    finer = ends[:-1, None] + np.diff(ends)[:, None] * np.arange(parts) / parts
    return np.append(finer.ravel(), 1.0), np.repeat(each, parts)


def divided(samples: Samples, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Ends and numbers of gradients of the pieces that miss least."""
    ends = samples.borders()
    cost = costs(samples, ends, max(WIDEST, 2 / points))
    least = [np.where(ends > 0, np.inf, 0.0)]
    came: list[tuple[np.ndarray, np.ndarray]] = []
    for spent in range(1, points + 1):
        ways = np.concatenate([least[spent - each][:, None] + cost[each - 1] for each in (1, 2)[:spent]])
        best = ways.argmin(0)
        least.append(ways[best, np.arange(len(ends))])
        came.append((best % len(ends), best // len(ends) + 1))
    chosen, gradients, left = [len(ends) - 1], [], points
    while left:
        before, each = (int(one[chosen[-1]]) for one in came[left - 1])
        chosen, gradients, left = [*chosen, before], [*gradients, each], left - each
    return ends[chosen[::-1]], np.array(gradients[::-1])
