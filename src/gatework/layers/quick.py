"""Inference with a plain stack, in as few steps as can be: a small layer's call takes about ten microseconds.

Only what such a call needs is here: one input, no masks, a contiguous rectangle, float32 or float64 on the CPU, no
gradients. Everything else, errors included, goes the ordinary way (`dispatch.run`).
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from gatework.layers.direct import Forward, Packed, kept_of
from gatework.layers.ragged import Rectangle
from gatework.runtime import threads
from gatework.runtime.program import Program

_unwatched = torch._C._len_torch_dispatch_stack
_transformed = torch._C._are_functorch_transforms_active
_autocast = torch._C._is_any_autocast_enabled
_traced = torch._C._get_tracing_state


def quick(layer: Any, input: Any, states: Any) -> tuple[Tensor, tuple[Tensor, ...]] | None:
    """Output and last states, or None if the call is not of the kind that this file is for."""
    if torch.is_grad_enabled() or type(input) is not Tensor or _unwatched() or _transformed() or _autocast():
        return None
    if _traced() is not None or forward_ad._current_level >= 0 or input.is_nested:
        return None
    key = (input.shape, input.dtype, layer.training, threads.get_threads())
    stack = layer._stacks.get(key, False)
    if stack is False:
        stack = layer._stacks.keep(key, made(layer, input))
    return stack(input, states) if stack else None


def made(layer: Any, input: Tensor) -> Stack | None:
    """The prepared stack for an input's shape; None if it has to go the ordinary way."""
    first = layer.parameter(0)
    fits = input.dim() == 3 and input.numel() and input.shape[2] == layer.input_size and input.dtype == first.dtype
    plain = len(layer.graph.inputs) == 1 and not layer.learn_initial_state
    masks = layer.training and (layer.dropout or layer.recurrent_dropout or layer.weight_drop or layer.zoneout)
    if not (fits and plain and not masks and first.dtype in (torch.float32, torch.float64)):
        return None
    steps, batch = (input.shape[1], input.shape[0]) if layer.batch_first else (input.shape[0], input.shape[1])
    program = layer.binding(0).program(input.dtype)
    known = isinstance(program, Program) and carries(program)
    return Stack(layer, steps, batch, input.dtype) if known else None


def carries(program: Program) -> bool:
    """Whether all states but the first, whose history is the output, are carried in place; some cells of two stages
    keep the history of others too."""
    return all(f"state:{state.name}" in program.inference.slots for state in program.graph.states[1:])


class Stack:
    """All layers and directions over T steps of B sequences."""

    def __init__(self, layer: Any, steps: int, batch: int, dtype: torch.dtype):
        self.layer, self.steps, self.batch, self.dtype = layer, steps, batch, dtype
        self.directions, self.depth, self.item = layer.directions, layer.num_layers, dtype.itemsize
        self.swap = layer.batch_first
        binding = layer.binding(0)
        self.widths, self.output = binding.widths, binding.widths[0] * layer.directions
        self.runs = [Direction(self, k) for k in range(self.depth * self.directions)]
        self.shapes = [(len(self.runs), batch, w) for w in self.widths]
        self.nbytes = sum(run.forward.nbytes for run in self.runs)

    def __call__(self, input: Tensor, states: Any) -> tuple[Tensor, tuple[Tensor, ...]] | None:
        x = input.transpose(0, 1) if self.swap else input
        starts = () if states is None else (states,) if type(states) is Tensor else states
        if not (x.is_contiguous() and x.is_cpu) or x.is_neg() or (states is not None and not self.fit(starts)):
            return None
        finals = [torch.empty(shape, dtype=self.dtype) for shape in self.shapes]
        given = [s.data_ptr() for s in starts]
        last = [f.data_ptr() for f in finals]
        output = x
        for depth in range(self.depth):
            below, output = output, torch.empty(self.steps, self.batch, self.output, dtype=self.dtype)
            for k in range(depth * self.directions, (depth + 1) * self.directions):
                if not self.runs[k](below.data_ptr(), output.data_ptr(), given, last):
                    return None
        return (output.transpose(0, 1) if self.swap else output), tuple(finals)

    def fit(self, starts: Any) -> bool:
        if len(starts) != len(self.shapes):
            return False
        for start, shape in zip(starts, self.shapes, strict=True):
            if type(start) is not Tensor or start.shape != shape or start.dtype != self.dtype:
                return False
            if not (start.is_contiguous() and start.is_cpu) or start.is_neg():
                return False
        return True


class Direction:
    """One direction of one layer, writing its share of the stack's output and states."""

    def __init__(self, stack: Stack, k: int):
        layer, d = stack.layer, k % stack.directions
        self.layer, self.k, self.batch, self.item = layer, k, stack.batch, stack.item
        binding = layer.binding(k // stack.directions)
        tensors = [torch.empty(0, dtype=stack.dtype), *[None] * len(binding.states), *layer._params(k)]
        rows = Rectangle(stack.steps, stack.batch).rows(d == 1)
        self.forward = Forward(binding, rows, False, threads.get_threads(), tensors)
        bound = self.bound = self.forward.bound
        self.packed, self.kept = Packed(self.forward), kept_of(binding, bound, layer._params(k))
        self.table, self.program = bound.table, self.forward.program
        self.input = bound.address[f"input:{binding.steps[0]}"]
        bound.lay(f"history:{binding.output}", stack.output)
        self.history, self.column = bound.address[f"history:{binding.output}"], d * binding.widths[0] * self.item
        self.last = int(rows.offsets[-1]) * stack.output * self.item
        self.row, self.stride = binding.widths[0] * self.item, stack.output * self.item
        self.states = [
            (bound.address.get(f"start:{s}"), bound.address.get(f"state:{s}"), own.data_ptr(), own.numel() * self.item)
            for s, own in zip(binding.states, self.forward.own_starts, strict=True)
        ]

    def __call__(self, below: int, output: int, given: list[int], last: list[int]) -> bool:
        """Run from and to these addresses; False, and nothing has run, if threads were missing."""
        table, copy, k = self.table, ctypes.memmove, self.k
        with self.program.lock:  # asked for each time: a forked child has another
            table[self.input] = below
            table[self.history] = output + self.column
            for s, (start_word, carried_word, own, size) in enumerate(self.states):
                start = given[s] + k * size if given else own
                if start_word is not None:
                    table[start_word] = start
                if carried_word is not None:
                    place = last[s] + k * size
                    copy(place, start, size)
                    table[carried_word] = place
            params = self.layer._params(k)
            if not self.readable(params) or not self.packed.run(params, self.kept):
                return False
        for s, (_, carried_word, _, size) in enumerate(self.states):
            if carried_word is None:
                self.finish(output + self.column + self.last, last[s] + k * size, size)
        return True

    def readable(self, params: list[Tensor]) -> bool:
        """Whether the kernel reads these parameters where they lie."""
        dtype = self.forward.dtype
        for p, shape in zip(params, self.forward.binding.param_shapes, strict=True):
            if p.shape != shape or p.dtype is not dtype or not (p.is_contiguous() and p.is_cpu) or p.is_neg():
                return False
        return True

    def finish(self, source: int, target: int, size: int) -> None:
        """The output's last rows are the last state."""
        if self.stride == self.row:
            ctypes.memmove(target, source, size)
            return
        for row in range(self.batch):
            ctypes.memmove(target + row * self.row, source + row * self.stride, self.row)
