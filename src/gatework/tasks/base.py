"""What a task is: the one interface between files of data and the training loop.

A task is one module of this folder that sets `TASK`. Read downwards: small records first, then the protocol in the
order in which a job uses it (data, model, training, results).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from gatework.data.finding import Finding
from gatework.training.learner import Metric, Shard, Step
from gatework.training.options import TrainingOptions

__all__ = ["Baseline", "Finding", "Metric", "Parts", "Shard", "Step", "Task"]

Source = Any  # a path, a data frame, or rows in memory; each task says which it reads


@dataclass(frozen=True)
class Baseline:
    """A simple method's result on the same data, in the task's own metrics."""

    name: str
    metrics: dict[str, float]
    note: str = ""


@dataclass(frozen=True)
class Parts:
    """Encoded examples: what is learned from, what choices are made on, what is read once at the end."""

    train: Any
    valid: Any
    test: Any = None

    @property
    def last(self) -> tuple[str, Any]:
        """The part that results are told on: test where there is one, else valid."""
        return ("valid", self.valid) if self.test is None else ("test", self.test)


class Task(ABC):
    """How files become examples, examples batches, batches a loss, and weights an answer.

    task = get("generate")(GenerateOptions(hidden_size=64))
    parts = task.prepare("book.txt")
    model = task.build()
    """

    name: ClassVar[str]
    Options: ClassVar[type[TrainingOptions]]
    metric: ClassVar[Metric]
    learns_all: ClassVar[bool] = True  # of a file but what is held out; False: an evaluation reads the end alone
    reads_lines: ClassVar[bool] = True  # `predict` without a file takes lines of text; False: it needs no data

    def __init__(self, options: TrainingOptions):
        self.options = options

    # -- data -----------------------------------------------------------------------------------------------

    @abstractmethod
    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts:
        """Reads, refuses bad data, splits, fits tokenizer / labels / scaler (kept on the task), and encodes."""

    @abstractmethod
    def check(self, source: Source) -> list[Finding]:
        """Every fault of the data at once, without training."""

    @abstractmethod
    def examples(self, source: Source) -> Any:
        """New data, encoded with what `prepare` or `restore` set."""

    @abstractmethod
    def assets(self) -> dict[str, str]:
        """File name -> text of all that the run folder must keep besides options and weights."""

    @abstractmethod
    def restore(self, assets: Mapping[str, str]) -> None:
        """Takes back what `assets` gave."""

    # -- model ----------------------------------------------------------------------------------------------

    @abstractmethod
    def build(self) -> nn.Module:
        """A fresh model; after `prepare` or `restore`."""

    # -- training -------------------------------------------------------------------------------------------

    @abstractmethod
    def batches(self, examples: Any, epoch: int, shard: Shard) -> Sequence[Any]:
        """The epoch's batches, in an order that (options.seed, epoch) alone decide; this process' share of each.

        What is random inside a batch is drawn from torch's global generator, whose state the checkpoint holds.
        """

    @abstractmethod
    def loss(self, model: nn.Module, batch: Any, carry: dict[str, Tensor]) -> Step:
        """The batch's loss; `carry` is what the step before gave, detached, and empty when an epoch starts."""

    # -- results --------------------------------------------------------------------------------------------

    @abstractmethod
    def measure(self, model: nn.Module, examples: Any) -> dict[str, float]:
        """All metrics, "loss" among them; the model is in evaluation mode and no gradient is kept."""

    def final_measures(self, model: nn.Module, examples: Any) -> dict[str, float]:
        """Further metrics that take too long for every epoch: told once, at the end of a training or of new data."""
        return {}

    @abstractmethod
    def predict(self, model: nn.Module, source: Source) -> list[dict[str, Any]]:
        """One JSON-able answer per row of the source."""

    def some(self, examples: Any, count: int) -> Any:
        """At most `count` of the examples, spread over all of them: measured like validation, they show the gap."""
        return examples.take(np.unique(np.linspace(0, len(examples) - 1, count).astype(np.int64)))

    def origin(self) -> str:
        """Where `predict` without a source starts from, in words; for tasks that need no data."""
        return ""

    def baselines(self, parts: Parts) -> list[Baseline]:
        """Simple methods, fitted on the training part and measured on `parts.last`."""
        return []

    def simple(self, examples: Any) -> list[Baseline]:
        """Those baselines that need no training data: what an evaluation on other data stands beside."""
        return []

    def sections(self, model: nn.Module, parts: Parts) -> dict[str, Any]:
        """What only this task's report shows: confusion matrix, samples, worst errors; JSON-able."""
        return {}

    def facts(self, parts: Parts) -> dict[str, Any]:
        """What the report says of the data; JSON-able."""
        return {}


@dataclass
class Learner:
    """A task and its parts, as the training loop sees them."""

    task: Task
    parts: Parts
    metric: Metric = field(init=False)

    def __post_init__(self) -> None:
        self.metric = self.task.metric

    def batches(self, epoch: int, shard: Shard) -> Sequence[Any]:
        return self.task.batches(self.parts.train, epoch, shard)

    def loss(self, model: nn.Module, batch: Any, carry: dict[str, Tensor]) -> Step:
        return self.task.loss(model, batch, carry)

    def validate(self, model: nn.Module) -> dict[str, float]:
        return self.task.measure(model, self.parts.valid)
