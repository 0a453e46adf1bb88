"""Gradients of the loss by each state at each step, of any cell: every state's new value plus an input of zeros, whose
gradient is what the loss feels of the state, through all later steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatework.compiler import params
from gatework.compiler.edit import Edit
from gatework.compiler.ir import Graph
from gatework.layers import GRU, RNN, Recurrent
from gatework.layers.parts import part_of

PUSH = "push_"
States = tuple[Tensor, ...]


@cache
def pushed(graph: Graph) -> Graph:
    """The cell with an input "push_h" for each state, which is added to the state's new value."""
    edit = Edit(graph)
    pairs = zip(edit.news(), graph.states, strict=True)
    return edit.finish([new + edit.input(PUSH + s.name, s.width, "step") for new, s in pairs])


@dataclass
class Part:
    """One direction of one layer as it ran: what it read, in the order in which it read it, and its pushes."""

    name: str
    layer: Recurrent
    depth: int
    direction: int
    inputs: Tensor
    lengths: np.ndarray
    pushes: dict[str, Tensor] = field(default_factory=dict)

    def back(self, state: str) -> np.ndarray:
        """Mean norm of the loss's gradient by a state, over the steps back from the end of reading: [0] is the last."""
        gradient = self.pushes[state].grad
        assert gradient is not None, "the loss was not run backward"
        return from_the_end(gradient.double().norm(dim=2).numpy(), self.lengths)


def from_the_end(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Means (T,) over rows of values (T, B), aligned at the ends of the rows."""
    steps = np.arange(int(lengths.max()))
    at = lengths[None, :] - 1 - steps[:, None]
    there = at >= 0
    found = np.take_along_axis(values, np.maximum(at, 0), axis=0)
    return np.where(there, found, 0.0).sum(1) / there.sum(1)


@contextmanager
def watched(model: nn.Module) -> Iterator[list[Part]]:
    """While it lasts, the recurrent layers run direction by direction, and are listed as they do."""
    found: list[Part] = []
    layers = {name: each for name, each in model.named_modules() if isinstance(each, Recurrent)}
    for name, layer in layers.items():
        vars(layer)["forward"] = Watched(name, layer, found)
    try:
        yield found
    finally:
        for layer in layers.values():
            del vars(layer)["forward"]


class Watched:
    """A layer's forward, in parts."""

    def __init__(self, name: str, layer: Recurrent, found: list[Part]):
        self.name, self.layer, self.found = name, layer, found
        self.single = isinstance(layer, GRU | RNN)  # whose forward gives the one state alone, as torch.nn's do

    def __call__(self, input: Tensor | PackedSequence, states: Tensor | States | None = None) -> tuple:
        if isinstance(input, PackedSequence):
            values, lengths = pad_packed_sequence(input)
        else:
            values, lengths = self.turned(input), None
        starts = (states,) if isinstance(states, Tensor) else states
        finals: list[States] = []
        for depth in range(self.layer.num_layers):
            outputs = []
            for d in range(self.layer.directions):
                k = depth * self.layer.directions + d
                start = None if starts is None else tuple(each[k : k + 1] for each in starts)
                output, last = self.part(depth, d, values, lengths, start)
                outputs.append(output)
                finals.append(last)
            values = torch.cat(outputs, 2)
        after = tuple(torch.cat(each) for each in zip(*finals, strict=True))
        if isinstance(input, PackedSequence):
            assert lengths is not None
            output = pack_padded_sequence(values, lengths, enforce_sorted=input.sorted_indices is None)
        else:
            output = self.turned(values)
        return output, after[0] if self.single else after

    def turned(self, values: Tensor) -> Tensor:
        return values.transpose(0, 1) if self.layer.batch_first else values

    def part(
        self, depth: int, d: int, values: Tensor, lengths: Tensor | None, start: States | None
    ) -> tuple[Tensor, States]:
        """One direction of one layer over (T, B, I)."""
        graph = self.layer.graph_in_evaluation()
        run = part_of(self.layer, depth, d, pushed(graph))
        steps, rows = values.shape[:2]
        counts = torch.full((rows,), steps) if lengths is None else lengths
        given = flipped(values, counts) if d else values
        sizes = run.layer_sizes(0)
        pushes = {
            s.name: values.new_zeros(steps, rows, params.size(sizes, s.width)).requires_grad_(True)
            for s in graph.states
        }
        words = [
            self.name,
            *([f"layer {depth + 1}"] if self.layer.num_layers > 1 else []),
            *(["backward"] if d else []),
        ]
        self.found.append(Part(" ".join(words), self.layer, depth, d, given.detach(), counts.numpy(), pushes))
        more: dict[str, Any] = {PUSH + name: push for name, push in pushes.items()}
        output, last = Recurrent.forward(run, given, start, lengths=lengths, **more)
        return (flipped(output, counts) if d else output), last


def flipped(values: Tensor, lengths: Tensor) -> Tensor:
    """Each row (T, B, w) read from its own end; what stands behind the end stays."""
    steps = torch.arange(len(values))[:, None]
    at = torch.where(steps < lengths[None, :], lengths[None, :] - 1 - steps, steps)
    return values.gather(0, at[:, :, None].expand_as(values))
