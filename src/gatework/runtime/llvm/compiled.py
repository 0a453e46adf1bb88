"""A cell as machine code, with its sizes: forward and backward over rows of sequences, on numpy arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import DTypeLike

from gatework.backends.llvm.isa import Isa
from gatework.compiler.ir import SCALAR, Graph
from gatework.compiler.params import cost, shapes, size
from gatework.compiler.plan import Plan
from gatework.runtime.frame import Layout
from gatework.runtime.lazy import lazy
from gatework.runtime.llvm.arrays import Given, Weights
from gatework.runtime.llvm.kernel import Kernel, kernels
from gatework.runtime.llvm.launch import Launch, Pair
from gatework.runtime.llvm.narrow import NarrowParts, form_of
from gatework.runtime.llvm.parts import Mode, Parts
from gatework.runtime.llvm.rounded import RoundedParts
from gatework.runtime.llvm.script import Script, Writer
from gatework.runtime.llvm.stream import Stream
from gatework.runtime.memory import Memory, Recent, Shared
from gatework.runtime.program import Arrays, Gradients, Kind, Pass
from gatework.runtime.quantised import KINDS
from gatework.runtime.rows import Rows
from gatework.runtime.settings import get_threads

SCALARS = {"float32": "float", "float64": "double"}
CHUNK_ROWS, CHUNK_BYTES = 512, 2 << 20
WORTH_A_TEAM = 400_000
WORTH_A_MEETING = 16_000
FEW_ROWS, FEW_OF_WIDE = 8, 20
WIDE = 4 << 20  # multiply-adds of a row: the last cache hardly holds the weights from one step to the next
SCRIPTS, SCRIPT_BYTES = 64, 64 << 20


class Compiled:
    """A program for one processor, type and sizes; see `runtime.program.Program` for what its methods take."""

    def __init__(
        self,
        graph: Graph,
        sizes: Mapping[str, int],
        dtype: DTypeLike,
        isa: Isa,
        recompute: bool = False,
        precision: str | None = None,
    ):
        self.graph, self.sizes, self.dtype, self.isa = graph, dict(sizes), np.dtype(dtype), isa
        self.recompute, self.precision = recompute, precision
        self.scalar = SCALARS[self.dtype.name]
        self.kernels = kernels(graph, isa, self.scalar, recompute)
        self.shapes = shapes(graph, sizes)
        self.work = cost(graph, sizes)
        self.shared = Shared(self.dtype)
        self.version = 0  # of the weights in the panels, for calls on arrays
        self.scripts = Recent(SCRIPTS, SCRIPT_BYTES)
        self.launches = Recent(SCRIPTS, SCRIPT_BYTES)
        self.parts = Recent(SCRIPTS, SCRIPT_BYTES)
        self.bound: Weights | None = None
        self.states = {s.name: s for s in graph.states}
        self.rests = {f"start_{s.name}": s.start for s in graph.states}

    def describe(self) -> str:
        """Which kernel, instruction set and threads the last call used, and why.

        `program.describe()` -> "lstm float32, avx512: 2 threads by rows (32 rows)"
        """
        return f"{self.graph.name} {self.dtype.name}, {self.isa.name}: {self.shared.last}"

    def width(self, symbol: str) -> int:
        """How many units a width symbol stands for."""
        return 1 if symbol == SCALAR else self.sizes[symbol]

    # ---- machine code, when first needed
    @lazy
    def inference(self) -> Layout:
        return self._layout(self.kernels.inference)

    @lazy
    def training(self) -> Layout:
        return self._layout(self.kernels.training)

    @lazy
    def backprop(self) -> Layout:
        return self._layout(self.kernels.backprop)

    def _layout(self, kernel: Kernel) -> Layout:
        saved = () if self.recompute else self.kernels.saved
        backward = kernel.plans.get("backward")
        read = weights_read(kernel.plans.values())
        return Layout(self.graph, self.sizes, kernel.slots, self.dtype, kernel.lanes, saved, backward, read)

    # ---- on arrays
    def forward(
        self,
        rows: Rows,
        inputs: Arrays,
        start: Arrays,
        weights: Arrays,
        train: bool = False,
        same_weights: bool = False,
    ) -> Pass:
        given = Given(self, self.training if train else self.inference, rows)
        given.inputs(inputs)
        given.starts(start)
        given.weights(weights)
        history = given.histories(train)
        final = given.states_in_place(start)
        with self.shared.lock:
            saved = given.block() if train and not self.recompute else None
            if rows.size:
                self.version += not same_weights
                self._run(given, "train" if train else "infer", same_weights)
        for state in self.graph.states:
            if state.name not in final:
                own = functools.partial(given.start_of, state, start)
                final[state.name] = last_rows(history[state.name], own, rows)
        return Pass(history, final, rows, inputs, start, weights, saved)

    def backward(
        self,
        done: Pass,
        d_history: Arrays,
        d_final: Arrays,
        need: Collection[str] | None = None,
        into: Mapping[str, np.ndarray] | None = None,
    ) -> Gradients:
        everything = {i.name for i in self.graph.inputs} | {"start", "weights"}
        wanted = frozenset(everything if need is None else need)
        given = Given(self, self.backprop, done.rows)
        given.inputs(done.inputs)
        given.starts(done.start)
        given.weights(done.weights)
        given.histories_of(done.history)
        given.saved_of(done.saved)
        found = Gradients(given.input_gradients(wanted), given.cotangents(d_history, d_final))
        found.weights = given.weight_gradients(into or {}) if "weights" in wanted else {}
        if done.rows.size:
            with self.shared.lock:
                self._run(given, wanted)
        return found

    def _run(self, given: Given, kind: Kind, same_weights: bool = False) -> None:
        """Run a call on arrays, in this thread alone if the others do not come."""
        for threads in (get_threads(), 1):
            launch = self._kept_launch(given.rows, kind, threads)
            launch.clear()
            given.fill(launch)
            if launch.run(packed=same_weights and launch.panels.version == self.version):
                launch.panels.version = self.version
                break

    def _kept_launch(self, rows: Rows, kind: Kind, threads: int) -> Launch:
        key = (kind, rows.key, threads)
        return self.launches.get(key) or self.launches.keep(key, self._frame(rows, kind, threads))

    # ---- prepared
    def frame(self, rows: Rows, kind: Kind, threads: int, own: Memory | None = None) -> Launch:
        with self.shared.lock:  # working memory may move
            return self._frame(rows, kind, threads, own)

    def _frame(self, rows: Rows, kind: Kind, threads: int, own: Memory | None = None) -> Launch:
        layout, kernel, write = self._way(kind)
        return Launch(kernel, layout, rows, self._script(kernel, rows, kind, write, threads), self.shared, own)

    def pair(self, rows: Sequence[Rows], kind: Kind, threads: int) -> Pair | None:
        if not worth_a_pair(self, rows[0], threads):
            return None
        with self.shared.lock:
            return Pair(self._frame(rows[0], kind, 1), self._frame(rows[1], kind, 1, self.shared.second))

    def stream(self, weights: Arrays, batch: int = 1, rates: Mapping[str, float] | None = None) -> Stream:
        """The program bound to weights, one step at a time."""
        return Stream(self, weights, batch, rates)

    def _way(self, kind: Kind) -> tuple[Layout, Kernel, Callable[[Writer], None]]:
        if kind in ("infer", *KINDS):
            return self.inference, self.kernels.inference, write_forward
        if kind == "train":
            return self.training, self.kernels.training, write_forward
        write = functools.partial(write_backward, need=frozenset(kind), program=self)
        return self.backprop, self.kernels.backprop, write

    def _script(self, kernel: Kernel, rows: Rows, kind: Kind, write: Callable, threads: int) -> Script:
        key = (kind, rows.key, threads)
        script = self.scripts.get(key)
        if script is None:
            mode, why = choose_mode(self, rows, threads)
            writer = Writer(self._parts(kernel, kind, mode, int(rows.counts[0])), rows)
            write(writer)
            script = writer.finish(why)
            self.scripts.keep(key, script)
        self.shared.last = script.why
        return script

    def _parts(self, kernel: Kernel, kind: Kind, mode: Mode, batch: int) -> Parts:
        form = form_of(kind, self.isa) if isinstance(kind, str) and kind in KINDS else None
        most = (form or self).isa.max_vectors(batch)
        key = (kind, mode, most)
        if key in self.parts:
            return self.parts[key]
        if form:
            return self.parts.keep(key, NarrowParts(kernel, self.sizes, mode, most, form))
        made = Parts if self.precision is None else RoundedParts
        return self.parts.keep(key, made(kernel, self.sizes, mode, most))


def weights_read(plans: Iterable[Plan]) -> set[str]:
    """The keys of the weights that products of some plans multiply by, and of the biases that they start from."""
    stages = [(plan, stage) for plan in plans for stage in (*plan.stages, *plan.products)]
    biases = [plan.nodes[dot].attr.bias for plan, stage in stages for dot in stage.dots]
    terms = [term.weight for _, stage in stages for term in stage.terms]
    return {f"{w.map}.{w.slot}" for w in terms} | {f"{bias}.bias" for bias in biases if bias}


def choose_mode(program: Compiled, rows: Rows, count: int) -> tuple[Mode, str]:
    """How a call's work is shared, and why. The inputs' products leave the loop where a thread has few rows of a step
    for all the weights that it reads; of a single step they would be shared by rows alone, and read no weight less."""
    batch, several = int(rows.counts[0]), len(rows.counts) > 1
    total = program.work * rows.size
    average = rows.size / len(rows.counts)
    few = FEW_OF_WIDE if program.work >= WIDE else FEW_ROWS
    alone = Mode(1, False, several and average < few)
    if count == 1 or total < WORTH_A_TEAM:
        why = "one thread is allowed" if count == 1 else f"{total:,} multiply-adds are too few to share"
        return alone, f"1 thread ({why})"
    if batch < 4 * count:
        if average * program.work / count >= WORTH_A_MEETING:
            return Mode(count, True, several), f"{count} threads by units ({batch} rows)"
        if batch < count:
            return alone, f"1 thread (steps of {program.work:,} multiply-adds are too small to share)"
    return Mode(count, False, several and average / count < few), f"{count} threads by rows ({batch} rows)"


def worth_a_pair(program: Compiled, rows: Rows, threads: int) -> bool:
    """Whether two such calls are faster at the same time, a thread each, than one after the other with all threads."""
    if threads < 2 or 2 * program.work * rows.size < WORTH_A_TEAM:
        return False
    return threads == 2 or choose_mode(program, rows, threads)[0].threads == 1


def last_rows(history: np.ndarray, start: Callable[[], np.ndarray], rows: Rows) -> np.ndarray:
    """Each sequence's last value: at its last step, or its start if it has none."""
    if len(rows.counts) and rows.counts[-1] == rows.batch:
        first = int(rows.offsets[-1])
        return history[first : first + rows.batch].copy()
    final = start()
    index = rows.last_steps
    active = index >= 0
    final[active] = history[index[active]]
    return final


# ---- what is written into scripts


def write_forward(writer: Writer) -> None:
    writer.steps("forward", 0, len(writer.rows.counts), 1)


def write_backward(writer: Writer, need: frozenset[str], program: Compiled) -> None:
    parts, rows = writer.parts, writer.rows
    plans = parts.kernel.plans
    writer.command("fill", parts.fill_sums)
    for steps in reversed(step_chunks(rows, chunk_rows(program))):
        base = int(min(rows.offsets[steps[0]], rows.offsets[steps[-1]]))
        count = int(rows.counts[steps[0] : steps[-1] + 1].sum())
        writer.chunk_rows = max(writer.chunk_rows, count)
        if "replay" in plans:
            writer.steps("replay", steps[0], len(steps), 1, base)
        writer.steps("backward", steps[-1], len(steps), -1, base)
        if "weights" in need:
            writer.outers(steps, base, count)
        for i, stage in enumerate(plans["backward"].products):
            if stage.stores[0].access.name in need:
                writer.whole(parts.product("backward", i), count, base)
    if "weights" in need:
        writer.command("unpack", parts.unpack)


def chunk_rows(program: Compiled) -> int:
    """Rows of a chunk: what the steps leave for the products after it should stay in the cache."""
    plan = program.kernels.backprop.plans["backward"]
    local = {s.access.array: s.node for stage in plan.stages for s in stage.stores if s.access.mode == "local"}
    width = sum(size(program.sizes, plan.nodes[n].width) for n in local.values()) or 1
    return max(32, min(CHUNK_ROWS, CHUNK_BYTES // (width * program.dtype.itemsize)))


def step_chunks(rows: Rows, most: int) -> list[range]:
    """Ranges of steps of at most `most` rows, or of one step."""
    found, first, total = [], 0, 0
    for s, count in enumerate(rows.lists[0]):
        if total and total + count > most:
            found.append(range(first, s))
            first, total = s, 0
        total += count
    return [*found, range(first, len(rows.counts))]
