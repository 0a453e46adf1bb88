"""The recurrence where no prepared call can run it.

`differentiable`   the reference over torch tensors: slow, on every device, with derivatives of every order
`forward`,         a program's checked calls on numpy arrays: for programs that are interpreted, for batches without a
`backward`         step, and with GATEWORK_CHECK; the backward pass runs the forward pass again
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from gatework.backends import reference
from gatework.layers.binding import Binding, Setting, Tensors
from gatework.runtime.program import Pass
from gatework.runtime.rows import Rows


def differentiable(binding: Binding, setting: Setting, tensors: Tensors) -> list[Tensor]:
    """As `autograd.recurrence`, as ordinary operations of torch."""
    rows, device = setting.rows, tensors[0].device
    *places, lengths = _places(rows)
    into, back = (torch.from_numpy(a).to(device) for a in places)
    steps, first, params = len(binding.steps), binding.first_start, binding.first_param
    padded = [t.index_select(0, into).view(len(rows.counts), rows.batch, t.shape[1]) for t in tensors[:steps]]
    inputs = dict(zip((*binding.steps, *binding.sequences), (*padded, *tensors[steps:first]), strict=True))
    start = {s: t for s, t in zip(binding.states, tensors[first:params], strict=True) if t is not None}
    weights = binding.weights(tensors[params:])
    run = reference.run(binding.graph, binding.sizes, {**inputs, **setting.rates}, start, weights, lengths.tolist())
    names = binding.states if setting.return_all else binding.states[:1]
    flat = [run.history[s].reshape(-1, run.history[s].shape[2]).index_select(0, back) for s in names]
    return [flat[0], *(run.final[s] for s in binding.states), *flat[1:]]


def _places(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In the order of visits: the flat row of each padded place (T * B,), the place of each flat row (N,), lengths."""
    counts, offsets, batch = rows
    b = np.arange(batch)
    running = b[None, :] < counts[:, None]
    into = np.where(running, offsets[:, None] + b[None, :], 0)
    back = np.empty(rows.size, np.int64)
    back[into[running]] = np.flatnonzero(running)
    return into.ravel(), back, running.sum(0)


def forward(binding: Binding, setting: Setting, tensors: Tensors, train: bool) -> tuple[list[Tensor], list]:
    """Last values of the states, and their histories (None where not kept)."""
    done = _run(binding, setting, tensors, train)
    finals = [torch.from_numpy(done.final[s]) for s in binding.states]
    return finals, [torch.from_numpy(done.history[s]) if s in done.history else None for s in binding.states]


def _run(binding: Binding, setting: Setting, tensors: Tensors, train: bool) -> Pass:
    arrays = [None if t is None else t.detach().numpy() for t in tensors]
    first, params = binding.first_start, binding.first_param
    inputs = dict(zip((*binding.steps, *binding.sequences), arrays, strict=False))
    start = dict(zip(binding.states, arrays[first:params], strict=True))
    weights = binding.weights(arrays[params:])
    program = binding.program(tensors[0].dtype)
    return program.forward(setting.rows, {**inputs, **setting.rates}, start, weights, train=train)


def backward(
    binding: Binding,
    setting: Setting,
    tensors: Tensors,
    d_histories: Tensors,
    d_finals: Tensors,
    need: Collection[str],
) -> list[Tensor | None]:
    """A gradient, or None, for each of the binding's tensors."""
    done = _run(binding, setting, tensors, True)
    given = [
        {s: g.numpy() for s, g in zip(binding.states, d, strict=True) if g is not None} for d in (d_histories, d_finals)
    ]
    found = binding.program(tensors[0].dtype).backward(done, *given, need={*need, "start"})
    names = (*binding.steps, *binding.sequences)
    inputs = [_tensor(found.inputs.get(n)) if n in need else None for n in names]
    starts = [_tensor(found.start.get(s)) for s in binding.states]
    params = tensors[binding.first_param :]
    weights = binding.gradients(found.weights, params) if "weights" in need else [None] * len(params)
    return [*inputs, *starts, *weights]


def _tensor(array: np.ndarray | None) -> Tensor | None:
    return None if array is None else torch.from_numpy(array)
