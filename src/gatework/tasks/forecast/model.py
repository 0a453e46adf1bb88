"""The network: an encoder over the window, and a head that gives all steps ahead at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.windows import Batch, Shape
from gatework.tasks.recurrent import recurrent_stack


class Forecast(nn.Module):
    """Corrections of the seasonal naive forecast: a fresh model is that forecast, as the last maps start at 0.

    forward(batch) gives [B, h, 1 + Q] in units of the window's scale: the point forecast, then the quantiles.
    `adjustment` [h, Q] is added to the quantiles; see `task.conformal`.
    """

    adjustment: Tensor

    def __init__(self, options: ForecastOptions, shape: Shape, inputs: int, future: int):
        super().__init__()
        outputs = 1 + len(options.quantiles)
        self.encoder = recurrent_stack(options, inputs, options.layers)
        self.dropout = nn.Dropout(options.dropout)
        self.context = nn.Linear(options.hidden_size, shape.horizon * options.width)
        self.future = nn.Linear(future, options.width, bias=False)
        self.outputs = nn.Linear(options.width, outputs)
        self.linear = nn.Linear(shape.lookback, shape.horizon) if options.linear else None
        self.register_buffer("adjustment", torch.zeros(shape.horizon, outputs - 1))
        for layer in (self.outputs, self.linear):
            if layer is not None:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, batch: Batch) -> Tensor:
        last = self.dropout(self.encoder(batch.inputs)[0][-1])
        context = self.context(last).unflatten(1, (batch.base.shape[1], -1))
        result = self.outputs(torch.tanh(context + self.future(batch.future))) + batch.base.unsqueeze(2)
        return result if self.linear is None else result + self.linear(batch.window).unsqueeze(2)


def forecast_loss(outputs: Tensor, truth: Tensor, levels: Tensor, kind: str) -> Tensor:
    """Error of the point forecast plus the mean quantile loss, over the targets that are known."""
    there = ~torch.isnan(truth)
    error = torch.where(there, truth, 0.0).unsqueeze(2) - outputs
    error = error * there.unsqueeze(2)
    count = there.sum().clamp(min=1)
    point = error[:, :, 0].square() if kind == "mse" else error[:, :, 0].abs()
    loss = point.sum() / count
    if not len(levels):
        return loss
    return loss + 2 * pinball(error[:, :, 1:], levels).sum() / count / len(levels)


def pinball(error: Tensor, levels: Tensor) -> Tensor:
    """Quantile loss of truth - forecast (Koenker & Bassett 1978): level * error above, (level - 1) * error below."""
    return torch.maximum(levels * error, (levels - 1) * error)
