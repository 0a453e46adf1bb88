"""Inference with a plain stack, in as few steps as can be: a small layer's call takes about ten microseconds.

Only what such a call needs is here: one input, no masks, a contiguous rectangle, float32 or float64 on the CPU, no
gradients. Everything else, errors included, goes the ordinary way (`dispatch.run`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from gatework.layers.batches import Rectangle
from gatework.layers.binding import DTYPES
from gatework.layers.direct import Forward, form, prepare
from gatework.layers.packed import PackedCall, packed_weights
from gatework.runtime.settings import settings

if TYPE_CHECKING:
    from gatework.layers.batches import Sequences
    from gatework.layers.call import States
    from gatework.layers.recurrent import Recurrent

KNOWN = (nn.Parameter, Tensor)  # others say by their type that they are to be treated in another way

_unwatched = torch._C._len_torch_dispatch_stack
_transformed = torch._C._are_functorch_transforms_active
_autocast = torch._C._is_any_autocast_enabled
_traced = torch._C._get_tracing_state


def quick(layer: Recurrent, input: Sequences, states: States) -> tuple[Tensor, tuple[Tensor, ...]] | None:
    """Output and last states, or None if the call is not of the kind that this file is for."""
    if not usual(input):
        return None
    key = (input.shape, input.dtype, layer.training, settings())
    stack = layer._stacks.get(key, False)
    if stack is False:
        stack = layer._stacks.keep(key, made(layer, input))
    return stack(input, states) if stack else None


def usual(input: Sequences) -> TypeGuard[Tensor]:
    """Whether a call is an ordinary tensor's, with nothing at work that the kernels do not know."""
    if type(input) is not Tensor or _unwatched() or _transformed() or _autocast():
        return False
    return _traced() is None and forward_ad._current_level < 0 and not input.is_nested


def plain(layer: Recurrent, input: Tensor) -> bool:
    """Whether a layer has nothing that kernels over a rectangle do not know, but for dropout between its layers."""
    first = layer.parameter(0)
    fits = input.dim() == 3 and input.numel() and input.shape[2] == layer.input_size and input.dtype == first.dtype
    alone = len(layer.graph.inputs) == 1 and not layer.learn_initial_state
    masks = layer.training and (layer.recurrent_dropout or layer.weight_drop or layer.zoneout)
    return bool(fits and alone and not masks and not settings()[1] and first.dtype in DTYPES)


def made(layer: Recurrent, input: Tensor) -> Stack | None:
    """The prepared stack for an input's shape; None if it has to go the ordinary way."""
    if not plain(layer, input) or (layer.training and layer.dropout):
        return None
    steps, batch = (input.shape[1], input.shape[0]) if layer.batch_first else (input.shape[0], input.shape[1])
    threads, _ = settings()
    calls = [call(layer, k, steps, batch, threads) for k in range(layer.num_layers * layer.directions)]
    ready = [found for found in calls if found is not None]
    return Stack(layer, ready, steps, batch) if len(ready) == len(calls) else None


def call(layer: Recurrent, k: int, steps: int, batch: int, threads: int) -> Forward | None:
    """The call of direction k, counted through the layers; None where there is none, or where it keeps the history of
    another state than the output, as some cells of two stages do."""
    binding, dtype = layer.binding(k // layer.directions), layer.parameter(0).dtype
    found = prepare(binding, "infer", Rectangle(steps, batch).rows(k % layer.directions == 1), dtype, threads)
    carries = isinstance(found, Forward) and found.frame.layout.carried.keys() >= set(binding.states[1:])
    return found if isinstance(found, Forward) and carries else None


class Stack:
    """All layers and directions over T steps of B sequences."""

    def __init__(self, layer: Recurrent, calls: list[Forward], steps: int, batch: int):
        self.dtype, self.directions, self.depth = calls[0].dtype, layer.directions, layer.num_layers
        self.swap, widths = layer.batch_first, layer.state_widths
        self.shapes = [(len(calls), batch, w) for w in widths]
        self.output = form((steps, batch, widths[0] * layer.directions), self.dtype)
        self.finals = [form(shape, self.dtype) for shape in self.shapes]
        self.runs = [Direction(layer, k, forward, self.output.shape[2]) for k, forward in enumerate(calls)]
        self.nbytes = sum(forward.nbytes for forward in calls)

    def __call__(self, input: Tensor, states: Any) -> tuple[Tensor, tuple[Tensor, ...]] | None:
        x = input.transpose(0, 1) if self.swap else input
        starts = () if states is None else (states,) if type(states) is Tensor else states
        if not (x.is_contiguous() and x.is_cpu) or x.is_neg():
            return None
        if states is not None and not lie_so(starts, self.shapes, self.dtype):
            return None
        finals = [torch.empty_like(form) for form in self.finals]
        given = [s.data_ptr() for s in starts]
        last = [f.data_ptr() for f in finals]
        output = x
        for depth in range(self.depth):
            below, output = output, torch.empty_like(self.output)
            for k in range(depth * self.directions, (depth + 1) * self.directions):
                if not self.runs[k](below.data_ptr(), output.data_ptr(), given, last):
                    return None
        return (output.transpose(0, 1) if self.swap else output), tuple(finals)


def lie_so(tensors: Sequence[Tensor], shapes: Sequence[Sequence[int]], dtype: torch.dtype) -> bool:
    """Whether kernels can read these tensors where they lie, as arrays of these shapes."""
    if len(tensors) != len(shapes):
        return False
    for t, shape in zip(tensors, shapes, strict=True):
        if type(t) not in KNOWN or t.shape != shape or t.dtype is not dtype:
            return False
        if not (t.is_contiguous() and t.is_cpu) or t.is_neg():
            return False
    return True


class Direction:
    """One direction of one layer, writing its share of the stack's output and states."""

    def __init__(self, layer: Recurrent, k: int, forward: Forward, output: int):
        binding, frame, item = forward.binding, forward.frame, forward.dtype.itemsize
        self.layer, self.k, self.batch = layer, k, forward.rows.batch
        self.forward, self.shapes, self.dtype = forward, binding.param_shapes, forward.dtype
        self.packed, self.kept = PackedCall(frame, forward.words), packed_weights(binding, frame, layer._params(k))
        self.table, self.shared, layout = frame.table, frame.shared, frame.layout
        self.input, self.history = layout.inputs[binding.steps[0]], layout.histories[binding.output]
        frame.lay(self.history, output)
        self.row, self.stride = binding.widths[0] * item, output * item  # bytes of a row, and between rows
        self.column = (k % layer.directions) * self.row
        self.last = int(forward.rows.offsets[-1]) * self.stride
        # Of each state its number, a word of the table, its own start, and bytes: to its part of all states, and of it.
        starts, carried, ended = list[Any](), list[Any](), list[Any]()
        for s, (name, own) in enumerate(zip(binding.states, forward.own_starts, strict=True)):
            start, size, word = own.data_ptr(), own.nbytes, layout.carried.get(name)
            if name in layout.starts:
                starts.append((s, layout.starts[name], start, k * size))
            (ended if word is None else carried).append((s, word, start, k * size, size))
        self.starts, self.carried, self.ended = starts, carried, ended

    def __call__(self, below: int, output: int, given: list[int], last: list[int]) -> bool:
        """Run from and to these addresses; False, and nothing has run, if threads were missing."""
        table = self.table
        with self.shared.lock:  # asked for each time: a forked child has another
            table[self.input] = below
            table[self.history] = output + self.column
            for s, word, own, offset in self.starts:
                table[word] = given[s] + offset if given else own
            for s, word, own, offset, size in self.carried:
                table[word] = place = last[s] + offset
                ctypes.memmove(place, given[s] + offset if given else own, size)
            params = self.layer._params(self.k)
            if not lie_so(params, self.shapes, self.dtype) or not self.packed.run(params, self.kept):
                return False
        for s, _, _, offset, size in self.ended:
            self.finish(output + self.column + self.last, last[s] + offset, size)
        return True

    def finish(self, source: int, target: int, size: int) -> None:
        """The output's last rows are the last state."""
        if self.stride == self.row:
            ctypes.memmove(target, source, size)
            return
        for row in range(self.batch):
            ctypes.memmove(target + row * self.row, source + row * self.stride, self.row)
