"""Nets, built in Python: each method adds an operation and gives the name of its value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatework.compiler.params import size
from gatework.runtime.net.graph import Input, Net, Node, Shape, State
from gatework.runtime.net.ops import OPS
from gatework.runtime.saved import Layer

Value = str


class Builder:
    """Adds operations one after another; several nets can share `arrays` and `stacks`.

    b = Builder()
    x = b.input("x", ("B", 3))
    b.output("y", b.tanh(b.linear(x, b.array("weight", np.eye(3, dtype=np.float32)))))
    net = b.net()
    """

    def __init__(self, beside: Builder | None = None):
        self.arrays: dict[str, np.ndarray] = {} if beside is None else beside.arrays
        self.stacks: list[list[Layer]] = [] if beside is None else beside.stacks
        self._inputs: dict[str, Input] = {}
        self._nodes: list[Node] = []
        self._outputs: dict[str, Value] = {}
        self._states: dict[str, State] = {}

    def net(self) -> Net:
        return Net(dict(self._inputs), tuple(self._nodes), dict(self._outputs), dict(self._states))

    # -- what goes in and out -------------------------------------------------------------------------------

    def input(self, name: str, shape: Shape, dtype: str = "float32") -> Value:
        self._inputs[name] = Input(shape, dtype)
        return name

    def array(self, name: str, values: object) -> Value:
        """An array that lies beside the net: float32, or int64 where it holds whole numbers. torch's are taken too."""
        free = getattr(values, "detach", None)
        found = np.asarray(values if free is None else free().cpu().numpy())
        found = np.ascontiguousarray(found, np.int64 if found.dtype.kind in "iu" else np.float32)
        same = [known for known, each in self.arrays.items() if _is_one(each, found)]  # weights that are tied
        name = same[0] if same else name
        self.arrays[name] = found
        return f"@{name}"

    def output(self, name: str, value: Value) -> None:
        self._outputs[name] = value

    def state(self, name: str, width: int, start: float = 0.0) -> Value:
        """A state (B, width) of a step, as it was before it; `after` says what becomes of it."""
        self._states[name] = State(width, name, start)
        return self.input(name, ("B", width))

    def after(self, name: str, value: Value) -> Value:
        """The state of this name is the value after the step."""
        self._states[name] = self._states[name]._replace(after=value)
        return value

    # -- operations -----------------------------------------------------------------------------------------

    def add_node(
        self,
        op: str,
        inputs: Sequence[Value],
        outputs: int = 1,
        **settings: int | float | str | list[int] | list[str] | None,
    ) -> tuple[Value, ...]:
        names = tuple(f"{len(self._nodes)}.{op}" + (f".{k}" if outputs > 1 else "") for k in range(outputs))
        self._nodes.append(Node(op, tuple(inputs), names, settings))
        return names

    def __getattr__(self, op: str):
        """`b.tanh(x)`: every operation of `ops` is a method that takes values, and its settings as keywords."""
        if op not in OPS:
            raise AttributeError(op)
        return lambda *inputs, **settings: self.add_node(op, [i for i in inputs if i is not None], **settings)[0]

    def stack(self, layers: Sequence[Layer]) -> int:
        """The number of a stack of layers; the same layers are kept once."""
        for number, known in enumerate(self.stacks):
            if known is layers:
                return number
        self.stacks.append(layers if isinstance(layers, list) else list(layers))
        return len(self.stacks) - 1

    def recurrent(
        self,
        layers: list[Layer],
        x: Value,
        lengths: Value,
        others: Mapping[str, Value] | None = None,
        starts: Mapping[str, Value] | None = None,
    ) -> tuple[Value, dict[str, Value]]:
        """Whole sequences (T, B, I): the outputs, and the states after each's end, {"layer.direction.name": (B, w)}.
        `starts` are states before the first step in the same form; without them the layers have their own."""
        last = [f"{k}.{d}.{s.name}" for k, x_ in enumerate(layers) for d in range(len(x_.weights)) for s in _states(x_)]
        given = [x, lengths, *(others or {}).values(), *(starts or {}).values()]
        settings: dict[str, Any] = {"stack": self.stack(layers), "others": list(others or {})}
        settings |= {"starts": list(starts)} if starts else {}
        outputs, *found = self.add_node("recurrent", given, 1 + len(last), **settings)
        return outputs, dict(zip(last, found, strict=True))

    def cell(self, layers: list[Layer], x: Value, states: Sequence[Value]) -> tuple[Value, list[Value]]:
        """One step (B, I) of a stack that reads one way, from states (B, w), layer by layer, to those after it."""
        output, *after = self.add_node("step", [x, *states], 1 + len(states), stack=self.stack(layers))
        return output, after

    def step(self, layers: list[Layer], x: Value, prefix: str = "state") -> Value:
        """One step (B, I) of a stack that reads one way; its states become states of the net, "prefix.layer.name"."""
        names, widths = [], []
        for k, layer in enumerate(layers):
            for s in _states(layer):
                names.append(self.input(f"{prefix}.{k}.{s.name}", ("B", size(layer.sizes, s.width))))
                learned = layer.starts[0].get(s.name)
                start = s.start if learned is None else self.array(f"{prefix}.start.{k}.{s.name}", learned)[1:]
                widths.append((size(layer.sizes, s.width), start))
        output, after = self.cell(layers, x, names)
        for name, value, (width, start) in zip(names, after, widths, strict=True):
            self._states[name] = State(width, value, start)
        return output


def _states(layer: Layer) -> Sequence[Any]:
    return layer.graph.states


def _is_one(array: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays are the same memory."""
    where = array.__array_interface__["data"] == other.__array_interface__["data"]
    return where and array.shape == other.shape and array.dtype == other.dtype
