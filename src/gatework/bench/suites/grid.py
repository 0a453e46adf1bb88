"""A cell over shapes and threads, forward and forward+backward, against its peers."""

from __future__ import annotations

from collections.abc import Iterator

from gatework.bench import peers
from gatework.bench.case import Case, agree
from gatework.bench.contest import contest
from gatework.bench.rows import OURS, Row
from gatework.bench.settings import GRID, PEERS, Settings, all_threads


def measure(settings: Settings) -> Iterator[Row]:
    s = settings.or_else(cell="lstm", shapes=GRID, threads=all_threads(), dtype="float32", peers=PEERS)
    yield from compared("grid", s)


def compared(suite: str, s: Settings) -> Iterator[Row]:
    """Rows of one cell; the peers compute the same, or nothing is measured."""
    for shape in s.shapes or ():
        case = Case(str(s.cell), shape, str(s.dtype))
        for threads in s.threads or ():
            peers.use_threads(threads)
            others = peers.peers_of(case, threads, s.peers or ())
            for name, peer in others.items():
                agree(name, case.output(), peer.output(), shape.T)
            yield from rows(suite, s, case, threads, others)


def rows(suite: str, s: Settings, case: Case, threads: int, others: dict) -> Iterator[Row]:
    before = peers.after_product(threads)
    name = str(case.shape) if case.graph.name == "lstm" else f"{case.graph.name} {case.shape}"
    calls = {OURS: case.forward} | {n: p.forward for n, p in others.items()}
    row = contest(s, suite, "forward", name, threads, calls, flops=2 * case.work, before=before)
    row.report["kernel"] = case.program.describe()
    yield row
    calls = {OURS: case.both} | {n: p.both for n, p in others.items() if hasattr(p, "both")}
    row = contest(s, suite, "forward+backward", name, threads, calls, flops=6 * case.work, before=before)
    row.report["kernel"] = case.program.describe()
    yield row
