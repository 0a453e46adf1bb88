"""One step of a stream in C, as an export writes it, against our own step; and what the program weighs."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from gatework.bench import peers
from gatework.bench.case import Case, agree
from gatework.bench.contest import contest
from gatework.bench.rows import OURS, Row
from gatework.bench.settings import Settings, Shape
from gatework.bench.suites.step import ours
from gatework.bench.timing import Sample
from gatework.errors import OptionError
from gatework.exporting import c
from gatework.exporting.c import compiling
from gatework.runtime.saved import Layer

SHAPES = tuple(Shape(1, 1, units, units) for units in (32, 128))
STEPS = 50  # in one call, so that what Python adds to a call does not count
WEIGHTS = ("float32", "bf16", "int8")


def measure(settings: Settings) -> Iterator[Row]:
    s = settings.or_else(cell="lstm", shapes=SHAPES)
    peers.use_threads(1)
    for shape in s.shapes or ():
        with tempfile.TemporaryDirectory() as folder:
            yield row(s, Case(str(s.cell), shape._replace(T=1, B=1), "float32"), Path(folder))


def row(s: Settings, case: Case, folder: Path) -> Row:
    if [i.name for i in case.graph.inputs] != ["x"]:
        raise OptionError(f"{case.graph.name} has further inputs; c-step measures cells that read x alone")
    layer = Layer(case.graph, dict(case.sizes), (dict(case.weights),), ({},))
    calls: dict[str, Callable[[], object]] = {OURS: ours(case)}
    facts: dict[str, float] = {}
    for weights in WEIGHTS:
        report = c.prove(c.write_stack([layer], folder / weights, "net", weights), *compiling.FAST)
        calls[f"C {weights}"] = steps(report, case)
        facts[f"kB {weights}"] = (report.weights + (report.code or 0)) / 1000
    made = contest(s, "c-step", "step", str(case.shape), 1, calls)
    samples = {n: t if n == OURS else Sample(tuple(time / STEPS for time in t.times)) for n, t in made.samples.items()}
    return replace(made, samples=samples, facts=facts, report={"kernel": case.program.describe()})


def steps(report: c.Report, case: Case) -> Callable[[], object]:
    """A call of STEPS steps of a program, on arrays that are made once."""
    source = report.files[1]
    library = ctypes.CDLL(
        str(compiling.compiled([source], source.with_suffix(".so"), *compiling.FAST, "-shared", "-fPIC"))
    )
    x = np.repeat(case.inputs["x"], STEPS, 0)
    keep = [np.zeros(report.state // 4, np.float32), x, np.zeros((STEPS, len(case.output()[0])), np.float32)]
    state, given, outputs = (ctypes.c_void_p(array.ctypes.data) for array in keep)
    library.net_reset(state)
    library.net_step(state, given, outputs)
    if report.error is None:
        agree("the program in C", case.output(), keep[2][:1], 1)
    return lambda keep=keep: library.net_run(state, given, ctypes.c_size_t(STEPS), outputs)
