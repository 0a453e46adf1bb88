"""What one more step costs when data arrives as it is made."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from gatework import runtime
from gatework.bench.memory import tasks
from gatework.bench.memory.models import Cached, CellNet, Transformer
from gatework.bench.memory.tasks import Test
from gatework.bench.memory.training import network
from gatework.runtime.llvm.compiled import Compiled
from gatework.runtime.llvm.stream import Stream

CALLS = 300
SIZES = (32, 128, 512)  # units


def sizes(models: Sequence[str], kept: int = 200) -> dict[str, dict[int, float]]:
    """Seconds of one step of each model by its units: what a stream costs where 32 units are not enough.

    A Transformer has kept the keys and values of `kept` steps.

    >>> [units for units, seconds in sizes(("rnn",))["rnn"].items() if 0 < seconds < 1]
    [32, 128, 512]
    """
    test = tasks.get("adding")
    return {model: {n: seconds_a_step(replace(test, units=n), model, kept) for n in SIZES} for model in models}


def seconds_a_step(test: Test, model: str, length: int) -> float:
    """The median time of one step for one stream: a cell's bound stream, or a Transformer that has kept the keys and
    values of `length` steps."""
    net = network(test, model)
    x = np.zeros((1, test.inputs), np.float32)
    if isinstance(net, Transformer):
        return _transformer(net, torch.from_numpy(x), length)
    return _timed(_stream(net, x))


def _stream(net: Any, x: np.ndarray) -> Callable[[], object]:
    """A step of the recurrent layer and of the linear one on top; of torch modules where there is no kernel."""
    assert isinstance(net, CellNet)
    layer = net.recurrent.eval()
    program = runtime.program(layer.graph, layer.layer_sizes(0), "float32")
    if not isinstance(program, Compiled):
        return torch.inference_mode()(lambda: net(torch.from_numpy(x)[None]))
    stream = Stream(program, layer.weights(0), batch=1)
    weight, bias = (p.detach().numpy() for p in (net.head.weight, net.head.bias))
    return lambda: stream.step(x) @ weight.T + bias


def _transformer(net: Transformer, x: torch.Tensor, length: int) -> float:
    with torch.inference_mode():
        cached = Cached(net.eval(), rows=1)
        for _ in range(length):
            cached.step(x)
        kept = [list(pair) for pair in cached.kept]

        def step() -> None:
            cached.kept, cached.steps = [list(pair) for pair in kept], length
            cached.step(x)

        return _timed(step)


def _timed(call: Callable[[], object]) -> float:
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times[CALLS // 10 :])
