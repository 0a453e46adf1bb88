"""All that training knows of a task: batches, a loss on one of them, and metrics to watch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

VALID, LEARNED = "valid_", "learned_"  # before a metric of the validation part, in epochs that learned this part too
NETWORK_LOSS = "network_loss"  # a metric: what training makes small, of the network alone, with dropout off


def like_training(row: Mapping[str, Any]) -> float:
    """The validation loss of a row of the history that is measured as its training loss is.

    That is the network's own, where a model is more than its network (n-grams) or is measured by another loss than it
    is trained with; else the model's. NaN where there is neither.
    """
    value = row.get(f"valid_{NETWORK_LOSS}", row.get("valid_loss"))
    return math.nan if value is None else float(value)


def learned_too(row: Mapping[str, Any]) -> bool:
    """Whether the epoch of a row of the history learned the validation part too, so that it cannot be judged there."""
    return any(name.startswith(LEARNED) for name in row)


def still_falling(losses: Sequence[float]) -> bool:
    """Whether the last quarter of the validations made a difference, so that more of them might.

    It did where it took at least 2% off the last loss, and as much of the whole fall: a loss that ends near zero, or
    creeps at the end of a schedule, has arrived.
    """
    fall = losses[-1 - max(len(losses) // 4, 1)] - losses[-1]
    return losses[-1] == min(losses) and fall >= 0.02 * max(abs(losses[-1]), max(losses) - losses[-1])


def cut_short(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the validation loss still fell by 2% when the schedule made the steps small.

    The end of a cosine is flat however far the loss could fall, so the epochs are looked at that ended with at least
    half of the largest rate: the best of their last quarter beside the best before it. A loss that rose in the end was
    not cut short.
    """
    losses = [like_training(row) for row in rows]
    rates = [float(row.get("learning_rate", 0.0)) for row in rows]
    full = [loss for loss, rate in zip(losses, rates, strict=True) if rate >= max(rates) / 2]
    last = max(len(full) // 4, 1)
    if len(full) < 2 or len(full) == len(losses) or losses[-1] > min(losses) + 0.02 * abs(min(losses)):
        return False
    fall = min(full[:-last]) - min(full[-last:])
    return fall >= 0.02 * max(abs(min(full)), max(full) - min(full))


@dataclass(frozen=True)
class Metric:
    """What validation watches: a key of the task's metrics, and which way is better.

    `idle` is the value of a model that says nothing yet, where a training can stay there for hundreds of steps before
    it learns at once: patience does not count such validations.
    """

    name: str
    higher: bool
    idle: float | None = None

    def better(self, value: float, than: float | None) -> bool:
        """Whether `value` beats `than`; NaN never does, and anything finite beats None."""
        if not math.isfinite(value):
            return False
        return than is None or (value > than if self.higher else value < than)


@dataclass(frozen=True)
class Shard:
    """Which of `world` processes this one is."""

    rank: int = 0
    world: int = 1

    def of(self, rows: np.ndarray) -> np.ndarray:
        """This process' share of a batch's rows; the first row, where there are fewer rows than processes."""
        return rows[self.rank :: self.world] if len(rows) >= self.world else rows[:1]


@dataclass
class Step:
    """The loss of one batch: the mean over `count` items, and the states that the next batch starts from."""

    loss: Tensor
    count: int
    carry: dict[str, Tensor] = field(default_factory=dict)


class Learner(Protocol):
    """What a `Trainer` trains."""

    metric: Metric

    @property
    def learned(self) -> bool:
        """Whether the epoch at hand learns the data that `validate` measures on, too."""
        ...

    def batches(self, epoch: int, shard: Shard) -> Sequence[Any]:
        """The epoch's batches; their order depends on the seed and the epoch alone."""
        ...

    def loss(self, model: nn.Module, batch: Any, carry: dict[str, Tensor]) -> Step:
        """The loss on one batch; `carry` is {} at an epoch's start, then what the step before gave."""
        ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Metrics on data not trained on, the watched one among them; what such data decide is settled first."""
        ...
