"""Recurrent layers in ONNX: LSTM, GRU or RNN where the cell is one of these operators, else `Scan` over its step.

Sequences are (T, B, w), padded at the end. With lengths, steps beyond a sequence's end change no state, and there the
outputs are zero, whichever way a Scan runs: backwards a sequence so starts at its own last step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import GraphProto

from gatework import cells
from gatework.backends import layouts
from gatework.backends.onnx.operators import OPERATORS, Operator, operator_of
from gatework.backends.onnx.step import Step
from gatework.compiler.ir import Input, State
from gatework.compiler.params import size
from gatework.exporting.onnx.operations import expand, there
from gatework.exporting.onnx.writer import Writer, kind
from gatework.runtime.saved import Layer

States = Mapping[str, str]  # a state's value by its name


@dataclass
class Call:
    """What the layers of a stack read beside the sequence: lengths (B,) int64, the cells' further inputs by name; and
    the places of sequences that run, (T, B, 1), made of the lengths."""

    lengths: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    running: str = ""


def stack(
    writer: Writer, name: str, layers: Sequence[Layer], x: str, call: Call, starts: Sequence[States] = ()
) -> tuple[str, list[dict[str, str]]]:
    """Layers, each over the output of the one below: (T, B, I) to (T, B, H * directions), and each layer's last states
    (directions, B, w). `starts` are states before the first step in the same form; empty: the cells' own. `name` begins
    the names of weights."""
    if call.lengths:
        running = there(writer, call.lengths, writer.length(x, 0))
        call = Call(call.lengths, call.inputs, expand(writer, running, axis=-1))
    lasts = []
    for k, layer in enumerate(layers):
        run = OneLayer(writer, f"{name}{k}", layer, call, starts[k] if starts else {})
        x, last = run.whole(x)
        lasts.append(last)
    return x, lasts


def step(
    writer: Writer, name: str, layers: Sequence[Layer], x: str, call: Call, starts: Sequence[States]
) -> tuple[str, list[dict[str, str]]]:
    """One step of layers that run one way: (B, I) to (B, H), and the new states (B, w)."""
    lasts = []
    for k, layer in enumerate(layers):
        x, last = OneLayer(writer, f"{name}{k}", layer, call, starts[k]).single(x)
        lasts.append(last)
    return x, lasts


def known_operator(layer: Layer) -> Operator | None:
    """The operator of a layer; None in float64, in which ONNX Runtime has none."""
    name = layer.graph.name
    return operator_of(layer.graph, cells.get(name).graph) if name in OPERATORS and layer.dtype == "float32" else None


class OneLayer:
    """One layer of a stack with its weights in the file."""

    def __init__(self, writer: Writer, name: str, layer: Layer, call: Call, starts: States):
        self.writer, self.name, self.layer, self.call, self.starts = writer, name, layer, call, starts
        self.graph, self.names = layer.graph, [s.name for s in layer.graph.states]
        self.operator = known_operator(layer)

    def width(self, symbol: str) -> int:
        return size(self.layer.sizes, symbol)

    def whole(self, x: str) -> tuple[str, dict[str, str]]:
        return self.by_scan(x) if self.operator is None else self.by_operator(self.operator, x)

    def single(self, x: str) -> tuple[str, dict[str, str]]:
        """One step. An operator reads it as a sequence of one."""
        if self.operator is None:
            given = {**self.call.inputs, self.layer.data.name: x}
            new = self.new_states(self.writer, given, self.starts, self.matrices(0))
            return new[self.names[0]], new
        axis = self.writer.integers([0])
        self.starts = {name: self.writer.op("Unsqueeze", value, axis) for name, value in self.starts.items()}
        output, last = self.by_operator(self.operator, self.writer.op("Unsqueeze", x, axis))
        return self.writer.op("Squeeze", output, axis), {n: self.writer.op("Squeeze", v, axis) for n, v in last.items()}

    # --- operators -------------------------------------------------------------------------------------------------

    def by_operator(self, operator: Operator, x: str) -> tuple[str, dict[str, str]]:
        writer, directions = self.writer, len(self.layer.weights)
        arrays = [onnx_weights(self.graph.name, weights) for weights in self.layer.weights]
        W, R, B, P = (writer.weight(f"{self.name}/{n}", stacked(arrays, n)) if n in arrays[0] else "" for n in "WRBP")
        starts = [self.start_of(x, name) for name in self.names]
        inputs = [x, W, R, B, self.lengths_of_operator(), *starts, P]
        while not inputs[-1]:
            inputs.pop()
        options = operator.options(self.width("H"), "bidirectional" if directions == 2 else "forward")
        output, *last = writer.ops(
            operator.name, inputs, 1 + len(self.names), f"{self.name}.{self.graph.name}", **options
        )
        return self.without_empty(x, output, dict(zip(self.names, last, strict=True)))

    def lengths_of_operator(self) -> str:
        """ONNX Runtime refuses a length of 0: such a sequence runs one step, whose results are not kept."""
        if not self.call.lengths:
            return ""
        least = self.writer.op("Max", self.call.lengths, self.writer.integers([1]))
        return self.writer.op("Cast", least, to=INT32)

    def without_empty(self, x: str, output: str, last: dict[str, str]) -> tuple[str, dict[str, str]]:
        """(T, directions, B, H) to (T, B, directions * H), and the last states, without what empty sequences gave."""
        writer = self.writer
        joined = writer.op("Reshape", writer.transpose(output, [0, 2, 1, 3]), writer.integers([0, 0, -1]))
        if not self.call.lengths:
            return joined, last
        some = writer.op("Less", writer.integers([0]), self.call.lengths)
        some = writer.op("Reshape", some, writer.integers([1, -1, 1]))
        before = {name: self.start_of(x, name) or writer.number(0.0) for name in last}
        last = {name: writer.op("Where", some, value, before[name]) for name, value in last.items()}
        return writer.op("Where", some, joined, writer.number(0.0)), last

    def start_of(self, x: str, name: str) -> str:
        """A state before the first step, (directions, B, w); empty where it is given by no one and zero."""
        state = self.graph.state(name)
        if name in self.starts:
            return self.starts[name]
        learned = [start[name] for start in self.layer.starts if name in start]
        if not learned and state.start == 0.0:
            return ""
        if learned:
            own = self.writer.weight(f"{self.name}/start.{name}", np.stack(learned)[:, None])
        else:
            own = self.writer.constant(np.full((1, 1, 1), state.start, self.writer.dtype))
        return self.writer.op("Expand", own, self.shape_of_state(x, state))

    def shape_of_state(self, x: str, state: State) -> str:
        """(directions, B, w) as a value."""
        ends = [self.writer.integers([n]) for n in (len(self.layer.weights), self.width(state.width))]
        return self.writer.join([ends[0], self.writer.length(x, 1), ends[1]], 0)

    # --- Scan ------------------------------------------------------------------------------------------------------

    def by_scan(self, x: str) -> tuple[str, dict[str, str]]:
        writer, found = self.writer, [self.scan(x, d) for d in range(len(self.layer.weights))]
        axis = writer.integers([0])
        rows = [[writer.op("Unsqueeze", value, axis) for value in last] for _, last in found]
        lasts = [writer.join(of_state, 0) for of_state in zip(*rows, strict=True)]
        return writer.join([output for output, _ in found], 2), dict(zip(self.names, lasts, strict=True))

    def scan(self, x: str, d: int) -> tuple[str, list[str]]:
        """Direction d: its output (T, B, w), and its last states (B, w)."""
        given = {i.name: x if i is self.layer.data else self.call.inputs[i.name] for i in self.steps}
        given |= {RUNNING: self.call.running} if self.call.running else {}
        starts = [self.start_of_direction(x, name, d) for name in self.names]
        named, directions = f"{self.name}.{d}.{self.graph.name}", {"scan_input_directions": [d] * len(given)}
        directions["scan_output_directions"] = [d]
        body, inputs = self.body(self.matrices(d)), [*starts, *given.values()]
        *last, output = self.writer.ops(
            "Scan", inputs, len(starts) + 1, named, body=body, num_scan_inputs=len(given), **directions
        )
        return output, last

    @property
    def steps(self) -> list[Input]:
        return [i for i in self.graph.inputs if i.per == "step"]

    def body(self, matrices: Mapping[str, str]) -> GraphProto:
        """One step: the states and what is read at it, to the new states and the output."""
        inner = self.writer.inside()
        before = {s.name: inner.input(inner.new(s.name), ["B", self.width(s.width)]) for s in self.graph.states}
        given = {i.name: inner.input(inner.new(i.name), ["B", self.width(i.width)]) for i in self.steps}
        after = self.new_states(inner, {**self.call.inputs, **given}, before, matrices)
        output = after[self.names[0]]
        if self.call.running:
            runs = inner.input(inner.new(RUNNING), ["B", 1], bool)
            after = {name: inner.op("Where", runs, value, before[name]) for name, value in after.items()}
            output = inner.op("Where", runs, output, inner.number(0.0))
        for s in self.graph.states:
            inner.output(after[s.name], ["B", self.width(s.width)])
        inner.output(output, ["B", self.width(self.graph.states[0].width)])
        return inner.graph(f"{self.name}.step")

    def new_states(
        self, writer: Writer, given: Mapping[str, str], before: States, matrices: Mapping[str, str]
    ) -> dict[str, str]:
        leaves = {("input", i.name): given[i.name] for i in self.graph.inputs}
        leaves |= {("state", name): value for name, value in before.items()}
        leaves |= {("vector", v.name): matrices[v.name] for v in self.graph.vectors}
        return Step(self.graph, self.layer.sizes, writer, leaves, matrices).states()

    def matrices(self, d: int) -> dict[str, str]:
        """The weights of direction d as `Step` reads them: matrices turned, vectors as a row."""
        found, writer = {}, self.writer
        for key, array in self.layer.weights[d].items():
            name = writer.weight(f"{self.name}.{d}/{key}", array)
            turned = {2: [1, 0], 3: [0, 2, 1]}.get(array.ndim)
            row = writer.integers([1, -1])
            found[key] = writer.transpose(name, turned) if turned else writer.op("Reshape", name, row)
        return found

    def start_of_direction(self, x: str, name: str, d: int) -> str:
        """A state before the first step of direction d, (B, w)."""
        start = self.start_of(x, name)
        if not start:
            start = self.writer.op("Expand", self.writer.number(0.0), self.shape_of_state(x, self.graph.state(name)))
        return self.writer.op("Gather", start, self.writer.constant(np.array(d)), axis=0)


RUNNING = "running"
INT32 = kind(np.int32)


def onnx_weights(cell: str, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """W, R, and where there are such B and P (peepholes), of one direction."""
    found = dict(zip("WRB", layouts.to_onnx(cell, dict(weights)), strict=False))
    return found | ({"P": np.concatenate([weights[f"peep_{g}"] for g in "iof"])} if "peep_i" in weights else {})


def stacked(directions: Sequence[Mapping[str, np.ndarray]], name: str) -> np.ndarray:
    return np.stack([each[name] for each in directions])
