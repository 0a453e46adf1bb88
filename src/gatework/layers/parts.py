"""One direction of one layer of a stack, as a layer of its own over the same parameters."""

from __future__ import annotations

import copy
from typing import Any

from gatework.compiler.ir import Graph


def part_of(layer: Any, depth: int, direction: int = 0, graph: Graph | None = None) -> Any:
    """A `Recurrent` that runs forward over (T, B, I), whatever the stack's options are, as it runs in evaluation.

        part_of(gatework.LSTM(3, 4, 2, bidirectional=True), 1)     # (T, B, 8) -> (T, B, 4)

    Arguments
        depth, direction    which; direction 1 is the backward one: its input has to be turned around by the caller
        graph               another graph over the same maps, with more named values or inputs than the layer's own
    """
    number = depth * layer.directions + direction
    suffix = layer.all_suffixes()[number]
    twin = copy.copy(layer)
    twin.__dict__.update(
        graph=graph or layer.graph_in_evaluation(), zoneout={}, num_layers=1, bidirectional=False, batch_first=False,
        input_size=layer.layer_sizes(depth)[layer.graph.inputs[0].width], _names=[layer._names[number]],
        _layouts=[layer._layouts[depth]], suffixes=lambda _: [suffix], training=False,
    )  # fmt: skip
    twin._forget_kernels()
    return twin
