"""`save`: a layer or a stack of layers as a file that runs without torch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from torch import nn

from gatework.errors import OptionError
from gatework.layers.binding import to_numpy
from gatework.layers.recurrent import Recurrent
from gatework.runtime import saved


def save(layer: Recurrent | Iterable[nn.Module], path: str | os.PathLike[str]) -> None:
    """Write a layer, or several of which each reads the output of the one before, for `gatework.runtime.load`.

        gatework.save(gatework.LSTM(32, 64, num_layers=2), "model.safetensors")
        runner = gatework.runtime.load("model.safetensors")      # numpy alone

    The file is safetensors; its metadata holds the cells' equations. What is saved is the layer in evaluation. Raises
    OptionError for a module that is not a gatework layer (`gatework.layers.from_torch` makes them of torch's).
    """
    modules: list[Any] = [layer] if isinstance(layer, Recurrent) else list(layer)
    for module in modules:
        if not isinstance(module, Recurrent):
            raise OptionError(
                f"only gatework's layers can be saved so, not {type(module).__name__}; use gatework.layers.from_torch "
                "for torch's recurrent layers, and save other modules' weights with safetensors"
            )
    saved.write([entry for module in modules for entry in _entries(module)], path)


def _entries(module: Recurrent) -> list[saved.Layer]:
    graph, found = module.graph_in_evaluation(), []
    for layer in range(module.num_layers):
        weights, starts = [], []
        for d, suffix in enumerate(module.suffixes(layer)):
            weights.append(module.weights(layer * module.directions + d))
            learned = graph.states if module.learn_initial_state else ()
            starts.append({s.name: to_numpy(getattr(module, f"initial_{s.name}{suffix}")) for s in learned})
        found.append(saved.Layer(graph, module.layer_sizes(layer), tuple(weights), tuple(starts)))
    return found
