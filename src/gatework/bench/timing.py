"""How something is timed: warm-up, at least ten runs, contestants in turns, medians with their errors.

Contestants run in turns, so that a machine that grows slower or faster does so for all. Where there are threads, a turn
begins with a pause: the team of the one before spins for some milliseconds, on processors that the next one needs. Then
comes a call that is not timed, and a block of calls, as many as a short call needs to be measured well. Medians keep
outliers out. The error of a median is 1.2533 times the standard deviation over the root of n; the deviation is 1.4826
times the median absolute deviation (both hold for the normal distribution, and are a fair guess elsewhere).
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

Call = Callable[[], object]
BLOCK = 200e-6
BLOCK_AFTER_PAUSE = 2e-3
PAUSE = 10e-3
LONG = 50e-3
MOST_RUNS = 1000
WARM_UP = 0.05


@dataclass(frozen=True)
class Sample:
    """Seconds of each run (of one call: a block's time is divided by its calls)."""

    times: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def spread(self) -> float:
        """The deviation as a part of the median, 0.01 for one per cent."""
        middle = self.median
        return 1.4826 * statistics.median(abs(t - middle) for t in self.times) / middle

    @property
    def error(self) -> float:
        """The error of the median as a part of it."""
        return 1.2533 * self.spread / math.sqrt(len(self.times))


def ratio(above: Sample, below: Sample) -> tuple[float, float]:
    """above / below, and its error.

    >>> ratio(Sample((4.0, 4.0, 4.0)), Sample((2.0, 2.0, 2.0)))
    (2.0, 0.0)
    """
    value = above.median / below.median
    return value, value * math.hypot(above.error, below.error)


@dataclass(frozen=True)
class Contestant:
    """Something to time. `before` runs before each timed call and is not timed itself."""

    call: Call
    before: Call | None = None

    def estimate(self) -> float:
        """Seconds of a call once it is warm."""
        began, best = time.perf_counter(), math.inf
        while time.perf_counter() - began < WARM_UP or math.isinf(best):
            best = min(best, self.run(1))
            if best > LONG:
                return min(best, self.run(1))
        return best

    def run(self, calls: int) -> float:
        """Seconds of one call, from the time of several."""
        return self._interrupted(calls) if self.before else self._at_once(calls)

    def _at_once(self, calls: int) -> float:
        call, clock = self.call, time.perf_counter
        began = clock()
        for _ in range(calls):
            call()
        return (clock() - began) / calls

    def _interrupted(self, calls: int) -> float:
        total, clock = 0.0, time.perf_counter
        for _ in range(calls):
            assert self.before is not None
            self.before()
            began = clock()
            self.call()
            total += clock() - began
        return total / calls


def measure(
    contestants: Mapping[str, Contestant | Call], runs: int = 10, seconds: float = 0.5, pause: bool = False
) -> dict[str, Sample]:
    """Time everybody in turns, for about `seconds` each, at least `runs` times; `pause` lets teams of threads settle.

    measure({"sum": lambda: sum(range(999)), "sort": lambda: sorted(range(999))})["sum"].median     # seconds
    """
    known = {n: c if isinstance(c, Contestant) else Contestant(c) for n, c in contestants.items()}
    with _undisturbed():
        cost = {name: c.estimate() for name, c in known.items()}
        blocks = {name: max(1, math.ceil((BLOCK_AFTER_PAUSE if pause else BLOCK) / cost[name])) for name in known}
        round_ = sum(cost[n] * (blocks[n] + 1) for n in known) + pause * PAUSE * len(known)
        rounds = max(runs, min(MOST_RUNS, int(seconds * len(known) / round_)))
        times: dict[str, list[float]] = {name: [] for name in known}
        for number in range(rounds):
            for name in _order(list(known), number):
                times[name].append(_turn(known[name], blocks[name], cost[name] <= LONG, pause))
    return {name: Sample(tuple(found)) for name, found in times.items()}


def _turn(who: Contestant, calls: int, short: bool, pause: bool) -> float:
    if pause:
        time.sleep(PAUSE)
    if short:
        who.call()
    return who.run(calls)


def _order(names: list[str], number: int) -> list[str]:
    """Who comes after whom changes from round to round."""
    shift = number % len(names)
    turned = names[shift:] + names[:shift]
    return turned if number % 2 == 0 else turned[::-1]


@contextmanager
def _undisturbed() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
