"""The tests of memory by name: what is shown, what is asked, when it is passed, and how networks are trained on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gatework.bench.memory import grammars, sequences
from gatework.bench.memory.sequences import Batch
from gatework.errors import OptionError

Make = Callable[[int, int, np.random.Generator], Batch]
LEARNED = 10  # the longest a^n b^n that training shows


@dataclass(frozen=True, kw_only=True)
class Test:
    """A test of memory.

    train     makes a batch for training: (length, rows, random)
    exam      likewise for the test
    watched   likewise to see when training is done; None: as for training, whose sequences do not repeat
    kind      what is asked: a "number", one of several "classes", or the "set" of symbols that may follow
    last      answers are asked at the last step alone
    lengths   tried one after the other until one fails; counting tests are trained once and read for every length
    goal      the score that passes: a mean squared error below it, a share of right answers or an n of at least it
    noise     on the recurrent weights while LSTMs are trained (see `training.planned`)
    falling   the rate falls to 0 over all steps; else it stays and training stops when fresh sequences go well
    chrono    gates that keep a state start for memories as long as what is remembered
    lag       steps over which something is remembered, beyond the length
    least     the shortest length that makes sense
    """

    name: str
    says: str
    inputs: int
    outputs: int
    kind: str
    train: Make
    exam: Make
    watched: Make | None = None
    lengths: tuple[int, ...]
    goal: float
    last: bool = True
    counts: bool = False
    units: int = 32
    rows: int = 32
    steps: int = 4000
    rate: float = 0.01
    noise: float = 0.0
    falling: bool = False
    chrono: bool = False
    lag: int = 0
    least: int = 1

    def loss(self, answers: Tensor, batch: Batch) -> Tensor:
        """The mean over what is judged."""
        targets, counts = batch.targets, batch.counts
        if self.kind == "number":
            return functional.mse_loss(answers[:, 0], targets)
        if counts is None:
            return functional.cross_entropy(answers, targets)
        if self.kind == "set":
            each = functional.binary_cross_entropy_with_logits(answers, targets, reduction="none").mean(2)
        else:
            each = functional.cross_entropy(answers.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
        return (each * counts).sum() / counts.sum()

    def right(self, answers: Tensor, batch: Batch) -> Tensor:
        """(B,) 1 where a sequence is answered rightly at every step that is judged; for copies the share of symbols."""
        if self.kind == "set" and batch.counts is not None:
            wrong = ((answers > 0) != (batch.targets > 0.5)).any(2) & (batch.counts > 0)
            return (~wrong.any(0)).double()
        same = (answers.argmax(-1) == batch.targets).double()
        return same if batch.counts is None else (same * batch.counts).sum(0) / batch.counts.sum(0)

    def score(self, answers: Tensor, batch: Batch) -> float:
        """The mean squared error, or the share that is right."""
        return float(self.loss(answers, batch) if self.kind == "number" else self.right(answers, batch).mean())

    def passes(self, score: float) -> bool:
        """Whether a score is good enough; a score that is no number is not."""
        return score < self.goal if self.kind == "number" else score >= self.goal

    @property
    def measured(self) -> str:
        """What the score is, in words."""
        if self.counts:
            return "largest n"
        return {"number": "mean squared error", "set": "strings right"}.get(self.kind, "answers right")


def _digits_exam(length: int, rows: int, random: np.random.Generator) -> Batch:
    return sequences.digits(length, rows, random, test=True)


def _reber_exam(length: int, rows: int, random: np.random.Generator) -> Batch:
    return grammars.reber_strings(length, rows, random, only=grammars.TEST)


def _reber_watched(length: int, rows: int, random: np.random.Generator) -> Batch:
    return grammars.reber_strings(length, rows, random, only=grammars.WATCHED)


def _counter(letters: str) -> dict[str, Any]:
    """All strings up to n = `length`, always the same; noise makes the count exact (see `training.noisy`)."""

    def make(length: int, rows: int, random: np.random.Generator) -> Batch:
        return grammars.counting(letters, range(1, length + 1))

    asked = {"kind": "set", "goal": 50, "last": False, "lengths": (LEARNED,), "counts": True}
    return asked | {"units": 8, "steps": 5000, "rate": 0.02, "noise": 0.2, "falling": True} | _same(make)


def _same(make: Make) -> dict[str, Any]:
    return {"train": make, "exam": make}


TESTS = {
    test.name: test
    for test in (
        Test(
            name="adding",
            says="the sum of two marked numbers",
            inputs=2,
            outputs=1,
            kind="number",
            goal=0.01,
            lengths=(20, 50, 100, 200, 400, 600),
            least=2,
            chrono=True,
            **_same(sequences.adding),
        ),
        Test(
            name="copy",
            says="ten symbols, said again after a pause",
            inputs=10,
            outputs=8,
            kind="classes",
            goal=0.99,
            lengths=(2, 10, 50, 100, 200),
            units=64,
            steps=6000,
            chrono=True,
            lag=sequences.COPIED,
            last=False,
            **_same(sequences.copy),
        ),
        Test(
            name="order",
            says="the order of two symbols among distractors",
            inputs=8,
            outputs=4,
            kind="classes",
            goal=0.99,
            lengths=(50, 100, 200, 400),
            least=10,
            chrono=True,
            **_same(sequences.temporal_order),
        ),
        Test(
            name="reber",
            says="strings of the embedded Reber grammar",
            inputs=7,
            outputs=7,
            kind="set",
            goal=0.99,
            lengths=(5, 10, 20, 40),
            last=False,
            train=grammars.reber_strings,
            exam=_reber_exam,
            watched=_reber_watched,
        ),
        Test(name="anbn", says="a^n b^n, learned up to n = 10", inputs=4, outputs=4, **_counter("ab")),
        Test(name="anbncn", says="a^n b^n c^n, learned up to n = 10", inputs=5, outputs=5, **_counter("abc")),
        Test(
            name="digits",
            says="handwritten digits, one pixel a step",
            inputs=1,
            outputs=10,
            kind="classes",
            goal=0.9,
            lengths=(64, 128, 256),
            least=64,
            steps=1500,
            falling=True,
            train=sequences.digits,
            exam=_digits_exam,
        ),
    )
}  # fmt: skip (a table: the options of a test stand together)


def get(name: str) -> Test:
    """The test of that name; raises OptionError with the names there are."""
    if name not in TESTS:
        raise OptionError(f"there is no memory test {name!r}; choose of {', '.join(TESTS)}")
    return TESTS[name]


def reach(test: Test, answer: Callable[[Tensor], Tensor], most: int) -> int:
    """The largest n up to `most` such that all strings of a^k b^k (or a^k b^k c^k), k from 1 to n, are right."""
    batch = test.exam(most, most, np.random.default_rng(0))
    with torch.no_grad():
        wrong = test.right(answer(batch.inputs), batch) < 1
    return int(wrong.int().argmax()) if bool(wrong.any()) else most
