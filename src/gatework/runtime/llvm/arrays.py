"""A call on numpy arrays: each is checked or made, and noted with the place in a frame where its address goes.

Nothing here holds the program's lock, as checking and making arrays take their time: `Given.fill` stores all addresses
at once, just before the frame runs. Weights are looked at once and then known again by identity.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from gatework.compiler.ir import State
from gatework.errors import ShapeError
from gatework.runtime import checks
from gatework.runtime.frame import ONE_ROW, Entry, Frame, Layout, entry
from gatework.runtime.quantised import Quantised
from gatework.runtime.rows import Rows
from gatework.runtime.settings import finite

if TYPE_CHECKING:
    from gatework.runtime.llvm.compiled import Compiled

Arrays = Mapping[str, Any]


class Weights:
    """A cell's parameters, checked, as slots. Quantised ones are those of their dense numbers, or with `narrow` left
    out."""

    def __init__(self, program: Compiled, given: Arrays, narrow: bool = False):
        name = program.graph.name
        self.arrays: dict[str, Any] = {}
        self.looked: list[np.ndarray] = []
        self.kept: list[np.ndarray] = []
        self.weights: dict[str, Entry] = {}
        self.vectors: dict[str, Entry] = {}
        for key, shape in program.shapes.items():
            if key not in given:
                raise ShapeError(f"{name}: weight {key!r} is missing; given are {sorted(given)}")
            values = self.arrays[key] = given[key]
            if isinstance(values, Quantised):
                checks.quantised(name, f"weight {key!r}", values, shape, program.dtype)
                if narrow:
                    continue
                values = values.dense
            self.looked.append(values)
            self._add(key, checks.array(name, f"weight {key!r}", values, shape, program.dtype))

    def _add(self, key: str, values: np.ndarray) -> None:
        if values.ndim == 1:
            if "." not in key:
                values = np.ascontiguousarray(values)
                self.vectors[key] = entry(values, ONE_ROW)
            self.weights[key] = entry(values, values.strides[0] // values.itemsize)
        else:
            self.weights[key] = entry(flat_heads(values))
        self.kept.append(values)

    def same(self, given: Arrays) -> bool:
        """Are these the very arrays? (Copies were made of some only if their memory was odd: then look again.)"""
        if any(kept is not array_ for kept, array_ in zip(self.kept, self.looked, strict=True)):
            return False
        return all(given.get(key) is values for key, values in self.arrays.items()) and not finite()


class Given:
    """The arrays of one call. Methods check what is given, make what is missing, and note both."""

    def __init__(self, program: Compiled, layout: Layout, rows: Rows):
        self.program, self.layout, self.rows = program, layout, rows
        self.name, self.dtype = program.graph.name, program.dtype
        self.entries: list[tuple[int, Entry]] = []
        self.alive: list[Any] = []

    def put(self, place: int | None, values: np.ndarray, row: int | None = None) -> None:
        if place is not None:
            self.entries.append((place, entry(values, row)))
            self.alive.append(values)

    def fill(self, frame: Frame) -> None:
        """Store all addresses."""
        for place, values in self.entries:
            frame.put(place, values)

    def checked(self, what: str, values: ArrayLike | None, shape: tuple[int, ...], rest: float = 0.0) -> np.ndarray:
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
                self.put(
                    self.layout.inputs.get(spec.name),
                    np.array([checks.number(self.name, what, value)], self.dtype),
                    ONE_ROW,
                )
                continue
            shape = (self.rows.size if spec.per == "step" else self.rows.batch, self.program.width(spec.width))
            value = self.checked(what, value, shape, rest=self.program.rests.get(spec.name, 0.0))
            self.put(self.layout.inputs.get(spec.name), value)

    def starts(self, given: Arrays) -> None:
        """Starts that are given; others stand in the frame."""
        checks.names(self.name, "state", given, self.program.states)
        for name, value in given.items():
            if value is not None:
                state = self.program.states[name]
                shape = (self.rows.batch, self.program.width(state.width))
                value = self.checked(f"the start of {name!r}", value, shape, rest=state.start)
                self.put(self.layout.starts.get(name), value)

    def weights(self, given: Arrays, narrow: bool = False) -> None:
        bound = self.program.bound  # another thread may replace it at any time
        if narrow:
            bound = Weights(self.program, given, narrow)
        elif bound is None or not bound.same(given):
            bound = self.program.bound = Weights(self.program, given)
        for role, entries in ((self.layout.weights, bound.weights), (self.layout.vectors, bound.vectors)):
            self.entries += [(role[key], values) for key, values in entries.items() if key in role]
        self.alive.append(bound)

    def histories_of(self, history: Arrays) -> None:
        for state in self.program.graph.states:
            if state.name in self.layout.histories:
                self._trained(state.name in history)
                shape = (self.rows.size, self.program.width(state.width))
                values = self.checked(f"the history of {state.name!r}", history[state.name], shape, rest=state.start)
                self.put(self.layout.histories[state.name], values)

    def saved_of(self, saved: np.ndarray | None) -> None:
        if not self.program.recompute:
            self._trained(saved is not None)
            self._lay(self.checked("what was saved", saved, (self.rows.size, self.layout.saved_width)))

    def _lay(self, block: np.ndarray) -> None:
        address, row, _ = entry(block)
        self.entries += [(place, Entry(address + offset, row, 1)) for place, offset in self.layout.saved]
        self.alive.append(block)

    def _trained(self, there: bool) -> None:
        if not there:
            raise ShapeError(
                f"{self.name}: this pass did not keep what the way back needs; use forward(..., train=True)"
            )

    # ---- what is written
    def block(self) -> np.ndarray:
        """What training keeps for the way back. Hold the program's lock, as the pool has none."""
        block = self.program.shared.pool.take((self.rows.size, self.layout.saved_width))
        self._lay(block)
        return block

    def histories(self, train: bool) -> dict[str, np.ndarray]:
        found = {}
        for state in self.program.graph.states:
            if state.name in self.layout.histories and (train or state.name not in self.layout.carried):
                values = found[state.name] = np.empty((self.rows.size, self.program.width(state.width)), self.dtype)
                self.put(self.layout.histories[state.name], values)
        return found

    def states_in_place(self, start: Arrays) -> dict[str, np.ndarray]:
        """States without a history begin as copies of their start and end as the final states."""
        found = {}
        for state in self.program.graph.states:
            if state.name in self.layout.carried:
                values = found[state.name] = self.start_of(state, start)
                self.put(self.layout.carried[state.name], values)
        return found

    def start_of(self, state: State, start: Arrays) -> np.ndarray:
        """A fresh copy of a state's start."""
        given = start.get(state.name)
        shape = (self.rows.batch, self.program.width(state.width))
        return np.full(shape, state.start, self.dtype) if given is None else np.array(given, order="C")

    def input_gradients(self, need: Collection[str]) -> dict[str, np.ndarray]:
        found = {}
        for spec in self.program.graph.inputs:
            if spec.name not in self.layout.d_inputs or (spec.name not in need and spec.name in self.layout.sunk):
                continue
            step = spec.per == "step"
            shape = (self.rows.size if step else self.rows.batch, self.program.width(spec.width))
            values = (np.empty if step else np.zeros)(shape, self.dtype)
            self.put(self.layout.d_inputs[spec.name], values)
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
            self.put(self.layout.cotangents.get(name), values)
            if along is not None:
                what = f"the gradient of {name!r} at every step"
                self.put(self.layout.d_histories.get(name), self.checked(what, along, (self.rows.size, width)))
        return found

    def weight_gradients(self, into: Arrays) -> dict[str, np.ndarray]:
        found = {}
        for key, shape in self.program.shapes.items():
            values = into.get(key)
            found[key] = values = np.empty(shape, self.dtype) if values is None else self._target(key, values, shape)
            if key not in self.layout.d_weights or not self.rows.size:
                values[...] = 0
            row = None if len(shape) > 1 else values.strides[0] // values.itemsize
            self.put(self.layout.d_weights.get(key), flat_heads(values), row)
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


def flat_heads(values: np.ndarray) -> np.ndarray:
    """(heads, out, in) as (heads out, in), the same memory."""
    if values.ndim < 3:
        return values
    flat = values.reshape(-1, values.shape[-1])
    if not np.shares_memory(flat, values):
        raise ShapeError(f"weights of heads must lie evenly in memory; strides are {values.strides}")
    return flat
