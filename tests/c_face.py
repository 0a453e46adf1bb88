"""Printed programs, called from Python: many of them in one library, so that a compiler starts once."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatework.compiler.ir import Graph
from gatework.compiler.params import shapes, size
from gatework.exporting import c
from gatework.exporting.c import compiling, program
from gatework.exporting.c.stack import ready
from gatework.exporting.c.vectors import FEW, Model, in_float64
from gatework.runtime.saved import Layer

needs_compiler = pytest.mark.skipif(
    compiling.compiler() is None, reason="there is no C compiler here (cc, gcc, or CC in the environment)"
)


def layer(graph: Graph, sizes: Mapping[str, int], ways: int = 1, seed: int = 0, learned: bool = False) -> Layer:
    """A layer with random weights, as float32 holds them."""
    draw = np.random.default_rng(seed)
    weights = tuple(
        {key: _weight(key, shape, draw) for key, shape in shapes(graph, sizes).items()} for _ in range(ways)
    )
    starts = [
        {s.name: 1 + np.abs(_weight(".", (size(sizes, s.width),), draw)) for s in graph.states if learned}
        for _ in range(ways)
    ]
    return Layer(graph, dict(sizes), weights, tuple(starts))


def _weight(key: str, shape: tuple[int, ...], draw: np.random.Generator) -> np.ndarray:
    drawn = draw.normal(size=shape) * (1.0 / max(1, shape[-1]) ** 0.5 if len(shape) > 1 else 0.5)
    return (drawn + ("gain" in key)).astype(np.float32)


def write_program(folder: Path, name: str, layers: Sequence[Layer], weights: str = "float32") -> Path:
    """NAME.h and NAME.c, without the proof, which costs more than all else."""
    stack = c.printed(layers, name, weights, c.MOST_STEPS)
    parts = program.of_stack(stack, name)
    for text, end in ((program.header(parts), "h"), (program.source(parts, stack.cells, name), "c")):
        (folder / f"{name}.{end}").write_text(text.replace("@", f"{name}_"))
    return folder / f"{name}.c"


class Library:
    """Programs of stacks by name, compiled together: `library.run("lstm", inputs)`."""

    def __init__(self, folder: Path, stacks: Mapping[str, Sequence[Layer]], weights: str = "float32", *flags: str):
        self.stacks, self.weights = stacks, weights
        for name, layers in stacks.items():
            write_program(folder, name, layers, weights)
        whole = folder / "all.c"
        whole.write_text("".join(f'#include "{name}.c"\n' for name in stacks))
        out = folder / f"all{os.getpid()}.so"
        compiling.compiled([whole], out, *(flags or ("-O1",)), *compiling.STRICT, "-shared", "-fPIC")
        self.library = ctypes.CDLL(str(out))

    def model(self, name: str) -> Model:
        """The same stack, as the reference computes it."""
        return Model(in_float64(ready(self.stacks[name], self.weights)))

    def run(self, name: str, inputs: Mapping[str, Any], start: list | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (T, O), and all states at the end, one after another."""
        model = self.model(name)
        steps = len(inputs[model.data])
        states = np.zeros(1 << 20, np.float32)
        self._call(name, "reset", states)
        if start is not None:
            given = np.concatenate([v for each in start for way in each for v in way.values()]).astype(np.float32)
            states[: len(given)] = given
        outputs = np.zeros((steps, self.stacks[name][-1].output_size), np.float32)
        others = [self._given(inputs[item.name], item.per) for item, _ in model.more]
        self._call(name, "run", states, self._given(inputs[model.data], "step"), *others, steps, outputs)
        return outputs, states

    def _given(self, value: Any, per: str) -> Any:
        return float(value) if per == "call" else np.ascontiguousarray(value, np.float32)

    def _call(self, name: str, what: str, *arguments: Any) -> None:
        kinds = {float: ctypes.c_float, int: ctypes.c_size_t}
        made = [ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else kinds[type(a)](a) for a in arguments]
        getattr(self.library, f"{name}_{what}")(*made)

    def check(self, name: str, steps: int = 9, seed: int = 0) -> None:
        """Compare with the reference, from the start and going on from where that leads."""
        model, draw = self.model(name), np.random.default_rng(seed)
        start = None
        for _ in range(2):
            inputs = model.draw(steps, draw)
            want, last = model.run(inputs, start)
            near, near_last = model.run(inputs, start, "float32")
            got, states = self.run(name, inputs, start)
            close(got, want, near, f"{name}, outputs")
            ends = [
                np.concatenate([v for each in found for way in each for v in way.values()])
                for found in (last, near_last)
            ]
            close(states[: ends[0].size], *ends, f"{name}, states")
            start = [[{s: v.astype(np.float32).astype(np.float64) for s, v in w.items()} for w in x] for x in last]


def close(got: np.ndarray, want: np.ndarray, near: np.ndarray, what: str) -> None:
    """Within float32's rounding, or a few times what the reference loses in float32. NaN fails."""
    scale = np.abs(want[np.isfinite(want)]).max(initial=0.0) or 1.0
    lost = np.abs(np.where(np.isfinite(want), want - near, 0)).max(initial=0.0)
    allowed = max(1e-5 * scale * max(1, len(want)) ** 0.5, FEW * lost)
    off = np.where(
        np.isfinite(want), np.abs(got - np.where(np.isfinite(want), want, 0)), np.where(got == want, 0, np.inf)
    )
    assert got.shape == want.shape
    assert (off <= allowed).all(), f"{what}: off by {off.max():.3g}, allowed {allowed:.3g}"
