"""An ONNX graph in the making: values are names, and each operator gives the name of its result."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import onnx
from numpy.typing import DTypeLike
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from gatework.errors import OptionError
from gatework.runtime.saved import write_bytes

OPSET, IR = 18, 9  # of ONNX 1.14, which every runtime of the last years reads
MOST_BYTES = 2**31 - 1  # of a protobuf

Axes = Sequence[int | str] | None  # numbers, and names of those that are free; None: of any number
Attribute = int | float | str | Sequence[int] | Sequence[str] | GraphProto


@dataclass
class Shared:
    """What a graph and those inside it have together: weights by name, names of nodes, and numbers for new names."""

    dtype: np.dtype
    weights: dict[str, TensorProto] = field(default_factory=dict)
    called: set[str] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=count)


class Writer:
    """A graph whose floats are of `dtype`; see the file."""

    def __init__(self, dtype: DTypeLike, shared: Shared | None = None):
        self.shared = Shared(np.dtype(dtype)) if shared is None else shared
        self.dtype = self.shared.dtype
        self.nodes: list[NodeProto] = []
        self.inputs: list[ValueInfoProto] = []
        self.outputs: list[ValueInfoProto] = []

    def inside(self) -> Writer:
        """A graph inside this one, as an operator's body: it sees all that came before it."""
        return Writer(self.dtype, self.shared)

    def new(self, name: str) -> str:
        return f"{name}.{next(self.shared.numbers)}"

    # --- operators -------------------------------------------------------------------------------------------------

    def ops(self, name: str, inputs: Sequence[str], outputs: int, called: str, **attributes: Attribute) -> list[str]:
        """An operator of several results; the node is `called` so, with a number where another one is."""
        made = [self.new(name) for _ in range(outputs)]
        called = self.new(called) if called in self.shared.called else called
        self.shared.called.add(called)
        node = helper.make_node(name, inputs, made, name=called)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        return made

    def op(self, name: str, *inputs: str, **attributes: Attribute) -> str:
        return self.ops(name, inputs, 1, self.new(name), **attributes)[0]

    def weight(self, name: str, array: np.ndarray) -> str:
        """An array of the file, under its own name; once, however often it is used."""
        if name not in self.shared.weights:
            self.shared.weights[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def sizes(self, weight: str) -> list[int]:
        """The shape of an array of the file."""
        return list(self.shared.weights[weight].dims)

    def constant(self, array: np.ndarray) -> str:
        """A small array; equal ones are one."""
        name = f"constant.{array.dtype.name}{list(array.shape)}.{array.tobytes().hex()}"
        return self.weight(name, array)

    def number(self, value: float) -> str:
        """(1, 1), which goes with every row and unit."""
        return self.constant(np.full((1, 1), value, self.dtype))

    def scalar(self, value: float) -> str:
        return self.constant(np.array(value, self.dtype))

    def integers(self, values: Sequence[int]) -> str:
        return self.constant(np.array(values, np.int64))

    def transpose(self, value: str, axes: Sequence[int]) -> str:
        return self.op("Transpose", value, perm=axes)

    def cast(self, value: str, truth: bool) -> str:
        if truth:  # NaN is true, as it is not zero
            return self.op("Not", self.op("Equal", value, self.number(0.0)))
        return self.floats(value)

    def floats(self, value: str) -> str:
        return self.op("Cast", value, to=kind(self.dtype))

    def largest(self, value: str) -> str:
        return self.op("ReduceMax", value, self.integers([-1]))

    def join(self, values: Sequence[str], axis: int) -> str:
        return values[0] if len(values) == 1 else self.op("Concat", *values, axis=axis)

    def length(self, value: str, axis: int) -> str:
        """(1,) int64: how long an axis is."""
        return self.op("Shape", value, start=axis, **({} if axis == -1 else {"end": axis + 1}))

    # --- its border ------------------------------------------------------------------------------------------------

    def input(self, name: str, axes: Axes, dtype: DTypeLike | None = None) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind(dtype or self.dtype), axes))
        return name

    def output(self, value: str, axes: Axes = None, name: str = "") -> None:
        """A result of floats, or where no axes are said of what follows from what it is made of; under a name of its
        own where one is given."""
        if name or value in {o.name for o in self.outputs} | {i.name for i in self.inputs}:
            name = name or self.new(value)
            self.nodes.append(helper.make_node("Identity", [value], [name]))
        named = name or value
        known = axes is not None
        self.outputs.append(
            helper.make_tensor_value_info(named, kind(self.dtype), axes) if known else ValueInfoProto(name=named)
        )

    def graph(self, name: str) -> GraphProto:
        return helper.make_graph(self.nodes, name, self.inputs, self.outputs)

    def model(self, name: str, about: Mapping[str, str]) -> ModelProto:
        """The whole, with `about` as its metadata."""
        graph = self.graph(name)
        graph.initializer.extend(self.shared.weights.values())
        opset = helper.make_opsetid("", OPSET)
        made = helper.make_model(graph, opset_imports=[opset], ir_version=IR, producer_name="gatework")
        helper.set_model_props(made, dict(about))
        inferred = onnx.shape_inference.infer_shapes(made, data_prop=True)  # where the caller knows no axes
        for output, known in zip(made.graph.output, inferred.graph.output, strict=True):
            output.CopyFrom(known)
        return made


def kind(dtype: DTypeLike) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def write_model(model: ModelProto, path: str | os.PathLike[str]) -> None:
    """Write a model as one file, checked; it replaces an older one only when it is complete."""
    if model.ByteSize() > MOST_BYTES:
        raise OptionError(f"the model has {model.ByteSize():,} bytes, more than the 2 GB that one ONNX file holds")
    onnx.checker.check_model(model, full_check=True)
    write_bytes(model.SerializeToString(), path)
