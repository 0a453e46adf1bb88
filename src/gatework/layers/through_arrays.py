"""The recurrence by way of numpy arrays and a program's checked calls: for programs that are interpreted, for batches
without a step, and with GATEWORK_CHECK. Slower than `direct`, and the backward pass runs the forward pass again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from gatework.layers.binding import Binding
from gatework.runtime.rows import Rows


def forward(
    binding: Binding, rows: Rows, rates: dict[str, float], tensors: Sequence[Any], train: bool
) -> tuple[list, list]:
    """Last values of the states, and their histories (None where not kept)."""
    done = _run(binding, rows, rates, tensors, train)
    finals = [torch.from_numpy(done.final[s]) for s in binding.states]
    return finals, [torch.from_numpy(done.history[s]) if s in done.history else None for s in binding.states]


def _run(binding: Binding, rows: Rows, rates: dict[str, float], tensors: Sequence[Any], train: bool) -> Any:
    arrays = [None if t is None else t.detach().numpy() for t in tensors]
    first, params = binding.first_start, binding.first_param
    inputs = dict(zip((*binding.steps, *binding.sequences), arrays, strict=False))
    start = dict(zip(binding.states, arrays[first:params], strict=True))
    program = binding.program(tensors[0].dtype)
    return program.forward(rows, {**inputs, **rates}, start, binding.weights(arrays[params:]), train=train)


def backward(
    binding: Binding, rows: Rows, rates: dict[str, float], tensors: Sequence[Any], d_histories: Sequence[Any],
    d_finals: Sequence[Any], need: Collection[str],
) -> list:  # fmt: skip
    """A gradient, or None, for each of the binding's tensors."""
    done = _run(binding, rows, rates, tensors, True)
    given = [
        {s: g.numpy() for s, g in zip(binding.states, d, strict=True) if g is not None} for d in (d_histories, d_finals)
    ]
    found = binding.program(tensors[0].dtype).backward(done, *given, need={*need, "start"})
    names = (*binding.steps, *binding.sequences)
    result = [_tensor(found.inputs.get(n)) if n in need else None for n in names]
    result += [_tensor(found.start.get(s)) for s in binding.states]
    params = tensors[binding.first_param :]
    return result + (binding.gradients(found.weights, params) if "weights" in need else [None] * len(params))


def _tensor(array: Any) -> Tensor | None:
    return None if array is None else torch.from_numpy(array)
