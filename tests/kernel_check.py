"""Runs a kernel beside the reference, forward and backward, and compares everything that both give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cases import Case, case, sizes_of
from compare import assert_close
from gatework.backends import reference
from gatework.backends.llvm.isa import ISAS
from gatework.compiler.ir import Graph
from gatework.runtime.llvm import cpu
from gatework.runtime.llvm.compiled import Compiled
from gatework.runtime.program import Gradients, Pass
from gatework.runtime.rows import Rows

HERE = [name for name, isa in ISAS.items() if cpu.supported(isa)]
LAYOUTS = ("rectangle", "reverse", "ragged", "ragged reverse")


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

    def __str__(self) -> str:
        return (
            f"T{self.T} B{self.B} H{self.H} I{self.I} {self.dtype} {self.isa} {self.layout}"
            f"{' recompute' * self.recompute}{'' if self.given_start else ' own start'}"
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


class Pair:
    """A case that runs on a program and on the reference."""

    def __init__(self, graph: Graph, at: Setting):
        self.graph, self.at, self.made = graph, at, draw(graph, at)
        self.rows = rows_of(self.made, at.T, at.layout)
        self.program = Compiled(graph, self.made.sizes, at.dtype, ISAS[at.isa], at.recompute)
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

    # ---- the reference
    @property
    def call(self) -> tuple:
        return self.graph, self.made.sizes, self.made.inputs, self.made.start, self.made.weights

    def check(self, loosen: float = 1.0) -> None:
        """Forward in training and inference, and backward, against the reference."""
        self.done = self.forward()
        self.check_forward(self.done, loosen)
        self.check_inference(self.done)
        self.check_backward(self.backward(self.done), loosen)

    def close(self, got: np.ndarray, want: np.ndarray, what: str, loosen: float) -> None:
        assert got.dtype == self.at.dtype, what
        assert_close(got, want, self.at.T, f"{self.graph.name} {self.at}: {what}", loosen)

    def check_forward(self, done: Pass, loosen: float) -> None:
        want = reference.run(*self.call, lengths=self.made.lengths)
        for s in self.graph.states:
            expected = flat(self.rows, want.history[s.name], "float64")
            self.close(done.history[s.name], expected, f"history of {s.name}", loosen)
            self.close(done.final[s.name], want.final[s.name], f"final {s.name}", loosen)

    def check_inference(self, trained: Pass) -> None:
        """What inference gives has the same bits."""
        done, output = self.forward(train=False), self.graph.states[0].name
        same(done.history[output], trained.history[output], f"{self.graph.name} {self.at}: inference, {output}")
        for s in self.graph.states:
            same(done.final[s.name], trained.final[s.name], f"{self.graph.name} {self.at}: inference, final {s.name}")

    def check_backward(self, got: Gradients, loosen: float) -> None:
        want = reference.run_backward(*self.call, self.made.d_history, self.made.d_final, self.made.lengths)
        for name in self.steps | {i.name for i in self.graph.inputs if i.per == "sequence"}:
            expected = want.inputs[name]
            if name not in got.inputs:
                assert not expected.any(), f"{self.graph.name} {self.at}: no gradient of {name}"
                continue
            expected = flat(self.rows, expected, "float64") if name in self.steps else expected
            self.close(got.inputs[name], expected, f"gradient of {name}", loosen)
        assert set(got.start) == {s.name for s in self.graph.states} and set(got.weights) == set(self.weights)
        for name, values in got.start.items():
            self.close(values, want.start[name], f"gradient of the start of {name}", loosen)
        for name, values in got.weights.items():
            self.close(values, want.weights[name], f"gradient of {name}", loosen)


def same(got: np.ndarray, want: np.ndarray, what: str) -> None:
    """Equal, bit for bit; NaN equals itself."""
    assert got.dtype == want.dtype and got.shape == want.shape, what
    assert got.tobytes() == want.tobytes(), f"{what}: bits differ"


def check(graph: Graph, at: Setting, loosen: float = 1.0) -> Pair:
    """Compare kernel and reference at one setting."""
    pair = Pair(graph, at)
    pair.check(loosen)
    return pair
