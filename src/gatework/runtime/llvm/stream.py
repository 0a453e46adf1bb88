"""One step at a time, for data that arrives as it is made: a bound stream keeps its states and allocates nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from gatework.backends.llvm.narrow import MOST_ROWS
from gatework.compiler.ir import State
from gatework.compiler.params import size
from gatework.errors import OptionError, ShapeError
from gatework.runtime import checks
from gatework.runtime.checks import REAL
from gatework.runtime.frame import entry
from gatework.runtime.llvm.arrays import Given
from gatework.runtime.llvm.launch import Launch
from gatework.runtime.llvm.pace import Pace
from gatework.runtime.memory import Memory
from gatework.runtime.program import Arrays
from gatework.runtime.quantised import kind_of
from gatework.runtime.rows import Rows
from gatework.runtime.settings import get_threads

if TYPE_CHECKING:
    from gatework.runtime.llvm.compiled import Compiled


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

    Quantised weights are read as they are: int8 for any number of streams, bf16 for one or two. For more streams a
    float32 copy of bf16 is faster, and gives the same bits.
    """

    def __init__(self, program: Compiled, weights: Arrays, batch: int = 1, rates: Mapping[str, float] | None = None):
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise OptionError(f"a stream's batch is {batch!r}; it must be a whole number of at least 1")
        self.program, self.graph, self.batch = program, program.graph, batch
        self.inputs = {i.name: self._zeros(i.width) for i in self.graph.inputs if i.per != "call"}
        self.rates = dict(rates or {})
        self._states = {s.name: [self._start(s), self._start(s)] for s in self.graph.states}
        self._next = 0
        self._first = next(iter(self.inputs.values()))
        self.shape = self._first.shape
        self._kind = self._kind_for(weights)
        self._prepare(get_threads())
        self.bind(weights)

    def _kind_for(self, weights: Arrays) -> str:
        """Which kernel reads these weights."""
        kind = kind_of(weights) or "infer"
        return "infer" if kind == "bf16" and self.batch > MOST_ROWS[kind] else kind

    def _prepare(self, threads: int) -> None:
        """Calls for a team, if the step is worth one, and for this thread alone."""
        own = Memory(self.program.dtype)
        self._frames = self._prepared(threads, own)
        self._crew = self._frames if self._frames[0].threads > 1 else []
        if self._crew:
            self._frames, self._pace = self._prepared(1, own), Pace()
        self._outputs = [self._states[self.graph.states[0].name][1 - turn] for turn in (0, 1)]
        self._addresses = [frame.addresses[1] for frame in self._frames]  # [1]: the weights are packed already
        self._execute = self._frames[0].execute

    def _prepared(self, threads: int, own: Memory) -> list[Launch]:
        """A call for every other step: states are read from one of two buffers and written to the other."""
        rows = Rows.rectangle(1, self.batch)
        frames = [self.program.frame(rows, self._kind, threads, own) for _ in (0, 1)]
        layout = frames[0].layout
        self._in_place = set(layout.carried)
        for turn, frame in enumerate(frames):
            for name, buffers in self._states.items():
                if name in self._in_place:
                    frame.put(layout.carried[name], entry(buffers[0]))
                else:
                    frame.put(layout.starts.get(name), entry(buffers[turn]))
                    frame.put(layout.histories.get(name), entry(buffers[1 - turn]))
        return frames

    def _zeros(self, width: str) -> np.ndarray:
        return np.zeros((self.batch, size(self.program.sizes, width)), self.program.dtype)

    def _start(self, state: State) -> np.ndarray:
        return np.full((self.batch, size(self.program.sizes, state.width)), state.start, self.program.dtype)

    # ---- binding
    def bind(self, weights: Arrays) -> None:
        """Read the weights (again); the states stay."""
        if self._kind != (kind := self._kind_for(weights)):
            self._kind = kind
            self._prepare(get_threads())
        given = Given(self.program, self._frames[0].layout, self._frames[0].rows)
        given.inputs({**self.inputs, **self.rates})
        given.weights(weights, narrow=self._kind != "infer")
        for frame in [*self._frames, *self._crew]:
            given.fill(frame)
        self._weights, self._alive = weights, given.alive
        for frame in {id(frame.panels): frame for frame in [*self._frames, *self._crew]}.values():
            frame.pack(weights)

    # ---- stepping
    def step(self, x: np.ndarray) -> np.ndarray:
        """The next output (B, H) for the next input (B, I), or (I,) for one stream."""
        if x.shape != self.shape and (self.batch > 1 or x.shape != self.shape[1:]):
            raise ShapeError(f"{self.graph.name}: a step's input is {x.shape}; it must be {self.shape}")
        if x.dtype.kind not in REAL:
            raise ShapeError(f"{self.graph.name}: a step's input is {x.dtype}; it must be real")
        self._first[...] = x
        turn = self._next
        self._next = 1 - turn
        if self._crew:
            self._timed(turn)
        else:
            self._execute(self._addresses[turn], 0)
        return self._outputs[turn]

    def _timed(self, turn: int) -> None:
        """With the team or alone, whichever is faster at the moment."""
        pace = self._pace
        if pace.rest:
            pace.rest -= 1
            self._execute(self._addresses[turn], 0)
            return
        began = perf_counter()
        if not pace.together:
            self._execute(self._addresses[turn], 0)
        elif not self._crew[turn].run(packed=True):
            self._go_alone(turn)
            return
        if pace.took(perf_counter() - began):
            script = self._crew[turn].script
            self.program.shared.last = f"{pace.why(script.threads)}{script.beside}"

    def _go_alone(self, turn: int) -> None:
        """The team does not come complete here: plan for one thread and do the step."""
        self._prepare(1)
        self.bind(self._weights)
        self._execute(self._addresses[turn], 0)

    # ---- states
    @property
    def state(self) -> dict[str, np.ndarray]:
        """Copies of the states, {name: (B, w)}; assign such a dict to set them."""
        return {name: self._current(name).copy() for name in self._states}

    @state.setter
    def state(self, given: Arrays) -> None:
        name = self.graph.name
        checks.names(name, "state", given, self._states)
        values = {state: np.asarray(value) for state, value in given.items()}
        for state, value in values.items():  # all of them before the first is set: what is refused changes nothing
            shape = self._current(state).shape
            if value.shape != shape or value.dtype.kind not in REAL:
                raise ShapeError(f"{name}: state {state!r} is {value.dtype} {value.shape}; it must be real, {shape}")
        for state, value in values.items():
            self._current(state)[...] = value

    def _current(self, name: str) -> np.ndarray:
        return self._states[name][0 if name in self._in_place else self._next]

    def reset(self, rows: Collection[int] | None = None) -> None:
        """Start afresh: all streams, or those with these numbers."""
        where = slice(None) if rows is None else list(rows)
        for state in self.graph.states:
            self._current(state.name)[where] = state.start
