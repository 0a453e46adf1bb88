"""One training on a test of memory: Adam, clipped gradients, fresh random batches, and an exam at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatework import cells
from gatework.bench.memory.models import TRANSFORMER, CellNet, Transformer
from gatework.bench.memory.tasks import Test, reach
from gatework.compiler.carry import factors, gates

CLIP = 1.0
EVERY = 50  # steps between two looks at fresh sequences
LOOKED_AT, EXAM = 256, 1000  # sequences
MARGIN = 0.6  # a training stops when the error is below this part of what the goal allows
MOST = 200  # the largest n that counting tests are read for
GENTLER = {"rnn": 0.5, "rnn_relu": 0.5, "rnn_sigmoid": 0.5, TRANSFORMER: 0.2}  # of the rate, for what needs less
FEWER = 2  # times fewer steps for the Transformer, each of which costs several of a cell's
LEAST = 16  # units of a Transformer
WARM_UP = 100  # steps over which a rate that falls later rises first


@dataclass(frozen=True)
class Trial:
    """What one training led to. `score` is a mean squared error, a share, or the n that a counter reached."""

    task: str
    model: str
    length: int
    seed: int
    score: float
    passed: bool
    steps: int
    seconds: float
    parameters: int


def trial(test: Test, model: str, length: int, seed: int, chrono: bool = True) -> Trial:
    """Train a model at a length with a seed and examine it.

    trial(tasks.get("adding"), "gru", 200, seed=1)          # Trial(..., score=0.0042, passed=True, steps=400, ...)
    """
    torch.manual_seed(seed)
    net, own = network(test, model, length + test.lag if chrono and test.chrono else None), planned(test, model)
    began = time.perf_counter()
    steps = train(own, net, length, np.random.default_rng([seed, length]))
    seconds = time.perf_counter() - began
    found = examine(test, net, length, seed)
    size = sum(p.numel() for p in net.parameters())
    return Trial(test.name, model, length, seed, found, test.passes(found), steps, seconds, size)


def planned(test: Test, model: str) -> Test:
    """The test with the rate, the number of steps and the noise that a model gets.

    Noise is for cells that count in a state beside their output, as LSTMs do; the GRU and the plain RNN do not even
    learn the strings they are shown with it.
    """
    fewer = FEWER if model == TRANSFORMER else 1
    noise = test.noise if model != TRANSFORMER and len(cells.get(model).graph.states) > 1 else 0.0
    return replace(test, rate=test.rate * GENTLER.get(model, 1.0), steps=test.steps // fewer, noise=noise)


def settings(test: Test, model: str, chrono: bool) -> dict[str, Any]:
    """How a model is trained on a test, for the record."""
    own = planned(test, model)
    named = {name: getattr(own, name) for name in ("units", "rows", "steps", "rate", "noise", "falling")}
    start = "uniform"
    if model != TRANSFORMER and not carries(model):
        start = "orthogonal"
    elif model != TRANSFORMER and chrono and test.chrono and gates(cells.get(model).graph):
        start = "chrono"
    return named | {"start": start}


def network(test: Test, model: str, chrono: int | None = None) -> nn.Module:
    """The cell of that name, or the Transformer, in the size that the test asks for.

    A cell whose state passes through a function at every step starts with orthogonal matrices (Saxe, McClelland &
    Ganguli, ICLR 2014; as Keras starts it): from small random ones a plain RNN hardly begins to learn.
    """
    if model == TRANSFORMER:
        return Transformer(test.inputs, max(test.units, LEAST), test.outputs)
    start = {"chrono": max(chrono, 3)} if chrono and gates(cells.get(model).graph) else {}
    net = CellNet(model, test.inputs, test.units, test.outputs, **start)
    for weight in [] if carries(model) else net.recurrent.parameters():
        if weight.shape == (test.units, test.units):
            nn.init.orthogonal_(weight)
    return net


def carries(cell: str) -> bool:
    """Whether a cell has a state that is carried on linearly, as the LSTM's c and the GRU's h."""
    return any(factor is not None for factor in factors(cells.get(cell).graph)[1].values())


def train(test: Test, net: nn.Module, length: int, random: np.random.Generator) -> int:
    """Train until fresh sequences are answered well or the steps are used up; gives the steps made."""
    optimizer = torch.optim.Adam(net.parameters(), test.rate)
    for step in range(1, test.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = test.rate * (falling(step / test.steps, step) if test.falling else 1.0)
        batch = test.train(length, test.rows, random)
        optimizer.zero_grad()
        with noisy(net, test.noise):
            test.loss(net(batch.inputs, test.last), batch).backward()
        nn.utils.clip_grad_norm_(net.parameters(), CLIP)
        optimizer.step()
        if not test.falling and step % EVERY == 0 and learned(test, net, length, random):
            return step
    return test.steps


def falling(progress: float, step: int) -> float:
    """The rate's course: up within the first steps, then down along half a cosine."""
    return min(1.0, step / WARM_UP) * 0.5 * (1 + math.cos(math.pi * progress))


@contextmanager
def noisy(net: nn.Module, deviation: float) -> Iterator[None]:
    """Normal noise on the recurrent weights while a gradient is made (Graves, NIPS 2011): gates learn to saturate, so
    that a counter adds and takes the same amount at every step."""
    weights = [p for n, p in net.named_parameters() if n.startswith("recurrent.")] if deviation else []
    noise = [torch.randn_like(w) * deviation for w in weights]
    with torch.no_grad():
        for weight, change in zip(weights, noise, strict=True):
            weight += change
    yield
    with torch.no_grad():
        for weight, change in zip(weights, noise, strict=True):
            weight -= change


def learned(test: Test, net: nn.Module, length: int, random: np.random.Generator) -> bool:
    """Whether fresh sequences for training are answered better than the goal by a margin."""
    batch = (test.watched or test.train)(length, LOOKED_AT, random)
    with torch.no_grad():
        found = test.score(net(batch.inputs, test.last), batch)
    return found < MARGIN * test.goal if test.kind == "number" else 1 - found <= MARGIN * (1 - test.goal)


def examine(test: Test, net: nn.Module, length: int, seed: int) -> float:
    """The score on sequences that training did not see."""

    def answer(inputs: Tensor) -> Tensor:
        return net(inputs, test.last)

    net.eval()
    if test.counts:
        return float(reach(test, answer, MOST))
    batch = test.exam(length, EXAM, np.random.default_rng([seed, length, 1]))
    with torch.no_grad():
        return test.score(answer(batch.inputs), batch)
