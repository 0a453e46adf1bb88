"""Settings in, numbers out: trains a task on prepared data, again and again, and measures it on validation rows."""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from gatework.errors import OptionError, TrainingError
from gatework.tasks.base import Learner, Metric, Parts, Round, Source, Task
from gatework.training.callbacks import Callback
from gatework.training.options import TrainingOptions
from gatework.training.trainer import INTERRUPTED, Trainer

KEPT = 4  # prepared data sets in memory


@dataclass(frozen=True)
class Ready:
    """Data prepared with the options `given`; the task holds what it learned from them, and the options it settled."""

    given: TrainingOptions
    task: Task
    parts: Parts

    def task_for(self, options: TrainingOptions) -> Task:
        """The task with other late options; values that were worked out from the data stay."""
        before, after = vars(self.given), vars(self.task.options)
        settled = {name: after[name] for name in after if after[name] != before[name] == getattr(options, name)}
        task = copy.copy(self.task)
        task.options = replace(options, **settled)
        return task


@dataclass(frozen=True)
class Fitted:
    """A model with its best weights, and its numbers on validation."""

    task: Task
    model: nn.Module
    valid: dict[str, float]
    seconds: float
    epochs: int


class Evaluator:
    """Trains settings on the same rounds of data: one, or one per fold.

    evaluator = Evaluator(task, [Round("reviews.csv")])
    evaluator.scores(task.Options(epochs=3))                # [{"loss": 0.4, "accuracy": 0.86, ...}]
    """

    def __init__(self, task: type[Task], rounds: Sequence[Round]):
        self.task, self.rounds = task, list(rounds)
        self._ready: dict[Any, Ready] = {}

    def ready(self, options: TrainingOptions, number: int = 0) -> Ready:
        """The data of a round, prepared with these options."""
        key = (number, _early(options))
        if key not in self._ready:
            for old in list(self._ready)[: 1 - max(KEPT, len(self.rounds))]:
                del self._ready[old]
            self._ready[key] = self._prepared(options, self.rounds[number])
        return self._ready[key]

    def _prepared(self, options: TrainingOptions, data: Round) -> Ready:
        torch.manual_seed(options.seed)
        given = replace(options, **data.changes)
        task = self.task(given)
        return Ready(given, task, task.prepare(data.source, data.valid, data.test))

    def fit(
        self, options: TrainingOptions, number: int = 0, seed: int | None = None, callbacks: Sequence[Callback] = ()
    ) -> Fitted:
        """One training; another seed changes weights and order, and leaves the parts of the data as they are."""
        began = time.perf_counter()
        ready = self.ready(options, number)
        task = ready.task_for(replace(options, **self.rounds[number].changes))
        if seed is not None:
            task.options = replace(task.options, seed=seed)
        torch.manual_seed(task.options.seed)
        model = task.build()
        parts = replace(ready.parts, test=None)  # what chooses never sees the test part
        trainer = Trainer(Learner(task, parts), model, task.options, None, callbacks)
        torch.manual_seed(task.options.seed)
        if trainer.fit() == INTERRUPTED:
            raise KeyboardInterrupt
        with torch.no_grad():
            valid = task.measure(model, ready.parts.valid)
        return Fitted(task, model, valid, time.perf_counter() - began, trainer.progress.epoch)

    def scores(self, options: TrainingOptions, callbacks: Sequence[Callback] = ()) -> list[dict[str, float]]:
        """The metrics on the validation rows of every round."""
        return [self.fit(options, number, callbacks=callbacks).valid for number in range(len(self.rounds))]


def make_rounds(task: Task, source: Source, count: int, *, hold_out: bool = False) -> list[Round]:
    """The rounds of a cross-validation of a task that has prepared this source, so that its options are settled.

    `hold_out`: the rows that the task would test on are in no fold.

    Raises: OptionError for fewer than 2 folds, too few rows, or a task without folds; DataError for a label whose rows
    cannot be divided.
    """
    if count < 2:
        raise OptionError(f"folds={count}: a cross-validation has at least 2")
    return task.rounds(source, count, hold_out)


def _early(options: TrainingOptions) -> tuple[Any, ...]:
    """The values that preparing the data may depend on: settings that agree in them share prepared data.

    An option of None is worked out there, whatever its role; epochs are worked out from the batch size.
    """
    values, late = vars(options), set(options.with_role("late"))
    if values["epochs"] is None:
        late.discard("batch_size")
    return tuple((name, value) for name, value in values.items() if name not in late or value is None)


def mean_and_spread(rows: Sequence[dict[str, float]], metric: Metric) -> tuple[float, float | None]:
    """Of the metric over some trainings; one alone has no spread. Raises TrainingError where it is no number."""
    values = [row[metric.name] for row in rows]
    mean = statistics.fmean(values)
    if not math.isfinite(mean):
        raise TrainingError(f"{metric.name} on the validation part is no number; look at its values (gatework check)")
    return mean, statistics.stdev(values) if len(values) > 1 else None
