"""A cell's machine code, and the shapes that its stages take for given sizes.

A stage of G products is computed for a *chunk* of units at a time: U vectors of units for each product, so that G times
U vectors of accumulators fill the registers. Each operand's products with neighbouring columns make one *piece*, whose
weights lie packed as [chunk][input][columns x U vectors], in the order in which the inner loop reads them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gatework.backends.llvm import drivers, tiles
from gatework.backends.llvm.emit import module
from gatework.backends.llvm.epilogue import epilogue
from gatework.backends.llvm.isa import Isa
from gatework.compiler.debug import debug
from gatework.compiler.ir import Graph
from gatework.compiler.params import size
from gatework.compiler.pipeline import differentiate
from gatework.compiler.plan import Plan, Stage, Term, choose_saved, plan_forward, plan_replay
from gatework.compiler.plan_backward import plan_backward
from gatework.compiler.show_plan import plan_text
from gatework.runtime.frame import Slots
from gatework.runtime.lazy import lazy
from gatework.runtime.llvm import cpu


@functools.cache
def library(isa: Isa, scalar: str) -> cpu.Code:
    """The tiles and drivers, the same for every cell."""
    text = functools.partial(_library_text, isa, scalar)
    return cpu.load(f"library-{scalar}", f"library {scalar}", isa, text)


def _library_text(isa: Isa, scalar: str) -> str:
    first, second = tiles.library(isa, scalar), drivers.library(isa, scalar)
    lines = [*first.splitlines(), *second.splitlines()]
    declared = sorted({line for line in lines if line.startswith("declare ")})
    rest = [line for line in lines if not line.startswith(("declare ", "attributes "))]
    attributes = next(line for line in lines if line.startswith("attributes "))
    return "\n".join([*declared, *rest, attributes])


class Kernel:
    """The stages of some plans as machine code. `slots` numbers every array by name."""

    def __init__(self, graph: Graph, plans: Mapping[str, Plan], isa: Isa, scalar: str):
        self.graph, self.plans, self.isa, self.scalar = graph, dict(plans), isa, scalar
        self.slots = Slots(graph, self.plans.values())
        self.lanes = isa.lanes(scalar)
        self.item = isa.vector_bytes // self.lanes  # bytes
        for name, plan in self.plans.items():
            debug("plan", lambda: f"== plan of {graph.name}, {name}\n{plan_text(plan)}")  # noqa: B023
        said = [repr(p.nodes) + repr(p.stages) + repr(p.products) + repr(p.homes) for p in self.plans.values()]
        key = "\n".join([*said, *self.slots])
        self.code = cpu.load(f"{_safe(graph.name)}-{'-'.join(self.plans)}-{scalar}", key, isa, self.text)
        self.library = library(isa, scalar)

    def text(self) -> str:
        """The LLVM IR of every stage."""
        functions = [
            epilogue(stage, plan, self.slots, f"{name}_{i}", self.isa, self.scalar)
            for name, plan in self.plans.items()
            for i, stage in enumerate([*plan.stages, *plan.products])
        ]
        return module(functions, self.isa)

    def address(self, plan: str, stage: int) -> int:
        return self.code[f"{plan}_{stage}"]


class Kernels:
    """A cell's machine code for all sizes, compiled when first needed."""

    def __init__(self, graph: Graph, isa: Isa, scalar: str, recompute: bool):
        self.graph, self.isa, self.scalar, self.recompute = graph, isa, scalar, recompute

    @lazy
    def inference(self) -> Kernel:
        return Kernel(self.graph, {"forward": plan_forward(self.graph, train=False)}, self.isa, self.scalar)

    @lazy
    def saved(self) -> tuple[int, ...]:
        return choose_saved(self.derivative)

    @lazy
    def derivative(self) -> Any:
        return differentiate(self.graph)

    @lazy
    def training(self) -> Kernel:
        plan = plan_forward(self.graph, train=True, saved=() if self.recompute else self.saved)
        return Kernel(self.graph, {"forward": plan}, self.isa, self.scalar)

    @lazy
    def backprop(self) -> Kernel:
        plans = {"backward": plan_backward(self.derivative, self.saved, local=self.recompute)}
        if self.recompute and self.saved:
            plans["replay"] = plan_replay(self.graph, self.saved)
        return Kernel(self.graph, plans, self.isa, self.scalar)


@functools.lru_cache(maxsize=64)
def kernels(graph: Graph, isa: Isa, scalar: str, recompute: bool) -> Kernels:
    """The kernels of a cell, which all programs of any sizes share."""
    return Kernels(graph, isa, scalar, recompute)


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)[:40]


class Piece(NamedTuple):
    """Products of one operand with columns first..first+count of a stage."""

    operand: int
    first: int
    terms: tuple[Term, ...]
    blocked: bool

    def split(self, most: int) -> list[Piece]:
        """Nearly equal pieces of at most `most` columns."""
        parts = -(-len(self.terms) // max(most, 1))
        cuts = [len(self.terms) * i // parts for i in range(parts + 1)]
        runs = [self.terms[a:b] for a, b in itertools.pairwise(cuts)]
        return [Piece(self.operand, run[0].column, run, self.blocked) for run in runs]


@dataclass(frozen=True)
class Shape:
    """How a stage is cut for given sizes: `vectors` U of units for each product, `chunk` = U lanes units."""

    width: int
    vectors: int
    chunk: int
    chunks: int
    columns: int
    tile_rows: int
    pieces: tuple[Piece, ...]


def shape_of(
    stage: Stage, graph: Graph, sizes: Mapping[str, int], isa: Isa, lanes: int, parts: int, most: int
) -> Shape:
    """Cut a stage for tiles of at most `most` vectors, with chunks for `parts` threads if it is wide enough."""
    width = size(sizes, stage.width)
    products = max(len(stage.dots), 1)
    wanted = max(most // products, 1) if stage.dots else width  # without products, whole rows: memory likes long runs
    vectors = max(1, min(wanted, -(-width // (lanes * parts))))
    vectors = -(-width // lanes) if stage.rows else vectors  # a reduction sees all units at once
    chunk = vectors * lanes
    runs = [Piece(run[0].operand, run[0].column, tuple(run), _blocked(graph, run[0])) for run in _runs(stage, graph)]
    pieces, rows = cut_pieces(runs, vectors, most, isa)
    return Shape(width, vectors, chunk, -(-width // chunk), len(stage.dots) * chunk, rows, pieces)


def cut_pieces(pieces: Iterable[Piece], vectors: int, most: int, isa: Isa) -> tuple[tuple[Piece, ...], int]:
    """Pieces for tiles of at most `most` vectors, and the height of such tiles."""
    cut = tuple(part for piece in pieces for part in piece.split(most // vectors))
    return cut, min((isa.rows[len(p.terms) * vectors] for p in cut), default=16)


def _runs(stage: Stage, graph: Graph) -> list[list[Term]]:
    runs: list[list[Term]] = []
    for term in stage.terms:
        last = runs[-1][-1] if runs else None
        joined = last is not None and last.operand == term.operand and last.column + 1 == term.column
        if joined and last is not None and _blocked(graph, last) == _blocked(graph, term):
            runs[-1].append(term)
        else:
            runs.append([term])
    return runs


def _blocked(graph: Graph, term: Term) -> bool:
    blocked = graph.map(term.weight.map).blocked
    return bool(blocked and blocked[term.weight.slot])
