"""A cell with its sizes: forward and backward over rows of sequences, on numpy arrays."""

from __future__ import annotations

import functools
import threading
from array import array
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gatework.backends.llvm.isa import Isa
from gatework.backends.llvm.layout import Job, Slot
from gatework.compiler.ir import Graph
from gatework.compiler.params import cost, shapes, size
from gatework.compiler.pipeline import differentiate
from gatework.compiler.plan import choose_saved, plan_backward, plan_forward, plan_replay
from gatework.errors import ShapeError
from gatework.runtime import checks, threads
from gatework.runtime.kernel import Kernel
from gatework.runtime.rows import Rows
from gatework.runtime.script import SCRATCH, Mode, Script, Writer

Arrays = Mapping[str, Any]
SCALARS = {"float32": "float", "float64": "double"}
CHUNK_ROWS, CHUNK_BYTES = 512, 2 << 20
WORTH_A_TEAM = 1_000_000
WORTH_A_MEETING = 16_000
SCRIPTS = 64


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
        self.shapes = shapes(graph, sizes)
        self.work = cost(graph, sizes)
        self.lock = threading.Lock()
        self.version = 0
        self.scripts: dict[tuple, Script] = {}
        self.buffers: dict[str, np.ndarray] = {}
        self.last = "nothing has run yet"

    # ---- machine code, when first needed
    @functools.cached_property
    def inference(self) -> Kernel:
        return Kernel(self.graph, {"forward": plan_forward(self.graph, train=False)}, self.isa, self.scalar)

    @functools.cached_property
    def saved(self) -> tuple[int, ...]:
        return choose_saved(self.derivative)

    @functools.cached_property
    def derivative(self) -> Any:
        return differentiate(self.graph)

    @functools.cached_property
    def training(self) -> Kernel:
        plan = plan_forward(self.graph, train=True, saved=() if self.recompute else self.saved)
        return Kernel(self.graph, {"forward": plan}, self.isa, self.scalar)

    @functools.cached_property
    def backprop(self) -> Kernel:
        plans = {"backward": plan_backward(self.derivative, self.saved, local=self.recompute)}
        if self.recompute and self.saved:
            plans["replay"] = plan_replay(self.graph, self.saved)
        return Kernel(self.graph, plans, self.isa, self.scalar)

    def describe(self) -> str:
        """Which kernel, instruction set and threads the last call used, and why.

        `program.describe()` -> "lstm float32, avx512: 2 threads by rows (32 rows)"
        """
        return f"{self.graph.name} {self.dtype.name}, {self.isa.name}: {self.last}"

    # ---- forward
    def forward(
        self, rows: Rows, inputs: Arrays, start: Arrays, weights: Arrays, train: bool = False,
        empty: Callable[..., np.ndarray] = np.empty, same_weights: bool = False,
    ) -> Pass:  # fmt: skip
        """Run every step. `same_weights` promises that they have not changed since this program's last forward pass."""
        kernel = self.training if train else self.inference
        call = _Call(self, kernel, rows)
        call.inputs(inputs)
        start = call.starts(start)
        call.weights(weights)
        history = call.histories(train, empty)
        final = call.states_in_place(start)
        saved = call.saved(empty) if train and not self.recompute else None
        if rows.size:
            with self.lock:
                self.version += not same_weights
                self._run(call, "forward", _write_forward, same_weights)
        for state, values in history.items():
            if state not in final:
                final[state] = last_rows(values, start[state], rows)
        return Pass(history, {s.name: final[s.name] for s in self.graph.states}, rows, inputs, start, weights, saved)

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
        call = _Call(self, kernel, rows)
        call.inputs(done.inputs)
        call.starts(done.start)
        call.weights(done.weights)
        call.give_histories(done.history)
        call.give_saved(done.saved)
        grads = Grads(call.input_gradients(need), call.cotangents(d_history, d_final))
        grads.weights = call.weight_gradients(into or {}) if "weights" in need else {}
        if rows.size:
            write = functools.partial(_write_backward, need=frozenset(need), program=self)
            with self.lock:
                self._run(call, ("backward", frozenset(need)), write)
        else:
            for array_ in grads.weights.values():
                array_[...] = 0
        return grads

    # ---- how
    def _run(self, call: _Call, kind: Any, write: Callable, same_weights: bool = False) -> None:
        script = self._script(call.kernel, call.rows, kind, write, threads.get_threads())
        if not call.run(script, same_weights):
            script = self._script(call.kernel, call.rows, kind, write, 1)
            call.run(script, same_weights)

    def _script(self, kernel: Kernel, rows: Rows, kind: Any, write: Callable, count: int) -> Script:
        key = (id(kernel), kind, rows.key, count)
        script = self.scripts.get(key)
        if script is None:
            mode, why = choose_mode(self, rows, count)
            writer = Writer(kernel, self.sizes, rows, mode)
            write(writer)
            script = writer.finish()
            script.why = why
            if len(self.scripts) >= SCRIPTS:
                self.scripts.pop(next(iter(self.scripts)))
            self.scripts[key] = script
        self.last = script.why
        return script

    def buffer(self, name: str, elements: int) -> np.ndarray:
        """Working memory that is kept from call to call; zero when new, aligned to cache lines."""
        found = self.buffers.get(name)
        if found is None or found.size < elements:
            found = self.buffers[name] = aligned_zeros(elements, self.dtype)
        return found


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
            return Mode(1, False, average < 8), f"1 thread (steps of {program.work:,} multiply-adds are too small to share)"
    return Mode(count, False, average / count < 8), f"{count} threads by rows ({batch} rows)"


def aligned_zeros(elements: int, dtype: np.dtype) -> np.ndarray:
    """Zeros that begin at a cache line, with a line to spare at the end."""
    raw = np.zeros(elements * dtype.itemsize + 192, np.uint8)
    shift = -raw.ctypes.data % 64
    return raw[shift : shift + (elements * dtype.itemsize + 127) // dtype.itemsize * dtype.itemsize].view(dtype)


def last_rows(history: np.ndarray, start: np.ndarray, rows: Rows) -> np.ndarray:
    """Each sequence's last value: at its last step, or its start if it has none."""
    if len(rows.counts) and rows.counts[-1] == rows.batch:
        first = int(rows.offsets[-1])
        return history[first : first + rows.batch].copy()
    final = np.array(start)
    index = rows.last_steps
    active = index >= 0
    final[active] = history[index[active]]
    return final


# ---- what is written into scripts


def _write_forward(writer: Writer) -> None:
    writer.steps("forward", 0, len(writer.rows.counts), 1)
    writer.pack()


def _write_backward(writer: Writer, need: frozenset[str], program: Program) -> None:
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


# ---- one call


class _Call:
    """The arrays of one call, as slots."""

    def __init__(self, program: Program, kernel: Kernel, rows: Rows):
        self.program, self.kernel, self.rows = program, kernel, rows
        self.slots = kernel.slots
        self.table = array("q", bytes(8 * Slot.WORDS * len(self.slots)))
        self.alive: list[Any] = []
        self.dtype = program.dtype

    def put(self, name: str, values: np.ndarray | None, row: int | None = None) -> None:
        """Point a slot at an array of two (or, for one row shared by all, one) dimensions."""
        if values is None or name not in self.slots:
            return
        item = values.itemsize
        at = self.slots[name] * Slot.WORDS
        self.table[at] = values.__array_interface__["data"][0]
        self.table[at + 1] = (values.strides[0] // item if values.ndim > 1 else 0) if row is None else row
        self.table[at + 2] = values.strides[-1] // item if values.ndim else 1
        self.alive.append(values)

    def checked(self, what: str, values: Any, shape: tuple[int, ...], inner: bool = True, rest: float = 0.0) -> np.ndarray:
        """The array, if it has this shape and the program's type; its rows are made contiguous."""
        values = checks.array(self.program.graph.name, what, values, shape, self.dtype, rest)
        if inner and values.shape[-1] > 1 and values.strides[-1] != values.itemsize:
            return np.ascontiguousarray(values)
        return values

    # ---- what is read
    def inputs(self, given: Arrays) -> None:
        checks.names(self.program.graph.name, "input", given, {i.name for i in self.program.graph.inputs})
        rests = {f"start_{s.name}": s.start for s in self.program.graph.states}
        for spec in self.program.graph.inputs:
            if spec.name not in given:
                raise ShapeError(f"{self.program.graph.name}: input {spec.name!r} is missing; given are {sorted(given)}")
            value = given[spec.name]
            if spec.per == "call":
                value = checks.number(self.program.graph.name, f"input {spec.name!r}", value)
                self.put(f"input:{spec.name}", np.array([value], self.dtype), 0)
                continue
            count = self.rows.size if spec.per == "step" else self.rows.batch
            shape = (count, size(self.program.sizes, spec.width))
            value = self.checked(f"input {spec.name!r}", value, shape, rest=rests.get(spec.name, 0.0))
            self.put(f"input:{spec.name}", value)
        for name in self.slots:
            if name.startswith("units:"):
                self.put(name, np.array([size(self.program.sizes, name[6:])], self.dtype), 0)

    def starts(self, given: Arrays) -> dict[str, np.ndarray]:
        found = {}
        checks.names(self.program.graph.name, "state", given, {s.name for s in self.program.graph.states})
        for state in self.program.graph.states:
            shape = (self.rows.batch, size(self.program.sizes, state.width))
            value = given.get(state.name)
            value = np.full(shape, state.start, self.dtype) if value is None else value
            found[state.name] = self.checked(f"the start of {state.name!r}", value, shape, rest=state.start)
            self.put(f"start:{state.name}", found[state.name])
        return found

    def weights(self, given: Arrays) -> None:
        for key, shape in self.program.shapes.items():
            if key not in given:
                raise ShapeError(f"{self.program.graph.name}: weight {key!r} is missing; given are {sorted(given)}")
            value = self.checked(f"weight {key!r}", given[key], shape, inner="." not in key)
            if len(shape) == 1:
                self.put(f"vector:{key}", value, 0)
                self.put(f"weight:{key}", value, value.strides[0] // value.itemsize)
            else:
                self.put(f"weight:{key}", flat_heads(value))

    def give_histories(self, history: Arrays) -> None:
        for state in self.program.graph.states:
            if f"history:{state.name}" in self.slots:
                self._check_trained(state.name in history)
                shape = (self.rows.size, size(self.program.sizes, state.width))
                values = self.checked(f"the history of {state.name!r}", history[state.name], shape, rest=state.start)
                self.put(f"history:{state.name}", values)

    def give_saved(self, saved: np.ndarray | None) -> None:
        if not self.program.recompute:
            self._check_trained(saved is not None)
            self._lay_saved(self.checked("what was saved", saved, (self.rows.size, self._saved_width())))

    def _check_trained(self, there: bool) -> None:
        if not there:
            name = self.program.graph.name
            raise ShapeError(f"{name}: this pass did not keep what the way back needs; use forward(..., train=True)")

    def _lay_saved(self, block: np.ndarray) -> None:
        """Saved values lie side by side in one row."""
        column = 0
        for node in self.program.saved:
            width = size(self.program.sizes, self.program.graph.nodes[node].width)
            self.put(f"saved:{node}", block[:, column : column + width])
            column += width

    def _saved_width(self) -> int:
        return sum(size(self.program.sizes, self.program.graph.nodes[n].width) for n in self.program.saved)

    # ---- what is written
    def histories(self, train: bool, empty: Callable[..., np.ndarray]) -> dict[str, np.ndarray]:
        found = {}
        for state in self.program.graph.states:
            if f"history:{state.name}" in self.slots and (train or f"state:{state.name}" not in self.slots):
                shape = (self.rows.size, size(self.program.sizes, state.width))
                found[state.name] = empty(shape, dtype=self.dtype)
                self.put(f"history:{state.name}", found[state.name])
        return found

    def states_in_place(self, start: Arrays) -> dict[str, np.ndarray]:
        """States without a history begin as copies of their start and end as the final states."""
        found = {s.name: np.array(start[s.name], order="C") for s in self.program.graph.states if f"state:{s.name}" in self.slots}
        for state, values in found.items():
            self.put(f"state:{state}", values)
        return found

    def saved(self, empty: Callable[..., np.ndarray]) -> np.ndarray:
        block = empty((self.rows.size, self._saved_width()), dtype=self.dtype)
        self._lay_saved(block)
        return block

    def input_gradients(self, need: set[str]) -> dict[str, np.ndarray]:
        found = {}
        for spec in self.program.graph.inputs:
            if f"dinput:{spec.name}" not in self.slots:
                continue
            count = self.rows.size if spec.per == "step" else self.rows.batch
            make = np.empty if spec.per == "step" else np.zeros
            values = make((count, size(self.program.sizes, spec.width)), self.dtype)
            self.put(f"dinput:{spec.name}", values)
            if spec.name in need:
                found[spec.name] = values
        return found

    def cotangents(self, d_history: Arrays, d_final: Arrays) -> dict[str, np.ndarray]:
        """The running gradient of each state: begins as the last values' and ends as the start's."""
        found = {}
        known = {s.name for s in self.program.graph.states}
        checks.names(self.program.graph.name, "state", {**d_history, **d_final}, known)
        for state in self.program.graph.states:
            width = size(self.program.sizes, state.width)
            last = d_final.get(state.name)
            shape = (self.rows.batch, width)
            what = f"the gradient of the last {state.name!r}"
            values = np.zeros(shape, self.dtype) if last is None else np.array(self.checked(what, last, shape), order="C")
            found[state.name] = values
            self.put(f"ct:{state.name}", values)
            along = d_history.get(state.name)
            if along is None:
                self.put(f"d:{state.name}", np.zeros((1, width), self.dtype), 0)
            else:
                what = f"the gradient of {state.name!r} at every step"
                self.put(f"d:{state.name}", self.checked(what, along, (self.rows.size, width)))
        return found

    def weight_gradients(self, into: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = {}
        used = {g.key for g in self.kernel.plans["backward"].gradients}
        for key, shape in self.program.shapes.items():
            values = into.get(key)
            found[key] = values = np.zeros(shape, self.dtype) if values is None else self._target(key, values, shape)
            if key not in used:
                values[...] = 0
            self.put(f"dweight:{key}", flat_heads(values), None if len(shape) > 1 else values.strides[0] // values.itemsize)
        return found

    def _target(self, key: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """An array that the caller wants filled."""
        if isinstance(values, np.ndarray) and values.shape == shape and values.dtype == self.dtype:
            if values.flags.writeable and values.flags.aligned and not any(s % values.itemsize for s in values.strides):
                return values
        found = f"{getattr(values, 'dtype', type(values).__name__)} {tuple(np.shape(values))}"
        name = self.program.graph.name
        raise ShapeError(f"{name}: into[{key!r}] is {found}; it must be writable {self.dtype} {shape}")

    # ---- running
    def run(self, script: Script, skip_packing: bool = False) -> bool:
        self._working_memory(script)
        job = aligned_zeros(Job.WORDS, np.dtype(np.int64))
        skipped = 1 if skip_packing and script.packed_version == self.program.version else 0
        job[Job.slots] = self.table.buffer_info()[0]
        job[Job.commands] = script.table.ctypes.data + 8 * (script.first + 2 * skipped)
        job[Job.count] = len(script.commands) - skipped
        job[Job.threads] = script.threads
        complete = threads.run(self.kernel.library, job, script.threads)
        script.packed_version = self.program.version if complete else -1
        return complete

    def _working_memory(self, script: Script) -> None:
        program = self.program
        if script.memory is None:
            script.memory = aligned_zeros(script.packed, self.dtype)
        self.put("packed", script.memory, 0)
        self.put("scratch", program.buffer("scratch", SCRATCH * script.threads), 0)
        self.put("ones", np.ones(1, self.dtype), 0)
        if script.sums:
            self.put("sums", program.buffer("sums", script.sums), 0)
        for name, width in script.hoisted.items():
            self.put(name, program.buffer(name, width * self.rows.size), width)
        for name in self.slots:
            kind = name.split(":")[0]
            if kind == "value":
                self._rows_of(name, self.rows.batch)
            elif kind == "chunk" or (kind == "saved" and program.recompute):
                self._rows_of(name, script.chunk_rows)

    def _rows_of(self, name: str, count: int) -> None:
        """A buffer whose rows end in a spare vector: no power of two between rows, and whole vectors can be read."""
        node = int(name.split(":")[1])
        nodes = next(p.nodes for p in self.kernel.plans.values() if node < len(p.nodes))
        lanes = self.kernel.lanes
        stride = -(-size(self.program.sizes, nodes[node].width) // lanes) * lanes + lanes
        self.put(name, self.program.buffer(name, stride * max(count, 1)), stride)


def flat_heads(values: np.ndarray) -> np.ndarray:
    """(heads, out, in) as (heads out, in), the same memory."""
    if values.ndim < 3:
        return values
    flat = values.reshape(-1, values.shape[-1])
    if not np.shares_memory(flat, values):
        raise ShapeError(f"weights of heads must lie evenly in memory; strides are {values.strides}")
    return flat
