"""`Recurrent` of a cell that Keras has, as Keras' own layer: its configuration and its weights."""

from __future__ import annotations

from typing import Any

import keras
import torch

from gatework import cells
from gatework.backends import layouts
from gatework.compiler.edit import is_known
from gatework.compiler.ir import Graph
from gatework.errors import OptionError
from gatework.keras.layers import BEYOND_KERAS
from gatework.keras.recurrent import Recurrent, bound, graph_of
from gatework.layers.options import BEYOND_TORCH

KERAS: dict[str, tuple[str, dict[str, Any]]] = {  # Keras' layer for a cell of ours, with the arguments that say so
    "lstm": ("LSTM", {"unit_forget_bias": False}),
    "gru": ("GRU", {"reset_after": True}),
    "gru_reset_before": ("GRU", {"reset_after": False}),
    "rnn": ("SimpleRNN", {}),
    "rnn_relu": ("SimpleRNN", {"activation": "relu"}),
}
OURS = ("cell", "sizes", *BEYOND_KERAS)


def named(graph: Graph) -> str:
    """The name in KERAS of a cell; "" for what Keras does not have."""
    return next((name for name in KERAS if is_known(graph, cells.get(name).graph)), "")


def check(layer: Recurrent) -> None:
    """Refuse what no layer of Keras computes."""
    step = layer.step
    own = [n for n in BEYOND_TORCH if n != "recurrent_dropout" and getattr(step, n, None)]
    if own or not named(step.given_graph):
        what = f"{', '.join(own)} of {layer.name!r}" if own else f"the cell {step.graph.name!r} of {layer.name!r}"
        raise OptionError(
            f"Keras has no layer for {what}; save the model as it is, and load it where gatework is installed, or use "
            "gatework.keras.to_torch for the layer"
        )


def configuration(config: dict[str, Any]) -> dict[str, Any]:
    """That of Keras' layer, from that of a `Recurrent`."""
    inner = config["config"]
    graph = graph_of(inner["cell"])
    name, more = KERAS[named(graph)]
    kept = {key: value for key, value in inner.items() if key not in OURS}
    kept["use_bias"] = kept["use_bias"] and any(m.bias for m in graph.maps)
    return {**config, "module": "keras.layers", "class_name": name, "registered_name": None, "config": {**kept, **more}}


def assign(old: Recurrent, new: keras.layers.RNN) -> None:
    """Gives the weights to Keras' layer, which stacks those of all gates."""
    step, cell = old.step, new.cell
    parameters = [p.detach() for p in step.parameters_in_order(torch.float64)]
    weights = bound(step, False).weights(parameters)
    stacked = layouts.stack(named(step.given_graph), "keras", weights, torch)
    cell.kernel.assign(stacked.x.t())
    cell.recurrent_kernel.assign(stacked.h.t())
    if cell.use_bias and stacked.bias_x is not None and stacked.bias_h is not None:
        two = len(cell.bias.shape) == 2  # a GRU with reset_after
        cell.bias.assign(torch.stack([stacked.bias_x, stacked.bias_h]) if two else stacked.bias_x)
