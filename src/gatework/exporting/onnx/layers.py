"""A stack of recurrent layers alone as an ONNX model."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence

from onnx import ModelProto

from gatework.compiler.ir import Input
from gatework.compiler.params import size
from gatework.compiler.serial import encode
from gatework.errors import OptionError
from gatework.exporting.onnx.recurrent import Call, stack
from gatework.exporting.onnx.writer import Writer, write_model
from gatework.layers import Recurrent
from gatework.layers.saving import entries
from gatework.runtime.saved import Layer


def stack_model(layers: Sequence[Layer], lengths: bool = False, states: bool = False) -> ModelProto:
    """A stack as a model: `x` (T, B, I) to `output` (T, B, H * directions); B is free, and so is T from 1 on.

        model = stack_model(gatework.runtime.saved.read("layer.safetensors"), lengths=True)

    lengths  a further input `lengths` (B,) int64: outputs beyond are zero, states are those of the last real step
    states   further inputs `start.0.h` (directions, B, H), one for each layer and state, and outputs `last.0.h`

    The cells' further inputs go by their names: (T, B, w) of each step, (B, w) of each sequence, a number of each call.
    """
    writer = Writer(layers[0].dtype)
    x = writer.input("x", ["T", "B", size(layers[0].sizes, layers[0].data.width)])
    call = Call(inputs=_further(writer, layers))
    if lengths:
        call.lengths = writer.input("lengths", ["B"], "int64")
    starts = [_states(writer, k, layer) for k, layer in enumerate(layers)] if states else ()
    output, lasts = stack(writer, "", layers, x, call, starts)
    writer.output(output, ["T", "B", layers[-1].output_size], "output")
    for k, (layer, last) in enumerate(zip(layers, lasts, strict=True) if states else ()):
        for s in layer.graph.states:
            writer.output(last[s.name], [len(layer.weights), "B", size(layer.sizes, s.width)], f"last.{k}.{s.name}")
    return writer.model("gatework", {"gatework": json.dumps(described({"": layers}))})


def write_layers(
    layers: Recurrent | Sequence[Layer], path: str | os.PathLike[str], *, lengths: bool = True, states: bool = False
) -> None:
    """Write a layer as an ONNX file; see `stack_model` for its inputs and outputs.

    gatework.exporting.onnx.write_layers(gatework.Recurrent("slstm", 32, 64), "slstm.onnx")
    """
    own = entries(layers) if isinstance(layers, Recurrent) else layers
    write_model(stack_model(own, lengths=lengths, states=states), path)


def _further(writer: Writer, layers: Sequence[Layer]) -> dict[str, str]:
    """The cells' inputs beside the sequence; those of one name are one."""
    wanted: dict[str, tuple[Input, int]] = {}
    for layer in layers:
        for item in layer.graph.inputs[1:]:
            asked = (item, size(layer.sizes, item.width))
            if wanted.setdefault(item.name, asked) != asked:
                raise OptionError(f"two layers need different inputs of the name {item.name!r}; export them apart")
    leads = {"step": ["T", "B"], "sequence": ["B"]}
    return {
        name: writer.op("Reshape", writer.input(name, []), writer.integers([1, 1]))
        if item.per == "call"
        else writer.input(name, [*leads[item.per], width])
        for name, (item, width) in wanted.items()
    }


def _states(writer: Writer, k: int, layer: Layer) -> dict[str, str]:
    return {
        s.name: writer.input(f"start.{k}.{s.name}", [len(layer.weights), "B", size(layer.sizes, s.width)])
        for s in layer.graph.states
    }


def described(stacks: Mapping[str, Sequence[Layer]]) -> dict[str, object]:
    """What the file says of its layers, for those who read them back, by the names that begin their weights' names:
    graphs, sizes and learned starts."""
    layers = {f"{name}{k}": layer for name, found in stacks.items() for k, layer in enumerate(found)}
    return {"version": 1, "layers": {name: _described(layer) for name, layer in layers.items()}}


def _described(layer: Layer) -> Mapping[str, object]:
    starts = [{name: start.tolist() for name, start in of_direction.items()} for of_direction in layer.starts]
    said = {"graph": encode(layer.graph), "sizes": layer.sizes, "directions": len(layer.weights)}
    return said | ({"starts": starts} if any(starts) else {})
