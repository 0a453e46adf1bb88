"""A cell with its sizes: forward and backward over rows of sequences, on numpy arrays."""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gatework.backends.llvm.isa import Isa
from gatework.compiler.ir import SCALAR, Graph
from gatework.compiler.params import cost, shapes, size
from gatework.runtime import threads
from gatework.runtime.call import Call, Weights
from gatework.runtime.kernel import Kernel, kernels
from gatework.runtime.lazy import lazy
from gatework.runtime.memory import Pool, Recent, aligned_zeros
from gatework.runtime.rows import Rows
from gatework.runtime.script import Mode, Panels, Script, Writer

Arrays = Mapping[str, Any]
SCALARS = {"float32": "float", "float64": "double"}
CHUNK_ROWS, CHUNK_BYTES = 512, 2 << 20
WORTH_A_TEAM = 400_000
WORTH_A_MEETING = 16_000
SCRIPTS, SCRIPT_BYTES = 64, 64 << 20
BUFFER_BYTES = 256 << 20  # what a program keeps of its working memory between calls


@dataclass
class Pass:
    """What a forward pass gives: `history` {state: (N, w)}, `final` {state: (B, w)}; and what the way back needs."""

    history: dict[str, np.ndarray]
    final: dict[str, np.ndarray]
    rows: Rows
    inputs: Arrays
    start: Arrays
    weights: Arrays
    saved: np.ndarray | None = None


@dataclass
class Grads:
    """Gradients by name; those that were not asked for, or are zero by structure, may be missing."""

    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    start: dict[str, np.ndarray] = field(default_factory=dict)
    weights: dict[str, np.ndarray] = field(default_factory=dict)


class Program:
    """A cell compiled for one machine, type and sizes; see `gatework.runtime.program`."""

    def __init__(self, graph: Graph, sizes: Mapping[str, int], dtype: Any, isa: Isa, recompute: bool = False):
        self.graph, self.sizes, self.dtype, self.isa = graph, dict(sizes), np.dtype(dtype), isa
        self.recompute = recompute
        self.scalar = SCALARS[self.dtype.name]
        self.kernels = kernels(graph, isa, self.scalar, recompute)
        self.shapes = shapes(graph, sizes)
        self.work = cost(graph, sizes)
        self.lock = threading.Lock()
        self.version = 0
        self.scripts = Recent(SCRIPTS, SCRIPT_BYTES)
        self.panels: weakref.WeakValueDictionary[tuple, Panels] = weakref.WeakValueDictionary()
        self.buffers: dict[str, np.ndarray] = {}
        self.pool = Pool(self.dtype)
        self.constants: dict[tuple, np.ndarray] = {}
        self.memory_version = self.held = 0
        self.bound: Weights | None = None
        self.states = {s.name: s for s in graph.states}
        self.rests = {f"start_{s.name}": s.start for s in graph.states}
        self.last = "nothing has run yet"
        _living.add(self)

    # ---- machine code, when first needed
    @lazy
    def inference(self) -> Kernel:
        return self.kernels.inference

    @lazy
    def training(self) -> Kernel:
        return self.kernels.training

    @lazy
    def backprop(self) -> Kernel:
        return self.kernels.backprop

    @lazy
    def saved(self) -> tuple[int, ...]:
        return self.kernels.saved

    def describe(self) -> str:
        """Which kernel, instruction set and threads the last call used, and why.

        `program.describe()` -> "lstm float32, avx512: 2 threads by rows (32 rows)"
        """
        return f"{self.graph.name} {self.dtype.name}, {self.isa.name}: {self.last}"

    # ---- forward
    def forward(
        self,
        rows: Rows,
        inputs: Arrays,
        start: Arrays,
        weights: Arrays,
        train: bool = False,
        same_weights: bool = False,
    ) -> Pass:
        """Run every step. `same_weights` promises that they have not changed since this program's last forward pass."""
        kernel = self.training if train else self.inference
        call = Call(self, kernel, rows)
        call.inputs(inputs)
        call.starts(start)
        call.weights(weights)
        history = call.histories(train)
        final = call.states_in_place(start)
        saved = call.saved() if train and not self.recompute else None
        if rows.size:
            with self.lock:
                self.version += not same_weights
                self._run(call, "forward", write_forward, same_weights)
        for state in self.graph.states:
            if state.name not in final:
                final[state.name] = last_rows(history[state.name], functools.partial(call.start_of, state, start), rows)
        return Pass(history, final, rows, inputs, start, weights, saved)

    # ---- backward
    def backward(
        self, done: Pass, d_history: Arrays, d_final: Arrays, need: Collection[str] | None = None,
        into: Mapping[str, np.ndarray] | None = None,
    ) -> Grads:  # fmt: skip
        """Gradients from those of the states' histories (N, w) and last values (B, w); None or missing means zero.

        `need` names inputs, "start" and "weights" (default: all). `into` holds arrays for gradients of weights."""
        kernel, rows = self.backprop, done.rows
        everything = {i.name for i in self.graph.inputs} | {"start", "weights"}
        need = everything if need is None else set(need)
        call = Call(self, kernel, rows)
        call.inputs(done.inputs)
        call.starts(done.start)
        call.weights(done.weights)
        call.histories_of(done.history)
        call.saved_of(done.saved)
        grads = Grads(call.input_gradients(need), call.cotangents(d_history, d_final))
        grads.weights = call.weight_gradients(into or {}) if "weights" in need else {}
        if rows.size:
            write = functools.partial(write_backward, need=frozenset(need), program=self)
            with self.lock:
                self._run(call, ("backward", frozenset(need)), write)
        return grads

    # ---- how
    def _run(self, call: Call, kind: Any, write: Callable, same_weights: bool = False) -> None:
        script = self._script(call.kernel, call.rows, kind, write, threads.get_threads())
        if not call.run(script, same_weights):
            script = self._script(call.kernel, call.rows, kind, write, 1)
            call.run(script, same_weights)
        self.tidy()

    def _script(self, kernel: Kernel, rows: Rows, kind: Any, write: Callable, count: int) -> Script:
        key = (id(kernel), kind, rows.key, count)
        script = self.scripts.get(key)
        if script is None:
            mode, why = choose_mode(self, rows, count)
            writer = Writer(kernel, self.sizes, rows, mode)
            write(writer)
            script = writer.finish()
            script.why = why
            script.panels = self._panels(kernel, script)
            self.scripts.keep(key, script)
        self.last = script.why
        return script

    def _panels(self, kernel: Kernel, script: Script) -> Panels:
        """Where a script packs weights: the same for all layouts of rows that pack them in the same way."""
        key = (id(kernel), *script.layout)
        found = self.panels.get(key)
        if found is None:
            found = self.panels[key] = Panels(script.packed, self.dtype)
        return found

    def buffer(self, name: str, elements: int) -> np.ndarray:
        """Working memory that is kept from call to call; zero when new, aligned to cache lines."""
        found = self.buffers.get(name)
        if found is None or found.size < elements:
            found = self.buffers[name] = aligned_zeros(elements, self.dtype)
            self.memory_version += 1
            self.held = sum(b.nbytes for b in self.buffers.values())
        return found

    def tidy(self) -> None:
        """After a call: very large working memory goes back to the system."""
        if self.held > BUFFER_BYTES:
            self.buffers.clear()
            self.held = 0
            self.memory_version += 1

    def constant(self, value: float, shape: tuple[int, ...]) -> np.ndarray:
        """An array that is only read."""
        key = (value, shape)
        if key not in self.constants:
            self.constants[key] = np.full(shape, value, self.dtype)
        return self.constants[key]

    def width(self, symbol: str) -> int:
        """How many units a width symbol stands for."""
        return 1 if symbol == SCALAR else self.sizes[symbol]

    # ---- what calls look up
    @lazy
    def saved_columns(self) -> dict[int, int]:
        """Where each saved value begins in a row."""
        found, column = {}, 0
        for node in self.saved:
            found[node] = column
            column += self.width(self.graph.nodes[node].width)
        return found

    @lazy
    def saved_width(self) -> int:
        return sum(self.width(self.graph.nodes[n].width) for n in self.saved)

    @lazy
    def sunk(self) -> set[str]:
        """Inputs whose gradient is a product after the loop: made only if it is needed."""
        return {p.stores[0].access.array.split(":")[1] for p in self.backprop.plans["backward"].products}


_living: weakref.WeakSet[Program] = weakref.WeakSet()


def _after_fork() -> None:
    """In a child, no thread is left that could open a lock."""
    for program in list(_living):
        program.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def choose_mode(program: Program, rows: Rows, count: int) -> tuple[Mode, str]:
    """How a call's work is shared, and why."""
    batch = int(rows.counts[0])
    total = program.work * rows.size
    average = rows.size / len(rows.counts)
    if count == 1 or total < WORTH_A_TEAM:
        why = "one thread is allowed" if count == 1 else f"{total:,} multiply-adds are too few to share"
        return Mode(1, False, average < 8), f"1 thread ({why})"
    if batch < 4 * count:
        if average * program.work / count >= WORTH_A_MEETING:
            return Mode(count, True, True), f"{count} threads by units ({batch} rows)"
        if batch < count:
            return Mode(
                1, False, average < 8
            ), f"1 thread (steps of {program.work:,} multiply-adds are too small to share)"
    return Mode(count, False, average / count < 8), f"{count} threads by rows ({batch} rows)"


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
    writer.pack()


def write_backward(writer: Writer, need: frozenset[str], program: Program) -> None:
    plan, rows = writer.kernel.plans["backward"], writer.rows
    sums = writer.reserve_sums(plan)
    writer.fill_sums()
    chunks = step_chunks(rows, chunk_rows(program))
    for steps in reversed(chunks):
        base = int(min(rows.offsets[steps[0]], rows.offsets[steps[-1]]))
        count = int(rows.counts[steps[0] : steps[-1] + 1].sum())
        writer.script.chunk_rows = max(writer.script.chunk_rows, count)
        if "replay" in writer.kernel.plans:
            writer.steps("replay", steps[0], len(steps), 1, base)
        writer.steps("backward", steps[-1], len(steps), -1, base)
        if "weights" in need:
            writer.outers(plan, sums, steps, base, count)
        for i, stage in enumerate(plan.products):
            if stage.stores[0].access.array.split(":")[1] in need:
                writer.product("backward", i, count, base)
    if "weights" in need:
        writer.unpack(plan, sums)
    writer.pack()


def chunk_rows(program: Program) -> int:
    """Rows of a chunk: what the steps leave for the products after it should stay in the cache."""
    plan = program.backprop.plans["backward"]
    local = {s.access.array: s.node for stage in plan.stages for s in stage.stores if s.access.mode == "local"}
    width = sum(size(program.sizes, plan.nodes[n].width) for n in local.values()) or 1
    return max(32, min(CHUNK_ROWS, CHUNK_BYTES // (width * program.dtype.itemsize)))


def step_chunks(rows: Rows, most: int) -> list[range]:
    """Ranges of steps of at most `most` rows, or of one step."""
    found, first, total = [], 0, 0
    for s, count in enumerate(rows.counts.tolist()):
        if total and total + count > most:
            found.append(range(first, s))
            first, total = s, 0
        total += count
    return [*found, range(first, len(rows.counts))]
