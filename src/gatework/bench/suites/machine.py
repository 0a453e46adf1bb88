"""What the machine can do at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gatework.bench import peak, peers
from gatework.bench.contest import PEAK, READ
from gatework.bench.rows import Row
from gatework.bench.settings import Settings, all_threads
from gatework.bench.timing import measure as timed

MACHINE = "this machine"
SIZES = (64 << 10, 512 << 10, 2 << 20, 8 << 20, 64 << 20)


def measure(settings: Settings) -> Iterator[Row]:
    s = settings.or_else(threads=all_threads(), dtype="float32")
    for threads in s.threads or ():
        peers.use_threads(threads)
        yield row(s, PEAK, str(s.dtype), peak.multiply_adds(str(s.dtype), threads), "flops")
        for size in SIZES:
            yield row(s, READ, f"{size >> 10:,} KiB", peak.reads(size, threads, str(s.dtype)), "bytes")


def row(settings: Settings, what: str, case: str, limit: peak.Peak, unit: str) -> Row:
    sample = timed({what: limit.run}, settings.runs, settings.seconds, limit.threads > 1)[what]
    made = Row("machine", what, case, limit.threads, {MACHINE: sample}, ours=MACHINE)
    return replace(made, **{unit: float(limit.amount)})
