"""A layer's call as scans over its cell's step, for the exporter of ONNX over torch.export: any cell, any inputs.

The step is the reference's, whose operations the exporter knows. With lengths, steps beyond a sequence's end change no
state, so that a backward direction starts at the sequence's own last step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gatework.backends.arrays import lib_of
from gatework.backends.onnx.step import shared_values
from gatework.backends.reference import Numbers, evaluate
from gatework.layers.batches import TracedEntry
from gatework.layers.binding import Binding
from gatework.layers.call import Call, cast

Step = Callable[[Sequence[Tensor], Sequence[Tensor]], tuple[list[Tensor], Tensor]]


class PaddedEntry(TracedEntry):
    """Sequences stay (T, B, w), with lengths or without."""

    def rows_of(self, values: Tensor, width: int) -> Tensor:
        if not self.batched:
            return values.unsqueeze(1)
        return values.transpose(0, 1) if self.batch_first else values


class PaddedCall(Call):
    """A call whose sequences stay padded, and whose last states are collected with an axis of directions."""

    entry: PaddedEntry

    def last_state(self, final: list[Tensor]) -> Tensor:
        state = cast(torch.cat(final) if len(final) > 1 else final[0], self.given)
        return state if self.entry.batched else state.squeeze(1)


class Scans(PaddedCall):
    """A call whose layers are scans."""

    def layer_over(self, depth: int, data: Tensor) -> Tensor:
        """(T, B, w) to (T, B, directions * H)."""
        return torch.cat([self.scanned(depth, d, data) for d in range(self.layer.directions)], -1)

    def scanned(self, depth: int, d: int, data: Tensor) -> Tensor:
        """Direction d of a layer: (T, B, w) to (T, B, H); keeps its last states."""
        from torch._higher_order_ops.scan import scan

        k = depth * self.layer.directions + d
        binding = self.layer.binding(depth)
        starts = [self.fresh(name, k) for name in self.names] if self.starts is None else [s[k] for s in self.starts]
        steps = [data, *(cast(self.inputs[name], self.dtype) for name in binding.steps[1:])]
        running = [self.running(data)] if self.entry.lengths is not None else []
        states = [cast(start, self.dtype).detach().clone() for start in starts]
        steps = [each.detach() for each in steps]  # else torch's scan gives also what gradients need, sizes among it
        last, output = scan(self.step(binding, k), states, [*steps, *running], reverse=d == 1)
        for final, state in zip(self.finals, last, strict=True):
            final.append(state.unsqueeze(0))
        return output

    def running(self, data: Tensor) -> Tensor:
        """(T, B, 1): is a sequence still running at a step?"""
        steps = torch.arange(data.shape[0], device=data.device)
        return (steps[:, None] < torch.as_tensor(self.entry.lengths)).unsqueeze(-1)

    def step(self, binding: Binding, k: int) -> Step:
        """One step of direction k: the states and what is read, to the new states and the output."""
        graph = binding.graph
        own = binding.weights([cast(p, self.dtype).detach() for p in self.layer.params_of_call(k)])
        weights = {key: weight.clone() for key, weight in own.items()}  # a scan takes no two parts of one tensor
        shares = shared_values(graph)
        given: dict[tuple[str, str], Any] = {
            ("input", name): cast(self.inputs[name], self.dtype).detach() for name in binding.sequences
        }

        def step(states: Sequence[Tensor], read: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
            numbers = Numbers(binding.sizes, weights, lib_of(states[0]))
            leaves = given | {("input", name): value for name, value in zip(binding.steps, read, strict=False)}
            leaves |= {("input", name): numbers.lib.number(rate) for name, rate in self.rates.items()}
            leaves |= {("state", name): value for name, value in zip(binding.states, states, strict=True)}
            leaves |= {("vector", v.name): weights[v.name][None, :] for v in graph.vectors}
            values = evaluate(graph.nodes, leaves, numbers)
            pairs = zip(graph.news, states, strict=True)
            new = [given_to_rows(values[n], state) if shares[n] else values[n] for n, state in pairs]
            if self.entry.lengths is None:
                return [state.clone() for state in new], new[0].clone()
            running = read[-1]
            kept = [torch.where(running, after, before) for after, before in zip(new, states, strict=True)]
            return kept, torch.where(running, new[0], numbers.lib.number(0.0))

        return step


def given_to_rows(value: Tensor, state: Tensor) -> Tensor:
    """A value (1, w) that all rows share, as (B, w); without the number B, which a scan's step cannot be told."""
    return torch.where(state == state, value, value)
