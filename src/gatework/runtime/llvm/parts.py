"""What the scripts of a kernel share, whatever their rows: how stages are cut, where weights are packed and gradients
summed. Batches of unequal sequences hardly ever have the same rows twice, so that their scripts are written anew; with
the parts at hand this is a matter of the steps alone.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from gatework.backends.llvm.isa import Isa
from gatework.backends.llvm.layout import MODES, STRETCH, PackWord
from gatework.compiler.params import size
from gatework.compiler.plan import Access, Accumulation, Plan, Stage
from gatework.runtime.frame import Needs, hoisted
from gatework.runtime.lazy import lazy
from gatework.runtime.llvm import cpu
from gatework.runtime.llvm.kernel import Kernel, Piece, Shape, cut_pieces, shape_of
from gatework.runtime.quantised import Weights

ROW_BLOCK_BYTES = 1 << 20  # operands of a block of rows stay in the second cache
SCRATCH = 8192  # elements of a thread's sums
PAGE = 1024  # words
GATHERED = "gathered"  # the mode of operands that lie side by side in rows of a chunk
CROWDED = 4096  # bytes between rows whose columns fall into the same few lines of the nearest cache


class Arena:
    """Tables for machine code to read, at addresses that stay."""

    def __init__(self) -> None:
        self.pages: list[array[int]] = []
        self.address, self.used, self.nbytes = 0, 0, 0

    def block(self, values: Sequence[int] | np.ndarray) -> int:
        """The address of these words."""
        words = array("q", values.tobytes() if isinstance(values, np.ndarray) else values)
        first, self.used = self.used, self.used + len(words)
        if not self.pages or self.used > len(self.pages[-1]):
            self.pages.append(array("q", bytes(8 * max(len(words), PAGE))))
            self.address, first, self.used = self.pages[-1].buffer_info()[0], 0, len(words)
            self.nbytes += 8 * len(self.pages[-1])
        self.pages[-1][first : self.used] = words
        return self.address + 8 * first


@dataclass(frozen=True)
class Mode:
    """How the work is shared: by rows of the batch, or (few rows) by units of the layer, with a meeting after each
    stage."""

    threads: int
    by_units: bool
    hoist: bool


class Run(NamedTuple):
    """Stages to run over steps: the words of `Steps` that say which, and products over all rows that come before."""

    words: list[int]
    before: tuple[Run, ...] = ()


class Panel(NamedTuple):
    """Where the weights of a piece lie: `stride` words for each chunk, `row` for each input. A head has `units` outputs
    that see `seen` inputs."""

    piece: Piece
    shape: Shape
    offset: int
    stride: int
    row: int
    units: int
    seen: int


class Outer(NamedTuple):
    """An outer product: how its operand is read, and its words before and after those that say which rows it adds."""

    mode: str
    before: list[int]
    after: list[int]


class Gathered(NamedTuple):
    """Rows that are copied before weight gradients add them up: how they are read, and their first words."""

    mode: str
    words: list[int]


class Parts:
    """The parts of one kind of call, for stages in tiles of at most `most` vectors. They are made when they are first
    asked for; each script asks for all of them."""

    why = ""  # what `describe` says beside the threads

    def __init__(self, kernel: Kernel, sizes: Mapping[str, int], mode: Mode, most: int, isa: Isa | None = None):
        self.kernel, self.sizes, self.mode, self.most = kernel, sizes, mode, most
        self.graph, self.lanes, self.slots = kernel.graph, kernel.lanes, kernel.slots
        self.isa = isa or kernel.isa
        self.arena, self.needs = Arena(), Needs(mode.threads, scratch=SCRATCH)
        self.packing: list[int] = []
        self.tables = self._tile_tables()
        self.runs: dict[tuple[str, int], Run] = {}
        self.gathered: list[Gathered] = []  # what is copied before gradients are summed: ask for it after `outers`
        self.columns: dict[Access, int] = {}  # of a chunk's rows

    @property
    def library(self) -> cpu.Code:
        """Tiles and drivers."""
        return self.kernel.library

    @property
    def nbytes(self) -> int:
        return self.arena.nbytes

    @property
    def layout(self) -> tuple[int, ...]:
        """How weights are packed."""
        return (self.needs.packed, *self.packing)

    def _tile_tables(self) -> dict[str, dict[int, int]]:
        """Addresses of tiles by height, for each width; tables of outer products begin with their greatest height."""
        isa, library = self.isa, self.library
        plain, outer = {}, {}
        for vectors, most in isa.rows.items():
            plain[vectors] = self.arena.block([library[f"tile_{r}_{vectors}"] for r in range(1, most + 1)])
            if vectors <= isa.max_vectors():
                outer[vectors] = self.arena.block(
                    [most, *(library[f"outer_{r}_{vectors}"] for r in range(1, most + 1))]
                )
        return {"tile": plain, "outer": outer}

    # ---- packing
    @property
    def packers(self) -> list[tuple[str, int]]:
        """The commands that pack the weights of all stages: ask for them after these."""
        return [("pack", self._pack)]

    @lazy
    def _pack(self) -> int:
        return self.arena.block([len(self.packing) // PackWord.WORDS, *self.packing])

    def _reserve(self, elements: int) -> int:
        offset = self.needs.packed
        self.needs.packed += -(-elements // 64) * 64
        return offset

    def _pack_piece(self, piece: Piece, shape: Shape, plan: Plan) -> Panel:
        """Reserve and fill a panel."""
        panel = self._panel(piece, shape, plan, len(piece.terms) * shape.chunk)
        self._pack_terms(panel)
        return panel

    def _pack_terms(self, panel: Panel) -> None:
        shape = panel.shape
        for i, term in enumerate(panel.piece.terms):
            weight = term.weight
            self.packing += [
                self.slots.weight(f"{weight.map}.{weight.slot}"), int(weight.transposed), shape.width, panel.seen,
                self.slots.packed, panel.offset, panel.stride, panel.row, i * shape.chunk, shape.chunk,
                panel.units, panel.seen, panel.seen if weight.transposed else panel.units, 0,
            ]  # fmt: skip

    def _panel(self, piece: Piece, shape: Shape, plan: Plan, row: int, more: int = 0) -> Panel:
        """Reserve a panel in which an input takes `row` words, and a chunk `more`."""
        inputs = size(self.sizes, plan.nodes[piece.operand].width)
        heads = size({"heads": 1, **self.sizes}, "heads") if piece.blocked else 1
        units, seen = shape.width // heads, inputs // heads
        touched = max(
            -(-min(u + shape.chunk, shape.width) // units) - u // units for u in range(0, shape.width, shape.chunk)
        )
        stride = touched * seen * row + more
        return Panel(piece, shape, self._reserve(stride * shape.chunks), stride, row, units, seen)

    def _pack_biases(self, stage: Stage, shape: Shape, plan: Plan) -> int:
        """What the sums start from: biases, or zeros."""
        offset = self._reserve(shape.columns * shape.chunks)
        for column, dot in enumerate(stage.dots):
            if bias := plan.nodes[dot].attr.bias:
                self.packing += [
                    self.slots.weight(f"{bias}.bias"), 0, shape.width, 1,
                    self.slots.packed, offset, shape.columns, 0, column * shape.chunk, shape.chunk,
                    shape.width, 1, shape.width, 0,
                ]  # fmt: skip
        return offset

    def fill(self, memory: np.ndarray, weights: Weights) -> None:
        """Write the weights that the command which packs does not: here none."""

    # ---- stages
    def stages(self, name: str) -> Run:
        """A plan's stages; its products that need no state are taken out of the loop."""
        if (name, -1) not in self.runs:
            self.runs[name, -1] = self._stages(name, self.kernel.plans[name])
        return self.runs[name, -1]

    def product(self, name: str, index: int) -> Run:
        """One of a plan's products outside the loop."""
        if (name, index) not in self.runs:
            self.runs[name, index] = self._product(name, index, self.kernel.plans[name])
        return self.runs[name, index]

    def _stages(self, name: str, plan: Plan) -> Run:
        parts = self.mode.threads if self.mode.by_units else 1
        cut = [self._cut(s, parts, self.most) for s in plan.stages]
        words: list[int] = []
        before: list[Run] = []
        for i, (stage, shape) in enumerate(zip(plan.stages, cut, strict=True)):
            words += self._stage(stage, shape, plan, self.kernel.address(name, i), before)
        return self._run(cut, plan, len(plan.stages), words, before)

    def _product(self, name: str, index: int, plan: Plan) -> Run:
        stage = plan.products[index]
        shape = self._cut(stage, 1, self.isa.max_vectors())
        zeros = (self.slots.packed, self._reserve(shape.columns * shape.chunks), shape.columns, 0)
        address = self.kernel.address(name, len(plan.stages) + index)
        outside = replace(plan, homes=plan.homes | plan.chunks)
        words = self._stage_words(stage, shape, outside, address, zeros, -1, list(shape.pieces))
        return self._run([shape], plan, 1, words)

    def _run(self, cut: Sequence[Shape], plan: Plan, stages: int, words: list[int], before: Sequence[Run] = ()) -> Run:
        return Run([*self._room(cut, plan), stages, self.arena.block(words)], tuple(before))

    def _room(self, cut: Sequence[Shape], plan: Plan) -> tuple[int, int, int, int]:
        """A thread's scratch, how many rows make a block (their sums fit the scratch, their operands the cache), and
        where in the scratch rounded operands begin."""
        columns = max((s.columns for s in cut), default=1) or 1
        operands = [{p.operand: size(self.sizes, plan.nodes[p.operand].width) for p in s.pieces} for s in cut]
        bytes_each = self.kernel.item * max((sum(o.values()) for o in operands), default=0)
        block = max(min((s.tile_rows for s in cut), default=1) * 4, ROW_BLOCK_BYTES // (bytes_each or 1))
        self.needs.scratch = max(self.needs.scratch, columns)
        return self.slots.scratch, max(SCRATCH, columns), max(1, min(block, SCRATCH // columns)), 0

    def _cut(self, stage: Stage, parts: int, most: int) -> Shape:
        return shape_of(stage, self.graph, self.sizes, self.isa, self.lanes, parts, most)

    def _stage(self, stage: Stage, shape: Shape, plan: Plan, epilogue: int, before: list[Run]) -> list[int]:
        outside = (
            [
                p
                for p in shape.pieces
                if self.mode.hoist and plan.homes[p.operand].mode == "cur" and plan.homes[p.operand].kind == "input"
            ]
            if stage.dots
            else []
        )
        inside = [p for p in shape.pieces if p not in outside]
        bias = self._pack_biases(stage, shape, plan) if stage.dots else 0
        start = (self.slots.packed, bias, shape.columns, 0)
        if outside:
            run, start = self._hoist(outside, shape, plan, start)
            before.append(run)
        return self._stage_words(stage, shape, plan, epilogue, start, -1, inside)

    def _stage_words(
        self, stage: Stage, shape: Shape, plan: Plan, epilogue: int, start: tuple, out: int, pieces: list[Piece]
    ) -> list[int]:
        sections = self.arena.block([w for p in pieces for w in self._section(p, shape, plan)])
        return [
            int(stage.rows), epilogue, shape.width, shape.chunk, shape.chunks, shape.columns, shape.tile_rows,
            *start, out, len(pieces), sections, STRETCH,
        ]  # fmt: skip

    def _section(self, piece: Piece, shape: Shape, plan: Plan) -> list[int]:
        panel = self._pack_piece(piece, shape, plan)
        access = plan.homes[piece.operand]
        tiles = self.tables["tile"][len(piece.terms) * shape.vectors]
        return [
            self.slots.of(access), MODES[access.mode], self.slots.first(access), panel.seen,
            self.slots.packed, panel.offset, panel.stride, tiles,
            piece.first * shape.chunk, panel.units, panel.seen, panel.row, 0, 0,
        ]  # fmt: skip

    def _hoist(
        self, pieces: list[Piece], shape: Shape, plan: Plan, start: tuple
    ) -> tuple[Run, tuple[int, int, int, int]]:
        """One product over all rows, into the array from which the loop's sums then start."""
        cut, height = cut_pieces(pieces, shape.vectors, self.isa.max_vectors(), self.isa)
        shape, stage = replace(shape, pieces=cut, tile_rows=height), Stage("", False)
        name = hoisted(len(self.needs.hoisted))
        words = self._stage_words(stage, shape, plan, 0, start, self.slots[name], list(cut))
        self.needs.hoisted[name] = shape.columns * shape.chunks
        return self._run([shape], plan, 1, words), (self.slots[name], 0, shape.columns, 1)

    # ---- weight gradients
    @lazy
    def outers(self) -> list[Outer]:
        """A chunk's part of every weight gradient of the backward plan."""
        tables = self.arena.block([self.tables["outer"][v] for v in sorted(self.tables["outer"])])
        return [outer for g, place in self._gradients for outer in self._outers(g, place, tables)]

    def _outers(self, g: Accumulation, place: tuple[int, int], tables: int) -> list[Outer]:
        offset, heads = place
        units, inputs, group = self._outer_shape(g, heads)
        operand, fresh = self.slots.of(g.operand), self.slots.first(g.operand)
        each = _sums_size(units, inputs, group)
        ct, mode, first = self.slots.of(g.ct), g.operand.mode if g.operand else "one", 0
        if g.operand and self._crowded(g.operand, g.operand_width):
            first, mode = self._column(g.operand, g.operand_width), GATHERED
            operand = fresh = self.slots.gathered
        return [
            Outer(
                mode,
                [ct, operand, fresh, units, inputs, self.slots.sums, offset + h * each, group, tables],
                [h * units, first + h * inputs],
            )
            for h in range(heads)
        ]

    def _crowded(self, access: Access, width: str) -> bool:
        """Do the rows of an operand push each other out of the nearest cache? Narrow vectors then wait for every row;
        wide ones have twice as much to do with each, and copies gained nothing."""
        between = size(self.sizes, width) * self.kernel.item
        return self.isa.vector_bytes < 64 and access.mode in ("cur", "prev") and between % CROWDED == 0

    def _column(self, access: Access, width: str) -> int:
        """Where an array stands in the rows of a chunk."""
        if access not in self.columns:
            column = self.columns[access] = self.needs.gathered
            count = size(self.sizes, width)
            self.needs.gathered += self._whole_vectors(count)
            words = [self.slots.of(access), self.slots.first(access), count, self.slots.gathered, column]
            self.gathered.append(Gathered(access.mode, words))
        return self.columns[access]

    def _whole_vectors(self, count: int) -> int:
        return -(-count // self.lanes) * self.lanes

    def _outer_shape(self, g: Accumulation, heads: int) -> tuple[int, int, int]:
        """Units and inputs of one head of a gradient, and how many units are summed together."""
        units = size(self.sizes, g.ct_width) // heads
        inputs = size(self.sizes, g.operand_width) // heads if g.operand else 1
        return units, inputs, self.isa.max_vectors() * self.lanes

    @lazy
    def _gradients(self) -> list[tuple[Accumulation, tuple[int, int]]]:
        """Each gradient with where it is summed, and over how many heads; contributions to one parameter share their
        place."""
        places: dict[str, tuple[int, int]] = {}
        gradients = self.kernel.plans["backward"].gradients
        for g in gradients:
            if g.key in places:
                continue
            heads = size({"heads": 1, **self.sizes}, "heads") if self._blocked(g) else 1
            places[g.key] = self.needs.sums, heads
            self.needs.sums += heads * _sums_size(*self._outer_shape(g, heads))
        return [(g, places[g.key]) for g in gradients]

    def _blocked(self, g: Accumulation) -> bool:
        name, _, slot = g.key.rpartition(".")
        return bool(g.operand) and bool(self.graph.map(name).blocked) and self.graph.map(name).blocked[int(slot)]

    def words(self, rows: int) -> int:
        """How many words hold a column of this many rows."""
        return rows

    @lazy
    def fill_sums(self) -> int:
        """Zeros where gradients are summed."""
        _ = self._gradients
        return self.arena.block([1, self.slots.sums, self.needs.sums])

    @lazy
    def unpack(self) -> int:
        """Gradients from their sums into the caller's matrices."""
        first: dict[str, tuple[Accumulation, tuple[int, int]]] = {}
        for g, place in self._gradients:
            first.setdefault(g.key, (g, place))
        jobs = [w for g, place in first.values() for w in self._unpack_jobs(g, *place)]
        return self.arena.block([len(jobs) // PackWord.WORDS, *jobs])

    def _unpack_jobs(self, g: Accumulation, offset: int, heads: int) -> list[int]:
        units, inputs, group = self._outer_shape(g, heads)
        each = _sums_size(units, inputs, group)
        words: list[int] = []
        for h in range(heads):
            words += [
                self.slots.gradient(g.key), 0, units, inputs, self.slots.sums, offset + h * each,
                inputs * group, group, 0, group, units, inputs, units, h * units,
            ]  # fmt: skip
        return words


def _sums_size(units: int, inputs: int, group: int) -> int:
    """Elements of a gradient's sums: whole groups of units."""
    return -(-units // group) * group * inputs
