"""The network: a linear map, corrected by an encoder and one of the ways to decode; several of these as an ensemble."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gatework.runtime.series.windows import Shape
from gatework.tasks.forecast.combined import usual
from gatework.tasks.forecast.decoding import DECODERS
from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.windows import Batch


class Forecast(nn.Module):
    """Corrections of a naive forecast (`options.base`) by a linear map, and of both by networks whose last maps start
    at 0. The linear map reads the window, by weights of each step ahead, and the covariates of a step that are known
    ahead, by weights that all steps share.

    forward(batch) gives [B, h, 1 + Q] in units of the window's scale: the point forecast, then the quantiles; the mean
    over the members of an ensemble. `spread` [h, 1 + Q] is where outputs start from, beside that forecast; `share` is
    how much of the point's correction is left, by which the quantiles move too; `beside` [K] are the weights of the
    methods that it is combined with; `adjustment` [h, Q] and `follow` (a power) make intervals honest; see `intervals`.
    """

    adjustment: Tensor
    beside: Tensor
    follow: Tensor
    share: Tensor
    spread: Tensor

    def __init__(
        self, options: ForecastOptions, shape: Shape, inputs: int, future: int, static: int = 0, ahead: int = 0
    ):
        super().__init__()
        self.inputs, self.future, self.static = inputs, future, static
        outputs = 1 + len(options.quantiles)
        kind = DECODERS[options.decoding]
        self.linear = nn.Linear(shape.lookback, shape.horizon) if options.linear != "none" else None
        if self.linear is not None:
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)
        self.ahead = nn.Linear(2 * ahead, 1, bias=False) if ahead and self.linear is not None else None
        if self.ahead is not None:
            nn.init.zeros_(self.ahead.weight)
        self.members = nn.ModuleList(
            kind(options, shape, (inputs, future, static), outputs) for _ in range(options.ensemble)
        )
        self.register_buffer("adjustment", torch.ones(shape.horizon, outputs - 1))
        self.register_buffer("follow", torch.zeros(()))
        self.register_buffer("share", torch.ones(()))
        self.register_buffer("beside", torch.tensor(usual(options).tolist()))
        self.register_buffer("spread", torch.zeros(shape.horizon, outputs))

    def forward(self, batch: Batch) -> Tensor:
        made = self.each(batch).mean(0)
        if self.share == 1:
            return made
        return made - (1 - self.share) * (made[:, :, 0] - self.start(batch)).unsqueeze(2)

    def each(self, batch: Batch) -> Tensor:
        """[E, B, h, 1 + Q]: what each member says."""
        start = self.start(batch)
        return torch.stack([member(batch, start) for member in self.members]) + start.unsqueeze(2) + self.spread

    def start(self, batch: Batch) -> Tensor:
        """[B, h]: the forecast that the members correct."""
        if self.linear is None:
            return batch.base
        start = batch.base + self.linear(batch.window)
        return start if self.ahead is None else start + self.ahead(batch.ahead)[:, :, 0]


def forecast_loss(outputs: Tensor, batch: Batch, levels: Tensor, kind: str) -> Tensor:
    """Error of the point forecast plus the mean quantile loss, over the targets that are known: a mean over members
    where outputs are [E, B, h, 1 + Q]."""
    there = ~torch.isnan(batch.truth)
    error = torch.where(there, batch.truth, 0.0).unsqueeze(-1) - outputs
    error = error * there.unsqueeze(-1)
    count = there.sum().clamp(min=1) * (len(outputs) if outputs.dim() > 3 else 1)
    point = point_error(error[..., 0], batch, kind)
    loss = point.sum() / count
    if not len(levels):
        return loss
    return loss + 2 * pinball(error[..., 1:], levels).sum() / count / len(levels)


def point_error(error: Tensor, batch: Batch, kind: str) -> Tensor:
    """Of truth - forecast; "mape" is |truth - forecast| / truth of the values whose logarithms these are."""
    if kind == "mape":
        scale = torch.from_numpy(batch.scale).to(error)[:, None]
        return torch.expm1((-error * scale).clamp(max=3.0)).abs() / scale
    return error.square() if kind == "mse" else error.abs()


def pinball(error: Tensor, levels: Tensor) -> Tensor:
    """Quantile loss of truth - forecast (Koenker & Bassett 1978): level * error above, (level - 1) * error below."""
    return torch.maximum(levels * error, (levels - 1) * error)
