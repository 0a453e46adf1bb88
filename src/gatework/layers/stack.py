"""A plain stack in training: all its layers and directions as one operator of autograd.

An operator costs the same however little it does: an object for the way back, handles of what it keeps, checks of what
it gives. So a stack is one. It is for the calls that `quick` is for, with gradients and with dropout between layers.
Everything else goes the ordinary way (`call.run`), an operator for each direction, and gets the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gatework.layers import fallback
from gatework.layers.autograd import Done, Operator, as_rows, needed, side_by_side
from gatework.layers.batches import Rectangle
from gatework.layers.binding import Passed, Saved, Setting, Tensors
from gatework.layers.direct import Directions, directions
from gatework.layers.quick import lie_so, plain, usual
from gatework.runtime.lazy import lazy
from gatework.runtime.program import Kind
from gatework.runtime.settings import settings

if TYPE_CHECKING:
    from gatework.layers.batches import Sequences
    from gatework.layers.call import States
    from gatework.layers.recurrent import Recurrent

Result = tuple[Tensor, tuple[Tensor, ...]]


def stacked(layer: Recurrent, input: Sequences, states: States) -> Result | None:
    """Output and last states, or None if the call is not of the kind that this file is for."""
    if not usual(input):
        return None
    key = ("training", input.shape, input.dtype, layer.training, settings())
    plan = layer._stacks.get(key, False)
    if plan is False:
        plan = layer._stacks.keep(key, Plan(layer, input) if plain(layer, input) else None)
    return plan(layer, input, states) if plan else None


class Plan:
    """All layers and directions over T steps of B sequences. Tensors have the order: input (T, B, I), starts
    (layers * directions, B, w) or None, parameters of each direction. What is kept has the order: for each layer the
    rows that it read and the mask that made them, then for each of its directions the histories and the block."""

    def __init__(self, layer: Recurrent, input: Tensor):
        steps, batch = input.shape[:2] if not layer.batch_first else (input.shape[1], input.shape[0])
        self.depth, self.directions, self.swap = layer.num_layers, layer.directions, layer.batch_first
        self.dropout, self.dtype = layer.dropout if layer.training else 0.0, input.dtype
        self.bindings = [layer.binding(k // self.directions) for k in range(self.depth * self.directions)]
        rows, self.axes = Rectangle(steps, batch), (steps, batch)
        self.settings = [Setting(rows.rows(d == 1), axes=self.axes) for d in range(self.directions)]
        self.shapes = [(len(self.bindings), batch, w) for w in layer.state_widths]
        self.param_shapes = [shape for binding in self.bindings for shape in binding.param_shapes]
        self.first_param = 1 + len(self.shapes)
        self.backwards: dict[tuple[Any, ...], list[Directions]] = {}  # by the gradients that are needed
        self.params = self._slices(self.first_param, [len(b.param_shapes) for b in self.bindings])

    @staticmethod
    def _slices(start: int, lengths: Sequence[int]) -> list[slice]:
        stops = [start + sum(lengths[: k + 1]) for k in range(len(lengths))]
        return [slice(stop - length, stop) for stop, length in zip(stops, lengths, strict=True)]

    def __call__(self, layer: Recurrent, input: Tensor, states: States) -> Result | None:
        x = (input.transpose(0, 1) if self.swap else input).contiguous()
        starts = (states,) if type(states) is Tensor else states
        params = [p for k in range(len(self.bindings)) for p in layer._params(k)]
        if not x.is_cpu or x.is_neg() or not lie_so(params, self.param_shapes, self.dtype):
            return None
        if starts is not None and not (type(starts) is tuple and lie_so(starts, self.shapes, self.dtype)):
            return None
        lowest = params[: self.params[self.directions - 1].stop - self.first_param]
        if not (x.requires_grad or any(p.requires_grad for p in lowest)):
            return None  # a way back through all layers would be too long
        output, *finals = Operator.apply(self, x, *(starts or [None] * len(self.shapes)), *params)
        return (output.transpose(0, 1) if self.swap else output), tuple(finals)

    def tensors_of(self, k: int, data: Tensor, tensors: Tensors) -> list[Tensor | None]:
        """Those of direction k, counted through the layers, in its binding's order."""
        starts = [None if s is None else s[k] for s in tensors[1 : self.first_param]]
        return [data, *starts, *tensors[self.params[k]]]

    # --- forward -----------------------------------------------------------------------------------------------------

    def later(self) -> Plan:
        return self

    def forward(self, tensors: Tensors, kept: Tensors = ()) -> Done:
        masks = self.masks_of(kept) if kept else [None] * self.depth
        output, finals, left = tensors[0], [], []
        for depth, mask in enumerate(masks):
            data = output
            if depth and self.dropout:
                mask = self.mask(data) if mask is None else mask
                data = data * mask
            output, found = self.layer(depth, data, tensors)
            left += (data if depth else None, mask)
            for last, histories, block in found:
                finals.append(last)
                left += (histories[0].data, *histories[1:], block)
        return Done([output, *map(_joined, zip(*finals, strict=True))], [output], left)

    def layer(self, depth: int, data: Tensor, tensors: Tensors) -> tuple[Tensor, list[Passed]]:
        """The output of a layer (T, B, w * directions), and what each direction gave."""
        if self.directions == 1:
            (passed,) = self.forwards[depth]((self.settings[0], self.tensors_of(depth, data, tensors)))
            return passed[1][0], [passed]
        rooms = side_by_side(self.directions, self.axes, self.shapes[0][2], self.dtype)
        settings = [setting._replace(room=room) for setting, room in zip(self.settings, rooms, strict=True)]
        given = [self.tensors_of(depth * self.directions + d, data, tensors) for d in range(self.directions)]
        return rooms[0].whole, self.forwards[depth](*zip(settings, given, strict=True))

    @lazy
    def forwards(self) -> list[Directions]:
        return self.calls(["train"] * self.depth)

    def calls(self, kinds: Sequence[Kind]) -> list[Directions]:
        """The prepared calls of all layers."""
        rows = [setting.rows for setting in self.settings]
        bindings = self.bindings[:: self.directions]
        return [directions(b, kind, rows, self.dtype) for b, kind in zip(bindings, kinds, strict=True)]

    def mask(self, data: Tensor) -> Tensor:
        """What dropout multiplies by, drawn as torch.nn.functional.dropout draws it."""
        keep = 1.0 - self.dropout
        return torch.empty_like(data).bernoulli_(keep).div_(keep) if keep else torch.zeros_like(data)

    def masks_of(self, kept: Tensors) -> list[Tensor | None]:
        return list(kept[1 :: len(kept) // self.depth])

    # --- backward ----------------------------------------------------------------------------------------------------

    def backward(self, tensors: Tensors, kept: Tensors, grads: Tensors, needs: Sequence[bool]) -> list[Tensor | None]:
        size, states, calls = len(kept) // self.depth, len(self.shapes), self.calls_back(needs)
        found: list[Tensor | None] = [None] * len(tensors)
        starts: list[list[Any]] = [[] for _ in self.shapes]
        along, *last = grads
        none = [None] * (states - 1)
        for depth in reversed(range(self.depth)):
            data, mask, *left = kept[depth * size : (depth + 1) * size]
            data = data if depth else tensors[0]
            parts = [along] if along is None or self.directions == 1 else along.chunk(self.directions, -1)
            parts = [p if p is None else as_rows(p) for p in parts]
            given = []
            for d, setting in enumerate(self.settings):
                k, own = depth * self.directions + d, left[d * (states + 1) : (d + 1) * (states + 1)]
                saved = Saved(self.tensors_of(k, data, tensors), own[:-1], own[-1])
                finals = [None if g is None else as_rows(g[k]) for g in last]
                given.append((setting, saved, [parts[d % len(parts)], *none], finals))
            below = None
            for d, (d_data, *rest) in reversed(list(enumerate(calls[depth](*given)))):
                below = d_data if below is None or d_data is None else below.add_(d_data)
                found[self.params[depth * self.directions + d]] = rest[states:]
                for start, d_start in zip(starts, rest, strict=False):
                    start.insert(0, d_start)
            along = below if mask is None or below is None else below.mul_(mask)
        found[0] = along
        found[1 : self.first_param] = [torch.stack(s) if n else None for s, n in zip(starts, needs[1:], strict=False)]
        return found

    def calls_back(self, needs: Sequence[bool]) -> list[Directions]:
        """The prepared calls for the gradients that are needed."""
        key = tuple(needs), settings()
        if key not in self.backwards:
            kinds = []
            for depth in range(self.depth):
                first = depth * self.directions
                params = needs[self.params[first].start : self.params[first + self.directions - 1].stop]
                wanted = [depth > 0 or needs[0], *needs[1 : self.first_param], *params]
                kinds.append(needed(self.bindings[first], wanted))
            self.backwards[key] = self.calls(kinds)
        return self.backwards[key]

    # --- the reference -----------------------------------------------------------------------------------------------

    def differentiable(self, tensors: Tensors, kept: Tensors) -> list[Tensor]:
        output, finals, masks = tensors[0], [], self.masks_of(kept)
        for depth in range(self.depth):
            data, mask = output, masks[depth]
            data = (data if mask is None else data * mask).flatten(0, 1)
            ks = range(depth * self.directions, (depth + 1) * self.directions)
            found = [
                fallback.differentiable(self.bindings[k], self.settings[d], self.tensors_of(k, data, tensors))
                for d, k in enumerate(ks)
            ]
            finals += [outputs[1:] for outputs in found]
            output = torch.cat([outputs[0] for outputs in found], -1)
        return [output, *map(_joined, zip(*finals, strict=True))]


def _joined(states: Sequence[Tensor]) -> Tensor:
    return states[0] if len(states) == 1 else torch.cat(tuple(states))
