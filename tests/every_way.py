"""One drawn cell in every way in which it runs, each beside the reference: `attempt(17)` draws the same one every time.

As a kernel: forward, backward, inference, with lengths and in reverse. As a layer, of one or two layers and directions,
with states, lengths and resets: training, inference, step by step, every value, saved and loaded, torch.func.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gatework
from cases import sizes_of, value_of
from compare import assert_close
from gatework.compiler import wrappers
from gatework.compiler.lang import Cell
from gatework.compiler.params import size
from gatework.compiler.pipeline import prepare
from kernel_check import HERE, LAYOUTS, Setting, check
from random_cells import random_cell

WRAPPED: list[dict[str, Any]] = [{}, {}, {}, {}, {"hold": {}}, {"reset": {}, "hold": {}}, {"recurrent_dropout": {}}]


def attempt(number: int) -> None:
    """Raises where two ways differ, or one of them ends in an error."""
    draw = Random(f"cells {number}")
    cell, at = random_cell(draw), setting(draw)
    torch.manual_seed(number)
    ways = Ways(cell, at, draw)
    with np.errstate(all="ignore"):
        check(prepare(cell.graph, {"reset": {}} if "reset" in ways.call else draw.choice(WRAPPED)), at)
    ways.check()


def setting(draw: Random) -> Setting:
    return Setting(
        T=draw.randint(1, 6), B=draw.randint(1, 9), H=draw.randint(1, 40), I=draw.randint(1, 20),
        dtype=draw.choice(["float64", "float32"]), isa=HERE[0], layout=draw.choice(LAYOUTS),
        recompute=draw.choice([False, True]), given_start=draw.choice([False, True]), seed=draw.randint(0, 1_000),
    )  # fmt: skip


class Ways:
    """A layer of the cell, and arrays for its calls."""

    def __init__(self, cell: Cell, at: Setting, draw: Random):
        self.at, self.draw, self.dtype = at, draw, getattr(torch, at.dtype)
        sizes = sizes_of(cell.graph, H=at.H, I=at.I, P=max(1, at.H // 2 - 1))
        sizes |= {"heads": next(h for h in (3, 2, 1) if at.H % h == 0)} if "heads" in sizes else {}
        self.layer = gatework.Recurrent(
            cell, at.I, at.H, num_layers=self.depth(cell), bidirectional=draw.choice([False, True]), dtype=self.dtype,
            sizes={name: n for name, n in sizes.items() if name not in ("I", "H")}, recompute=at.recompute,
            learn_initial_state=draw.choice([False, True]),
        )  # fmt: skip
        self.graph, self.numpy = cell.graph, np.random.default_rng(at.seed)
        x, *others = self.graph.inputs
        self.x = self.given(x)
        self.others = {i.name: self.given(i) for i in others}
        self.call: dict[str, Any] = {}
        if draw.choice([False, True]):
            self.call["lengths"] = torch.tensor([draw.randint(0, at.T) for _ in range(at.B)])
        if draw.choice([False, True]):
            self.call["reset"] = torch.tensor([[draw.randint(0, 3) == 3 for _ in range(at.B)] for _ in range(at.T)])
        if at.given_start:
            lead = (self.layer.num_layers * self.layer.directions, at.B)
            self.call["states"] = tuple(self.normal(*lead, w) for w in self.layer.state_widths)

    def depth(self, cell: Cell) -> int:
        return self.draw.choice([1, 1, 2]) if cell.graph.inputs[0].width == "I" else 1

    def normal(self, *shape: int) -> Tensor:
        return torch.from_numpy(self.numpy.normal(size=shape)).to(self.dtype)

    def given(self, item: Any) -> Any:
        width = size(self.layer.layer_sizes(0), item.width)
        value = value_of(item.name, item.per, width, self.at.T, self.at.B, self.numpy)
        return value if item.per == "call" else torch.from_numpy(value).to(self.dtype)

    def run(self, x: Tensor, **call: Any) -> list[Tensor]:
        """The output, and the last states."""
        output, states = self.layer(x, **self.others, **(call or self.call))[:2]
        return [output, *(states if isinstance(states, tuple) else (states,))]

    def close(self, got: Any, want: Any, what: str) -> None:
        assert_close(got, want, self.at.T, f"{what} of {self.layer}, {self.at}, {sorted(self.call)}", loosen=100)

    def check(self) -> None:
        leaves = [self.x, *self.call.get("states", ())]
        exact = [leaf.double().requires_grad_() for leaf in leaves]
        want = self.reference(*exact)
        along = [self.normal(*value.shape) for value in want]
        gradients = torch.autograd.grad(weighted(want, along), exact, allow_unused=True)
        wanted = [torch.zeros_like(e) if g is None else g for e, g in zip(exact, gradients, strict=True)]
        self.check_training(leaves, want, along, wanted)
        with torch.no_grad():
            for k, (got, value) in enumerate(zip(self.run(self.x), want, strict=True)):
                self.close(got, value, f"inference, result {k}")
            self.check_steps()
            self.check_saved()
        self.check_transforms(want, along, wanted[0])

    def check_training(self, leaves: list[Tensor], want: list[Tensor], along: list[Tensor], wanted: list) -> None:
        leaves = [leaf.detach().requires_grad_() for leaf in leaves]
        call = {**self.call, "states": tuple(leaves[1:])} if "states" in self.call else self.call
        got = self.run(leaves[0], **call)
        for k, (value, expected) in enumerate(zip(got, want, strict=True)):
            self.close(value, expected, f"training, result {k}")
        found = torch.autograd.grad(weighted(got, along), leaves, allow_unused=True)
        for k, (leaf, gradient, expected) in enumerate(zip(leaves, found, wanted, strict=True)):
            self.close(torch.zeros_like(leaf) if gradient is None else gradient, expected, f"gradient of argument {k}")

    def check_steps(self) -> None:
        """One step after another is the sequence."""
        if self.layer.bidirectional:
            return
        want, states, outputs = self.layer(self.x, **self.others)[0], None, []
        per = {i.name: i.per for i in self.graph.inputs}
        for t in range(self.at.T):
            others = {n: v[t] if per[n] == "step" else v for n, v in self.others.items()}
            output, states = self.layer.step(self.x[t], states, **others)
            outputs.append(output)
        self.close(torch.stack(outputs), want, "step by step")

    def check_saved(self) -> None:
        want = self.layer(self.x, **self.others)[0]
        arrays = {n: v if isinstance(v, float) else v.numpy() for n, v in self.others.items()}
        with tempfile.TemporaryDirectory() as folder:
            gatework.save(self.layer, path := Path(folder) / "layer.safetensors")
            runner = gatework.runtime.load(path)
        self.close(runner.run(self.x.numpy(), **arrays), want, "saved and loaded")
        if not self.layer.bidirectional:
            runner.reset()
            per = {i.name: i.per for i in self.graph.inputs}
            steps = [
                runner.step(x, **{n: v[t] if per[n] == "step" else v for n, v in arrays.items()})
                for t, x in enumerate(self.x.numpy())
            ]
            self.close(np.stack(steps), want, "a stream of the saved layer")

    def check_transforms(self, want: list[Tensor], along: list[Tensor], gradient: Tensor) -> None:
        """torch.func: the gradient, its product with a direction, and one sequence at a time."""
        loss: Callable[[Tensor], Tensor] = lambda x: weighted(self.run(x), along)  # noqa: E731
        self.close(torch.func.grad(loss)(self.x), gradient, "torch.func.grad")
        direction = self.normal(*self.x.shape)
        pushed = torch.func.jvp(loss, (self.x,), (direction,))[1]
        scale = (gradient * direction).abs().sum()
        assert abs(pushed - (gradient * direction).sum()) <= {"float32": 1e-3, "float64": 1e-9}[self.at.dtype] * scale
        per = {i.name: i.per for i in self.graph.inputs}
        names = [n for n in self.others if per[n] != "call"]
        rest = {n: v for n, v in self.others.items() if per[n] == "call"}

        def single(x: Tensor, *others: Tensor) -> Tensor:
            batch = {n: v.unsqueeze(1 if per[n] == "step" else 0) for n, v in zip(names, others, strict=True)}
            return self.layer(x.unsqueeze(1), **batch, **rest)[0].squeeze(1)

        dims = (1, *(1 if per[n] == "step" else 0 for n in names))
        found = torch.func.vmap(single, dims, 1)(self.x, *(self.others[n] for n in names))
        self.close(found, self.layer(self.x, **self.others)[0], "torch.func.vmap")

    def reference(self, x: Tensor, *states: Tensor) -> list[Tensor]:
        """Output and last states in float64, by the interpreter, layer for layer; it can be differentiated."""
        last = []
        for k in range(self.layer.num_layers):
            both = [self.direction(x, k, d, states) for d in range(self.layer.directions)]
            x = torch.cat([run.history[self.graph.states[0].name] for run in both], 2)
            last += [run.final for run in both]
        return [x, *(torch.stack([final[s.name] for final in last]) for s in self.graph.states)]

    def direction(self, x: Tensor, layer: int, d: int, states: tuple[Tensor, ...]) -> Any:
        number, graph = layer * self.layer.directions + d, self.graph
        weights = {key: torch.from_numpy(value).double() for key, value in self.layer.weights(number).items()}
        own = {s.name: self.own_start(s.name, number) for s in graph.states}
        start = {s.name: values[number] for s, values in zip(graph.states, states, strict=False)} or own
        inputs = {graph.inputs[0].name: x}
        inputs |= {n: v if isinstance(v, float) else v.double() for n, v in self.others.items()}
        if "reset" in self.call:
            inputs |= {"reset": self.afresh(reverse=d == 1)} | {f"start_{name}": value for name, value in own.items()}
            graph = wrappers.reset(graph)
        sizes, lengths = self.layer.layer_sizes(layer), self.call.get("lengths")
        return gatework.reference(graph, sizes, inputs, weights, start, lengths, reverse=d == 1)

    def afresh(self, reverse: bool) -> Tensor:
        """Where a segment begins, (T, B, 1): in reverse one step before the next one, if the row goes so far."""
        reset, lengths = self.call["reset"], self.call.get("lengths", torch.full((self.at.B,), self.at.T))
        reset = reset & (torch.arange(self.at.T)[:, None] < lengths)
        reset = torch.cat([reset[1:], torch.zeros_like(reset[:1])]) if reverse else reset
        return reset[:, :, None].double()

    def own_start(self, name: str, number: int) -> Tensor:
        """What a state is before the first step, where none is given."""
        state = self.graph.state(name)
        width = size(self.layer.layer_sizes(0), state.width)
        if not self.layer.learn_initial_state:
            return torch.full((self.at.B, width), state.start, dtype=torch.float64)
        learned = getattr(self.layer, f"initial_{name}{self.layer.all_suffixes()[number]}")
        return learned.detach().double().expand(self.at.B, width)


def weighted(values: list[Tensor], along: list[Tensor]) -> Tensor:
    total = sum((value * a).sum() for value, a in zip(values, along, strict=True))
    assert isinstance(total, Tensor)
    return total
