"""A net as an ONNX model: whole sequences, or the step of a stream with its states as inputs and outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto

from gatework.backends.onnx.step import SAME
from gatework.compiler.params import size
from gatework.exporting.onnx.layers import described
from gatework.exporting.onnx.operations import OPERATIONS
from gatework.exporting.onnx.recurrent import Call, stack, step
from gatework.exporting.onnx.writer import Writer
from gatework.runtime.exported import Exported
from gatework.runtime.net.graph import Net, Node
from gatework.runtime.saved import Layer

AFTER = ".after"  # a state after the step is called as the one before it, with this at its end


def net_model(model: Exported, name: str) -> ModelProto:
    """The net of this name: its inputs and outputs are called as they are in the net, and the states after a step
    "NAME.after". The metadata hold what stands before and after the net: settings, texts, and where streams start."""
    net = model.nets[name]
    writing = _Net(net, model.arrays, model.stacks)
    stacks = {f"stack.{k}/": model.stacks[k] for k in writing.used}
    said: dict[str, Any] = {"kind": model.kind, "settings": model.settings, "about": model.about, "net": name}
    said |= described(stacks) | {"starts": _starts(net, model.arrays)}
    texts = {f"text/{key}": text for key, text in model.texts.items()}
    return writing.whole().model(name, {"gatework": json.dumps(said)} | texts)


def _starts(net: Net, arrays: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    """The states of a new stream."""
    return {
        name: np.broadcast_to(arrays[s.start] if isinstance(s.start, str) else s.start, s.width).tolist()
        for name, s in net.states.items()
    }


class _Net:
    """A net that is being written."""

    def __init__(self, net: Net, arrays: Mapping[str, np.ndarray], stacks: Sequence[Sequence[Layer]]):
        self.net, self.arrays, self.stacks = net, arrays, stacks
        self.writer, self.values = Writer(np.float32), dict[str, str]()
        self.used = sorted({node.settings["stack"] for node in net.nodes if node.op in ("recurrent", "step")})

    def whole(self) -> Writer:
        for name, given in self.net.inputs.items():
            self.values[name] = self.writer.input(name, given.shape, given.dtype)
        for node in self.net.nodes:
            self.values.update(zip(node.outputs, self.outputs(node), strict=True))
        for name, value in self.net.outputs.items():
            self.writer.output(self.values[value], name=name)
        for name, state in self.net.states.items():
            self.writer.output(self.values[state.after], ["B", state.width], name + AFTER)
        return self.writer

    def value(self, name: str) -> str:
        if name not in self.values:  # an array, "@name"
            self.values[name] = self.writer.weight(f"array/{name[1:]}", self.arrays[name[1:]])
        return self.values[name]

    def outputs(self, node: Node) -> list[str]:
        inputs = [self.value(name) for name in node.inputs]
        if node.op == "recurrent":
            return self.recurrent(node, *inputs)
        if node.op == "step":
            return self.step(node, *inputs)
        if node.op in SAME:
            return [self.writer.op(SAME[node.op], *inputs)]
        return [OPERATIONS[node.op](self.writer, *inputs, **node.settings)]

    def recurrent(self, node: Node, x: str, lengths: str, *more: str) -> list[str]:
        name, layers = self.stack(node)
        names, before = node.settings.get("others", ()), node.settings.get("starts", ())
        given = dict(zip((*names, *before), more, strict=True))
        starts = [self.starts(k, layer, given) for k, layer in enumerate(layers)] if before else ()
        output, lasts = stack(self.writer, name, layers, x, Call(lengths, self.rows(layers, given)), starts)
        found = [output]
        for layer, last in zip(layers, lasts, strict=True):
            for d in range(len(layer.weights)):
                at = self.writer.constant(np.array(d))
                found += [self.writer.op("Gather", last[s.name], at, axis=0) for s in layer.graph.states]
        return found

    def starts(self, k: int, layer: Layer, given: Mapping[str, str]) -> dict[str, str]:
        """The states (directions, B, w) before a layer's first step, of those (B, w) that the node reads."""
        axis, ways = self.writer.integers([0]), range(len(layer.weights))
        return {
            s.name: self.writer.join([self.writer.op("Unsqueeze", given[f"{k}.{d}.{s.name}"], axis) for d in ways], 0)
            for s in layer.graph.states
        }

    def rows(self, layers: Sequence[Layer], given: Mapping[str, str]) -> dict[str, str]:
        """Further inputs of each step as (T, B, w)."""
        items = {i.name: size(layer.sizes, i.width) for layer in layers for i in layer.graph.inputs[1:]}
        return {
            name: self.writer.op("Reshape", given[name], self.writer.integers([0, 0, w])) for name, w in items.items()
        }

    def step(self, node: Node, x: str, *states: str) -> list[str]:
        name, layers = self.stack(node)
        given = iter(states)
        starts = [{s.name: next(given) for s in layer.graph.states} for layer in layers]
        output, lasts = step(self.writer, name, layers, x, Call(), starts)
        pairs = zip(layers, lasts, strict=True)
        return [output, *(last[s.name] for layer, last in pairs for s in layer.graph.states)]

    def stack(self, node: Node) -> tuple[str, Sequence[Layer]]:
        number = node.settings["stack"]
        return f"stack.{number}/", self.stacks[number]
