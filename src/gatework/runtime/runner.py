"""Saved layers, run without torch: `gatework.runtime.load(path)` gives streams that keep their states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gatework.compiler.params import size
from gatework.errors import ShapeError
from gatework.runtime.checks import REAL
from gatework.runtime.program import Stream
from gatework.runtime.rows import Rows
from gatework.runtime.saved import Layer
from gatework.runtime.select import program
from gatework.runtime.stepper import LayerStepper

States = list[dict[str, np.ndarray]]


def _count(what: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise ShapeError(f"{what} is a number of streams, 0 or more; got {value!r}")
    return int(value)


class Runner:
    """A loaded stack with the states of B streams; see `gatework.runtime.load`.

    Copies and pickles hold layers and states. A runner belongs to one thread at a time; several may run side by side.
    """

    def __init__(self, layers: list[Layer]):
        self.layers = layers
        self.dtype = np.dtype(layers[0].dtype)
        self.programs = [program(x.graph, x.sizes, self.dtype) for x in layers]
        self.batch: int | None = None
        self._states: list[list[dict[str, np.ndarray]]] = []
        self._streams: list[Stream] = []
        self._streaming = False
        self._streamable = all(len(x.graph.inputs) == 1 and len(x.weights) == 1 for x in layers)

    @property
    def input_size(self) -> int:
        """I, what `step` and `run` take."""
        return size(self.layers[0].sizes, self.layers[0].data.width)

    @property
    def output_size(self) -> int:
        """Units of what `step` and `run` give."""
        return self.layers[-1].output_size

    def describe(self) -> str:
        """Which kernel each layer's last call used, and why, a line each.

        `runner.describe()` -> "lstm float32, avx512: 1 thread (one thread is allowed), int8 weights"
        """
        return "\n".join(each.describe() for each in self.programs)

    @property
    def stepper(self) -> LayerStepper:
        """Steps whose states the caller keeps, for servers; a new object with packed weights of its own each time.

        Raises OptionError for a stack that runs in both directions or whose cells have further inputs.
        """
        return LayerStepper(self.layers, self.programs)

    def reset(self, batch: int | None = None, rows: ArrayLike | None = None) -> None:
        """Start afresh: all streams, `batch` new ones, or only `rows` (indices or booleans) of the present ones."""
        self._leave_streams()
        if rows is not None:
            if batch is not None or self.batch is None:
                raise ShapeError("reset(rows=...) is for streams that run already, without batch=")
            rows = self._chosen(rows)
            for layer, states in zip(self.layers, self._states, strict=True):
                for d, own in enumerate(states):
                    for name, start in self._start(layer, d, self.batch).items():
                        own[name][rows] = start[rows]
            return
        count = self.batch if batch is None else _count("reset(batch)", batch)
        self._states, self.batch = [] if count is None else self._fresh(count), count

    def _fresh(self, count: int) -> list[list[dict[str, np.ndarray]]]:
        """The states of so many streams before their first step."""
        try:
            return [[self._start(x, d, count) for d in range(len(x.weights))] for x in self.layers]
        except (MemoryError, ValueError, OverflowError) as error:
            raise ShapeError(f"there is no memory for the states of {count:,} streams") from error

    def keep(self, rows: ArrayLike, new: int = 0) -> None:
        """Go on with these streams, in this order, and begin `new` more after them: for streams that come and go.

            runner.keep([0, 2], new=1)            # of 3 streams the middle one ends, another begins: it is number 2

        `rows` are numbers of streams, or a boolean for each.
        Where streams change often, as in a server, a fixed number of places is faster: `reset(rows=[1])` begins a
        stream anew in place, and packs no weights for another number of rows.
        """
        self._check_one_way("streams to keep")
        self._leave_streams()
        chosen = self._chosen(rows)
        fresh = self._fresh(len(chosen) + _count("keep(new)", new))
        for k in range(len(self.layers) if len(chosen) else 0):
            for name, values in fresh[k][0].items():
                values[: len(chosen)] = self._states[k][0][name][chosen]
        self._states, self.batch = fresh, len(chosen) + int(new)

    def _chosen(self, rows: ArrayLike) -> np.ndarray:
        """Streams as numbers."""
        count, given = self.batch or 0, np.asarray(rows).reshape(-1)
        if given.dtype == bool and len(given) == count:
            return np.flatnonzero(given)
        if given.size and given.dtype.kind not in "iu":
            raise ShapeError(f"streams are told by whole numbers, or by {count} booleans; got {rows!r:.60}")
        odd = given[(given < 0) | (given >= count)]
        if len(odd):
            raise ShapeError(f"there are {count} streams, numbered from 0; got {odd[0]}")
        return given.astype(np.int64)

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: the layers and the states, without machine code."""
        self._leave_streams()
        return {"layers": self.layers, "batch": self.batch, "states": self._states}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["layers"])
        self.batch, self._states = state["batch"], state["states"]

    def _start(self, layer: Layer, d: int, batch: int) -> dict[str, np.ndarray]:
        found = {}
        for s in layer.graph.states:
            shape = (batch, size(layer.sizes, s.width))
            learned = layer.starts[d].get(s.name)
            found[s.name] = np.full(shape, s.start, self.dtype) if learned is None else np.tile(learned, (batch, 1))
        return found

    @property
    def state(self) -> States:
        """The states of each layer, {name: (B, w)}, as copies. Assign the same form to set them, with as many rows as
        there shall be streams; see `keep`, too."""
        self._check_one_way("state")
        self._leave_streams()
        return [{name: values.copy() for name, values in layer[0].items()} for layer in self._states]

    @state.setter
    def state(self, given: States) -> None:
        self._check_one_way("state")
        self._leave_streams()
        fits = isinstance(given, list | tuple) and all(isinstance(each, Mapping) for each in given)
        if not fits or len(given) != len(self.layers):
            got = f"{len(given)} entries" if fits else f"{given!r:.60}"
            raise ShapeError(f"state is a list with a dict of states for each of {len(self.layers)} layers; got {got}")
        states = [[{n: np.array(self._array(v, f"state {n!r}")) for n, v in own.items()}] for own in given]
        first = next(iter(states[0][0].values()), np.zeros(0))
        batch = first.shape[0] if first.ndim else 0
        for k, (layer, (own,)) in enumerate(zip(self.layers, states, strict=True)):
            expected = {s.name: (batch, size(layer.sizes, s.width)) for s in layer.graph.states}
            shapes_ = {name: values.shape for name, values in own.items()}
            if shapes_ != expected:
                raise ShapeError(f"the states of layer {k} must be {expected}; got {shapes_}")
        self.batch, self._states = batch, states

    def step(self, x: np.ndarray, **inputs: ArrayLike) -> np.ndarray:
        """One step of every stream: (B, I) to (B, H). The cell's other inputs are keywords."""
        x = np.asarray(x)
        fits = self._streaming and x.shape == self._streams[0].shape
        if fits or (self._streamable and not inputs and self._enter_streams(x)):
            for stream in self._streams:
                x = stream.step(x)
            return x.copy()
        self._check_one_way("step")
        if np.ndim(x) != 2 or np.shape(x)[1] != self.input_size:
            raise ShapeError(f"a step takes (B, {self.input_size}); got {np.shape(x)}; whole sequences go to run()")
        steps = {i.name for x in self.layers for i in x.graph.inputs if i.per == "step"}
        given = {n: np.asarray(v)[None] if n in steps else v for n, v in inputs.items()}
        return self.run(np.asarray(x)[None], **given)[0]

    def _enter_streams(self, x: np.ndarray) -> bool:
        """From here on the states live in one bound stream for each layer, until something else than a step asks."""
        self._leave_streams()
        if np.ndim(x) != 2 or np.shape(x)[1] != self.input_size or (self.batch is not None and len(x) != self.batch):
            return False
        if self.batch is None:
            self.reset(len(x))
        count = self.batch or 0
        if not count:
            return False
        if len(self._streams) < len(self.layers) or self._streams[0].batch != count:
            pairs = zip(self.programs, self.layers, strict=True)
            streams = [p.stream(layer.weights[0], count) for p, layer in pairs]
            self._streams = [stream for stream in streams if stream is not None]
            self._streamable = len(self._streams) == len(streams)
        if not self._streamable:
            return False
        for stream, states in zip(self._streams, self._states, strict=True):
            stream.state = states[0]
        self._streaming = True
        return True

    def _leave_streams(self) -> None:
        if self._streaming:
            self._states = [[stream.state] for stream in self._streams]
            self._streaming = False

    def run(self, sequence: np.ndarray, **inputs: ArrayLike) -> np.ndarray:
        """T steps of every stream: (T, B, I) to (T, B, H). A stack that runs both ways starts afresh at each call."""
        self._leave_streams()
        known = {i.name for x in self.layers for i in x.graph.inputs[1:]}
        odd = [name for name in inputs if name not in known]
        if odd:
            raise ShapeError(f"there is no input {odd[0]!r}; further inputs: {', '.join(sorted(known)) or 'none'}")
        data = self._array(sequence, "the sequence")
        if data.ndim != 3 or data.shape[2] != self.input_size:
            raise ShapeError(f"the sequence must have shape (T, B, {self.input_size}); got {data.shape}")
        if any(len(x.weights) > 1 for x in self.layers) or self.batch is None:
            self.reset(data.shape[1])
        if data.shape[1] != self.batch:
            raise ShapeError(
                f"there are {self.batch} streams, but the input has {data.shape[1]}; call reset({data.shape[1]})"
            )
        steps, batch = data.shape[:2]
        flat = data.reshape(steps * batch, data.shape[2])
        for k in range(len(self.layers)):
            flat = self._layer(k, flat, steps, inputs)
        return flat.reshape(steps, batch, self.output_size)

    def _array(self, values: ArrayLike, what: str) -> np.ndarray:
        try:
            found = np.asarray(values)
        except ValueError as error:  # rows of unequal length
            raise ShapeError(f"{what} is no array: {error}") from error
        if found.dtype.kind not in REAL:
            raise ShapeError(f"{what} must hold real numbers; got {found.dtype}")
        return np.ascontiguousarray(found, self.dtype)

    def _layer(self, k: int, flat: np.ndarray, steps: int, inputs: Mapping[str, Any]) -> np.ndarray:
        layer, outputs = self.layers[k], []
        for d, weights in enumerate(layer.weights):
            rows = Rows.rectangle(steps, self.batch or 0, d == 1)
            given = {layer.data.name: flat, **self._others(layer, rows, inputs)}
            done = self.programs[k].forward(rows, given, self._states[k][d], weights)
            self._states[k][d] = {name: np.array(v) for name, v in done.final.items()}
            outputs.append(done.history[layer.graph.states[0].name])
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, 1)

    def _others(self, layer: Layer, rows: Rows, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The cell's other inputs as rows; where the width is 1 its axis may be missing."""
        found: dict[str, Any] = {}
        for item in layer.graph.inputs[1:]:
            if item.name not in inputs:
                raise ShapeError(f"{layer.graph.name} needs its input {item.name!r}: run(x, {item.name}=...)")
            if item.per == "call":
                found[item.name] = float(inputs[item.name])
                continue
            value, width = self._array(inputs[item.name], item.name), size(layer.sizes, item.width)
            lead = (len(rows.counts), rows.batch) if item.per == "step" else (rows.batch,)
            if value.shape != (*lead, width) and (value.shape, width) != (lead, 1):
                raise ShapeError(f"{item.name} must have shape {(*lead, width)}; got {value.shape}")
            found[item.name] = value.reshape(math.prod(lead), width)
        return found

    def _check_one_way(self, what: str) -> None:
        if any(len(x.weights) > 1 for x in self.layers):
            raise ShapeError(f"a stack that runs in both directions has no {what}: it reads whole sequences with run()")
