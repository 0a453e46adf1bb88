"""Saved layers made without torch: for tests of what serves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gatework import cells
from gatework.compiler.params import shapes
from gatework.runtime import saved


def write_layer(path: Path, cell: str = "lstm", inputs: int = 3, hidden: int = 5, seed: int = 0, ways: int = 1) -> Path:
    """A layer with weights drawn by chance."""
    rng, graph, sizes = np.random.default_rng(seed), cells.get(cell).graph, {"I": inputs, "H": hidden}
    weights = tuple(
        {key: rng.uniform(-0.8, 0.8, shape).astype(np.float32) for key, shape in shapes(graph, sizes).items()}
        for _ in range(ways)
    )
    saved.write([saved.Layer(graph, sizes, weights, ({},) * ways)], path)
    return path
