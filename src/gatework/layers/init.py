"""What parameters are before training."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real

import torch
from torch import Tensor

from gatework.compiler.carry import Gate
from gatework.errors import OptionError


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


def log_uniform(longest: int, units: int) -> Tensor:
    """Forget biases log(u), u uniform in [1, longest - 1], (units,): the units forget over 1 to `longest` steps.

    Tallec & Ollivier, "Can recurrent neural networks warp time?", ICLR 2018, section 3: b_f = log(u), b_i = -b_f; for a
    gate that keeps the state, as the GRU's z of torch, b_z = log(u).
    """
    if isinstance(longest, bool) or not isinstance(longest, Real) or not 3 <= longest < math.inf:
        raise OptionError(f"chrono={longest!r}: give the longest dependency in steps, a number of at least 3")
    return torch.empty(units).uniform_(1, longest - 1).log_()
