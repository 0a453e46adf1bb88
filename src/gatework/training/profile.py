"""Where the time of a training step goes: reading a batch, each module forward and backward, the optimiser.

torch's profiler notes every operation, and ranges of ours say which module or which part of the step it belongs to. An
operation of the backward pass has the number of the one that it differentiates, so it belongs to the same module.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, overload

from torch import Tensor, nn
from torch.autograd.profiler import profile, record_function
from torch.autograd.profiler_util import FunctionEvent

from gatework.training.callbacks import Callback
from gatework.training.learner import Learner, Metric, Shard, Step
from gatework.training.trainer import INTERRUPTED, Trainer

WARM = 3  # steps before any is timed: kernels are compiled and caches filled in them
RANGE = "gatework: "  # how the names of our ranges begin
READING, LOSS, BACKWARD, OPTIMISER, REST = (
    "reading a batch",
    "loss, outside of modules",
    "backward, of no operation",
    "optimiser",
    "rest of the step",
)
ENGINE = "autograd::engine::evaluate_function"
SMALL = 0.01  # share of a step below which modules are told together


@dataclass(frozen=True)
class Spent:
    """Seconds of a step by part, forward and backward; and how long a step took with and without the profiler."""

    forward: Mapping[str, float]
    backward: Mapping[str, float]
    step: float
    profiled: float

    def table(self) -> dict[str, dict[str, float]]:
        """Rows for `gatework.training.console.table`: the costliest first, small ones together."""
        parts = {name: self.forward.get(name, 0.0) + self.backward.get(name, 0.0) for name in self.names()}
        large = [name for name in sorted(parts, key=lambda name: -parts[name]) if parts[name] >= SMALL * self.total]
        rows = {name: self._row([name]) for name in large}
        if small := [name for name in parts if name not in large]:
            rows["1 smaller part" if len(small) == 1 else f"{len(small)} smaller parts"] = self._row(small)
        return rows | {"together": self._row(list(parts))}

    def names(self) -> list[str]:
        return list(dict.fromkeys([*self.forward, *self.backward]))

    @property
    def total(self) -> float:
        return sum(self.forward.values()) + sum(self.backward.values())

    def _row(self, names: Sequence[str]) -> dict[str, float]:
        there, back = (sum(each.get(name, 0.0) for name in names) for each in (self.forward, self.backward))
        return {"forward ms": there * 1e3, "backward ms": back * 1e3, "share %": 100 * (there + back) / self.total}


class Profile(Callback):
    """Times some steps of a training, profiles as many, and then ends it: `watch.spent()` says what was found."""

    def __init__(self, steps: int):
        self.steps, self.needed = steps, WARM + 2 * steps
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler's library writes to the terminal
        self.profiler = profile()
        self.times: list[float] = []
        self.ranges = ExitStack()

    def started(self, trainer: Trainer) -> None:
        trainer.learner = Ranged(trainer.learner, self.needed + 1)
        for name, module in trainer.model.named_modules():
            self.ranges.enter_context(Ranges(f"{name or 'model'} ({type(module).__name__})", module))
        self.last = time.perf_counter()

    def stepped(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        self.times.append(now - self.last)
        if trainer.step == WARM + self.steps:
            self.ranges.enter_context(self.profiler)
        elif trainer.step == self.needed:
            self.ranges.close()
            trainer.stop(INTERRUPTED)
        self.last = time.perf_counter()

    def finished(self, trainer: Trainer) -> None:
        self.ranges.close()

    def spent(self) -> Spent:
        plain, profiled = self.times[WARM : WARM + self.steps], self.times[WARM + self.steps :]
        forward, backward = medians(list(self.profiler.function_events or ()), profiled)
        return Spent(forward, backward, statistics.median(plain), statistics.median(profiled))


class Ranges:
    """A range of the profiler around each call of a module."""

    def __init__(self, name: str, module: nn.Module):
        self.name, self.module, self.open = RANGE + name, module, list[record_function]()

    def __enter__(self) -> None:
        self.hooks = [
            self.module.register_forward_pre_hook(self._begin),
            self.module.register_forward_hook(self._end, always_call=True),
        ]

    def __exit__(self, *error: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _begin(self, *call: object) -> None:
        self.open.append(record_function(self.name))
        self.open[-1].__enter__()

    def _end(self, *call: object) -> None:
        self.open.pop().__exit__(None, None, None)


class Ranged:
    """A learner whose batches and losses are ranges of the profiler; its first epoch is long enough for `steps`."""

    def __init__(self, learner: Learner, steps: int):
        self.learner, self.steps = learner, steps
        self.metric: Metric = learner.metric

    @property
    def learned(self) -> bool:
        return self.learner.learned

    def batches(self, epoch: int, shard: Shard) -> Sequence[Any]:
        return Repeated(self.learner.batches(epoch, shard), self.steps)

    def loss(self, model: nn.Module, batch: object, carry: dict[str, Tensor]) -> Step:
        with record_function(RANGE + LOSS):
            return self.learner.loss(model, batch, carry)

    def validate(self, model: nn.Module) -> dict[str, float]:
        return self.learner.validate(model)


class Repeated(Sequence):
    """Batches over and over, `length` of them."""

    def __init__(self, batches: Sequence[Any], length: int):
        self.made, self.length = batches, length

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> object: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[object]: ...
    def __getitem__(self, index: int | slice) -> object:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        with record_function(RANGE + READING):
            return self.made[index % len(self.made)]


# ---- from events to sums


def medians(events: Sequence[FunctionEvent], times: Sequence[float]) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of a step by part, forward and backward, for steps that took `times`: of each the median over the steps,
    which keeps out what other processes did."""
    ordered = sorted(events, key=lambda event: event.time_range.start)
    owners: dict[int, str] = {}
    for event in ordered:  # the last operation with a number makes the node of the backward pass
        if event.sequence_nr >= 0 and not _engine(event):
            owners[event.sequence_nr] = _range(event)
    forward: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(times))
    backward: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(times))
    forward[REST] = list(times)
    step = -1
    for event in ordered:
        step += event.name == RANGE + READING  # with which a step begins
        node, seconds = _engine(event), event.self_cpu_time_total / 1e6
        part = forward[_range(event)] if node is None else backward[owners.get(node.sequence_nr, BACKWARD)]
        if 0 <= step < len(times) and part is not forward[REST]:
            part[step] += seconds
            forward[REST][step] -= seconds
    there, back = ({part: statistics.median(each) for part, each in way.items()} for way in (forward, backward))
    return there, back


def _above(event: FunctionEvent) -> Iterator[FunctionEvent]:
    found: FunctionEvent | None = event
    while found is not None:
        yield found
        found = found.cpu_parent


def _engine(event: FunctionEvent) -> FunctionEvent | None:
    """The node of the backward pass that an operation belongs to."""
    return next((each for each in _above(event) if each.name.startswith(ENGINE)), None)


def _range(event: FunctionEvent) -> str:
    """The part of the step that an operation belongs to: the innermost range around it."""
    for each in _above(event):
        if each.name.startswith(RANGE):
            return each.name.removeprefix(RANGE)
        if each.name.startswith("Optimizer."):
            return OPTIMISER
    return REST
