"""A toy task that trains in milliseconds: the slope of a line; `shift` moves its optimum, `fail` and `nan` break it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatework.errors import TrainingError
from gatework.tasks.base import Finding, Metric, Parts, Shard, Source, Step, Task
from gatework.training.options import TrainingOptions, option


@dataclass(frozen=True, kw_only=True)
class ToyOptions(TrainingOptions):
    epochs: int = option(2, "passes", panel="training", low=0)
    shift: float = option(1.0, "what is added to the error", panel="model")
    kind_of: str = option("a", "a name", panel="model", choices=("a", "b", "fail", "nan"))
    several: tuple[str, ...] = option((), "some names", panel="model")
    wait: float = option(0.0, "seconds per batch", panel="training", low=0)


class Toy(Task):
    """x -> 2 x; the metric is the distance of `shift` from 0.3, and a little of the error."""

    name = "toy"
    Options = ToyOptions
    metric = Metric("loss", higher=False)
    options: ToyOptions

    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts:
        rows = np.array([float(value) for value in source], np.float32)
        return Parts(rows[:-4], rows[-4:-2], rows[-2:])

    def check(self, source: Source) -> list[Finding]:
        return []

    def examples(self, source: Source) -> Any:
        return np.array(source, np.float32)

    def assets(self) -> dict[str, str]:
        return {"toy.json": json.dumps({})}

    def restore(self, assets: Mapping[str, str]) -> None:
        pass

    def build(self) -> nn.Module:
        return nn.Linear(1, 1, bias=False)

    def batches(self, examples: Any, epoch: int, shard: Shard) -> Sequence[Any]:
        return list(torch.from_numpy(examples).split(4))

    def loss(self, model: nn.Module, batch: Any, carry: dict[str, Tensor]) -> Step:
        time.sleep(self.options.wait)
        if self.options.kind_of == "fail":
            raise TrainingError("the toy is broken")
        return Step((model(batch[:, None])[:, 0] - 2 * batch).square().mean(), len(batch))

    def measure(self, model: nn.Module, examples: Any) -> dict[str, float]:
        rows = torch.from_numpy(examples)
        error = float((model(rows[:, None])[:, 0] - 2 * rows).square().mean())
        loss = abs(self.options.shift - 0.3) + 0.01 * min(error, 1.0)
        return {"loss": float("nan") if self.options.kind_of == "nan" else loss}

    def predict(self, model: nn.Module, source: Source) -> list[dict[str, Any]]:
        return []
