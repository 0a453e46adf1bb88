"""One call of a program: whose arrays go into which slot of the table that machine code reads.

What does not change from call to call (working memory, constants, default starts) stands in a template that belongs to
the script; weights are looked at once and then known again by identity. So a call costs a few microseconds beside its
work.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gatework.backends.llvm.layout import Job, Slot
from gatework.compiler.ir import State
from gatework.errors import ShapeError
from gatework.runtime import checks, threads
from gatework.runtime.kernel import Kernel
from gatework.runtime.memory import aligned_zeros
from gatework.runtime.rows import Rows
from gatework.runtime.script import Script

if TYPE_CHECKING:
    from gatework.runtime.program import Program

Arrays = Mapping[str, Any]
WORDS = int(Slot.WORDS)


def entry(values: np.ndarray, row: int | None = None) -> tuple[int, int, int]:
    """Address, elements between rows, elements between columns; a single row has 0 between rows."""
    item, strides = values.itemsize, values.strides
    between = (strides[0] // item if len(strides) > 1 else 0) if row is None else row
    return values.__array_interface__["data"][0], between, strides[-1] // item if strides else 1


class Weights:
    """A cell's parameters, checked, as slots."""

    def __init__(self, program: Program, given: Arrays):
        name = program.graph.name
        self.arrays: dict[str, Any] = {}
        self.kept: list[np.ndarray] = []
        self.entries: dict[str, tuple[int, int, int]] = {}
        for key, shape in program.shapes.items():
            if key not in given:
                raise ShapeError(f"{name}: weight {key!r} is missing; given are {sorted(given)}")
            self.arrays[key] = given[key]
            self._add(key, checks.array(name, f"weight {key!r}", given[key], shape, program.dtype))

    def _add(self, key: str, values: np.ndarray) -> None:
        if values.ndim == 1:
            if "." not in key:
                values = np.ascontiguousarray(values)
                self.entries[f"vector:{key}"] = entry(values, 0)
            self.entries[f"weight:{key}"] = entry(values, values.strides[0] // values.itemsize)
        else:
            self.entries[f"weight:{key}"] = entry(flat_heads(values))
        self.kept.append(values)

    def same(self, given: Arrays) -> bool:
        """Are these the very arrays? (Copies were made of some only if their memory was odd: then look again.)"""
        if any(kept is not array_ for kept, array_ in zip(self.kept, self.arrays.values(), strict=True)):
            return False
        return all(given.get(key) is values for key, values in self.arrays.items()) and not checks.finite()


class Call:
    """The arrays of one call. Methods check what is given, make what is missing, and note both by slot."""

    def __init__(self, program: Program, kernel: Kernel, rows: Rows):
        self.program, self.kernel, self.rows = program, kernel, rows
        self.name, self.slots, self.dtype = program.graph.name, kernel.slots, program.dtype
        self.entries: list[tuple[int, int, int, int]] = []
        self.alive: list[Any] = []
        self.buffer = program.buffer

    def put(self, name: str, values: np.ndarray, row: int | None = None) -> None:
        slot = self.slots.get(name)
        if slot is not None:
            self.entries.append((slot * WORDS, *entry(values, row)))
            self.alive.append(values)

    def checked(self, what: str, values: Any, shape: tuple[int, ...], rest: float = 0.0) -> np.ndarray:
        """The array, if it has this shape and the program's type; its rows are made contiguous."""
        values = checks.array(self.name, what, values, shape, self.dtype, rest)
        if shape[-1] > 1 and values.strides[-1] != values.itemsize:
            return np.ascontiguousarray(values)
        return values

    # ---- what is read
    def inputs(self, given: Arrays) -> None:
        specs = self.program.graph.inputs
        if len(given) > len(specs):
            checks.names(self.name, "input", given, {i.name for i in specs})
        for spec in specs:
            if spec.name not in given:
                raise ShapeError(f"{self.name}: input {spec.name!r} is missing; given are {sorted(given)}")
            value, what = given[spec.name], f"input {spec.name!r}"
            if spec.per == "call":
                self.put(f"input:{spec.name}", np.array([checks.number(self.name, what, value)], self.dtype), 0)
                continue
            shape = (self.rows.size if spec.per == "step" else self.rows.batch, self.program.width(spec.width))
            value = self.checked(what, value, shape, rest=self.program.rests.get(spec.name, 0.0))
            self.put(f"input:{spec.name}", value)

    def starts(self, given: Arrays) -> None:
        """Starts that are given; others stand in the template."""
        checks.names(self.name, "state", given, self.program.states)
        for name, value in given.items():
            if value is not None:
                state = self.program.states[name]
                shape = (self.rows.batch, self.program.width(state.width))
                self.put(f"start:{name}", self.checked(f"the start of {name!r}", value, shape, rest=state.start))

    def weights(self, given: Arrays) -> None:
        bound = self.program.bound  # another thread may replace it at any time
        if bound is None or not bound.same(given):
            bound = self.program.bound = Weights(self.program, given)
        for name, values in bound.entries.items():
            slot = self.slots.get(name)
            if slot is not None:
                self.entries.append((slot * WORDS, *values))
        self.alive.append(bound)

    def histories_of(self, history: Arrays) -> None:
        for state in self.program.graph.states:
            if f"history:{state.name}" in self.slots:
                self._trained(state.name in history)
                shape = (self.rows.size, self.program.width(state.width))
                values = self.checked(f"the history of {state.name!r}", history[state.name], shape, rest=state.start)
                self.put(f"history:{state.name}", values)

    def saved_of(self, saved: np.ndarray | None) -> None:
        if not self.program.recompute:
            self._trained(saved is not None)
            self._lay_saved(self.checked("what was saved", saved, (self.rows.size, self.program.saved_width)))

    def _trained(self, there: bool) -> None:
        if not there:
            raise ShapeError(
                f"{self.name}: this pass did not keep what the way back needs; use forward(..., train=True)"
            )

    def _lay_saved(self, block: np.ndarray) -> None:
        """Saved values lie side by side in one row."""
        address, row, _ = entry(block)
        for node, column in self.program.saved_columns.items():
            slot = self.slots.get(f"saved:{node}")
            if slot is not None:
                self.entries.append((slot * WORDS, address + column * block.itemsize, row, 1))
        self.alive.append(block)

    # ---- what is written
    def histories(self, train: bool) -> dict[str, np.ndarray]:
        found = {}
        for state in self.program.graph.states:
            if f"history:{state.name}" in self.slots and (train or f"state:{state.name}" not in self.slots):
                values = found[state.name] = np.empty((self.rows.size, self.program.width(state.width)), self.dtype)
                self.put(f"history:{state.name}", values)
        return found

    def states_in_place(self, start: Arrays) -> dict[str, np.ndarray]:
        """States without a history begin as copies of their start and end as the final states."""
        found = {}
        for state in self.program.graph.states:
            if f"state:{state.name}" in self.slots:
                values = found[state.name] = self.start_of(state, start)
                self.put(f"state:{state.name}", values)
        return found

    def start_of(self, state: State, start: Arrays) -> np.ndarray:
        """A fresh copy of a state's start."""
        given = start.get(state.name)
        shape = (self.rows.batch, self.program.width(state.width))
        return np.full(shape, state.start, self.dtype) if given is None else np.array(given, order="C")

    def saved(self) -> np.ndarray:
        block = self.program.pool.take((self.rows.size, self.program.saved_width))
        self._lay_saved(block)
        return block

    def input_gradients(self, need: set[str]) -> dict[str, np.ndarray]:
        found = {}
        for spec in self.program.graph.inputs:
            slot = f"dinput:{spec.name}"
            if slot not in self.slots or (spec.name not in need and spec.name in self.program.sunk):
                continue
            step = spec.per == "step"
            shape = (self.rows.size if step else self.rows.batch, self.program.width(spec.width))
            values = (np.empty if step else np.zeros)(shape, self.dtype)
            self.put(slot, values)
            if spec.name in need:
                found[spec.name] = values
        return found

    def cotangents(self, d_history: Arrays, d_final: Arrays) -> dict[str, np.ndarray]:
        """The running gradient of each state: begins as the last values' and ends as the start's."""
        found = {}
        checks.names(self.name, "state", d_history, self.program.states)
        checks.names(self.name, "state", d_final, self.program.states)
        for name, state in self.program.states.items():
            shape = (self.rows.batch, width := self.program.width(state.width))
            last, along = d_final.get(name), d_history.get(name)
            if last is None:
                values = np.zeros(shape, self.dtype)
            else:
                values = np.array(self.checked(f"the gradient of the last {name!r}", last, shape), order="C")
            found[name] = values
            self.put(f"ct:{name}", values)
            if along is not None:
                what = f"the gradient of {name!r} at every step"
                self.put(f"d:{name}", self.checked(what, along, (self.rows.size, width)))
        return found

    def weight_gradients(self, into: Arrays) -> dict[str, np.ndarray]:
        found = {}
        used = {g.key for g in self.kernel.plans["backward"].gradients}
        for key, shape in self.program.shapes.items():
            values = into.get(key)
            found[key] = values = np.empty(shape, self.dtype) if values is None else self._target(key, values, shape)
            if key not in used or not self.rows.size:
                values[...] = 0
            self.put(
                f"dweight:{key}", flat_heads(values), None if len(shape) > 1 else values.strides[0] // values.itemsize
            )
        return found

    def _target(self, key: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """An array that the caller wants filled."""
        fits = isinstance(values, np.ndarray) and values.shape == shape and values.dtype == self.dtype
        if (
            fits
            and values.flags.writeable
            and values.flags.aligned
            and not any(s % values.itemsize for s in values.strides)
        ):
            return values
        found = f"{getattr(values, 'dtype', type(values).__name__)} {tuple(np.shape(values))}"
        raise ShapeError(f"{self.name}: into[{key!r}] is {found}; it must be writable {self.dtype} {shape}")

    # ---- running
    def run(self, script: Script, skip_packing: bool = False) -> bool:
        """Fill a copy of the template and let the threads work; False if they did not all come (then nothing has
        run)."""
        program = self.program
        table = array("q", template(program, self.kernel, self.rows, script))
        for at, address, row, column in self.entries:
            table[at], table[at + 1], table[at + 2] = address, row, column
        panels: Any = script.panels
        skipped = 1 if skip_packing and panels.version == program.version else 0
        if not skipped:
            panels.version = -1
        job = script.job
        job[Job.slots] = table.buffer_info()[0]
        job[Job.commands] = script.address + 8 * (script.first + 2 * skipped)
        job[Job.count] = len(script.commands) - skipped
        job[Job.threads] = script.threads
        complete = threads.run(self.kernel.library, job, script.threads)
        if complete:
            panels.version = program.version
        return complete


def template(program: Program, kernel: Kernel, rows: Rows, script: Script, own_memory: bool = False) -> array:
    """The slots that stay the same as long as no working memory moves. `own_memory`: shared with no other script."""
    found = script.template
    if found is None or (not own_memory and script.memory_version != program.memory_version):
        before = None
        while before != program.memory_version:  # a buffer that grows moves, so slots filled earlier are filled again
            before = program.memory_version
            found = _fill_template(program, kernel, rows, script, own_memory)
        script.template, script.memory_version = found, program.memory_version
    assert found is not None
    return found


def _fill_template(program: Program, kernel: Kernel, rows: Rows, script: Script, own_memory: bool) -> array:
    call = Call(program, kernel, rows)
    if own_memory:
        call.buffer = lambda name, elements: aligned_zeros(elements, program.dtype)
    shared = script.panels
    call.put("packed", aligned_zeros(script.packed, program.dtype) if shared is None else shared.memory, 0)
    call.put("scratch", call.buffer("scratch", script.scratch * script.threads), 0)
    call.put("ones", program.constant(1.0, (1,)), 0)
    call.put("sums", call.buffer("sums", script.sums), 0)
    for name, width in script.hoisted.items():
        call.put(name, call.buffer(name, width * rows.size), width)
    for state in program.graph.states:
        width = program.width(state.width)
        call.put(f"start:{state.name}", program.constant(state.start, (1, width)), 0)
        call.put(f"d:{state.name}", program.constant(0.0, (1, width)), 0)
    for name in kernel.slots:
        kind, _, rest = name.partition(":")
        if kind == "units":
            call.put(name, program.constant(program.width(rest), (1,)), 0)
        elif kind == "value":
            _rows_of(call, name, rows.batch)
        elif kind == "chunk" or (kind == "saved" and program.recompute):
            _rows_of(call, name, script.chunk_rows)
    table = array("q", bytes(8 * WORDS * len(kernel.slots)))
    for at, address, row, column in call.entries:
        table[at], table[at + 1], table[at + 2] = address, row, column
    script.alive = call.alive if own_memory else []  # what is shared, the program holds
    return table


def _rows_of(call: Call, name: str, count: int) -> None:
    """A buffer whose rows end in a spare vector: no power of two between rows, and whole vectors can be read."""
    node = int(name.split(":")[1])
    nodes = next(p.nodes for p in call.kernel.plans.values() if node < len(p.nodes))
    lanes = call.kernel.lanes
    stride = -(-call.program.width(nodes[node].width) // lanes) * lanes + lanes
    call.put(name, call.buffer(name, stride * max(count, 1)), stride)


def flat_heads(values: np.ndarray) -> np.ndarray:
    """(heads, out, in) as (heads out, in), the same memory."""
    if values.ndim < 3:
        return values
    flat = values.reshape(-1, values.shape[-1])
    if not np.shares_memory(flat, values):
        raise ShapeError(f"weights of heads must lie evenly in memory; strides are {values.strides}")
    return flat
