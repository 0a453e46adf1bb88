"""The recurrence where no prepared call can run it.

`differentiable`   the reference over torch tensors: slow, on every device, with derivatives of every order
`call`             a program's checked calls on numpy arrays: for programs that are interpreted, for batches without a
                   step, and with GATEWORK_CHECK; the backward pass runs the forward pass again
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatework.backends import reference
from gatework.layers.binding import Binding, Passed, Saved, Setting, Tensors, as_last
from gatework.runtime.program import Kind, Pass
from gatework.runtime.rows import Rows


def differentiable(binding: Binding, setting: Setting, tensors: Tensors) -> list[Tensor]:
    """As `autograd.recurrence`, as ordinary operations of torch."""
    places = Places(setting, tensors[0].device)
    steps, first, params = len(binding.steps), binding.first_start, binding.first_param
    padded = map(places.padded, tensors[:steps])
    inputs = dict(zip((*binding.steps, *binding.sequences), (*padded, *tensors[steps:first]), strict=True))
    start = {s: t for s, t in zip(binding.states, tensors[first:params], strict=True) if t is not None}
    weights = binding.weights(tensors[params:])
    given = {**inputs, **setting.rates}
    call = binding.graph, binding.sizes, given, start, weights, places.lengths, places.reverse
    device = tensors[0].device.type
    known = torch.amp.is_autocast_available(device)
    with torch.autocast(device, enabled=False) if known else nullcontext():  # `precision` says what it asks for
        run = reference.run(*call, binding.precision)
    names = binding.states if setting.return_all else binding.states[:1]
    finals = [run.final[s] if setting.axes is None else torch.stack([run.final[s]]) for s in binding.states]
    histories = [places.rows_of(run.history[s]) for s in names]
    return [histories[0], *finals, *histories[1:]]


class Places:
    """The way from a call's rows to the reference's padded (T, B, w), and back to the call's histories. A layer's
    rectangle stays as it is, so that its lengths may be a tensor that torch.func transforms; others are gathered."""

    def __init__(self, setting: Setting, device: torch.device):
        rows, self.axes = setting.rows, setting.axes
        self.shape = (len(rows.counts), rows.batch)
        self.rectangle = self.axes == self.shape
        self.lengths: Any = setting.lengths
        self.reverse = bool(self.rectangle and rows.size and rows.offsets[0])
        if not self.rectangle:
            *places, lengths = _places(rows)
            self.into, self.back = (torch.from_numpy(a).to(device) for a in places)
            self.lengths = torch.from_numpy(lengths).to(device)

    def padded(self, flat: Tensor) -> Tensor:
        rows = flat if self.rectangle else flat.index_select(0, self.into)
        return rows.view(*self.shape, flat.shape[1])

    def rows_of(self, history: Tensor) -> Tensor:
        return history if self.rectangle else history.flatten(0, 1).index_select(0, self.back)


def _places(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In the order of visits: the flat row of each padded place (T * B,), the place of each flat row (N,), lengths."""
    counts, offsets, batch = rows
    b = np.arange(batch)
    running = b[None, :] < counts[:, None]
    into = np.where(running, offsets[:, None] + b[None, :], 0)
    back = np.empty(rows.size, np.int64)
    back[into[running]] = np.flatnonzero(running)
    return into.ravel(), back, running.sum(0)


class Forward(NamedTuple):
    """A program's checked forward pass, as `direct.Forward`."""

    binding: Binding
    train: bool

    def __call__(self, setting: Setting, tensors: Tensors) -> Passed:
        binding = self.binding
        done = _run(binding, setting, tensors, self.train)
        finals = [as_last(torch.from_numpy(done.final[s]), setting).clone() for s in binding.states]
        histories: list[Any] = [_history(done.history.get(s), setting) for s in binding.states]
        if setting.room is not None:
            histories[0] = setting.room.place.copy_(histories[0])
        return finals, histories, None


def _history(array: np.ndarray | None, setting: Setting) -> Tensor | None:
    """A history in the form that the call asks for, and no view."""
    if array is None or setting.axes is None:
        return _tensor(array)
    return torch.from_numpy(array.reshape(*setting.axes, array.shape[-1]))


def _run(binding: Binding, setting: Setting, tensors: Tensors, train: bool) -> Pass:
    arrays: list[Any] = [None if t is None else t.detach().numpy() for t in tensors]
    first, params = binding.first_start, binding.first_param
    rows = [a.reshape(-1, a.shape[-1]) for a in arrays[:first]]
    inputs = dict(zip((*binding.steps, *binding.sequences), rows, strict=True))
    start = dict(zip(binding.states, arrays[first:params], strict=True))
    weights = binding.weights(arrays[params:])
    program = binding.program(tensors[0].dtype)
    return program.forward(setting.rows, {**inputs, **setting.rates}, start, weights, train=train)


class Backward(NamedTuple):
    """A program's checked backward pass, as `direct.Backward`."""

    binding: Binding
    need: frozenset[str]

    def __call__(self, setting: Setting, saved: Saved, d_histories: Tensors, d_finals: Tensors) -> list[Tensor | None]:
        binding, tensors = self.binding, saved.tensors
        done = _run(binding, setting, tensors, True)
        d_along, d_last = (
            {s: g.reshape(-1, g.shape[-1]).numpy() for s, g in zip(binding.states, grads, strict=True) if g is not None}
            for grads in (d_histories, d_finals)
        )
        found = binding.program(tensors[0].dtype).backward(done, d_along, d_last, need={*self.need, "start"})
        names = (*binding.steps, *binding.sequences)
        inputs = [_tensor(found.inputs.get(n)) if n in self.need else None for n in names]
        inputs = [None if g is None else g.view(t.shape) for g, t in zip(inputs, tensors, strict=False)]
        starts = [_tensor(found.start.get(s)) for s in binding.states]
        params = tensors[binding.first_param :]
        weights = binding.gradients(found.weights, params) if "weights" in self.need else [None] * len(params)
        return [*inputs, *starts, *weights]


def call(binding: Binding, kind: Kind) -> Forward | Backward:
    """The call of a kind."""
    return Forward(binding, kind == "train") if isinstance(kind, str) else Backward(binding, kind)


def _tensor(array: np.ndarray | None) -> Tensor | None:
    return None if array is None else torch.from_numpy(array)
