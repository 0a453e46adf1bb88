"""From calls to a row: time them together with what the machine can do, and put the figures side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from gatework.bench import machine, peak, steady
from gatework.bench.rows import AFTER, BUSY, OURS, Row
from gatework.bench.settings import Settings
from gatework.bench.timing import Call, Contestant, Sample, measure, ratio

PEAK, READ = "multiply-add peak", "read bandwidth"


def contest(
    settings: Settings,
    suite: str,
    what: str,
    case: str,
    threads: int,
    calls: Mapping[str, Call],
    *,
    flops: float = 0,
    size: int = 0,
    before: Call | None = None,
    aside: tuple[str, ...] = (),
) -> Row:
    """Time calls by name, ours under `OURS`.

    flops    operations of our call: the multiply-add peak is measured along
    size     bytes of weights that our call reads: so is the read bandwidth at that size
    before   runs before ours, as a contestant of its own
    aside    names of calls that are no peers
    """
    contestants: dict[str, Contestant] = {name: Contestant(call) for name, call in calls.items()}
    limits = limits_of(settings, threads, flops, size)
    if before is not None:
        contestants[AFTER] = Contestant(calls[OURS], before)
    contestants |= {name: Contestant(limit.run) for name, limit in limits.items()}
    made = steadiest(contestants, limits, settings, threads)
    samples = made.samples
    rates = {name: peak.rate(limit, samples[name]) for name, limit in limits.items()}
    facts = {AFTER: ratio(samples[AFTER], samples[OURS])[0]} if before is not None else {}
    return Row(
        suite,
        what,
        case,
        threads,
        samples,
        flops=flops,
        bytes=size,
        peak_flops=rates.get(PEAK, 0),
        peak_bytes=rates.get(READ, 0),
        aside=(*aside, AFTER, *limits),
        facts=facts,
        known=made.known,
        elsewhere=made.elsewhere,
    )


@dataclass(frozen=True)
class Attempt:
    """Times by name, the best times so far of the peaks among them, and the processors that others used meanwhile."""

    samples: dict[str, Sample]
    known: dict[str, float]
    elsewhere: float | None

    @property
    def disorder(self) -> tuple[float, float]:
        """(0, 0) where times can be compared; the attempt where this is least is kept."""
        judged = {n: s.times for n, s in self.samples.items() if n != AFTER}
        others = self.elsewhere or 0.0
        return max(steady.unsteady(judged, self.known).values(), default=0.0), others if others > BUSY else 0.0


def steadiest(
    contestants: Mapping[str, Contestant], limits: Mapping[str, peak.Peak], settings: Settings, threads: int
) -> Attempt:
    """Measure until it is steady and undisturbed, again and again while `settings.patience` lasts."""
    until, attempts = time.perf_counter() + settings.patience, []
    while not attempts or (attempts[-1].disorder > (0, 0) and time.perf_counter() < until):
        others = machine.Others()
        samples = measure(contestants, settings.runs, settings.seconds, pause=threads > 1)
        known = {name: peak.best_time(limit, samples[name]) for name, limit in limits.items()}
        attempts.append(Attempt(samples, known, others.share()))
    return min(attempts, key=lambda attempt: attempt.disorder)


def limits_of(settings: Settings, threads: int, flops: float, size: int) -> dict[str, peak.Peak]:
    """The kernels that say what the machine can do."""
    dtype = settings.dtype or "float32"
    found: dict[str, peak.Peak] = {}
    if flops:
        found[PEAK] = peak.multiply_adds(dtype, threads)
    if size:
        found[READ] = peak.reads(size, threads, dtype)
    return found


def against(samples: Mapping[str, Sample], name: str, other: str, scale: float = 1.0) -> float:
    """Time of one over the time of another, as a part of what the amounts of work let expect (`scale`)."""
    return ratio(samples[name], samples[other])[0] / scale
