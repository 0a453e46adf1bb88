"""Optimisers from torch, penalties, and the two-way path between their state and named tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from gatework.training.options import TrainingOptions


def matrices(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that decay and penalties act on: all but biases, norms and peepholes."""
    return [each for each in model.parameters() if each.requires_grad and each.dim() > 1]


def make(model: nn.Module, options: TrainingOptions) -> Optimizer:
    """The optimiser of the options; weight decay is decoupled in adamw and is part of the gradient elsewhere."""
    decayed = matrices(model)
    known = {id(each) for each in decayed}
    rest = [each for each in model.parameters() if each.requires_grad and id(each) not in known]
    groups = [
        {"params": decayed, "weight_decay": options.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return _KINDS[options.optimizer]([group for group in groups if group["params"]], options)


_KINDS = {
    "sgd": lambda groups, o: SGD(groups, o.learning_rate, momentum=o.momentum),
    "rmsprop": lambda groups, o: RMSprop(groups, o.learning_rate, momentum=o.momentum),
    "adam": lambda groups, o: Adam(groups, o.learning_rate, (o.beta1, o.beta2), fused=True),
    "adamw": lambda groups, o: AdamW(groups, o.learning_rate, (o.beta1, o.beta2), fused=True),
}


def set_rate(optimizer: Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


@torch.no_grad()
def add_penalties(parameters: Iterable[nn.Parameter], l1: float, l2: float) -> None:
    """Adds the gradient of l1 * sum |w| + l2 * sum w^2."""
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if l1:
            parameter.grad.add_(parameter.sign(), alpha=l1)
        if l2:
            parameter.grad.add_(parameter, alpha=2 * l2)


@torch.no_grad()
def clip(parameters: list[nn.Parameter], limit: float) -> float:
    """The norm of all gradients together, which are scaled down to `limit` where that is smaller (0: never)."""
    gradients = [each.grad for each in parameters if each.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if limit and not float(norm) < 0.999 * limit:  # below, torch would multiply all gradients by 1
        nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return float(norm)


def state(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors: "3.exp_avg" is the first moment of parameter 3."""
    entries: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"{index}.{key}": value
        for index, values in entries.items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def restore(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Takes back what `state` gave."""
    entries: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        entries.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})


def forget(optimizer: Optimizer) -> None:
    """Drops all moments, as after going back to earlier weights."""
    optimizer.state.clear()
