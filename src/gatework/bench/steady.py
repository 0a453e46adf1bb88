"""Are times steady enough to be divided by each other?

A machine that is busy elsewhere has two speeds, or one that is not its own. The median of a series tells of the usual
speed and its best tenth of the speed there would be: where they lie far apart, a ratio of medians tells of the
neighbours. A neighbour who never rests slows every run of a series alike; of kernels that always take the same time
(the peaks), the best of all series so far is known, and stands in for the best tenth.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

MOST = 0.1


def best(times: Sequence[float]) -> float:
    """The time below which a tenth of the series lies.

    >>> best([5.0, 1.0, 2.0, 4.0])
    1.0
    """
    return sorted(times)[len(times) // 10]


def unsteadiness(times: Sequence[float], known: float | None = None) -> float:
    """By how much the median lies above the best tenth, or above the best that is known: 0.1 for ten per cent.

    >>> unsteadiness([1.0, 1.25, 1.25]), unsteadiness([1.25, 1.25, 1.25], known=1.0)
    (0.25, 0.25)
    """
    reached = best(times) if known is None else min(known, best(times))
    return statistics.median(times) / reached - 1


def unsteady(series: Mapping[str, Sequence[float]], known: Mapping[str, float]) -> dict[str, float]:
    """The series, by name, that are unsteady by more than `MOST`.

    >>> unsteady({"ours": [1.0, 1.0, 1.0], "peer": [2.0, 2.5, 2.5]}, {})
    {'peer': 0.25}
    """
    found = {name: unsteadiness(times, known.get(name)) for name, times in series.items()}
    return {name: value for name, value in found.items() if value > MOST}
