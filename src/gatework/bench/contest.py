"""From calls to a row: time them together with what the machine can do, and put the figures side by side."""

from __future__ import annotations

from collections.abc import Mapping

from gatework.bench import machine, peak
from gatework.bench.rows import BUSY, OURS, Row
from gatework.bench.settings import Settings
from gatework.bench.timing import Call, Contestant, Sample, measure, ratio

AFTER = "after a matrix product"
ATTEMPTS = 3
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
    samples, elsewhere = undisturbed(contestants, settings, threads)
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
        elsewhere=elsewhere,
    )


def undisturbed(
    contestants: Mapping[str, Contestant], settings: Settings, threads: int
) -> tuple[dict[str, Sample], float | None]:
    """Measure again where other processes used the processors meanwhile; the least disturbed of a few attempts."""
    best: tuple[dict[str, Sample], float | None] = {}, None
    for attempt in range(ATTEMPTS):
        others = machine.Others()
        samples = measure(contestants, settings.runs, settings.seconds, pause=threads > 1)
        elsewhere = others.share()
        if attempt == 0 or (elsewhere or 0) < (best[1] or 0):
            best = samples, elsewhere
        if (best[1] or 0) <= BUSY:
            break
    return best


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
