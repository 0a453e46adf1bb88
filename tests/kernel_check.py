"""Runs a kernel beside the reference, forward and backward, and compares everything that both give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cases import Case, case, sizes_of
from compare import assert_close
from gatework.backends import reference
from gatework.backends.llvm.isa import ISAS
from gatework.compiler.ir import Graph
from gatework.compiler.params import size
from gatework.runtime.llvm import cpu
from gatework.runtime.llvm.compiled import Compiled
from gatework.runtime.program import Gradients, Pass
from gatework.runtime.rows import Rows

HERE = [name for name, isa in ISAS.items() if cpu.supported(isa)]
LAYOUTS = ("rectangle", "reverse", "ragged", "ragged reverse")
FEW, NUDGES = 10, 8  # a kernel may be off by a few times what the reference is, with numbers this often nudged


@dataclass(frozen=True)
class Setting:
    """One point of the test matrix."""

    T: int = 6
    B: int = 5
    H: int = 12
    I: int = 7
    dtype: str = "float64"
    isa: str = HERE[0]
    layout: str = "rectangle"
    recompute: bool = False
    given_start: bool = True
    seed: int = 0
    precision: str | None = None

    def __str__(self) -> str:
        return (
            f"T{self.T} B{self.B} H{self.H} I{self.I} {self.dtype} {self.isa} {self.layout}"
            f"{' recompute' * self.recompute}{'' if self.given_start else ' own start'} {self.precision or ''}".rstrip()
        )


def draw(graph: Graph, at: Setting) -> Case:
    """Arrays in float64 whose values the setting's dtype holds exactly; weights are scaled: no state explodes."""
    heads = next(h for h in (3, 2, 1) if at.H % h == 0)
    sizes = sizes_of(graph, H=at.H, I=at.I, P=max(1, at.H // 2 - 1), heads=heads)
    made = case(graph, at.T, at.B, at.seed, sizes)
    made.weights = {k: w * 1.5 / max(1, w.shape[-1]) ** 0.5 if "." in k and w.ndim > 1 else w
                    for k, w in made.weights.items()}  # fmt: skip
    made.lengths = sorted(np.random.default_rng(at.seed).integers(0, at.T + 1, at.B).tolist(), reverse=True)
    if at.layout in ("rectangle", "reverse"):
        made.lengths = [at.T] * at.B
    for table in (made.inputs, made.start, made.weights, made.d_history, made.d_final):
        table.update({k: rounded(v, at.dtype) for k, v in table.items()})
    if not at.given_start:
        made.start = {}
    return made


def rounded(value: Any, dtype: str) -> Any:
    return (
        value.astype(dtype).astype(np.float64) if isinstance(value, np.ndarray) else float(np.dtype(dtype).type(value))
    )


def rows_of(made: Case, T: int, layout: str) -> Rows:
    """Steps in the order in which they are visited; `reverse` lays the first of them at the arrays' end."""
    counts = (np.array(made.lengths)[None, :] > np.arange(T)[:, None]).sum(1)
    rows = Rows.packed(counts, len(made.lengths))
    return Rows(counts, rows.size - rows.offsets - counts, rows.batch) if "reverse" in layout else rows


def flat(rows: Rows, padded: np.ndarray, dtype: str) -> np.ndarray:
    """(T, B, w) to (N, w)."""
    out = np.full((rows.size, padded.shape[2]), np.nan, dtype)
    for s, (count, offset) in enumerate(zip(rows.counts, rows.offsets, strict=True)):
        out[offset : offset + count] = padded[s, :count]
    return out


Way = Callable[["Pair", Case], dict[str, np.ndarray]]


class Pair:
    """A case that runs on a program and on the reference."""

    def __init__(self, graph: Graph, at: Setting):
        self.graph, self.at, self.made = graph, at, draw(graph, at)
        self.rows = rows_of(self.made, at.T, at.layout)
        self.program = Compiled(graph, self.made.sizes, at.dtype, ISAS[at.isa], at.recompute, at.precision)
        self.steps = {i.name for i in graph.inputs if i.per == "step"}
        self.inputs = {k: self.flat(v) if k in self.steps else self.cast(v) for k, v in self.made.inputs.items()}
        self.start, self.weights = self.casts(self.made.start), self.casts(self.made.weights)

    def flat(self, padded: np.ndarray) -> np.ndarray:
        return flat(self.rows, padded, self.at.dtype)

    def cast(self, value: Any) -> Any:
        return value.astype(self.at.dtype) if isinstance(value, np.ndarray) else value

    def casts(self, table: Mapping[str, Any]) -> dict[str, Any]:
        return {k: self.cast(v) for k, v in table.items()}

    # ---- the kernel
    def forget(self) -> None:
        """Plan calls anew."""
        self.program.scripts.clear()
        self.program.launches.clear()

    def forward(self, train: bool = True) -> Pass:
        return self.program.forward(self.rows, self.inputs, self.start, self.weights, train=train)

    def backward(self, done: Pass, **options: Any) -> Gradients:
        d_history = {s: self.flat(v) for s, v in self.made.d_history.items()}
        return self.program.backward(done, d_history, self.casts(self.made.d_final), **options)

    # ---- and the reference
    def check(self, loosen: float = 1.0) -> None:
        """Forward in training and inference, and backward, against the reference."""
        self.done = self.forward()
        self.check_forward(self.done, loosen)
        self.check_inference(self.done)
        self.check_backward(self.backward(self.done), loosen)

    def check_forward(self, done: Pass, loosen: float) -> None:
        got = {f"history of {n}": v for n, v in done.history.items()} | {f"final {n}": v for n, v in done.final.items()}
        for name, want in forward(self, self.made).items():
            self.close(got[name], want, name, loosen, forward)

    def check_inference(self, trained: Pass) -> None:
        """What inference gives has the same bits."""
        done, output = self.forward(train=False), self.graph.states[0].name
        same(done.history[output], trained.history[output], f"{self.graph.name} {self.at}: inference, {output}")
        for s in self.graph.states:
            same(done.final[s.name], trained.final[s.name], f"{self.graph.name} {self.at}: inference, final {s.name}")

    def check_backward(self, got: Gradients, loosen: float) -> None:
        assert set(got.start) == {s.name for s in self.graph.states} and set(got.weights) == set(self.weights)
        found = {**got.inputs, **got.weights, **{f"start of {name}": value for name, value in got.start.items()}}
        for name, want in backward(self, self.made).items():
            if name in found:
                self.close(found[name], want, f"gradient of {name}", loosen, backward)
            else:
                assert not want.any(), f"{self.graph.name} {self.at}: no gradient of {name}"

    def close(self, got: np.ndarray, want: np.ndarray, what: str, loosen: float, way: Way) -> None:
        assert got.dtype == self.at.dtype, what
        try:
            assert_close(got, want, self.at.T, f"{self.graph.name} {self.at}: {what}", loosen)
        except AssertionError:
            if not np.abs(got - want).max() <= FEW * self.uncertainty(want, what, way):
                raise

    def uncertainty(self, want: np.ndarray, what: str, way: Way) -> float:
        """How far from the reference in float64 a right answer may lie, because the equations magnify rounding: as far
        as the reference itself in the kernel's type, or with every number nudged by a rounding of it. What stands at a
        kink may fall to either side of it."""
        name, dtype = what.removeprefix("gradient of "), self.at.dtype
        draw, rounding = np.random.default_rng(0), np.finfo(dtype).eps
        widths = {s.name: (self.at.B, size(self.made.sizes, s.width)) for s in self.graph.states}
        own = {s.name: np.full(widths[s.name], s.start) for s in self.graph.states}
        made = replace(self.made, start=own | self.made.start)
        nearby = [changed(made, lambda v: v * (1 + rounding * draw.choice([-1, 1], v.shape))) for _ in range(NUDGES)]
        nearby += [changed(made, lambda v: v.astype(dtype))] if dtype == "float32" else []
        return max(float(np.abs(way(self, near)[name] - want).max()) for near in nearby)


def forward(pair: Pair, made: Case) -> dict[str, np.ndarray]:
    """All that the reference gives forward, laid out as a kernel does."""
    run = reference.run(*made.call, lengths=made.lengths, precision=pair.at.precision)
    found = {f"history of {name}": flat(pair.rows, value, "float64") for name, value in run.history.items()}
    return found | {f"final {name}": value for name, value in run.final.items()}


def backward(pair: Pair, made: Case) -> dict[str, np.ndarray]:
    """All gradients of the reference."""
    want = reference.run_backward(*made.call, made.d_history, made.d_final, made.lengths, precision=pair.at.precision)
    steps = {name: flat(pair.rows, want.inputs[name], "float64") for name in pair.steps}
    return {**want.inputs, **steps, **want.weights, **{f"start of {name}": v for name, v in want.start.items()}}


def changed(made: Case, change: Callable[[np.ndarray], np.ndarray]) -> Case:
    """A case with other numbers."""
    names = ("inputs", "start", "weights", "d_history", "d_final")
    tables = {n: {k: change(v) if isinstance(v, np.ndarray) else v for k, v in getattr(made, n).items()} for n in names}
    return replace(made, **tables)


def same(got: np.ndarray, want: np.ndarray, what: str) -> None:
    """Equal, bit for bit; NaN equals itself."""
    assert got.dtype == want.dtype and got.shape == want.shape, what
    assert got.tobytes() == want.tobytes(), f"{what}: bits differ"


def check(graph: Graph, at: Setting, loosen: float = 1.0) -> Pair:
    """Compare kernel and reference at one setting."""
    pair = Pair(graph, at)
    pair.check(loosen)
    return pair
