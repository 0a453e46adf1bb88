"""One step at a time, for data that arrives as it is made: a bound stream keeps its states and allocates nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from gatework.backends.llvm.layout import Job, Slot
from gatework.errors import OptionError, ShapeError
from gatework.runtime import threads
from gatework.runtime.call import Call, entry, template
from gatework.runtime.memory import aligned_zeros
from gatework.runtime.program import Program, choose_mode, write_forward
from gatework.runtime.rows import Rows
from gatework.runtime.script import Writer

Arrays = Mapping[str, Any]
REAL = "fiub"  # numpy's kinds of numbers that a kernel's type can hold


class Stream:
    """A program bound to weights, states and buffers for B independent streams.

    >>> program = gatework.runtime.program(gatework.cells.get("lstm").graph, {"I": 3, "H": 4})
    >>> weights = {key: np.zeros(shape, np.float32) for key, shape in program.shapes.items()}
    >>> stream = Stream(program, weights, batch=2)
    >>> stream.step(np.ones((2, 3))).shape              # (B, I) to (B, H)
    (2, 4)

    What `step` gives is the stream's own buffer, valid until the next step but one. The weights are packed once: call
    `stream.bind(weights)` after they have changed. `stream.inputs[name]` are the buffers of all inputs, (B, w);
    `step(x)` fills the first and leaves the others as they are. Nothing is shared between streams except the code, so
    each may run in a thread of its own; one stream must not be stepped by two threads at once.
    """

    def __init__(self, program: Program, weights: Arrays, batch: int = 1, rates: Mapping[str, float] | None = None):
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise OptionError(f"a stream's batch is {batch!r}; it must be a whole number of at least 1")
        self.program, self.batch = program, batch
        self.kernel, self.rows = program.inference, Rows.rectangle(1, batch)
        self.script = self._script()
        self.inputs = {i.name: self._zeros(i.width) for i in program.graph.inputs if i.per != "call"}
        self.rates = dict(rates or {})
        self._states = {s.name: [self._start(s), self._start(s)] for s in program.graph.states}
        self._next = 0
        self._first = next(iter(self.inputs.values()))
        self.shape = self._first.shape
        self._execute = self.kernel.library.execute
        self.bind(weights)

    def _script(self, count: int | None = None) -> Any:
        mode, self.why = choose_mode(self.program, self.rows, count or threads.get_threads())
        writer = Writer(self.kernel, self.program.sizes, self.rows, mode)
        write_forward(writer)
        return writer.finish()

    def _zeros(self, width: str) -> np.ndarray:
        return np.zeros((self.batch, self.program.width(width)), self.program.dtype)

    def _start(self, state: Any) -> np.ndarray:
        return np.full((self.batch, self.program.width(state.width)), state.start, self.program.dtype)

    # ---- binding
    def bind(self, weights: Arrays) -> None:
        """Read the weights (again); the states stay."""
        call = Call(self.program, self.kernel, self.rows)
        call.inputs({**self.inputs, **self.rates})
        call.weights(weights)
        self._weights = weights
        fixed = template(self.program, self.kernel, self.rows, self.script, own_memory=True)
        self._alive = [call.alive, self.script.alive]
        self._tables = [self._table(fixed, call, turn) for turn in (0, 1)]
        self._outputs = [self._states[self.program.graph.states[0].name][1 - turn] for turn in (0, 1)]
        self._jobs = [self._job(table, skipped=1) for table in self._tables]
        self._addresses = [job.ctypes.data for job in self._jobs]
        packing = self._job(self._tables[0], skipped=0)
        packing[Job.count] = 1
        packing[Job.threads] = 1
        self._execute(packing.ctypes.data, 0)

    def _table(self, fixed: Any, call: Call, turn: int) -> np.ndarray:
        """The slots of every other step: states are read from one of two buffers and written to the other."""
        table = np.array(fixed, np.int64)
        found = list(call.entries)
        for name, buffers in self._states.items():
            if f"state:{name}" in self.kernel.slots:
                found.append((self.kernel.slots[f"state:{name}"] * Slot.WORDS, *entry(buffers[0])))
            else:
                found.append((self.kernel.slots[f"start:{name}"] * Slot.WORDS, *entry(buffers[turn])))
                found.append((self.kernel.slots[f"history:{name}"] * Slot.WORDS, *entry(buffers[1 - turn])))
        for at, *words in found:
            table[at : at + 3] = words
        return table

    def _job(self, table: np.ndarray, skipped: int) -> np.ndarray:
        job = aligned_zeros(Job.WORDS, np.dtype(np.int64))
        job[Job.slots] = table.ctypes.data
        job[Job.commands] = self.script.address + 8 * (self.script.first + 2 * skipped)
        job[Job.count] = len(self.script.commands) - skipped
        job[Job.threads] = self.script.threads
        return job

    # ---- stepping
    def step(self, x: np.ndarray) -> np.ndarray:
        """The next output (B, H) for the next input (B, I), or (I,) for one stream."""
        if x.shape != self.shape and (self.batch > 1 or x.shape != self.shape[1:]):
            raise ShapeError(f"{self.program.graph.name}: a step's input is {x.shape}; it must be {self.shape}")
        if x.dtype.kind not in REAL:
            raise ShapeError(f"{self.program.graph.name}: a step's input is {x.dtype}; it must be real")
        self._first[...] = x
        turn = self._next
        self._next = 1 - turn
        if self.script.threads == 1:
            self._execute(self._addresses[turn], 0)
        elif not threads.run(self.kernel.library, self._jobs[turn], self.script.threads):
            self._go_alone(turn)
        return self._outputs[turn]

    def _go_alone(self, turn: int) -> None:
        """The team does not come complete here: plan for one thread and do the step."""
        self.script = self._script(1)
        self.bind(self._weights)
        self._execute(self._addresses[turn], 0)

    # ---- states
    @property
    def state(self) -> dict[str, np.ndarray]:
        """Copies of the states, {name: (B, w)}; assign such a dict to set them."""
        return {name: self._current(name).copy() for name in self._states}

    @state.setter
    def state(self, given: Arrays) -> None:
        for name, value in given.items():
            if name not in self._states:
                raise ShapeError(f"{self.program.graph.name} has no state {name!r}; it has {', '.join(self._states)}")
            if np.shape(value) != self._current(name).shape:
                raise ShapeError(f"state {name!r} is {np.shape(value)}; it must be {self._current(name).shape}")
        for name, value in given.items():
            self._current(name)[...] = value

    def _current(self, name: str) -> np.ndarray:
        in_place = f"state:{name}" in self.kernel.slots
        return self._states[name][0 if in_place else self._next]

    def reset(self, rows: Collection[int] | None = None) -> None:
        """Start afresh: all streams, or those with these numbers."""
        where = slice(None) if rows is None else list(rows)
        for state in self.program.graph.states:
            self._current(state.name)[where] = state.start
