"""The loop over time of a Keras layer, on kernels.

A masked step keeps the states, so the steps that count are all that has to run: they are gathered, longest sequence
first, whatever the mask looks like, and the outputs are spread over the steps afterwards. A batch costs what its real
steps cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gatework.errors import ShapeError
from gatework.layers.autograd import recurrence
from gatework.layers.batches import Rectangle, put, take
from gatework.layers.binding import DTYPES, Binding, Setting
from gatework.runtime.rows import Rows


class Call(NamedTuple):
    """One call: `drops` are masks of dropout (B, w) by the binding's names; `parameters` in the binding's order;
    `per_step(name, N)` draws the random inputs (N, w) that change at each step."""

    binding: Binding
    starts: list[Tensor]
    drops: dict[str, Tensor]
    parameters: list[Tensor]
    backwards: bool
    sequences: bool
    zeros: bool
    per_step: Callable[[str, int], Tensor] | None = None

    def run(self, rows: Rows, flat: Tensor, order: Tensor | None = None) -> list[Tensor]:
        """The kernel over flat rows (N, F), sequences in `order`: the history (N, u) and the last states (B, u)."""
        batch = [*(self.drops[name] for name in self.binding.sequences), *self.starts]
        batch = batch if order is None else [t.index_select(0, order) for t in batch]
        steps = [self.per_step(name, len(flat)) for name in self.binding.steps[1:]] if self.per_step else []
        return recurrence(self.binding, Setting(rows), [flat, *steps, *batch, *self.parameters])


def loop(call: Call, inputs: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, list[Tensor]]:
    """The last output (B, u), the outputs (B, T, u), and the last states, of inputs (B, T, F) and a mask (B, T)."""
    call = checked(call, inputs)
    if mask is None or bool(mask.all()):
        return whole(call, inputs)
    return masked(call, inputs, Steps(mask.numpy(), call.backwards))


def checked(call: Call, inputs: Tensor) -> Call:
    """Refuses what a kernel would read beyond its end; one row of states serves all, as in Keras."""
    made, batch = call.binding, len(inputs)
    width = made.input_widths[made.steps[0]]
    if inputs.shape[2] != width:
        raise ShapeError(f"the layer was built for {width} features, but the input {tuple(inputs.shape)} has others")
    shapes = [tuple(s.shape) for s in call.starts]
    if len(shapes) != len(made.widths) or any(
        s not in ((batch, w), (1, w)) for s, w in zip(shapes, made.widths, strict=True)
    ):
        wanted = ", ".join(f"{name} {(batch, w)}" for name, w in zip(made.states, made.widths, strict=True))
        raise ShapeError(f"initial_state must be {wanted}; got {', '.join(map(str, shapes))}")
    return call._replace(starts=[s.expand(batch, -1) for s in call.starts])


def whole(call: Call, inputs: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Every step counts."""
    batch, steps, width = inputs.shape
    flat = inputs.transpose(0, 1).reshape(steps * batch, width)
    history, *states = call.run(Rectangle(steps, batch).rows(call.backwards), flat)
    last = states[0]
    if not call.sequences:
        return last, last.unsqueeze(1), states
    outputs = history.view(steps, batch, last.shape[1])
    return last, (outputs.flip(0) if call.backwards else outputs).transpose(0, 1), states


class Steps:
    """Where the steps that count lie, in the order in which the loop visits them."""

    def __init__(self, mask: np.ndarray, backwards: bool):
        self.mask = mask[:, ::-1] if backwards else mask
        self.batch, self.steps = mask.shape
        self.lengths = self.mask.sum(1)
        order = np.argsort(-self.lengths, kind="stable")
        places, times = np.nonzero(self.mask[order])
        ranks = np.cumsum(self.mask[order], 1)[places, times] - 1
        counts = (self.lengths[:, None] > np.arange(self.lengths.max(initial=0))[None, :]).sum(0)
        self.rows = Rows.packed(counts, self.batch)
        self.flat = self.rows.offsets[ranks] + places if len(ranks) else ranks
        self.order, self.back = torch.from_numpy(order), torch.from_numpy(np.argsort(order))
        rows = order[places] * self.steps
        self.read = self._index(rows + (self.steps - 1 - times if backwards else times))
        self.write = self._index(rows + times)

    def _index(self, values: np.ndarray) -> Tensor:
        """(N,) in the order of the flat rows."""
        index = np.empty_like(values)
        index[self.flat] = values
        return torch.from_numpy(index)

    def repeated(self) -> Tensor:
        """(B, T) the flat row whose output a step shows: the last that counted; N where there was none yet."""
        found = np.zeros(self.mask.size, np.int64)
        found[self.write.numpy()] = np.arange(len(self.write)) + 1
        found = found.reshape(self.mask.shape)
        latest = np.maximum.accumulate(np.where(self.mask, np.arange(self.steps)[None, :], -1), 1)
        rows = np.take_along_axis(found, np.maximum(latest, 0), 1) - 1
        return torch.from_numpy(np.where(latest < 0, len(self.write), rows))

    def silent(self, zeros: bool) -> Tensor | None:
        """(B, 1) the sequences whose last output is zero: nothing counted or, with `zeros`, the last step did not."""
        off = ~self.mask[:, -1] if zeros else self.lengths == 0
        return torch.from_numpy(off[:, None]) if off.any() else None


def masked(call: Call, inputs: Tensor, steps: Steps) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Only the steps that count; `steps` says where they are."""
    flat = take(inputs.reshape(-1, inputs.shape[2]), steps.read)
    history, *states = call.run(steps.rows, flat, steps.order)
    states = [s.index_select(0, steps.back) for s in states]
    silent = steps.silent(call.zeros)
    last = states[0] if silent is None else states[0].masked_fill(silent, 0.0)
    if not call.sequences:
        return last, last.unsqueeze(1), states
    if call.zeros:
        outputs = put(history, steps.write, steps.mask.size).view(steps.batch, steps.steps, -1)
    else:
        outputs = functional.embedding(steps.repeated(), functional.pad(history, (0, 0, 0, 1)))
    return last, outputs, states


def inside(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the computation for weights of a dtype."""
    return dtype if dtype in DTYPES else torch.float32
