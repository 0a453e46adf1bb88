"""Averaged weights: an exponential moving average that validation and the result use (Polyak & Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Follows a model's parameters: average += (1 - decay) * (weight - average), faster in the first steps."""

    def __init__(self, model: nn.Module, decay: float):
        self.model, self.decay, self.steps = model, decay, 0
        self.tensors = {name: each.detach().clone() for name, each in model.named_parameters()}

    @torch.no_grad()
    def restart(self) -> None:
        """Begins anew from the weights as they are."""
        self.steps = 0
        self.tensors = {name: each.detach().clone() for name, each in self.model.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Once per step, after the optimiser."""
        self.steps += 1
        weight = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, parameter in self.model.named_parameters():
            self.tensors[name].lerp_(parameter, weight)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model holds the average inside the block, its own weights after it."""
        own = {name: each.detach().clone() for name, each in self.model.named_parameters()}
        put(self.model, self.tensors)
        try:
            yield
        finally:
            put(self.model, own)


@torch.no_grad()
def put(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Copies tensors into the model's parameters of the same names."""
    for name, parameter in model.named_parameters():
        parameter.copy_(tensors[name])
