"""The form "onnx": networks as ONNX files, for ONNX Runtime and others; and recurrent layers back from such files.

Needs the package onnx, in the extra `export`.
"""

from __future__ import annotations

from pathlib import Path

from gatework.exporting.onnx.layers import stack_model, write_layers
from gatework.exporting.onnx.nets import net_model
from gatework.exporting.onnx.read import from_onnx
from gatework.exporting.onnx.writer import write_model
from gatework.exporting.written import Written
from gatework.runtime.exported import Exported

__all__ = ["from_onnx", "net_model", "stack_model", "write", "write_layers", "write_model"]


def write(model: Exported, out: Path, weights: str) -> Written:
    """Write the net of whole rows to `out`, and its others beside it, with the net's name before the ending."""
    out = out if out.suffix else out.with_suffix(".onnx")
    made = Written([])
    for name in model.nets:
        path = out if name == "whole" else out.with_suffix(f".{name}{out.suffix}")
        write_model(net_model(model, name), path)
        made.files.append(path)
        made.notes.append(f"{path}: {path.stat().st_size:,} bytes, the net {name!r}")
    return made
