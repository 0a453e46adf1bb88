"""The linear part in closed form: where training starts from."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.windows import Windows, make_batch

MOST = 30_000  # windows that the closed form is solved on
ROUNDS = 8  # of reweighting towards absolute errors


@torch.no_grad()
def solve(linear: nn.Linear, windows: Windows, options: ForecastOptions) -> None:
    """Sets a linear map from scaled windows to errors of the naive forecast that is corrected, by ridge regression.

    With loss "mae" the rows are weighted by 1 / error and solved again, a few times: this goes towards the least
    absolute errors (Schlossmacher 1973), which a few wild windows cannot spoil.
    """
    rows = np.random.default_rng(options.seed).permutation(len(windows))[:MOST]
    batch = make_batch(windows, rows)
    inputs = torch.cat([batch.window, torch.ones(len(rows), 1)], 1).double()
    targets = (batch.truth - batch.base).double()
    there = ~torch.isnan(targets).any(1)
    inputs, targets = inputs[there], targets[there]
    if not len(targets):
        return
    weights = ridge(inputs, targets, torch.ones(len(targets), dtype=torch.float64), options.ridge)
    for _ in range(ROUNDS if options.loss != "mse" else 0):
        size = (targets - inputs @ weights).square().mean(1).sqrt()
        sure = 1 / size.clamp(min=float(size.median()) / 100 + 1e-9)
        weights = ridge(inputs, targets, sure / sure.mean(), options.ridge)
    linear.requires_grad_(options.linear != "fixed")
    linear.weight.copy_(weights[:-1].T)
    linear.bias.copy_(weights[-1])


def ridge(inputs: torch.Tensor, targets: torch.Tensor, sure: torch.Tensor, strength: float) -> torch.Tensor:
    """The solution of (X'WX + strength I) w = X'W y; the last input, the constant, is not held back."""
    weighted = inputs * sure[:, None]
    held = torch.full((inputs.shape[1],), strength, dtype=inputs.dtype)
    held[-1] = 1e-6
    return torch.linalg.solve(weighted.T @ inputs + torch.diag(held), weighted.T @ targets)
