"""Layers that we wrote ourselves, back: the file's metadata have their cells, its arrays their weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto

from gatework.compiler.params import size
from gatework.errors import FileFormatError, GateworkError
from gatework.exporting.onnx.constants import Constants
from gatework.exporting.onnx.nodes import DTYPES, OnnxLayer, Starts, fill, fill_starts
from gatework.layers import Recurrent
from gatework.runtime.saved import Layer, restored

MOST_SAID = 16 << 20  # characters of metadata


class OwnLayers:
    """The Scans of a file that are layers of ours; the operators among them are read as anybody's."""

    def __init__(self, model: ModelProto, constants: Constants):
        self.constants, self.read_already = constants, set[str]()
        said = {p.key: p.value for p in model.metadata_props}.get("gatework", "{}")
        self.layers: dict[str, Any] = self._said(said)

    def _said(self, text: str) -> dict[str, Any]:
        if len(text) > MOST_SAID:
            raise FileFormatError(
                f"{self.constants.path}: its metadata have {len(text):,} characters, too many to read"
            )
        try:
            layers = json.loads(text).get("layers", {})
        except (ValueError, AttributeError, RecursionError) as error:
            raise FileFormatError(f"{self.constants.path}: the metadata of gatework are damaged: {error}") from error
        if not isinstance(layers, dict):
            raise FileFormatError(f"{self.constants.path}: the metadata of gatework describe no layers")
        return layers

    def scans(self, node: NodeProto) -> bool:
        """Whether a node is the Scan of one of our layers, which is called LAYER.DIRECTION.CELL."""
        return node.op_type == "Scan" and node.name.rsplit(".", 2)[0] in self.layers

    def starts(self, node: NodeProto) -> Starts:
        """The learned starts of an operator that we wrote, which is called LAYER.CELL."""
        entry = self.layers.get(node.name.rsplit(".", 1)[0], {})
        return entry.get("starts", ()) if isinstance(entry, dict) else ()

    def read(self, node: NodeProto) -> Iterator[OnnxLayer]:
        """The layer, at the first of its Scans."""
        name = node.name.rsplit(".", 2)[0]
        if name not in self.read_already:
            self.read_already.add(name)
            with damaged(self.constants, name):
                yield OnnxLayer(name, recurrent(self._layer(name)))

    def _layer(self, name: str) -> Layer:
        """As saved layers are read, with every check."""
        entry = dict(self.layers[name])
        starts = entry.pop("starts", ())
        prefixes = {f"{name}.{d}/": f"0.{d}/" for d in range(2)}
        tensors = {
            new + key.removeprefix(old): self.constants.array(tensor)
            for key, tensor in self.constants.tensors.items()
            for old, new in prefixes.items()
            if key.startswith(old)
        }
        dtype = next((each.dtype for each in tensors.values()), np.dtype(np.float32))
        tensors |= {
            f"0.{d}/start.{state}": np.array(values, dtype)
            for d, of_direction in enumerate(starts)
            for state, values in of_direction.items()
        }
        return restored({"layers": [entry]}, tensors)[0]


@contextmanager
def damaged(constants: Constants, name: str) -> Iterator[None]:
    """Errors of a layer, with its name and the file's."""
    try:
        yield
    except (GateworkError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(f"{constants.path}: the layer {name!r:.80} is damaged: {error}") from error


def recurrent(layer: Layer) -> Recurrent:
    """A saved layer as a layer of torch's kind."""
    widths = {name: n for name, n in layer.sizes.items() if name != layer.data.width}
    hidden = widths.pop("H", None) or size(layer.sizes, layer.graph.states[0].width)
    made = Recurrent(
        layer.graph,
        size(layer.sizes, layer.data.width),
        hidden,
        sizes=widths,
        bidirectional=len(layer.weights) == 2,
        learn_initial_state=bool(layer.starts[0]),
        dtype=DTYPES[layer.dtype],
    )
    for d, weights in enumerate(layer.weights):
        fill(made, d, weights)
    fill_starts(made, layer.starts)
    return made.eval()
