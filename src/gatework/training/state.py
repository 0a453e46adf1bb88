"""All that a training must remember to go on bit for bit: numbers (`Progress`, JSON) and tensors, in one file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Tensors = dict[str, Tensor]


@dataclass
class Progress:
    """Where a training stands; JSON keeps every digit of its numbers."""

    epoch: int = 0  # whole epochs done
    index: int = 0  # batches done in the epoch at hand
    step: int = 0  # steps done
    seconds: float = 0.0
    rate: float = 0.0  # the learning rate of the last step
    loss_sum: float = 0.0  # over the epoch at hand, as are the next two
    loss_count: int = 0
    norm_sum: float = 0.0
    best: float | None = None
    best_epoch: int | None = None
    waited: int = 0  # validations since the best
    rate_scale: float = 1.0  # what the NaN guard made of the rate
    strikes: int = 0  # bad losses in the epoch at hand
    good_step: int = 0
    plateau_factor: float = 1.0
    plateau_waited: int = 0
    average_steps: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def new_epoch(self) -> None:
        """Zeroes what belongs to one epoch."""
        self.loss_sum, self.loss_count, self.norm_sum, self.strikes = 0.0, 0, 0.0, 0


def copy(model: nn.Module) -> Tensors:
    """The model's weights and buffers, apart from the model."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shape of each weight and buffer; (0,) of the buffers of a module that `grows`, whose sizes a file says."""
    found = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    growing = [(prefix, module) for prefix, module in model.named_modules() if getattr(module, "grows", False)]
    return found | {f"{prefix}.{name}": (0,) for prefix, module in growing for name, _ in module.named_buffers()}


def join(groups: Mapping[str, Mapping[str, Tensor]]) -> Tensors:
    """{"model": {"w": ...}} -> {"model.w": ...}."""
    return {f"{group}.{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}


def split(tensors: Mapping[str, Tensor]) -> dict[str, Tensors]:
    """Undoes `join`; a group without tensors is missing."""
    groups: dict[str, Tensors] = {}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = tensor
    return groups


def random_generator() -> np.random.Generator:
    """A generator for numpy seeded by torch's, whose state the checkpoint holds: a resumed run draws the same."""
    return np.random.default_rng(int(torch.randint(2**62, ())))
