"""What a printed program must answer: vectors of the model itself, by the reference in float64.

One step, two, and many from the start; many from other states; inputs so large that gates are shut or open; the first
again after a reset; two streams in turns. Weights are those that the program holds, so smaller numbers change nothing
here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gatework.backends import reference
from gatework.compiler.params import size
from gatework.errors import OptionError
from gatework.exporting.c.stack import further_inputs
from gatework.runtime.quantised import dense
from gatework.runtime.saved import Layer

BASE = 1e-5  # accepted error of one step, relative to the largest value; it grows with the root of the steps
FEW = 4  # a float32 program may be off by a few times what the reference in float32 is
NUMBERS = 2048  # of inputs and outputs of the long case, about
SATURATED = 50.0


@dataclass(frozen=True)
class Case:
    """A call and its answer: `inputs` by name, (T, w), (w,) or a number; `start` and `last` by layer and direction.
    `errors` are what is accepted of the outputs and of each state."""

    name: str
    steps: int
    inputs: dict[str, np.ndarray]
    start: list[list[dict[str, np.ndarray]]] | None
    outputs: np.ndarray
    last: list[list[dict[str, np.ndarray]]]
    allowed: float = 0.0
    allowed_last: tuple[tuple[dict[str, float], ...], ...] = ()


def in_float64(layers: Sequence[Layer]) -> list[Layer]:
    """The layers with the numbers that their weights stand for, in float64."""

    def wide(way: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {key: values.astype(np.float64) for key, values in way.items()}

    return [
        replace(
            x,
            weights=tuple(wide(dense(way)) for way in x.weights),
            starts=tuple(wide(way) for way in x.starts),
            dtype="float64",
        )
        for x in layers
    ]


class Model:
    """A stack as the reference computes it, for one sequence."""

    def __init__(self, layers: Sequence[Layer]):
        self.layers = layers
        self.data = layers[0].data.name
        self.more = further_inputs(layers)

    def run(self, inputs: dict[str, np.ndarray], start: list | None, dtype: str = "float64"):
        """Outputs (T, O) and the states at the end."""
        flow, last = inputs[self.data], []
        for k, layer in enumerate(self.layers):
            ways = [
                self._way(layer, d, flow, inputs, start[k][d] if start else None, dtype)
                for d in range(len(layer.weights))
            ]
            flow = np.concatenate([outputs for outputs, _ in ways], 1)
            last.append([states for _, states in ways])
        return flow, last

    def _way(
        self, layer: Layer, d: int, flow: np.ndarray, inputs: dict[str, np.ndarray], start: dict | None, dtype: str
    ):
        graph = layer.graph
        given: dict[str, Any] = {graph.inputs[0].name: flow.astype(dtype)[:, None]}
        for item in graph.inputs[1:]:
            value = np.asarray(inputs[item.name], dtype)
            given[item.name] = (
                float(value) if item.per == "call" else value[:, None] if item.per == "step" else value[None]
            )
        begin = layer.starts[d] if start is None else start
        begin = {s: v.astype(dtype)[None] for s, v in begin.items()}
        weights = {k: v.astype(dtype) for k, v in layer.weights[d].items()}
        run = reference.run(graph, layer.sizes, given, begin, weights, reverse=d == 1)
        output = run.history[graph.states[0].name][:, 0]
        return output, {s: v[0] for s, v in run.final.items()}

    def draw(self, steps: int, draw: np.random.Generator, scale: float = 1.0) -> dict[str, np.ndarray]:
        """Inputs: the data is normal; others lie from 0 to 1 and are often one of both, as switches are."""
        width = size(self.layers[0].sizes, self.layers[0].data.width)
        found = {self.data: _float32(scale * draw.normal(size=(steps, width)))}
        for item, wide in self.more:
            shape = {"step": (steps, wide), "sequence": (wide,), "call": ()}[item.per]
            found[item.name] = _float32(np.clip(draw.uniform(-0.8, 1.6, shape), 0, 1))
        return found


def _float32(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float32).astype(np.float64)


def long_steps(inputs: int, outputs: int) -> int:
    """Steps of the long case: enough for the recurrent weights, few enough for a file."""
    return int(np.clip(NUMBERS // (inputs + outputs), 12, 40))


def cases(layers: Sequence[Layer], seed: int = 0) -> list[Case]:
    """The cases of a stack: one step, two steps, many steps, saturated, and other starts where there are steps. Those
    whose answer is no number for this model are left out."""
    model, draw = Model(layers), np.random.default_rng(seed)
    many = long_steps(size(layers[0].sizes, layers[0].data.width), layers[-1].output_size)
    calls = {"one step": (1, 1.0), "two steps": (2, 1.0), "many steps": (many, 1.0), "saturated": (many, SATURATED)}
    made = [case(model, name, model.draw(steps, draw, scale)) for name, (steps, scale) in calls.items()]
    if all(
        len(x.weights) == 1 for x in layers
    ):  # states as the model itself leaves them: others may mean nothing to it
        _, states = model.run(model.draw(7, draw), None)
        start = [[{s: _float32(v) for s, v in way.items()} for way in layer] for layer in states]
        made.append(case(model, "other starts", model.draw(many, draw), start))
    kept = [c for c in made if np.isfinite(c.outputs).all()]
    if not kept:
        raise OptionError(
            "the layers answer NaN or infinity to every input that was tried, so no program can be proved"
        )
    return kept


def case(model: Model, name: str, inputs: dict[str, np.ndarray], start: list | None = None) -> Case:
    outputs, last = model.run(inputs, start)
    near, near_last = model.run(inputs, start, "float32")
    steps = len(outputs)
    errors = tuple(
        tuple({s: allowed(v, near_last[k][d][s], steps) for s, v in way.items()} for d, way in enumerate(layer))
        for k, layer in enumerate(last)
    )
    return Case(name, steps, inputs, start, outputs, last, allowed(outputs, near, steps), errors)


def allowed(want: np.ndarray, near: np.ndarray, steps: int) -> float:
    """The accepted error: rounding over so many steps, or where the equations magnify it, what float32 itself loses."""
    finite = np.isfinite(want) & np.isfinite(near)
    scale = float(np.abs(want[finite]).max(initial=0.0)) or 1.0
    lost = float(np.abs(want[finite] - near[finite]).max(initial=0.0))
    return max(BASE * steps**0.5 * scale, FEW * lost)
