"""The form "gatework": one safetensors file for `gatework.runtime.load`."""

from __future__ import annotations

from pathlib import Path

from gatework.exporting.written import Written
from gatework.runtime import exported
from gatework.runtime.exported import Exported


def write(model: Exported, out: Path, weights: str) -> Written:
    exported.write(model.with_weights(weights), out)
    return Written([out], [f"{out}: {out.stat().st_size:,} bytes"])
