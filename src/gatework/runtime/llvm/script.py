"""What the threads are to do, as tables of words (see backends/llvm/layout.py): built once for a layout of rows.

A script holds no address of data: arrays are named by slots, which a call fills in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gatework.backends.llvm.layout import MODES, PackWord
from gatework.compiler.params import size
from gatework.compiler.plan import Access, Accumulation, Plan, Stage
from gatework.runtime.frame import Needs, hoisted
from gatework.runtime.llvm.kernel import Kernel, Piece, Shape, cut_pieces, shape_of
from gatework.runtime.rows import Rows

ROW_BLOCK_BYTES = 1 << 20  # operands of a block of rows stay in the second cache
SCRATCH = 8192  # elements of a thread's sums
STRETCH = 256  # inputs that are multiplied at a time


class Ref(int):
    """An offset in the arena that becomes an address."""


class Arena:
    """Words under construction; blocks refer to each other by `Ref`."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self.references: list[int] = []

    def block(self, values: Sequence[int]) -> Ref:
        start = len(self.words)
        self.references += [start + i for i, v in enumerate(values) if isinstance(v, Ref)]
        self.words += values
        return Ref(start)

    def finish(self) -> np.ndarray:
        table = np.array(self.words or [0], np.int64)
        table[self.references] = table[self.references] * 8 + table.ctypes.data
        return table


@dataclass
class Script(Needs):
    """Commands ready to run, and the working memory that they need. Read-only once it is finished."""

    commands: list[tuple[str, Ref]] = field(default_factory=list)
    table: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    first: int = 0
    why: str = ""
    layout: tuple[int, ...] = ()  # how weights are packed: scripts that agree in it can share the packed weights

    @property
    def nbytes(self) -> int:
        return self.table.nbytes

    @property
    def address(self) -> int:
        """Where the first command lies."""
        return self.table.ctypes.data + 8 * self.first


@dataclass(frozen=True)
class Mode:
    """How the work is shared: by rows of the batch, or (few rows) by units of the layer, with a meeting after each
    stage."""

    threads: int
    by_units: bool
    hoist: bool


class Writer:
    """Builds one script."""

    def __init__(self, kernel: Kernel, sizes: Mapping[str, int], rows: Rows, mode: Mode):
        self.kernel, self.sizes, self.rows, self.mode = kernel, sizes, rows, mode
        self.graph, self.lanes, self.slots = kernel.graph, kernel.lanes, kernel.slots
        self.arena, self.script = Arena(), Script(mode.threads, scratch=SCRATCH)
        self.packing: list[int] = []
        self.tables = self._tile_tables()
        self.counts = self.arena.block(rows.counts.tolist())
        self.offsets = self.arena.block(rows.offsets.tolist())
        self.splits = self.arena.block(split_rows(rows, mode.threads))
        self.shapes: dict[tuple, tuple[Any, Ref]] = {}

    def finish(self) -> Script:
        library = self.kernel.library
        commands = [w for name, argument in self.script.commands for w in (library[name], argument)]
        self.script.first = self.arena.block(commands)
        self.script.table = self.arena.finish()
        self.script.layout = (self.script.packed, *self.packing)
        return self.script

    def command(self, name: str, argument: Ref) -> None:
        self.script.commands.append((name, argument))

    def _tile_tables(self) -> dict[str, dict[int, Ref]]:
        """Addresses of tiles by height, for each width; tables of outer products begin with their greatest height."""
        isa, library = self.kernel.isa, self.kernel.library
        plain, outer = {}, {}
        for vectors, most in isa.rows.items():
            plain[vectors] = self.arena.block([library[f"tile_{r}_{vectors}"] for r in range(1, most + 1)])
            if vectors <= isa.max_vectors():
                outer[vectors] = self.arena.block(
                    [most, *(library[f"outer_{r}_{vectors}"] for r in range(1, most + 1))]
                )
        return {"tile": plain, "outer": outer}

    # ---- packing
    def pack(self) -> None:
        """First in the list: the weights of all stages that have been written."""
        jobs = len(self.packing) // PackWord.WORDS
        self.script.commands.insert(0, ("pack", self.arena.block([jobs, *self.packing])))

    def _reserve(self, elements: int) -> int:
        offset = self.script.packed
        self.script.packed += -(-elements // 64) * 64
        return offset

    def _pack_piece(self, piece: Piece, shape: Shape, plan: Plan) -> tuple[int, int, int, int]:
        """Reserve and fill a panel: offset, elements of a chunk, units and inputs of a head."""
        inputs = size(self.sizes, plan.nodes[piece.operand].width)
        heads = size({"heads": 1, **self.sizes}, "heads") if piece.blocked else 1
        units, seen = shape.width // heads, inputs // heads
        row = len(piece.terms) * shape.chunk
        touched = max(
            -(-min(u + shape.chunk, shape.width) // units) - u // units for u in range(0, shape.width, shape.chunk)
        )
        stride = touched * seen * row
        offset = self._reserve(stride * shape.chunks)
        for i, term in enumerate(piece.terms):
            weight = term.weight
            self.packing += [
                self.slots.weight(f"{weight.map}.{weight.slot}"), int(weight.transposed), shape.width, seen,
                self.slots.packed, offset, stride, row, i * shape.chunk, shape.chunk,
                units, seen, seen if weight.transposed else units, 0,
            ]  # fmt: skip
        return offset, stride, units, seen

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

    # ---- stages
    def steps(self, name: str, begin: int, count: int, stride: int, base: int = 0) -> None:
        """Run a plan's stages over steps, after its products that need no state have been taken out of the loop."""
        plan = self.kernel.plans[name]
        if ("stages", name) not in self.shapes:
            self.shapes["stages", name] = self._stages(name, plan)
        room, stages = self.shapes["stages", name]
        words = [
            begin, count, stride, self.counts, self.offsets, base, int(self.mode.by_units), self.splits,
            *room, len(plan.stages), stages,
        ]  # fmt: skip
        self.command("steps", self.arena.block(words))

    def _room(self, cut: Sequence[Shape], plan: Plan) -> tuple[int, int, int]:
        """A thread's scratch for sums, and how many rows make a block: their sums fit it, their operands fit the
        cache."""
        columns = max((s.columns for s in cut), default=1) or 1
        operands = [{p.operand: size(self.sizes, plan.nodes[p.operand].width) for p in s.pieces} for s in cut]
        bytes_each = {"float": 4, "double": 8}[self.kernel.scalar] * max((sum(o.values()) for o in operands), default=0)
        block = max(min((s.tile_rows for s in cut), default=1) * 4, ROW_BLOCK_BYTES // (bytes_each or 1))
        self.script.scratch = max(self.script.scratch, columns)
        return self.slots.scratch, max(SCRATCH, columns), max(1, min(block, SCRATCH // columns))

    def _cut(self, stage: Stage, parts: int, batch: int = 0) -> Shape:
        most = self.kernel.isa.max_vectors(batch or int(self.rows.counts[0]))
        return shape_of(stage, self.graph, self.sizes, self.kernel.isa, self.lanes, parts, most)

    def _stages(self, name: str, plan: Plan) -> tuple[tuple[int, int, int], Ref]:
        parts = self.mode.threads if self.mode.by_units else 1
        cut = [self._cut(s, parts) for s in plan.stages]
        words: list[int] = []
        for i, (stage, shape) in enumerate(zip(plan.stages, cut, strict=True)):
            words += self._stage(stage, shape, plan, self.kernel.address(name, i))
        return self._room(cut, plan), self.arena.block(words)

    def _stage(self, stage: Stage, shape: Shape, plan: Plan, epilogue: int) -> list[int]:
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
            start = self._hoist(outside, shape, plan, start)
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
        offset, stride, units, seen = self._pack_piece(piece, shape, plan)
        access = plan.homes[piece.operand]
        tiles = self.tables["tile"][len(piece.terms) * shape.vectors]
        return [
            self.slots.of(access), MODES[access.mode], self.slots.first(access), seen,
            self.slots.packed, offset, stride, tiles,
            piece.first * shape.chunk, units, seen, len(piece.terms) * shape.chunk,
        ]  # fmt: skip

    def _hoist(self, pieces: list[Piece], shape: Shape, plan: Plan, start: tuple) -> tuple[int, int, int, int]:
        """One product over all rows, into the array from which the loop's sums then start."""
        isa = self.kernel.isa
        cut, height = cut_pieces(pieces, shape.vectors, isa.max_vectors(), isa)
        shape, stage = replace(shape, pieces=cut, tile_rows=height), Stage("", False)
        name = hoisted(len(self.script.hoisted))
        words = self._stage_words(stage, shape, plan, 0, start, self.slots[name], list(cut))
        self._whole(self.arena.block(words), self.rows.size, 0, self._room([shape], plan))
        self.script.hoisted[name] = shape.columns * shape.chunks
        return self.slots[name], 0, shape.columns, 1

    def _whole(self, stage: Ref, count: int, offset: int, room: tuple[int, int, int]) -> None:
        """Run one stage over many rows as if they were one step."""
        counts, offsets = self.arena.block([count]), self.arena.block([offset])
        splits = self.arena.block([count * i // self.mode.threads for i in range(self.mode.threads + 1)])
        words = [0, 1, 1, counts, offsets, offset, 0, splits, *room, 1, stage]
        self.command("steps", self.arena.block(words))

    def product(self, name: str, index: int, count: int, offset: int) -> None:
        """One of a plan's products outside the loop, over the rows of a chunk."""
        plan = self.kernel.plans[name]
        stage = plan.products[index]
        if ("product", index) not in self.shapes:
            shape = self._cut(stage, 1, 1000)
            zeros = (self.slots.packed, self._reserve(shape.columns * shape.chunks), shape.columns, 0)
            address = self.kernel.address(name, len(plan.stages) + index)
            outside = replace(plan, homes=plan.homes | plan.chunks)
            words = self._stage_words(stage, shape, outside, address, zeros, -1, list(shape.pieces))
            self.shapes["product", index] = shape, self.arena.block(words)
        shape, words = self.shapes["product", index]
        self._whole(words, count, offset, self._room([shape], plan))

    # ---- weight gradients
    def outers(self, plan: Plan, sums: Mapping[int, tuple[int, int]], steps: range, base: int, count: int) -> None:
        """Add a chunk's part of every weight gradient; `sums[i]` says where gradient i is summed, for which head."""
        tables = self.arena.block([self.tables["outer"][v] for v in sorted(self.tables["outer"])])
        jobs: list[list[int]] = []
        for i, gradient in enumerate(plan.gradients):
            found = segments(gradient.operand, self.rows, steps, base, count)
            where = self.arena.block([w for s in found for w in s])
            jobs += self._outer_jobs(gradient, sums[i], [tables, where, len(found)])
        self.command("outer", self.arena.block([len(jobs), *(w for job in jobs for w in job)]))

    def _outer_jobs(self, g: Accumulation, place: tuple[int, int], tables: list[int]) -> list[list[int]]:
        offset, heads = place
        units, inputs, group = self.outer_shape(g, heads)
        operand, fresh = self.slots.of(g.operand), self.slots.first(g.operand)
        each = sums_size(units, inputs, group)
        return [
            [
                self.slots.of(g.ct), operand, fresh, units, inputs, self.slots.sums, offset + h * each, group,
                *tables, h * units, h * inputs,
            ]
            for h in range(heads)
        ]  # fmt: skip

    def outer_shape(self, g: Accumulation, heads: int) -> tuple[int, int, int]:
        """Units and inputs of one head of a gradient, and how many units are summed together."""
        units = size(self.sizes, g.ct_width) // heads
        inputs = size(self.sizes, g.operand_width) // heads if g.operand else 1
        return units, inputs, self.kernel.isa.max_vectors() * self.lanes

    def reserve_sums(self, plan: Plan) -> dict[int, tuple[int, int]]:
        """Where each gradient is summed, and over how many heads; contributions to one parameter share their place."""
        places: dict[str, tuple[int, int]] = {}
        for g in plan.gradients:
            if g.key in places:
                continue
            heads = size({"heads": 1, **self.sizes}, "heads") if self._blocked(g) else 1
            places[g.key] = self.script.sums, heads
            self.script.sums += heads * sums_size(*self.outer_shape(g, heads))
        return {i: places[g.key] for i, g in enumerate(plan.gradients)}

    def _blocked(self, g: Accumulation) -> bool:
        name, _, slot = g.key.rpartition(".")
        return bool(g.operand) and bool(self.graph.map(name).blocked) and self.graph.map(name).blocked[int(slot)]

    def fill_sums(self) -> None:
        self.command("fill", self.arena.block([1, self.slots.sums, self.script.sums]))

    def unpack(self, plan: Plan, sums: Mapping[int, tuple[int, int]]) -> None:
        """Gradients from their sums into the caller's matrices."""
        jobs: list[int] = []
        done: set[str] = set()
        for i, g in enumerate(plan.gradients):
            if g.key not in done:
                jobs += self._unpack_jobs(g, *sums[i])
                done.add(g.key)
        self.command("unpack", self.arena.block([len(jobs) // PackWord.WORDS, *jobs]))

    def _unpack_jobs(self, g: Accumulation, offset: int, heads: int) -> list[int]:
        units, inputs, group = self.outer_shape(g, heads)
        each = sums_size(units, inputs, group)
        words: list[int] = []
        for h in range(heads):
            words += [
                self.slots.gradient(g.key), 0, units, inputs, self.slots.sums, offset + h * each,
                inputs * group, group, 0, group, units, inputs, units, h * units,
            ]  # fmt: skip
        return words


def sums_size(units: int, inputs: int, group: int) -> int:
    """Elements of a gradient's sums: whole groups of units."""
    return -(-units // group) * group * inputs


def split_rows(rows: Rows, threads: int) -> list[int]:
    """Row boundaries that give each thread about the same number of row-steps. Row j is active in as many steps as have
    more than j rows."""
    most = int(rows.counts[0]) if len(rows.counts) else 0
    lengths = np.searchsorted(-rows.counts, -np.arange(most), side="left")
    total = np.concatenate([[0], np.cumsum(lengths)])
    cuts = np.searchsorted(total, total[-1] * np.arange(1, threads) / threads - lengths.mean() / 2 if most else [])
    return [0, *(int(min(c, most)) for c in cuts), max(most, 1)] if most else [0] * (threads + 1)


def segments(access: Access | None, rows: Rows, steps: range, base: int, count: int) -> list[tuple[int, int, int, int]]:
    """Evenly spaced rows of an operand beside the chunk's rows of a cotangent (see layout.Segment)."""
    mode = access.mode if access else "one"
    if mode in ("one", "call", "local"):
        return [(0, 0, count, 0)]
    if mode == "cur":
        return [(0, base, count, 0)]
    found: list[tuple[int, int, int, int]] = []
    for s in sorted(steps, key=lambda s: rows.offsets[s]):
        ct, n = int(rows.offsets[s]) - base, int(rows.counts[s])
        if mode == "row" or s == 0:
            found.append((ct, 0, n, int(mode == "prev")))
            continue
        before = int(rows.offsets[s - 1])
        last = found[-1] if found else None
        if last and not last[3] and (last[0] + last[2], last[1] + last[2]) == (ct, before):
            found[-1] = (last[0], last[1], last[2] + n, 0)
        else:
            found.append((ct, before, n, 0))
    return found
