"""Programs whose products read bfloat16: their panels, and their operands (see backends/llvm/rounded.py)."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from gatework.backends.llvm import rounded
from gatework.backends.llvm.isa import Isa
from gatework.backends.llvm.layout import MODES, PanelWord, SectionWord
from gatework.compiler.ir import Graph
from gatework.compiler.params import size
from gatework.compiler.plan import Access, Accumulation, Plan, Stage
from gatework.runtime.lazy import lazy
from gatework.runtime.llvm import cpu
from gatework.runtime.llvm.kernel import Kernel, Piece, Shape, library
from gatework.runtime.llvm.parts import GATHERED, Mode, Outer, Panel, Parts


@functools.cache
def isa_of(graph: Graph, isa: Isa) -> tuple[Isa, str]:
    """What multiplies rounded operands of a cell, and what `describe` says of it."""
    if isa.name != "avx512" or not cpu.supported(rounded.pairs(isa)):
        return rounded.rounded(isa), "bf16 products, widened to float32 (no AVX512-BF16)"
    if any(any(m.blocked or ()) for m in graph.maps):
        return rounded.rounded(isa), "bf16 products, widened to float32 (heads)"
    return rounded.pairs(isa), "bf16 products"


class RoundedParts(Parts):
    """The parts of a call whose products read bfloat16. Weights are rounded in their panels once they are packed;
    what they multiply is rounded by each thread for a block of rows, into its scratch, in the order of a stage's
    operands; what weight gradients add up, once for a chunk of steps, into rows that hold all of it side by side."""

    def __init__(self, kernel: Kernel, sizes: Mapping[str, int], mode: Mode, most: int):
        isa, said = isa_of(kernel.graph, kernel.isa)
        self.why = f", {said}"
        self.panels = list[int]()
        # Of the stage that is being written: columns and length of a row of rounded operands, and those not made yet.
        self.places, self.stride, self.left = dict[int, int](), 0, set[int]()
        self.joined: dict[Piece, list[Piece]] = {}
        super().__init__(kernel, sizes, mode, most, isa)

    @property
    def library(self) -> cpu.Code:
        return library(self.isa, self.kernel.scalar)

    def words(self, rows: int) -> int:
        return rounded.words(self.isa, rows)

    # ---- packing
    @property
    def packers(self) -> list[tuple[str, int]]:
        return [*super().packers, ("round_panels", self._round)]

    @lazy
    def _round(self) -> int:
        return self.arena.block([len(self.panels) // PanelWord.WORDS, *self.panels])

    def _pack_piece(self, piece: Piece, shape: Shape, plan: Plan) -> Panel:
        together = self.joined[piece]
        panel = self._pack_joined(together, shape, plan) if together[1:] else super()._pack_piece(piece, shape, plan)
        inputs = panel.stride // panel.row
        self.panels += [self.slots.packed, panel.offset, panel.stride, shape.chunks, inputs, panel.row]
        return panel

    def _pack_joined(self, pieces: Sequence[Piece], shape: Shape, plan: Plan) -> Panel:
        """The weights of several operands below each other, as if they were one."""
        counts, row = [self._inputs(p, plan) for p in pieces], len(pieces[0].terms) * shape.chunk
        whole = Panel(pieces[0], shape, 0, sum(counts) * row, row, shape.width, sum(counts))
        whole = whole._replace(offset=self._reserve(whole.stride * shape.chunks))
        for piece, above, count in zip(pieces, accumulate(counts, initial=0), counts, strict=False):
            self._pack_terms(whole._replace(piece=piece, offset=whole.offset + above * row, seen=count))
        return whole

    # ---- products of steps
    def _inputs(self, piece: Piece, plan: Plan) -> int:
        return size(self.sizes, plan.nodes[piece.operand].width)

    def _join(self, pieces: Sequence[Piece], plan: Plan) -> dict[Piece, list[Piece]]:
        """Neighbours for the same columns whose operands end with whole vectors: one run of the tiles then adds up all
        of them, in the same order. The first has them all, the others none."""
        joined: dict[Piece, list[Piece]] = {}
        run: list[Piece] = []
        for piece in pieces:
            last = run[-1] if run else None
            same = last is not None and (last.first, len(last.terms)) == (piece.first, len(piece.terms))
            fits = last is not None and not self._inputs(last, plan) % (2 * self.lanes)
            if not (same and fits and not piece.blocked and piece.operand not in {p.operand for p in joined}):
                run = joined[piece] = []
            joined.setdefault(piece, [])
            run.append(piece)
        return joined

    def _operands(self, pieces: Iterable[Piece], plan: Plan) -> tuple[dict[int, int], int]:
        """The column of each operand in a row of the scratch, and words between rows: a spare vector, so that no power
        of two lies between them."""
        columns: dict[int, int] = {}
        total = 0
        for piece in pieces:
            if piece.operand not in columns:
                columns[piece.operand] = total
                total += self._whole_vectors(self.words(size(self.sizes, plan.nodes[piece.operand].width)))
        return columns, total + self.lanes

    def _room(self, cut: Sequence[Shape], plan: Plan) -> tuple[int, int, int, int]:
        slot, sums, block, _ = super()._room(cut, plan)
        stride = max((self._operands(shape.pieces, plan)[1] for shape in cut), default=0)
        self.needs.scratch = max(self.needs.scratch, sums + block * stride)
        return slot, sums + block * stride, block, sums

    def _stage_words(
        self, stage: Stage, shape: Shape, plan: Plan, epilogue: int, start: tuple, out: int, pieces: list[Piece]
    ) -> list[int]:
        self.places, self.stride = self._operands(pieces, plan)
        self.left, self.joined = set(self.places), self._join(pieces, plan)
        return super()._stage_words(stage, shape, plan, epilogue, start, out, pieces)

    def _section(self, piece: Piece, shape: Shape, plan: Plan) -> list[int]:
        words = super()._section(piece, shape, plan) if self.joined[piece] else self._rounding(piece, shape, plan)
        first = piece.operand in self.left
        self.left.discard(piece.operand)
        words[SectionWord.inputs] = self._inputs(piece, plan) if first else 0
        words[SectionWord.head_inputs] = self.words(words[SectionWord.head_inputs])
        words[SectionWord.rounded], words[SectionWord.stride] = self.places[piece.operand], self.stride
        return words

    def _rounding(self, piece: Piece, shape: Shape, plan: Plan) -> list[int]:
        """A section whose operand is rounded, and multiplied with an earlier one."""
        access, words = plan.homes[piece.operand], [0] * SectionWord.WORDS
        words[SectionWord.slot], words[SectionWord.mode] = self.slots.of(access), MODES[access.mode]
        words[SectionWord.start], words[SectionWord.head_units] = self.slots.first(access), shape.width
        return words

    # ---- weight gradients
    @lazy
    def _sums_of_rows(self) -> int:
        """Tiles for gradients without an operand, which are sums of float32."""
        return self.arena.block([self._plain[v] for v in sorted(self._plain)])

    def _tile_tables(self) -> dict[str, dict[int, int]]:
        plain, most = self.kernel.library, self.isa.rows
        self._plain = {
            v: self.arena.block([most[v], *(plain[f"outer_{r}_{v}"] for r in range(1, most[v] + 1))])
            for v in most
            if v <= self.isa.max_vectors()
        }
        return super()._tile_tables()

    def _crowded(self, access: Access, width: str) -> bool:
        return False  # all operands are copied

    def _outers(self, g: Accumulation, place: tuple[int, int], tables: int) -> list[Outer]:
        if g.operand is None:
            return super()._outers(g, place, self._sums_of_rows)
        ct, operand = self._column(g.ct, g.ct_width), self._column(g.operand, g.operand_width)
        slot = self.slots.gathered
        return [
            Outer(GATHERED, [slot, slot, slot, *before[3:]], [ct + after[0], operand + after[1]])
            for _, before, after in super()._outers(g, place, tables)
        ]
