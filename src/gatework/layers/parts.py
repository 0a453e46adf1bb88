"""One direction of one layer of a stack, as a layer of its own over the same parameters."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from gatework.compiler.ir import Graph

if TYPE_CHECKING:
    from gatework.layers.recurrent import Recurrent


def part_of(layer: Recurrent, depth: int, direction: int = 0, graph: Graph | None = None) -> Recurrent:
    """A `Recurrent` that runs forward over (T, B, I), whatever the stack's options are, as it runs in evaluation.

        part_of(gatework.LSTM(3, 4, 2, bidirectional=True), 1)     # (T, B, 8) -> (T, B, 4)

    Arguments
        depth, direction    which; direction 1 is the backward one: its input has to be turned around by the caller
        graph               another graph over the same maps, with more named values or inputs than the layer's own
    """
    number = depth * layer.directions + direction
    twin = copy.copy(layer)
    twin.__dict__.update(
        graph=graph or layer.graph_in_evaluation(),
        zoneout={},
        num_layers=1,
        bidirectional=False,
        batch_first=False,
        input_size=layer.layer_sizes(depth)[layer.graph.inputs[0].width],
        training=False,
        _names=[layer._names[number]],
        _layouts=[layer._layouts[depth]],
        _suffixes=[layer.all_suffixes()[number]],
    )
    twin._forget_kernels()
    return twin
