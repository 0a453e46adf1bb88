"""Longer and longer until it fails: which length each model reaches on each test."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from gatework import cells
from gatework.bench.memory import tasks
from gatework.bench.memory.models import TRANSFORMER
from gatework.bench.memory.speed import seconds_a_step
from gatework.bench.memory.tasks import Test
from gatework.bench.memory.training import MOST, Trial, trial
from gatework.compiler import params
from gatework.errors import OptionError

MODELS = ("lstm", "gru", "rnn", TRANSFORMER)
Say = Callable[[str], None]


class Key(NamedTuple):
    """What a training is known by; with the same settings it always ends the same."""

    test: str
    model: str
    length: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to measure.

    models     cells by name, and "transformer"
    tests      names of tests
    lengths    instead of the tests' own; tried in ascending order until one fails
    seeds      how many trainings decide, by their median: with the seeds 1, 2, ...
    chrono     gates start for memories as long as the sequence, where a test asks for it
    minutes    no training begins later than this
    known      trainings of an earlier run, which are not done again

    Raises OptionError for names that there are not, and numbers that make no sense.
    """

    models: tuple[str, ...] = MODELS
    tests: tuple[str, ...] = tuple(tasks.TESTS)
    lengths: tuple[int, ...] | None = None
    seeds: int = 3
    chrono: bool = True
    minutes: float = 30.0
    known: Mapping[Key, Trial] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.lengths == ():
            raise OptionError("lengths is empty; give numbers such as 50,100, or leave it out")
        for name in self.tests:
            test = tasks.get(name)
            if test.counts and self.lengths:
                raise OptionError(f"--lengths: {name} is learned up to n = 10 and read at every n; leave lengths away")
            if any(length < test.least for length in self.lengths or ()):
                raise OptionError(f"--lengths {min(self.lengths or ())}: {name} begins at length {test.least}")
        for name in self.models:
            _check_model(name)
        if self.seeds < 1 or not self.minutes > 0:
            raise OptionError(
                f"seeds={self.seeds}, minutes={self.minutes}; give at least 1 seed and more than 0 minutes"
            )


def _check_model(name: str) -> None:
    if name == TRANSFORMER:
        return
    graph = cells.get(name).graph
    widths = set(params.symbols(graph)) - {"H", graph.inputs[0].width, "heads"}
    if widths or len(graph.inputs) > 1:
        raise OptionError(f"--cell {name}: the tests give a cell x alone and one size; {name} asks for more")


@dataclass(frozen=True)
class Reached:
    """What a model reached on a test.

    longest    the last length that passed; 0 if it failed at once
    fails      the length that failed; None if nothing failed
    score      at the last length, the median of the seeds
    step       seconds that one more step of a stream takes
    in_time    False if time was up before a length failed or all were tried
    """

    test: str
    model: str
    longest: int
    fails: int | None
    score: float
    step: float
    trials: tuple[Trial, ...]
    in_time: bool = True


def measure(asked: Asked, say: Say = lambda line: None) -> Iterator[Reached]:
    """A result for each test and model, as it is measured; none for what did not begin in time."""
    until = time.monotonic() + 60 * asked.minutes
    for name in dict.fromkeys(asked.tests):
        for model in dict.fromkeys(asked.models):
            with one_thread():
                found = climb(tasks.get(name), model, asked, until, say)
            if found is not None:
                yield found


@contextmanager
def one_thread() -> Iterator[None]:
    """Work as small as this is done soonest by one thread, and then to the same bits everywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def climb(test: Test, model: str, asked: Asked, until: float, say: Say) -> Reached | None:
    """Up the lengths until the median of the seeds fails, or time is up."""
    lengths = sorted(set(asked.lengths or test.lengths))
    longest, fails, score, in_time, done = 0, None, float("nan"), True, []
    for length in lengths:
        made = at_length(test, model, length, asked, until, say)
        done += made
        if len(made) < asked.seeds:
            say(f"{test.name} {model}: the time is up at length {length}; give more --minutes")
            in_time = False
            break
        score = statistics.median(each.score for each in made)
        if not test.passes(score):
            fails = length
            break
        longest = length
    if not done:
        return None
    if test.counts and in_time:
        longest, fails = int(score), None if score >= MOST else int(score) + 1
    step = seconds_a_step(test, model, MOST if test.counts else lengths[-1])
    return Reached(test.name, model, longest, fails, score, step, tuple(done), in_time)


def at_length(test: Test, model: str, length: int, asked: Asked, until: float, say: Say) -> Sequence[Trial]:
    """A training for each seed; fewer if time is up before the last has begun."""
    made = []
    for seed in range(1, asked.seeds + 1):
        found = asked.known.get(Key(test.name, model, length, seed))
        if found is None:
            if time.monotonic() > until:
                break
            found = trial(test, model, length, seed, asked.chrono)
            say(line(test, found))
        made.append(found)
    return made


def line(test: Test, found: Trial) -> str:
    """One training, for people who wait."""
    said = "passed" if found.passed else "failed"
    return (
        f"{test.name} {found.model} length {found.length} seed {found.seed}: {test.measured} {found.score:.4g}, "
        f"{said} after {found.steps} steps, {found.seconds:.0f} s"
    )
