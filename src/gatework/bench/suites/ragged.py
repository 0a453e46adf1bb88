"""Sequences of unequal length: against torch's packed sequences, and against our own time for a full rectangle."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gatework.bench import peers
from gatework.bench.case import Case, agree
from gatework.bench.contest import against, contest
from gatework.bench.rows import OURS, Row
from gatework.bench.settings import USUAL, Settings, Shape, all_threads

FULL = "full rectangle"


def measure(settings: Settings) -> Iterator[Row]:
    s = settings.or_else(cell="lstm", shapes=(USUAL,), threads=all_threads(), dtype="float32", peers=("torch",))
    for shape in s.shapes or ():
        case = Case(str(s.cell), shape, str(s.dtype), lengths_of(shape))
        full = Case(str(s.cell), shape, str(s.dtype))
        for threads in s.threads or ():
            peers.use_threads(threads)
            others = peers.peers_of(case, threads, s.peers or ())
            for name, peer in others.items():
                agree(name, case.output(), peer.output(), shape.T)
            yield row(s, "forward", case, full, threads, {n: p.forward for n, p in others.items()})
            yield row(s, "forward+backward", case, full, threads, {n: p.both for n, p in others.items()})


def lengths_of(shape: Shape) -> np.ndarray:
    """(B,) between a fifth of T and T, uniform, the longest first."""
    drawn = np.random.default_rng(0).integers(max(shape.T // 5, 1), shape.T + 1, shape.B)
    return np.sort(drawn)[::-1].copy()


def row(s: Settings, what: str, case: Case, full: Case, threads: int, others: dict) -> Row:
    ours, rectangle = (case.forward, full.forward) if what == "forward" else (case.both, full.both)
    passes = 1 if what == "forward" else 3
    name = f"{case.shape} mean {case.rows.size / case.shape.B:.0f}"
    calls = {OURS: ours, FULL: rectangle, **others}
    made = contest(s, "ragged", what, name, threads, calls, flops=2 * passes * case.work, aside=(FULL,))
    made.facts["time per step against the full rectangle"] = against(made.samples, OURS, FULL, case.work / full.work)
    return made
