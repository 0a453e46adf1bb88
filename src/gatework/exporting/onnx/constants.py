"""The numbers that an ONNX file holds: initialisers, constants, and what operators that only move numbers make of them.

Files may be a stranger's. Nothing is run but the operators of `MOVES`; their results are no larger than what they read,
and all that is read is bounded. Numbers kept in other files must lie in the file's own folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, external_data_helper, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from gatework.errors import FileFormatError

MOVES = ("Identity", "Unsqueeze", "Squeeze", "Concat", "Slice", "Transpose", "Reshape", "Cast")
MOST_BYTES, MOST_DEPTH = 1 << 31, 16
LEAST_ROOM = 1 << 24  # what may be made of the numbers of a small file


class Constants:
    """The numbers of a file by the names of their values."""

    def __init__(self, model: ModelProto, path: Path):
        self.folder, self.path = path.resolve().parent, path
        self.opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
        self.tensors: dict[str, TensorProto] = {}
        self.makers: dict[str, NodeProto] = {}
        self.known: dict[str, np.ndarray | None] = {}
        self.room = max(LEAST_ROOM, 4 * path.stat().st_size)
        for graph in graphs(model.graph):
            self.tensors |= {t.name: t for t in graph.initializer}
            self.makers |= {name: node for node in graph.node for name in node.output}

    def get(self, name: str) -> np.ndarray | None:
        """The numbers of a value; None where they are not in the file."""
        return self._get(name, 0)

    def _get(self, name: str, depth: int) -> np.ndarray | None:
        if name not in self.known and depth < MOST_DEPTH:
            self.known[name] = self._made(name, depth)
        return self.known.get(name)

    def _made(self, name: str, depth: int) -> np.ndarray | None:
        if name in self.tensors:
            return self.array(self.tensors[name])
        node = self.makers.get(name)
        if node is None or node.domain not in ("", "ai.onnx"):
            return None
        if node.op_type == "Constant":
            value = next((a for a in node.attribute if a.name == "value"), None)
            return self._moved(node, {}) if value is None else self.array(value.t)
        given = {i: self._get(i, depth + 1) for i in node.input if i} if node.op_type in MOVES else {"": None}
        arrays = {i: a for i, a in given.items() if a is not None}
        return self._moved(node, arrays) if len(arrays) == len(given) else None

    def _moved(self, node: NodeProto, given: dict[str, np.ndarray]) -> np.ndarray:
        """The result of an operator of `MOVES`."""
        self.room -= sum(given[i].nbytes for i in node.input if i)
        if self.room < 0:
            raise FileFormatError(f"{self.path}: its operators make more numbers than so small a file should need")
        try:
            made = ReferenceEvaluator(node, opsets={"": self.opset}).run(None, given)
        except Exception as error:  # whatever numpy says of a stranger's attributes
            name = node.name or node.output[0]
            raise FileFormatError(f"{self.path}: the node {name!r:.80} is damaged: {error}") from error
        return np.asarray(next(iter(made)))

    def array(self, tensor: TensorProto) -> np.ndarray:
        try:
            if external_data_helper.uses_external_data(tensor):
                self._check_external(tensor)
                inside = TensorProto()
                inside.CopyFrom(tensor)
                external_data_helper.load_external_data_for_tensor(inside, str(self.folder))
                inside.data_location = TensorProto.DEFAULT
                tensor = inside
            return numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError, OSError, onnx.checker.ValidationError) as error:
            if isinstance(error, FileFormatError):
                raise
            raise FileFormatError(f"{self.path}: the array {tensor.name!r:.80} is damaged: {error}") from error

    def _check_external(self, tensor: TensorProto) -> None:
        """Its bytes lie in a file of the same folder, which has as many as its shape needs."""
        said = external_data_helper.ExternalDataInfo(tensor)
        place = (self.folder / said.location).resolve()
        if not said.location or not place.is_relative_to(self.folder) or not place.is_file():
            raise FileFormatError(
                f"{self.path}: the array {tensor.name!r:.80} lies in {said.location!r:.80}, which is no file in the "
                "folder of the model; put it there"
            )
        item = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        wanted = item * int(np.prod(list(tensor.dims), dtype=object))
        length = place.stat().st_size - (said.offset or 0) if said.length is None else said.length
        if length != wanted or (said.offset or 0) + length > place.stat().st_size:
            raise FileFormatError(
                f"{self.path}: the array {tensor.name!r:.80} of shape {list(tensor.dims)} needs {wanted:,} bytes of "
                f"{said.location!r:.80}, which has not as many there"
            )


def graphs(graph: GraphProto, depth: int = 0) -> Iterator[GraphProto]:
    """A graph and those inside it."""
    yield graph
    for node in graph.node if depth < MOST_DEPTH else ():
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs) if attribute.HasField("g") or attribute.graphs else ():
                yield from graphs(inner, depth + 1)


def load(path: Path) -> ModelProto:
    """The model in a file, without the numbers that lie in others."""
    if not path.is_file():
        raise FileFormatError(f"{path} is no file; name an ONNX file")
    if path.stat().st_size > MOST_BYTES:
        raise FileFormatError(f"{path} has {path.stat().st_size:,} bytes; an ONNX file has at most {MOST_BYTES:,}")
    try:
        model = onnx.load_model(path, load_external_data=False)
    except Exception as error:  # protobuf has its own
        raise FileFormatError(f"{path} is no ONNX file, or damaged: {error}") from error
    if not model.graph.node:
        raise FileFormatError(f"{path} is no ONNX file, or one without any node")
    return model
