"""What a printed net must answer: the net itself in float64, on the weights that the program holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gatework.errors import OptionError
from gatework.exporting.c.values import LENGTHS, readers
from gatework.exporting.c.vectors import SATURATED, allowed, in_float64
from gatework.runtime.exported import Exported
from gatework.runtime.net.graph import Net
from gatework.runtime.net.run import Bound
from gatework.runtime.saved import Layer

Arrays = dict[str, np.ndarray]
STEPS = 12
OTHER_AXES = 3  # how long axes are that are not the sequence's


@dataclass(frozen=True)
class NetCase:
    """Inputs and answers of one call, or of each step of a stream (first axis); accepted errors by output or state."""

    name: str
    steps: int
    inputs: Arrays
    start: Arrays
    outputs: Arrays
    last: Arrays
    allowed: dict[str, float]


def held(model: Exported) -> Exported:
    """The model in float64, with the numbers that its weights stand for."""
    wide = {n: a.astype(np.float64) if a.dtype.kind == "f" else a for n, a in model.arrays.items()}
    nets = {n: _retyped(net, "float32", "float64") for n, net in model.nets.items()}
    return replace(model, arrays=wide, nets=nets, stacks=[in_float64(s) for s in model.stacks])


def narrow(model: Exported) -> Exported:
    """The same in float32, as the runtime computes it."""
    arrays = {n: _float32(a) for n, a in model.arrays.items()}
    nets = {n: _retyped(net, "float64", "float32") for n, net in model.nets.items()}
    return replace(model, arrays=arrays, nets=nets, stacks=[[_narrow(x) for x in stack] for stack in model.stacks])


def _retyped(net: Net, old: str, new: str) -> Net:
    inputs = {n: i._replace(dtype=new) if i.dtype == old else i for n, i in net.inputs.items()}
    return replace(net, inputs=inputs)


def _narrow(layer: Layer) -> Layer:
    weights = tuple({k: _float32(v) for k, v in way.items()} for way in layer.weights)
    starts = tuple({k: _float32(v) for k, v in way.items()} for way in layer.starts)
    return replace(layer, weights=weights, starts=starts, dtype="float32")


def _float32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) if values.dtype.kind == "f" else values


def cases(model: Exported, name: str, bound: int, fixed: int | None = None, seed: int = 0) -> list[NetCase]:
    """The cases of a net of a model that `held` gave; `fixed` is the only length that it reads."""
    runner = Runner(model, name)
    draw = np.random.default_rng(seed)
    many = fixed or min(STEPS, bound)
    calls = (
        {"a sequence": many, "another": many}
        if fixed
        else {"one step": 1, "two steps": min(2, bound), "many steps": many}
    )
    made = [runner.case(label, n, runner.draw(n, draw), {}) for label, n in calls.items()]
    if any(i.dtype == "float64" for i in runner.given.values()):
        made.append(runner.case("saturated", many, runner.draw(many, draw, SATURATED), {}))
    if runner.net.states:
        start = {n: v.astype(np.float32).astype(np.float64) for n, v in made[-1].last.items()}
        made.append(runner.case("other starts", many, runner.draw(many, draw), start))
    kept = [c for c in made if all(np.isfinite(v).all() for v in c.outputs.values())]
    if not kept:
        raise OptionError(f"the net {name!r} answers NaN or infinity to every input that was tried")
    return kept


class Runner:
    """A net that answers one row, in float64, and the same in float32."""

    def __init__(self, model: Exported, name: str):
        self.net: Net = model.nets[name]
        self.bounds = [model.bound(name), narrow(model).bound(name)]
        self.arrays = model.arrays
        self.given = {n: i for n, i in self.net.inputs.items() if n not in self.net.states}

    def draw(self, steps: int, draw: np.random.Generator, scale: float = 1.0) -> Arrays:
        """Inputs of one row; of a net of steps, for each of them."""
        found: Arrays = {}
        for name, given in self.given.items():
            shape = tuple({"B": 1, "T": steps}.get(a, OTHER_AXES) if isinstance(a, str) else a for a in given.shape)
            shape = (steps, *shape) if self.net.states else shape
            if self._is_length(name):  # of the row, or of rows that are words
                found[name] = (
                    np.full(shape, steps) if given.shape == ("B",) else draw.integers(1, 1 + OTHER_AXES, shape)
                )
            elif given.dtype == "int64":
                found[name] = draw.integers(0, self._most(name), shape)
            else:
                found[name] = (scale * draw.normal(size=shape)).astype(np.float32).astype(np.float64)
        return found

    def _is_length(self, name: str) -> bool:
        return self.net.inputs[name].dtype == "int64" and set(readers(self.net, name)) <= {*LENGTHS, "scale"}

    def _most(self, name: str) -> int:
        """The number below which ids stay: rows of the smallest table that they choose from."""
        found = [OTHER_AXES + 1] if 2 in readers(self.net, name).get("bag", ()) else []
        for node in self.net.nodes:
            if node.op in ("gather", "bag") and node.inputs[1] == name:
                table = node.inputs[0]
                found.append(len(self.arrays[table[1:]]) if table.startswith("@") else OTHER_AXES)
        return min(found, default=1)

    def case(self, name: str, steps: int, inputs: Arrays, start: Arrays) -> NetCase:
        (outputs, last), (near, near_last) = (self.run(b, steps, inputs, start) for b in self.bounds)
        errors = {n: allowed(v, near[n], steps) for n, v in outputs.items()}
        errors |= {n: allowed(v, near_last[n], steps) for n, v in last.items()}
        return NetCase(name, steps, inputs, start, outputs, last, errors)

    def run(self, bound: Bound, steps: int, inputs: Arrays, start: Arrays) -> tuple[Arrays, Arrays]:
        if not self.net.states:
            return bound(**inputs), {}
        dtype = np.float64 if bound is self.bounds[0] else np.float32
        states = {n: v.astype(dtype) for n, v in (bound.start(1) | start).items()}
        outputs: dict[str, list[np.ndarray]] = {n: [] for n in self.net.outputs}
        for t in range(steps):
            found = bound(**{n: v[t] for n, v in inputs.items()}, **states)
            states = {n: found[n] for n in states}
            for n, rows in outputs.items():
                rows.append(found[n])
        return {n: np.stack(rows) for n, rows in outputs.items()}, states


def lost(own: Exported, name: str, made: list[NetCase]) -> float:
    """How far the cases' outputs are from those of the model's own weights, by the largest of them."""
    runner = Runner(own, name)
    worst, largest = 0.0, 0.0
    for case in made:
        outputs, _ = runner.run(runner.bounds[0], case.steps, case.inputs, case.start)
        for n, v in outputs.items():
            worst, largest = max(worst, float(np.abs(v - case.outputs[n]).max())), max(largest, float(np.abs(v).max()))
    return worst / (largest or 1.0)
