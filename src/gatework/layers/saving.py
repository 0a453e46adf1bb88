"""`save`: a layer or a stack of layers as a file that runs without torch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from numbers import Real
from typing import Any

from torch import nn

from gatework.errors import OptionError
from gatework.layers.binding import to_numpy
from gatework.layers.recurrent import Recurrent
from gatework.runtime import saved
from gatework.runtime.quantised import check_kind


def save(layer: Recurrent | Iterable[nn.Module], path: str | os.PathLike[str], weights: str = "float32") -> None:
    """Write a layer, or several of which each reads the output of the one before, for `gatework.runtime.load`.

        gatework.save(gatework.LSTM(32, 64, num_layers=2), "model.safetensors")
        runner = gatework.runtime.load("model.safetensors")      # without torch

    `weights` says how matrices are written: "float32", "bf16" (half the bytes), or "int8" with a scale for each output
    unit (a quarter). A weight w is then off by at most |w| / 256, or by half its unit's scale, which is max |w| / 127.
    Biases, vectors, sums and states stay float32. Steps of one stream, which are bound by reading weights, are faster.

    The file is safetensors; its metadata holds the cells' equations. What is saved is the layer in evaluation. Raises
    OptionError for a module that is not a gatework layer (`gatework.layers.from_torch` makes them of torch's), and
    where there is no such folder.
    """
    several = isinstance(layer, nn.Sequential | nn.ModuleList) or not isinstance(layer, nn.Module | Real)
    modules: list[Any] = list(layer) if several else [layer]  # type: ignore[arg-type]
    if not modules:
        raise OptionError("there is no layer to save: the list is empty")
    for module in modules:
        if not isinstance(module, Recurrent):
            raise OptionError(
                f"only gatework's layers can be saved so, not {type(module).__name__}; {_instead(module)}"
            )
        if any(p.is_meta for p in module.parameters()):
            raise OptionError(f"{type(module).__name__} has no numbers yet, as its device is meta: to_empty, then load")
    kind = None if weights == "float32" else weights
    if kind is not None:
        check_kind(kind, "float32")
    saved.write([entry.with_weights(kind) for module in modules for entry in entries(module)], path)


def _instead(module: object) -> str:
    """What to do with something else: save the layers in it, or make one of torch's."""
    inside = module.named_modules() if isinstance(module, nn.Module) else ()
    found = [name for name, part in inside if isinstance(part, Recurrent)]
    if found:
        return f"save what is in it: gatework.save(model.{found[0]}, path), and other modules' weights with safetensors"
    return (
        "use gatework.layers.from_torch for torch's recurrent layers, and save other modules' weights with safetensors"
    )


def entries(module: Recurrent) -> list[saved.Layer]:
    """The layers of a module as they are in evaluation, without torch."""
    graph, found = module.graph_in_evaluation(), []
    dtype = to_numpy(module.parameter(0)).dtype.name
    for layer in range(module.num_layers):
        weights, starts = [], []
        for d, suffix in enumerate(module.suffixes(layer)):
            weights.append(module.weights(layer * module.directions + d))
            learned = graph.states if module.learn_initial_state else ()
            starts.append({s.name: to_numpy(getattr(module, f"initial_{s.name}{suffix}")) for s in learned})
        found.append(saved.Layer(graph, module.layer_sizes(layer), tuple(weights), tuple(starts), dtype))
    return found
