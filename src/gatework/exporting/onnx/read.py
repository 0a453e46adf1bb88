"""`from_onnx`: recurrent layers out of an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from onnx import ModelProto

from gatework.errors import FileFormatError
from gatework.exporting.onnx.attributes import Refused, called
from gatework.exporting.onnx.constants import Constants, graphs, load
from gatework.exporting.onnx.nodes import OPERATORS, OnnxLayer, read
from gatework.exporting.onnx.own import OwnLayers, damaged


def from_onnx(path: str | os.PathLike[str]) -> list[OnnxLayer]:
    """The recurrent layers of an ONNX file with their weights, in the order of its graph.

        for found in gatework.from_onnx("model.onnx"):
            print(found.name, found.layer)
        output, states = found(torch.zeros(100, 8, 32))               # as the node: (T, B, I) to (T, B, H)

    Nodes LSTM, GRU and RNN with all their options, whoever wrote them, become `gatework.LSTM`, `GRU` or `RNN`, or a
    `Recurrent` with the very cell where no such layer has it; so do the Scans that gatework wrote. Other nodes are not
    read. Raises FileFormatError for what is no ONNX file, or has no recurrent layer, and naming node and attribute for
    a layer that cannot be read: weights that are computed from inputs, different activations in its two directions.
    """
    place = Path(path)
    model = load(place)
    constants = Constants(model, place)
    found = list(_layers(model, constants))
    if not found:
        kinds = sorted({node.op_type for graph in graphs(model.graph) for node in graph.node})
        raise FileFormatError(f"{place} holds no layer LSTM, GRU or RNN; it has {', '.join(kinds)[:300]}")
    return found


def _layers(model: ModelProto, constants: Constants) -> Iterator[OnnxLayer]:
    own = OwnLayers(model, constants)
    for graph in graphs(model.graph):
        for node in graph.node:
            standard = node.domain in ("", "ai.onnx")
            if own.scans(node):
                yield from own.read(node)
            elif node.op_type in OPERATORS and standard:
                with damaged(constants, called(node)):
                    yield read(node, constants, own.starts(node))
            elif any(name in node.op_type for name in OPERATORS) and not standard:
                raise Refused(node, f"operators of {node.domain} are not read; export the model without quantisation")
