"""The training loop.

One step: loss, gradient, mean over processes, guard, penalties, clip, optimiser, average. One epoch: steps, then a
validation that decides on the best weights, on early stopping and on the plateau. `Trainer.restore` takes up a state
saved anywhere, in the middle of an epoch too, and the training then goes on bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from gatework.training import optimizer as optimizers
from gatework.training import processes, schedule
from gatework.training.average import Average
from gatework.training.callbacks import Callback
from gatework.training.guard import Guard
from gatework.training.interrupts import Interrupts
from gatework.training.learner import LEARNED, VALID, Learner, Shard
from gatework.training.options import TrainingOptions
from gatework.training.run import Run
from gatework.training.state import Progress, Tensors, copy, join, split

INTERRUPTED = "interrupted"
AHEAD = 0.05  # share of the time limit by which it must be ahead of the steps before the rate follows it
_NOTHING, _SAVE, _OUT_OF_TIME, _INTERRUPT = 0.0, 1.0, 2.0, 3.0  # what a process wishes after a step; the largest counts


class Trainer:
    """Trains a model on a learner's batches.

        trainer = Trainer(learner, model, TrainingOptions(epochs=3))
        trainer.fit()                                       # 'all 3 epochs done'

    After `fit` the model holds the best weights (or the last: option `keep`) and is in evaluation mode. Without a run
    nothing is written.
    """

    def __init__(
        self,
        learner: Learner,
        model: nn.Module,
        options: TrainingOptions,
        run: Run | None = None,
        callbacks: Sequence[Callback] = (),
        shard: Shard = Shard(),  # noqa: B008 (frozen)
    ):
        self.learner, self.model, self.options, self.run = learner, model, options, run
        self.callbacks, self.shard = callbacks, shard
        self.optimizer = optimizers.make(model, options)
        self.parameters = [each for each in model.parameters() if each.requires_grad]
        self.average = Average(model, options.average_decay) if options.average == "ema" else None
        self.plateau = schedule.Plateau(options)
        self.guard = Guard(model)
        self.progress = Progress()
        self.carry: Tensors = {}
        self.best: Tensors = {}
        self.stopped: str | None = None
        self.loss = self.gradient_norm = math.nan
        self.epoch_steps = 0
        self._saved_at = 0.0

    # -- the course of a training ---------------------------------------------------------------------------

    def fit(self) -> str:
        """Trains to the end, a stop or an interruption; gives the reason in words."""
        self._clock = time.perf_counter() - self.progress.seconds
        self._saved_at = self.progress.seconds
        with Interrupts() as self._interrupts:
            self._tell("started")
            self._end_early()
            if not self.options.epochs:
                self.evaluate()  # settles what validation decides, as each epoch would
            while self.stopped is None and self.progress.epoch < self.options.epochs:
                self._epoch()
            self.stopped = self.stopped or f"all {self.options.epochs} epochs done"
            self._finish()
        return self.stopped

    def stop(self, reason: str) -> None:
        """Ends the training after the step at hand; for callbacks."""
        self.stopped = reason

    @property
    def step(self) -> int:
        """Steps done."""
        return self.progress.step

    def _epoch(self) -> None:
        self.model.train()
        batches = self.learner.batches(self.progress.epoch, self.shard)
        self.epoch_steps = len(batches)
        while self.progress.index < len(batches) and self.stopped is None:
            self._step(batches[self.progress.index])
        whole = self.progress.index >= len(batches)
        if whole or self.stopped != INTERRUPTED:
            self._validate()
        if whole:
            self.progress.epoch, self.progress.index = self.progress.epoch + 1, 0
            self.progress.new_epoch()
            self.carry = {}

    # -- one step -------------------------------------------------------------------------------------------

    def _step(self, batch: Any) -> None:
        if self.options.nan_guard:
            self.guard.before_step(self.progress)
        step = self.learner.loss(self.model, batch, self.carry)
        self.optimizer.zero_grad()
        step.loss.backward()
        self.loss, count = processes.average_gradients(self.parameters, step.loss, step.count, self.shard)
        optimizers.add_penalties(optimizers.matrices(self.model), self.options.l1, self.options.l2)
        self.gradient_norm = optimizers.clip(self.parameters, self.options.clip)
        self.progress.rate = self._rate()
        self.carry = {name: tensor.detach() for name, tensor in step.carry.items()}
        if self.options.nan_guard and not math.isfinite(self.loss + self.gradient_norm):
            self._go_back()
        else:
            self._advance(count)
        self.progress.index += 1
        self.progress.step += 1
        self.progress.seconds = time.perf_counter() - self._clock
        self._tell("stepped")
        self._attend()

    def _rate(self) -> float:
        done = (self.progress.epoch + self.progress.index / self.epoch_steps) / self.options.epochs
        if self.options.time_limit and self.options.schedule_by != "steps":
            elapsed = (time.perf_counter() - self._clock) / self.options.time_limit
            if self.options.schedule_by == "auto":  # a limit that is far off leaves the steps alone, to the bit
                elapsed = (elapsed - AHEAD) / (1 - AHEAD)
            (done,) = processes.agree([max(done, elapsed)], self.shard)
        scale = self.progress.rate_scale * self.plateau.factor
        return self.options.learning_rate * schedule.factor(self.options, done) * scale

    def _advance(self, count: int) -> None:
        optimizers.set_rate(self.optimizer, self.progress.rate)
        self.optimizer.step()
        if self.average:
            self.average.update()
        self.progress.loss_sum += self.loss * count
        self.progress.loss_count += count
        self.progress.norm_sum += self.gradient_norm * count

    def _go_back(self) -> None:
        """The guard's way out of a NaN; a training it gives up on is saved with its good weights first."""
        hopeless = self.guard.go_back(self.progress, self.loss, self.gradient_norm, self.progress.rate)
        optimizers.forget(self.optimizer)
        self.carry = {}
        if self.average:
            self.average.restart()
        self._note(self.progress.events[-1])
        if hopeless:
            self._save()
            raise hopeless

    def _attend(self) -> None:
        """After a step: saves, or stops, when the clock or a signal says so in any of the processes."""
        wish = processes.largest(self._wish(), self.shard)
        if wish == _INTERRUPT:
            self.stopped = INTERRUPTED
        elif wish == _OUT_OF_TIME:
            self.stopped = f"time limit of {self.options.time_limit:g} s reached"
        elif wish == _SAVE:
            self._save()

    def _wish(self) -> float:
        if self._interrupts.wanted:
            return _INTERRUPT
        if self.options.time_limit and self.progress.seconds >= self.options.time_limit:
            return _OUT_OF_TIME
        return _SAVE if self.progress.seconds - self._saved_at >= self.options.save_every else _NOTHING

    # -- validation -----------------------------------------------------------------------------------------

    def _validate(self) -> None:
        where = LEARNED if self.learner.learned else VALID
        row = self._row() | {where + name: value for name, value in self._measured().items()}
        self.progress.history.append(row)
        self._judge(row[where + self.learner.metric.name])
        if self.run and self.shard.rank == 0:
            self.run.write_metrics(self.progress.history)
        self._tell("validated", row)

    def _measured(self) -> dict[str, float]:
        """The learner's metrics; the first process measures, and all take its word for the watched one."""
        name = self.learner.metric.name
        metrics = self.evaluate() if self.shard.rank == 0 else {name: 0.0}
        (metrics[name],) = processes.agree([metrics[name]], self.shard)
        return metrics

    def evaluate(self) -> dict[str, float]:
        """The learner's metrics with the weights (or their average) as they are now."""
        self.model.eval()
        with torch.no_grad(), self._averaged():
            metrics = self.learner.validate(self.model)
        self.model.train()
        return metrics

    def _averaged(self) -> AbstractContextManager[object]:
        return self.average.applied() if self.average else nullcontext()

    def _row(self) -> dict[str, float]:
        progress = self.progress
        self.progress.seconds = time.perf_counter() - self._clock
        count = max(progress.loss_count, 1)
        return {
            "epoch": progress.epoch + 1,
            "step": progress.step,
            "seconds": round(progress.seconds, 3),
            "learning_rate": progress.rate,
            "train_loss": progress.loss_sum / count,
            "gradient_norm": progress.norm_sum / count,
        }

    def _judge(self, value: float) -> None:
        progress = self.progress
        improved = self.learner.metric.better(value, progress.best)
        patient = improved or value == self.learner.metric.idle
        progress.waited = 0 if patient else progress.waited + 1
        self.plateau.validated(patient)
        if improved or value == progress.best:  # of equals the latest: its rate is lower
            progress.best = value
            if not self.learner.learned:
                progress.best_epoch = progress.epoch + 1
                with self._averaged():
                    self.best = copy(self.model)
        self._end_early()

    def _end_early(self) -> None:
        if self.options.patience and self.progress.waited >= self.options.patience:
            self.stopped = self.stopped or f"no gain in {self.options.patience} epochs"

    # -- saving and restoring -------------------------------------------------------------------------------

    def _finish(self) -> None:
        self._save()
        with self._averaged():
            last = copy(self.model)
        self.best = self.best if self.best and self.options.keep == "best" else last
        if self.run and self.shard.rank == 0:
            self.run.save_weights("last", last, {"step": self.step})
            self.run.save_weights("best", self.best, {"epoch": self.progress.best_epoch})
        self.model.load_state_dict(self.best)
        self.model.eval()
        self._note(f"stopped: {self.stopped}")
        self._tell("finished")

    def _save(self) -> None:
        """Writes the whole state in one atomic file; every process must come here."""
        self._saved_at = self.progress.seconds
        local = processes.gather({"rng": torch.get_rng_state(), **join({"carry": self.carry})}, self.shard)
        if self.run and self.shard.rank == 0:
            self.run.save_state(self.state(local), self.progress.to_dict())

    def state(self, local: Tensors) -> Tensors:
        """Every tensor that the training depends on; `local` holds what each process has of its own."""
        self.progress.plateau_factor, self.progress.plateau_waited = self.plateau.factor, self.plateau.waited
        self.progress.average_steps = self.average.steps if self.average else 0
        parts = {
            "model": copy(self.model),
            "best": self.best,
            "good": self.guard.good,
            "average": self.average.tensors if self.average else {},
            "optimizer": optimizers.state(self.optimizer),
            "local": local,
        }
        return join(parts)

    def restore(self, tensors: Tensors, progress: dict[str, Any]) -> None:
        """Takes up a saved state; the random generator too, so call it last before `fit`."""
        groups = split(tensors)
        self.progress = Progress(**progress)
        self.model.load_state_dict(groups["model"])
        self.best, self.guard.good = groups.get("best", {}), groups.get("good", {})
        optimizers.restore(self.optimizer, groups.get("optimizer", {}))
        self.plateau.factor, self.plateau.waited = self.progress.plateau_factor, self.progress.plateau_waited
        if self.average:
            self.average.tensors, self.average.steps = groups["average"], self.progress.average_steps
        local = {name: tensor[self.shard.rank].clone() for name, tensor in groups["local"].items()}
        torch.set_rng_state(local.pop("rng"))
        self.carry = split(local).get("carry", {})

    # -- telling --------------------------------------------------------------------------------------------

    def _note(self, text: str) -> None:
        if self.run and self.shard.rank == 0:
            self.run.log(f"step {self.step}: {text}")

    def _tell(self, event: str, *values: object) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self, *values)


def parameter_count(model: nn.Module) -> int:
    """How many numbers are learned; a shared one counts once."""
    return sum(each.numel() for each in model.parameters() if each.requires_grad)
