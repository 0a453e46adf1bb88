"""The recurrence through the reference over torch tensors: slow, on every device, with derivatives of every order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gatework.backends import reference
from gatework.layers.binding import Binding
from gatework.runtime.rows import Rows


def differentiable(
    binding: Binding, rows: Rows, every: bool, rates: dict[str, float], tensors: Sequence[Tensor | None]
) -> list[Tensor]:
    """As `autograd.recurrence`, as ordinary operations of torch."""
    device = tensors[0].device  # type: ignore[union-attr]
    *places, lengths = _places(rows)
    into, back = (torch.from_numpy(a).to(device) for a in places)
    steps, first, params = len(binding.steps), binding.first_start, binding.first_param
    padded = [t.index_select(0, into).view(len(rows.counts), rows.batch, t.shape[1]) for t in tensors[:steps]]  # type: ignore[union-attr]
    inputs = dict(zip((*binding.steps, *binding.sequences), (*padded, *tensors[steps:first]), strict=True))
    start = {s: t for s, t in zip(binding.states, tensors[first:params], strict=True) if t is not None}
    weights = binding.weights(tensors[params:])
    run = reference.run(binding.graph, binding.sizes, {**inputs, **rates}, start, weights, lengths.tolist())
    names = binding.states if every else binding.states[:1]
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
