"""The learning-rate range test (Smith 2017, section 3.3): the rate rises until the loss does; the valley is chosen."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import nn

from gatework.errors import TrainingError
from gatework.training import optimizer as optimizers
from gatework.training.learner import Learner, Shard
from gatework.training.options import TrainingOptions

STEPS, LOWEST, HIGHEST, SMOOTHING, DIVERGED = 80, 1e-6, 1.0, 0.9, 4.0


@dataclass(frozen=True)
class Range:
    """A finished test: the rates tried, the smoothed loss at each, and the rate to use."""

    rates: list[float]
    losses: list[float]
    suggestion: float


def find_rate(learner: Learner, model: nn.Module, options: TrainingOptions) -> Range:
    """Tries rates from 1e-6 to 1 on a copy of the model; neither model nor random generator change.

    The suggestion is the rate where the smoothed loss falls fastest over the logarithm of the rate.
    """
    before = torch.get_rng_state()
    try:
        rates, losses = _sweep(learner, copy.deepcopy(model).train(), options)
    finally:
        torch.set_rng_state(before)
    return Range(rates, losses, _steepest(rates, losses))


def _sweep(learner: Learner, model: nn.Module, options: TrainingOptions) -> tuple[list[float], list[float]]:
    optimizer = optimizers.make(model, options)
    parameters = [each for each in model.parameters() if each.requires_grad]
    batches = learner.batches(0, Shard())
    rates, losses, carry, smooth = [], [], {}, 0.0
    for number in range(STEPS):
        rate = LOWEST * (HIGHEST / LOWEST) ** (number / (STEPS - 1))
        step = learner.loss(model, batches[number % len(batches)], carry)
        optimizer.zero_grad()
        step.loss.backward()
        optimizers.clip(parameters, options.clip)
        optimizers.set_rate(optimizer, rate)
        optimizer.step()
        carry = {} if (number + 1) % len(batches) == 0 else {k: v.detach() for k, v in step.carry.items()}
        smooth = SMOOTHING * smooth + (1 - SMOOTHING) * step.loss.item()
        corrected = smooth / (1 - SMOOTHING ** (number + 1))
        if not math.isfinite(corrected) or (losses and corrected > DIVERGED * min(losses)):
            break
        rates.append(rate)
        losses.append(corrected)
    return rates, losses


def _steepest(rates: list[float], losses: list[float]) -> float:
    lowest = min(range(len(losses)), key=losses.__getitem__, default=0)
    if lowest < 3:
        raise TrainingError("the range test found no learning rate at which the loss falls; set learning_rate yourself")
    falls = [losses[k - 1] - losses[k + 1] for k in range(1, lowest)]
    return float(f"{rates[1 + max(range(len(falls)), key=falls.__getitem__)]:.2g}")
