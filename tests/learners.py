"""A tiny learner for tests of the training loop: a straight line, dropout, a state carried from step to step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gatework.training.learner import Metric, Shard, Step


class Model(nn.Module):
    """Dropout, so that the random generator matters; weights of both kinds, matrix and bias."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.dropout = nn.Linear(4, 3), nn.Dropout(0.2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(self.dropout(inputs))


class Line:
    """y = A x + b with noise, in batches whose order changes with the epoch; `poison` makes some losses NaN."""

    metric, learned = Metric("loss", higher=False), False

    def __init__(self, rows: int = 48, batch: int = 8, poison: tuple[int, ...] = ()):
        generator = torch.Generator().manual_seed(7)
        self.inputs = torch.randn(rows, 4, generator=generator)
        weights = torch.randn(4, 3, generator=generator)
        self.targets = self.inputs @ weights + 0.1 * torch.randn(rows, 3, generator=generator)
        self.batch, self.poison, self.steps = batch, poison, 0

    def batches(self, epoch: int, shard: Shard) -> Sequence[Any]:
        order = torch.randperm(len(self.inputs), generator=torch.Generator().manual_seed(epoch))
        return [part[shard.rank :: shard.world] for part in order.split(self.batch)]

    def loss(self, model: nn.Module, batch: Any, carry: dict[str, Tensor]) -> Step:
        memory = carry.get("memory", torch.zeros(3))
        error = model(self.inputs[batch]) + memory - self.targets[batch]
        loss = error.square().mean()
        if self.steps in self.poison:
            loss = loss * float("nan")
        self.steps += 1
        return Step(loss, len(batch), {"memory": 0.1 * error.mean(0)})

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        return {"loss": float((model(self.inputs) - self.targets).square().mean())}


def fresh(seed: int = 0) -> Model:
    torch.manual_seed(seed)
    return Model()
