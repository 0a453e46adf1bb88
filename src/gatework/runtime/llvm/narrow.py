"""Steps with narrow weights: tiles that read them, and panels that hold them (see backends/llvm/narrow.py)."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from gatework.backends.llvm import narrow
from gatework.backends.llvm.isa import Isa
from gatework.backends.llvm.layout import STRETCH
from gatework.compiler.plan import Plan, Stage
from gatework.runtime.llvm import cpu
from gatework.runtime.llvm.kernel import Kernel, Piece, Shape
from gatework.runtime.llvm.parts import Mode, Panel, Parts
from gatework.runtime.quantised import Weights

WORD = 4  # bytes


@dataclass(frozen=True)
class Form:
    """Which tiles read the weights of a kind on this processor."""

    name: str
    isa: Isa

    @functools.cached_property
    def library(self) -> cpu.Code:
        text = functools.partial(narrow.library, self.name, self.isa)
        return cpu.load(f"narrow-{self.name}", f"narrow {self.name}", self.isa, text)

    @property
    def says(self) -> str:
        return {"bf16": "bf16 weights", "int8": "int8 weights", "bytes": "int8 weights, products of bytes"}[self.name]

    @property
    def inputs(self) -> int:
        """How many inputs share a word of a panel."""
        return 2 if self.name == "bf16" else 4


@functools.cache
def form_of(kind: str, isa: Isa) -> Form:
    if kind == "int8" and isa.name == "avx512" and cpu.supported(narrow.vnni(isa)):
        return Form("bytes", narrow.vnni(isa))
    return Form(kind, narrow.widened(isa, kind))


class NarrowParts(Parts):
    """The parts of a step whose matrices are narrow: `fill` writes them, as the command that packs knows floats
    alone."""

    def __init__(self, kernel: Kernel, sizes: Mapping[str, int], mode: Mode, most: int, form: Form):
        self.form, self.panels = form, list[Panel]()
        self.why = f", {form.says}"
        super().__init__(kernel, sizes, mode, most, form.isa)

    def _tile_tables(self) -> dict[str, dict[int, int]]:
        library = self.form.library
        return {
            "tile": {
                v: self.arena.block([library[f"tile_{r}_{v}"] for r in range(1, most + 1)])
                for v, most in self.isa.rows.items()
            }
        }

    def _cut(self, stage: Stage, parts: int, most: int) -> Shape:
        """Sums of whole numbers begin anew every STRETCH inputs, counted from the first that a chunk of units sees.
        That depends on the chunk where there are heads, so there all chunks are one vector wide: an output keeps its
        bits for any number of threads and rows."""
        shape = super()._cut(stage, parts, most)
        if any(piece.blocked for piece in shape.pieces):
            return super()._cut(stage, parts, min(most, len(stage.dots)))
        return shape

    def _pack_piece(self, piece: Piece, shape: Shape, plan: Plan) -> Panel:
        columns = len(piece.terms) * shape.chunk
        row = columns // self.form.inputs
        if self.form.name != "bf16":
            row += -(-columns // STRETCH)  # scales before each stretch
        panel = self._panel(piece, shape, plan, row, more=2 * columns)
        self.panels.append(panel)
        return panel

    def fill(self, memory: np.ndarray, weights: Weights) -> None:
        """Write the matrices into their panels."""
        for panel in self.panels:
            for chunk, words in enumerate(_chunks(panel, weights, self.form)):
                first = panel.offset + chunk * panel.stride
                memory[first : first + len(words)] = words.view(memory.dtype)


def _chunks(panel: Panel, weights: Weights, form: Form) -> Iterator[np.ndarray]:
    """For each chunk of units what its part of a panel holds."""
    shape, terms = panel.shape, panel.piece.terms
    matrices = [weights[f"{term.weight.map}.{term.weight.slot}"] for term in terms]
    whole = [_without_heads(m.values) for m in matrices]
    for u0 in range(0, shape.width, shape.chunk):
        u1 = min(u0 + shape.chunk, shape.width)
        k0, k1 = u0 // panel.units * panel.seen, -(-u1 // panel.units) * panel.seen
        values = np.zeros((k1 - k0, len(terms), shape.chunk), whole[0].dtype)
        scales = np.zeros((len(terms), shape.chunk), np.float32)
        for i, (matrix, all_values) in enumerate(zip(matrices, whole, strict=True)):
            values[:, i, : u1 - u0] = all_values[u0:u1, k0:k1].T
            if matrix.scales is not None:
                scales[i, : u1 - u0] = matrix.scales.reshape(-1)[u0:u1]
        yield _words(values.reshape(len(values), -1), scales.reshape(-1), panel.row, form)


def _without_heads(values: np.ndarray) -> np.ndarray:
    """(heads, out, in) as one matrix with zeros where a head sees nothing."""
    if values.ndim == 2:
        return values
    heads, out, inputs = values.shape
    whole = np.zeros((heads, out, heads, inputs), values.dtype)
    whole[np.arange(heads), :, np.arange(heads)] = values
    return whole.reshape(heads * out, heads * inputs)


def _words(values: np.ndarray, scales: np.ndarray, row: int, form: Form) -> np.ndarray:
    """Values (inputs, columns) as the words of a panel: see backends/llvm/narrow.py."""
    if form.name == "bf16":
        return _shared(values, 2).view(np.uint32).reshape(-1)
    found = np.zeros(row * len(values) + 2 * len(scales), np.uint32)
    for k in range(0, len(values), STRETCH):
        block = np.concatenate([scales.view(np.uint32), _encoded(values[k : k + STRETCH], form)])
        found[k * row : k * row + len(block)] = block
    return found


def _encoded(values: np.ndarray, form: Form) -> np.ndarray:
    """The whole numbers of a stretch of inputs."""
    if form.name == "int8":
        return np.pad(values.reshape(-1), (0, -values.size % WORD)).view(np.uint32)
    wide = narrow.TOGETHER * form.isa.lanes("float")
    parts = [values[:, c : c + wide] for c in range(0, values.shape[1], wide)]
    return np.concatenate([(_shared(part, 4).view(np.uint8) ^ 128).reshape(-1) for part in parts]).view(np.uint32)


def _shared(values: np.ndarray, count: int) -> np.ndarray:
    """`count` inputs of a column side by side."""
    padded = np.zeros((-(-len(values) // count) * count, values.shape[1]), values.dtype)
    padded[: len(values)] = values
    return np.ascontiguousarray(padded.reshape(-1, count, values.shape[1]).swapaxes(1, 2))
