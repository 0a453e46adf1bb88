"""Saved layers: the file that `gatework.save` writes and `gatework.runtime.load` reads.

The file is safetensors. Its metadata holds {"gatework": JSON}: each layer's graph and sizes; its tensors are the
weights, "0.1/f.0" for layer 0, direction 1, weight f.0, and "0.1/start.h" for a learned start. All matrices of a layer
may be BF16, or I8 with their rows' scales beside them, "0.1/f.0.scales" (see quantised.py). Nothing in it is executed.
A file from a stranger is refused unless names, shapes and sizes are what the graphs say; memory is bounded by the
file's own size.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gatework.compiler.ir import Graph
from gatework.compiler.params import shapes, size, symbols
from gatework.compiler.serial import decode, encode
from gatework.errors import FileFormatError, GateworkError, OptionError
from gatework.runtime.quantised import Quantised, arrays_of, kind_of, narrowed
from gatework.runtime.tensors import read as read_tensors
from gatework.runtime.tensors import to_bytes

VERSION = 1
HEADER_BYTES, LAYERS, UNITS = 4 << 20, 64, 1 << 20
LOADS_RUNS = "gatework export FOLDER (gatework.export) writes the run as a file for this: see docs/deploy.md"


@dataclass(frozen=True)
class Layer:
    """One layer of a stack: its graph, its sizes, and for each direction its weights and starts by name."""

    graph: Graph
    sizes: dict[str, int]
    weights: tuple[dict[str, Any], ...]  # arrays, or Quantised
    starts: tuple[dict[str, np.ndarray], ...]
    dtype: str = "float32"  # of weights and states

    @property
    def data(self) -> Any:
        """The input that the layer below feeds."""
        return self.graph.inputs[0]

    def with_weights(self, kind: str | None) -> Layer:
        """The same layer with matrices that are "float32", "bf16" or "int8"; None: as they are. Raises OptionError
        where float64 would become these, and where bf16 would become int8 or the reverse."""
        if kind is None:
            return self
        if self.dtype != "float32":
            raise OptionError(f"the layer's numbers are {self.dtype}; weights={kind!r} is for float32")
        return replace(self, weights=tuple(narrowed(own, kind) for own in self.weights))

    @property
    def output_size(self) -> int:
        return size(self.sizes, self.graph.states[0].width) * len(self.weights)


def write(layers: list[Layer], path: str | os.PathLike[str]) -> None:
    """Write a stack; the file replaces an older one only when it is complete."""
    said, tensors = described(layers)
    write_tensors(tensors, {"version": VERSION, "dtype": layers[0].dtype, "layers": said}, path)


def described(layers: list[Layer], prefix: str = "") -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """A stack as JSON-able graphs and sizes, and as tensors whose names begin with the prefix; see `restored`."""
    for layer in layers:
        _check_readable(layer.graph)
    said = [{"graph": encode(x.graph), "sizes": x.sizes, "directions": len(x.weights)} for x in layers]
    tensors: dict[str, np.ndarray] = {}
    for k, layer in enumerate(layers):
        for d, (weights, starts) in enumerate(zip(layer.weights, layer.starts, strict=True)):
            own = arrays_of(weights) | {f"start.{key}": a for key, a in starts.items()}
            tensors |= {f"{prefix}{k}.{d}/{key}": np.ascontiguousarray(a) for key, a in own.items()}
    return said, tensors


def write_tensors(tensors: Mapping[str, np.ndarray], said: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """A safetensors file whose metadata hold what is `said`; it replaces an older one only when it is complete."""
    metadata = {"gatework": json.dumps(said)}
    write_bytes(to_bytes(tensors, metadata), path)


def write_bytes(data: bytes, path: str | os.PathLike[str]) -> None:
    """Write a file, which replaces an older one only when it is complete."""
    if not Path(path).parent.is_dir():
        raise OptionError(f"{os.fspath(path)} cannot be written: there is no folder {Path(path).parent}; make it first")
    if os.path.isdir(path):
        raise OptionError(f"{os.fspath(path)} is a folder; name a file in it")
    part = Path(f"{os.fspath(path)}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise OptionError(f"{os.fspath(path)} cannot be written: {error.strerror}") from error


def _check_readable(graph: Graph) -> None:
    """Refuse to write what `read` would refuse: it sets bounds to what a file may hold."""
    try:
        decode(encode(graph))
    except FileFormatError as error:
        raise OptionError(f"{graph.name} cannot be saved, as no file may hold so much of a cell: {error}") from error


def read(path: str | os.PathLike[str]) -> list[Layer]:
    """The stack in a file. Raises FileFormatError for a file that `write` did not write."""
    said, tensors = contents(path, VERSION)
    with naming(path):
        return restored(said, tensors)


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Errors of what a file holds, with the file's name."""
    try:
        yield
    except FileFormatError as error:
        raise FileFormatError(f"{os.fspath(path)}: {error}") from error
    except (GateworkError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise FileFormatError(f"{os.fspath(path)} does not hold what its cells need: {error}") from error


def restored(said: Mapping[str, Any], tensors: Mapping[str, np.ndarray], prefix: str = "") -> list[Layer]:
    """The stack that `described` gave, of tensors that begin with the prefix."""
    entries = said["layers"]
    if not isinstance(entries, list) or not 0 < len(entries) <= LAYERS:
        raise FileFormatError(f"the file must describe 1 to {LAYERS} layers")
    own = {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
    layers = [_layer(k, entry, own) for k, entry in enumerate(entries)]
    _check_stack(layers, own)
    dtype = _dtype(said, own)
    return [replace(layer, dtype=dtype) for layer in layers]


def contents(path: str | os.PathLike[str], *versions: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a file says, and its tensors; of one of the versions."""
    from safetensors import SafetensorError

    name = os.fspath(path)
    if not Path(path).is_file():
        raise FileFormatError(f"{name}: {_missing(Path(path))}")
    with open(path, "rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > HEADER_BYTES:
        raise FileFormatError(
            f"{name} is no export, saved layer or run: as safetensors its header would have more than "
            f"{HEADER_BYTES:,} bytes"
        )
    try:
        metadata, tensors = read_tensors(path)
        text = metadata.get("gatework")
        if text is None:
            raise FileFormatError(f"{name} was not written by gatework.save or gatework.export: {_foreign(metadata)}")
        said = json.loads(text)
    except (SafetensorError, ValueError, TypeError, RecursionError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{name} is damaged, or no saved layer or export: {error}") from error
    if not isinstance(said, dict) or said.get("version") not in versions:
        version = said.get("version") if isinstance(said, dict) else None
        raise FileFormatError(
            f"{name} has the version {version!r}; what is read here has {' or '.join(map(str, sorted(versions)))}: "
            "gatework.runtime.load reads layers (1) and exports (2); for a higher one update gatework"
        )
    return said, tensors


def _dtype(said: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    """That of the tensors, float32 with quantised ones; of cells without any, what the file says."""
    named = ("float32" if a.dtype in (np.uint16, np.int8) else a.dtype.name for a in tensors.values())
    found = set(named) or {said.get("dtype", "float32")}
    if len(found) > 1:
        raise FileFormatError("the file mixes float32 and float64 weights")
    (name,) = found
    if name not in ("float32", "float64"):
        raise FileFormatError(f"the cells' type is {name!r:.40}; it must be float32 or float64")
    return name


def _missing(path: Path) -> str:
    """What stands there instead of a file."""
    if (path / "config.json").is_file():
        return f"this is a folder of a trained run; {LOADS_RUNS}"
    return "this is a folder; name the file that gatework.save wrote" if path.is_dir() else "there is no such file"


def _foreign(metadata: Mapping[str, str]) -> str:
    """What wrote the file, as its metadata tell, and what reads it."""
    if {"about", "sha256"} <= set(metadata):
        return f"it holds the weights of a trained run; {LOADS_RUNS}"
    return "its metadata has no entry 'gatework'"


def _layer(k: int, entry: object, tensors: Mapping[str, np.ndarray]) -> Layer:
    if (
        not isinstance(entry, dict)
        or set(entry) != {"graph", "sizes", "directions"}
        or entry["directions"] not in (1, 2)
    ):
        raise FileFormatError(f"layer {k} must have a graph, sizes and 1 or 2 directions")
    graph, sizes = decode(entry["graph"]), _sizes(k, entry["sizes"])
    if not graph.inputs or graph.inputs[0].per != "step":
        raise FileFormatError(f"the first input of layer {k} must change at each step")
    missing = [s for s in symbols(graph) if s not in (*sizes, "heads")]
    if missing:
        raise FileFormatError(f"layer {k} has no size for {missing[0]!r}")
    weights, starts = [], []
    for d in range(entry["directions"]):
        prefix = f"{k}.{d}/"
        weights.append({key: _weight(tensors, prefix + key, shape) for key, shape in shapes(graph, sizes).items()})
        kind_of(weights[-1])
        learned = [s for s in graph.states if f"{prefix}start.{s.name}" in tensors]
        starts.append({s.name: _tensor(tensors, f"{prefix}start.{s.name}", (size(sizes, s.width),)) for s in learned})
    return Layer(graph, sizes, tuple(weights), tuple(starts))


def _sizes(k: int, given: object) -> dict[str, int]:
    if not isinstance(given, dict) or len(given) > 64:
        raise FileFormatError(f"layer {k} has no sizes")
    for name, value in given.items():
        if type(value) is not int or not 0 < value <= UNITS:
            raise FileFormatError(
                f"layer {k}: the size of {str(name)[:40]!r} is {str(value)[:40]}; 1 to {UNITS:,} is allowed"
            )
    return given


def _weight(tensors: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray | Quantised:
    found = tensors.get(name)
    if found is None or len(shape) < 2 or found.shape != shape or found.dtype not in (np.uint16, np.int8):
        return _tensor(tensors, name, shape)
    scales = tensors.get(f"{name}.scales")
    if scales is not None and not np.isfinite(scales).all():
        raise FileFormatError(f"the scales of the weight {name!r} are not all finite")
    return Quantised(found, scales)


def _tensor(tensors: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    found = tensors.get(name)
    if found is None:
        raise FileFormatError(f"the weight {name!r} of shape {shape} is missing")
    if found.shape != shape or found.dtype not in (np.float32, np.float64):
        raise FileFormatError(
            f"the weight {name!r} is {found.dtype} {found.shape}; the cell needs floats of shape {shape}"
        )
    return found


def _check_stack(layers: list[Layer], tensors: Mapping[str, np.ndarray]) -> None:
    """Every tensor is used, all have one type, and each layer reads what the one below gives."""
    used = sum(len(arrays_of(w)) + len(s) for x in layers for w, s in zip(x.weights, x.starts, strict=True))
    if used != len(tensors):
        raise FileFormatError(f"the file holds {len(tensors)} tensors, of which its cells use {used}")
    for k, (below, above) in enumerate(itertools.pairwise(layers)):
        if size(above.sizes, above.data.width) != below.output_size:
            raise FileFormatError(f"layer {k + 1} does not read the {below.output_size} units that layer {k} gives")
    for k, layer in enumerate(layers):
        total = sum(a.size for w in layer.weights for a in w.values())
        wide = max(layer.sizes.values())
        if wide > max(total, 1024):
            raise FileFormatError(f"layer {k} claims a size of {wide:,} that none of its weights has")
