"""States of a stack between two calls: {"0.1": second state of the first layer, (layers, B, H)}; {} at a start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatework.compiler.params import size
from gatework.runtime.net.builder import Builder, Value
from gatework.runtime.saved import Layer

States = dict[str, Tensor]


def named(number: int, last: Any) -> States:
    """What a layer returned, one tensor or a tuple, by name."""
    tensors = last if isinstance(last, tuple) else (last,)
    return {f"{number}.{place}": state for place, state in enumerate(tensors)}


def of_layer(states: Mapping[str, Tensor], number: int) -> Any:
    """A layer's states in the form its class takes: None, one tensor, or a tuple."""
    own = [states[name] for name in sorted(states) if name.startswith(f"{number}.")]
    return None if not own else own[0] if len(own) == 1 else tuple(own)


def begun(stack: nn.Module, outputs: Tensor) -> States:
    """The states of layers that have just given `outputs` (B, H): the first state of each, which is its output; the
    others are at their start.

    begun(encoder.layers, torch.zeros(8, 64))                   # of an LSTM: {"0.0": (1, 8, 64), "0.1": zeros}
    """
    found: States = {}
    layer: Any
    for number, layer in enumerate(stack.children()):
        shape = (layer.num_layers, len(outputs))
        parts = zip(layer.graph.states, layer.state_widths, strict=True)
        others = [outputs.new_full((*shape, width), state.start) for state, width in parts][1:]
        found |= named(number, (outputs.expand(layer.num_layers, *outputs.shape).contiguous(), *others))
    return found


def begun_in_net(b: Builder, layers: list[Layer], outputs: Value) -> list[Value]:
    """The states of `begun` in a net, layer by layer, of outputs (B, H)."""
    nothing = b.scale(b.piece(outputs, start=0, stop=1), by=0.0)  # (B, 1)
    found = []
    for layer in layers:
        found.append(outputs)
        for state in layer.graph.states[1:]:
            width = size(layer.sizes, state.width)
            found.append(b.add(nothing, b.array(f"start.{width}.{state.start}", np.full(width, state.start))))
    return found


def repeated(states: Mapping[str, Tensor], times: int) -> States:
    """Each row's states `times` times in a row."""
    return {name: state.repeat_interleave(times, dim=1) for name, state in states.items()}


def chosen(states: Mapping[str, Tensor], rows: Tensor) -> States:
    """The states of these rows, in this order, each as often as it is named."""
    return {name: state.index_select(1, rows) for name, state in states.items()}


def zeroed(states: Mapping[str, Tensor], row: int) -> States:
    """The states with one row at zero."""
    here = torch.tensor([row])
    return {name: state.index_fill(1, here, 0.0) for name, state in states.items()}
