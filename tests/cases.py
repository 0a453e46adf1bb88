"""Arrays to run cells with: random, asymmetric, neither zero nor contracting, and fit for what an input means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gatework.compiler.ir import Graph
from gatework.compiler.params import shapes, size, symbols

SIZES = {"I": 3, "H": 4, "P": 2, "heads": 2}


@dataclass
class Case:
    """All that a run needs, float64 numpy; `lengths` has a full row, a short one and an empty one where B allows."""

    graph: Graph
    sizes: dict[str, int]
    inputs: dict[str, Any]
    start: dict[str, Any]
    weights: dict[str, Any]
    lengths: list[int]
    d_history: dict[str, Any] = field(default_factory=dict)
    d_final: dict[str, Any] = field(default_factory=dict)

    @property
    def call(self) -> tuple:
        return self.graph, self.sizes, self.inputs, self.start, self.weights


def sizes_of(graph: Graph, **sizes: int) -> dict[str, int]:
    """Sizes for all symbols of a graph: the usual ones, 2 for any other."""
    return {s: {**SIZES, **sizes}.get(s, 2) for s in symbols(graph)}


def case(graph: Graph, T: int = 5, B: int = 3, seed: int = 0, sizes: dict[str, int] | None = None) -> Case:
    """Draw a case. Switches (mask, reset, hold, zoneout) are 0 or 1, times positive, a normaliser starts above 1."""
    draw = np.random.default_rng(seed)
    sizes = sizes_of(graph) if sizes is None else sizes
    inputs = {i.name: value_of(i.name, i.per, size(sizes, i.width), T, B, draw) for i in graph.inputs}
    start = {s.name: draw.normal(size=(B, size(sizes, s.width))) for s in graph.states}
    for name in ("n", "start_n"):
        for table in (start, inputs):
            if name in table and any(s.name == "m" for s in graph.states):
                table[name] = 1.0 + np.abs(table[name])
    weights = {k: weight(k, shape, draw) for k, shape in shapes(graph, sizes).items()}
    lengths = [T, max(T - 2, 0), 0][:B] + [max(T - 1, 0)] * max(0, B - 3)
    d_history = {s.name: draw.normal(size=(T, B, size(sizes, s.width))) for s in graph.states}
    d_final = {s.name: draw.normal(size=(B, size(sizes, s.width))) for s in graph.states}
    return Case(graph, sizes, inputs, start, weights, lengths, d_history, d_final)


def value_of(name: str, per: str, width: int, T: int, B: int, draw: np.random.Generator) -> Any:
    if per == "call":
        return float(draw.uniform(0.2, 0.8))
    value = draw.normal(size=(T, B, width) if per == "step" else (B, width))
    if name in ("mask", "reset", "hold") or name.startswith(("zoneout", "drop")):
        return (value > 0.3).astype(float)
    return np.abs(value) if name == "gap" else value


def weight(key: str, shape: tuple[int, ...], draw: np.random.Generator) -> np.ndarray:
    drawn = draw.normal(size=shape) * 0.6
    return 1.0 + 0.3 * drawn if "gain" in key else drawn
