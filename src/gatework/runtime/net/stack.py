"""Recurrent layers inside a net: whole padded sequences, or one step, through compiled programs."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from gatework.compiler.params import size
from gatework.errors import ShapeError
from gatework.runtime.rows import Rows
from gatework.runtime.saved import Layer
from gatework.runtime.select import program
from gatework.runtime.stepper import LayerStepper


class Stack:
    """Layers of which each reads the one before; see `Builder.recurrent` and `Builder.step`."""

    def __init__(self, layers: list[Layer]):
        self.layers = layers
        self.programs = [program(each.graph, each.sizes, each.dtype) for each in layers]
        self._own = threading.local()  # a stepper belongs to one thread at a time

    def __reduce__(self) -> tuple[type[Stack], tuple[list[Layer]]]:
        """For pickle and copy: the layers, without machine code."""
        return Stack, (self.layers,)

    def whole(
        self,
        x: np.ndarray,
        lengths: np.ndarray,
        others: Mapping[str, np.ndarray],
        starts: Mapping[str, np.ndarray],
    ) -> list[np.ndarray]:
        """Outputs (T, B, O), 0 beyond the ends; then the states after these, layer by layer, both directions each.
        `starts` are states (B, w) before the first step, by "layer.direction.name"."""
        places = Places(x.shape[0], lengths)
        flat = x.reshape(-1, x.shape[2])
        ends: list[np.ndarray] = []
        for k, layer in enumerate(self.layers):
            outputs = []
            for d in range(len(layer.weights)):
                own = {s.name: starts.get(f"{k}.{d}.{s.name}") for s in layer.graph.states}
                history, last = self._direction(k, d, flat, places, others, own)
                outputs.append(places.padded(history, d))
                ends += [places.in_order(last[s.name]) for s in layer.graph.states]
            flat = np.concatenate(outputs, 1) if len(outputs) > 1 else outputs[0]
        return [flat.reshape(*x.shape[:2], -1), *ends]

    def _direction(
        self,
        k: int,
        d: int,
        flat: np.ndarray,
        places: Places,
        others: Mapping[str, np.ndarray],
        starts: Mapping[str, np.ndarray | None],
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        layer = self.layers[k]
        given = {layer.data.name: places.packed(flat, d)}
        for item in layer.graph.inputs[1:]:
            given[item.name] = places.packed(others[item.name].reshape(len(flat), -1), d)
        start = {s.name: places.sorted(starts[s.name]) for s in layer.graph.states}
        start |= {s.name: _start(layer, d, s, places.batch) for s in layer.graph.states if start[s.name] is None}
        done = self.programs[k].forward(places.rows, given, start, layer.weights[d])
        return done.history[layer.graph.states[0].name], done.final

    def step(self, x: np.ndarray, *states: np.ndarray) -> list[np.ndarray]:
        """One step (B, I) to (B, O), and the states after it; a row's bits do not hang on the others. Each thread packs
        the weights once for itself."""
        if not hasattr(self._own, "stepper"):
            self._own.stepper = LayerStepper(self.layers, self.programs)
        stepper: LayerStepper = self._own.stepper
        output, after = stepper.step(x, dict(zip(stepper.widths, states, strict=True)))
        return [output, *(after[name] for name in stepper.widths)]


class Places:
    """Where the steps of padded sequences lie in packed rows, the longest sequence first, and back."""

    def __init__(self, steps: int, lengths: np.ndarray):
        if len(lengths) and not 0 <= int(lengths.min()) <= int(lengths.max()) <= steps:
            raise ShapeError(f"lengths lie between 0 and T = {steps}; got {lengths.tolist()[:8]}")
        self.steps, self.batch = steps, len(lengths)
        self.order = np.argsort(-lengths, kind="stable")
        own = lengths[self.order]
        there = np.arange(steps)[:, None] < own
        counts = there.sum(1)
        self.rows = Rows.packed(counts[counts > 0], self.batch)
        at, row = np.nonzero(there)
        back = own[row] - 1 - at
        self.index = [at * self.batch + self.order[row], back * self.batch + self.order[row]]

    def packed(self, flat: np.ndarray, d: int) -> np.ndarray:
        """Rows (N, C) of padded ones (T B, C), in the direction's order."""
        return flat[self.index[d]]

    def padded(self, history: np.ndarray, d: int) -> np.ndarray:
        """Padded rows (T B, C) of packed ones (N, C)."""
        found = np.zeros((self.steps * self.batch, history.shape[1]), history.dtype)
        found[self.index[d]] = history
        return found

    def sorted(self, states: np.ndarray | None) -> np.ndarray | None:
        """States (B, w) of the call as packed rows have them."""
        return None if states is None else states[self.order]

    def in_order(self, last: np.ndarray) -> np.ndarray:
        """States (B, w) in the order of the call."""
        found = np.empty_like(last)
        found[self.order] = last
        return found


def _start(layer: Layer, d: int, state, batch: int) -> np.ndarray:
    learned = layer.starts[d].get(state.name)
    shape = (batch, size(layer.sizes, state.width))
    return np.full(shape, state.start, layer.dtype) if learned is None else np.tile(learned, (batch, 1))
