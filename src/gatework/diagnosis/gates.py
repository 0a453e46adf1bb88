"""Gates that never move: shares of their values near 0 and near 1. A gate is the output of a sigmoid, in any cell."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from gatework.compiler.ir import Graph
from gatework.diagnosis.watch import Part
from gatework.layers import Recurrent
from gatework.layers.parts import part_of

CLOSED, OPEN = 0.01, 0.99
STUCK = 0.95  # share of a unit's values near one end, from which on it counts as stuck there


@dataclass(frozen=True)
class Gate:
    """Shares (w,) of a gate's values, over all steps and rows, that are below 0.01 and above 0.99, for each unit."""

    part: str
    name: str
    closed: np.ndarray
    open: np.ndarray

    @property
    def stuck_closed(self) -> float:
        """Share of the units that are almost always closed."""
        return float((self.closed >= STUCK).mean())

    @property
    def stuck_open(self) -> float:
        """Share of the units that are almost always open."""
        return float((self.open >= STUCK).mean())


def with_gates(graph: Graph) -> tuple[Graph, list[str]]:
    """The graph with a name for every sigmoid, and these names."""
    nodes, names = list(graph.nodes), []
    taken = {s.name for s in graph.states}
    for index, node in enumerate(nodes):
        if node.op != "sigmoid":
            continue
        if not node.name or node.name in taken or index in graph.news:
            nodes[index] = replace(node, name=f"gate {len(names) + 1}")
        names.append(nodes[index].name)
    return replace(graph, nodes=tuple(nodes)), names


@torch.no_grad()
def gates_of(part: Part) -> list[Gate]:
    """The gates of one direction of one layer, over what it read."""
    graph, names = with_gates(part.layer.graph_in_evaluation())
    run = part_of(part.layer, part.depth, part.direction, graph)
    *_, values = Recurrent.forward(run, part.inputs, lengths=torch.from_numpy(part.lengths), return_all=True)
    there = np.arange(len(part.inputs))[:, None] < part.lengths[None, :]
    suffix = run.all_suffixes()[0]
    found = []
    for name in names:
        rows = values[name + suffix].numpy()[there]
        found.append(Gate(part.name, name, (rows < CLOSED).mean(0), (rows > OPEN).mean(0)))
    return found
