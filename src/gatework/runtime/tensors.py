"""safetensors with bfloat16, which numpy lacks: here uint16 arrays hold its bits, and no file holds uint16 itself."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gatework.errors import FileFormatError

# Types of tensors that are read.
KINDS = {"F64", "F32", "F16", "BF16", "C64", "I64", "I32", "I16", "I8", "U64", "U32", "U8", "BOOL"}
LENGTH = 8  # bytes at the beginning that say how long the header is


def to_bytes(tensors: Mapping[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """A file's content."""
    from safetensors.numpy import save

    data = save(dict(tensors), metadata)
    bits = [name for name, array in tensors.items() if array.dtype == np.uint16]
    return _called_bfloat16(data, bits) if bits else data


def _called_bfloat16(data: bytes, names: list[str]) -> bytes:
    """The same content with BF16 for U16 in the header, whose length stays a multiple of eight."""
    end = LENGTH + int.from_bytes(data[:LENGTH], "little")
    said = json.loads(data[LENGTH:end])
    for name in names:
        said[name]["dtype"] = "BF16"
    header = json.dumps(said, separators=(",", ":")).encode()
    header += b" " * (-len(header) % LENGTH)
    return len(header).to_bytes(LENGTH, "little") + header + data[end:]


def read(path: str | os.PathLike[str]) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Metadata and tensors of a file. Raises SafetensorError for one that is damaged."""
    from safetensors import deserialize, safe_open

    with safe_open(os.fspath(path), "numpy") as file:
        metadata = file.metadata() or {}
        kinds = {key: file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118
        if odd := set(kinds.values()) - KINDS:
            raise FileFormatError(f"its tensors are of a type that gatework does not write, {min(odd)}")
        found = {key: file.get_tensor(key) for key, kind in kinds.items() if kind != "BF16"}
    if len(found) < len(kinds):
        bits = ((key, view) for key, view in deserialize(Path(path).read_bytes()) if key not in found)
        found |= {key: np.frombuffer(view["data"], np.uint16).reshape(view["shape"]) for key, view in bits}
    return metadata, {key: found[key] for key in kinds}
