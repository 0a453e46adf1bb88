"""The linear part in closed form: where training starts from.

It weighs windows and fills in what is missing, round by round; `regression` solves the baseline's squares at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gatework.runtime.series.windows import Windows
from gatework.tasks.forecast.model import Forecast
from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.windows import Batch, make_batch

MOST = 30_000  # windows that the closed form is solved on
ROUNDS = 8  # of reweighting towards absolute errors, and of filling in what is missing


@dataclass(frozen=True)
class Map:
    """weights [L + 1, h] of the window and a constant, shared [2K] of what is known ahead; see `Forecast`."""

    weights: Tensor
    shared: Tensor

    def __call__(self, batch: Batch) -> Tensor:
        """Errors [B, h] of the naive forecast, in float64."""
        errors = _inputs(batch) @ self.weights
        return errors + batch.ahead.double() @ self.shared if len(self.shared) else errors


@torch.no_grad()
def solve(model: Forecast, windows: Windows, options: ForecastOptions) -> None:
    """Sets a model's linear map from scaled windows to errors of the naive forecast that it corrects."""
    assert model.linear is not None and options.ridge is not None
    found = solved(windows, options.ridge, options.loss != "mse", options.seed)
    model.linear.requires_grad_(options.linear != "fixed")
    model.linear.weight.copy_(found.weights[:-1].T)
    model.linear.bias.copy_(found.weights[-1])
    if model.ahead is not None:
        model.ahead.requires_grad_(options.linear != "fixed")
        model.ahead.weight.copy_(found.shared[None])


@torch.no_grad()
def solved(windows: Windows, strength: float, absolute: bool, seed: int, most: int = MOST, rounds: int = ROUNDS) -> Map:
    """Ridge regression on windows drawn by the seed, also on those of which not all is known.

    Where something is known ahead and most windows begin within their series, these alone are read: in others the first
    value is repeated, with what was known of its step alone, and that bends the map for all.

    In each round targets that are missing are those that the map before gave (what maximum likelihood comes to by EM:
    Little & Rubin 2002, section 8.4); the weights of the window are solved with those of what is known ahead held, then
    these with those held; and if `absolute`, rows are weighted by 1 / error, which goes towards the least absolute
    errors (Schlossmacher 1973), that a few wild windows cannot spoil.
    """
    rows = np.random.default_rng(seed).permutation(len(windows))
    begun = windows.cuts[rows] >= windows.shape.lookback
    rows = (rows[begun] if windows.known_ahead and 2 * begun.sum() >= len(rows) else rows)[:most]
    batch = make_batch(windows, rows)
    inputs, targets = _inputs(batch), (batch.truth - batch.base).double()
    ahead = batch.ahead.double()[:, :, : 2 * windows.known_ahead]
    there = ~torch.isnan(targets)
    kept = there.any(1)
    inputs, ahead, targets, there = inputs[kept], ahead[kept], targets[kept], there[kept]
    sure, shared = torch.ones(len(targets), dtype=torch.float64), ahead.new_zeros(ahead.shape[2])
    weights = inputs.new_zeros(inputs.shape[1], targets.shape[1])
    once = not absolute and bool(there.all()) and not len(shared)
    for _ in range(1 if once else rounds + 1):
        targets = torch.where(there, targets, inputs @ weights + ahead @ shared)
        weights = ridge(inputs, targets - ahead @ shared, sure, strength)
        if len(shared):
            shared = _shared(ahead, targets - inputs @ weights, sure, strength)
        size = (targets - inputs @ weights - ahead @ shared).square().mean(1).sqrt()
        if absolute and len(size):
            sure = 1 / size.clamp(min=float(size.median()) / 100 + 1e-9)
            sure = sure / sure.mean()
    return Map(weights, shared)


def _inputs(batch: Batch) -> Tensor:
    return torch.cat([batch.window, torch.ones(len(batch), 1)], 1).double()


def _shared(ahead: Tensor, targets: Tensor, sure: Tensor, strength: float) -> Tensor:
    """Weights [2K] from what is known ahead [n, h, 2K] to targets [n, h], for all steps."""
    flat, repeated = ahead.flatten(0, 1), sure.repeat_interleave(targets.shape[1])
    weighted = flat * repeated[:, None]
    held = strength * torch.eye(flat.shape[1], dtype=flat.dtype)
    return torch.linalg.solve(weighted.T @ flat + held, weighted.T @ targets.flatten())


def ridge(inputs: Tensor, targets: Tensor, sure: Tensor, strength: float) -> Tensor:
    """The solution of (X'WX + strength I) w = X'W y; the last input, the constant, is not held back."""
    weighted = inputs * sure[:, None]
    held = torch.full((inputs.shape[1],), strength, dtype=inputs.dtype)
    held[-1] = 1e-6
    return torch.linalg.solve(weighted.T @ inputs + torch.diag(held), weighted.T @ targets)
