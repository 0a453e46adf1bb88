"""What parameters are before training."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gatework.compiler import params
from gatework.compiler.carry import Gate, gates
from gatework.errors import OptionError

if TYPE_CHECKING:
    from gatework.layers.recurrent import Recurrent


def reset(layer: Recurrent) -> None:
    """Start the parameters of a layer; see `Recurrent.reset_parameters`."""
    starts = {v.name: v.start for v in layer.graph.vectors}
    for names, suffix in zip(layer._names, layer.all_suffixes(), strict=True):
        uniform([getattr(layer, n) for n in names if n.removesuffix(suffix) not in starts], layer.hidden_size)
        for vector, start in starts.items():
            torch.nn.init.constant_(getattr(layer, vector + suffix), start)
        for state in layer.graph.states if layer.learn_initial_state else ():
            torch.nn.init.constant_(getattr(layer, f"initial_{state.name}{suffix}"), state.start)
    if layer.forget_bias is not None or layer.chrono is not None:
        for suffix in layer.all_suffixes():
            _start_gates(layer, suffix)


def _start_gates(layer: Recurrent, suffix: str) -> None:
    """The biases that forget_bias or chrono ask for; where a gate has two, the second becomes 0."""
    declared = layer._layouts[0]
    for state, gate in gates(layer.graph).items():
        units = params.size(layer.layer_sizes(0), layer.graph.state(state).width)
        for key, values in gate_biases(gate, units, layer.forget_bias, layer.chrono).items():
            for number, piece in enumerate(declared.pieces[key]):
                bias = piece.of([getattr(layer, name + suffix) for name in declared.shapes])
                with torch.no_grad():
                    bias[:] = 0 if number else values


def uniform(parameters: Iterable[Tensor], hidden_size: int) -> None:
    """Uniform between -1/sqrt(H) and 1/sqrt(H), in order: as torch.nn's recurrent layers draw them."""
    bound = 1.0 / math.sqrt(hidden_size)
    for parameter in parameters:
        torch.nn.init.uniform_(parameter, -bound, bound)


def gate_biases(gate: Gate, units: int, forget_bias: float | None, chrono: int | None) -> dict[str, Tensor]:
    """Starting biases of the gates that keep and write a state, by key; see `Recurrent`."""
    if chrono is None:
        return {gate.bias: torch.full((units,), gate.sign * float(forget_bias or 0.0))}
    values = log_uniform(chrono, units)
    opposite = {} if gate.writes is None else {gate.writes: -values}
    return {gate.bias: gate.sign * values, **opposite}


def log_uniform(chrono: int, units: int) -> Tensor:
    """Forget biases log(u), u uniform in [1, chrono - 1], (units,): the units forget over 1 to `chrono` steps.

    Tallec & Ollivier, "Can recurrent neural networks warp time?", ICLR 2018, section 3: b_f = log(u), b_i = -b_f; for a
    gate that keeps the state, as the GRU's z of torch, b_z = log(u).
    """
    check_longest(chrono)
    return torch.empty(units).uniform_(1, chrono - 1).log_()


def check_longest(chrono: object) -> None:
    if isinstance(chrono, bool) or not isinstance(chrono, Real) or not 3 <= float(chrono) < math.inf:
        raise OptionError(f"chrono={chrono!r}: give the longest dependency in steps, a number of at least 3")
