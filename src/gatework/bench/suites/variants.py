"""Other cells, wrappers, a cell that nobody shipped: each costs what its multiply-adds cost the plain LSTM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gatework import cells
from gatework.bench import peers
from gatework.bench.case import Case
from gatework.bench.contest import PEAK, against, contest
from gatework.bench.rows import OURS, Row
from gatework.bench.settings import USUAL, Settings, Shape, all_threads
from gatework.compiler import wrappers
from gatework.compiler.ir import Graph
from gatework.compiler.lang import cell, minimum, relu, sigmoid, tanh

PLAIN = "plain LSTM"


@cell
def unshipped(x, h, s, W):
    """A made-up cell: a leaky sum of clipped candidates, and an output gate that sees it."""
    u = sigmoid(W.u(h, x))
    v = tanh(W.v(h, x)) * minimum(relu(W.r(h, x)), 1.0)
    s = u * s + (1 - u) * v
    return sigmoid(W.o(h, x) + W.p * s) * tanh(s), s


def graphs() -> dict[str, Graph]:
    """By the name that is shown."""
    plain = cells.get("lstm").graph
    return {
        PLAIN: plain,
        "peephole": cells.get("lstm_peephole").graph,
        "coupled gates": cells.get("lstm_coupled").graph,
        "recurrent dropout": wrappers.recurrent_dropout(plain),
        "zoneout": wrappers.zoneout(plain),
        "resets": wrappers.reset(plain),
        "a cell of one's own": unshipped.graph,
    }


def measure(settings: Settings) -> Iterator[Row]:
    s = settings.or_else(shapes=(USUAL,), threads=all_threads(), dtype="float32")
    for shape in s.shapes or ():
        cases = {name: Case(graph, shape, str(s.dtype)) for name, graph in graphs().items()}
        for threads in s.threads or ():
            peers.use_threads(threads)
            yield from rows(s, shape, cases, threads, "forward", "forward")
            yield from rows(s, shape, cases, threads, "forward+backward", "both")


def rows(s: Settings, shape: Shape, cases: dict[str, Case], threads: int, what: str, call: str) -> Iterator[Row]:
    """All variants are timed in turns; then a row for each."""
    calls = {OURS if n == PLAIN else n: getattr(case, call) for n, case in cases.items()}
    together = contest(s, "variants", what, "", threads, calls, flops=1)
    times = {PLAIN if n == OURS else n: sample for n, sample in together.samples.items()}
    for name, case in cases.items():
        samples = {OURS: times[name], PLAIN: times[PLAIN], PEAK: times[PEAK]}
        flops = (2 if call == "forward" else 6) * case.work
        row = replace(together, case=f"{name}, {shape}", samples=samples, flops=flops, aside=(PLAIN, PEAK), facts={})
        row.facts["time per multiply-add against the plain LSTM"] = against(
            samples, OURS, PLAIN, case.work / cases[PLAIN].work
        )
        yield row
