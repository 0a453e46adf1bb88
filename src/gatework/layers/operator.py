"""The recurrence as a registered operator, `torch.ops.gatework.recurrence`, for compilers and function transforms.

It has a fake, which tells shapes, and a derivative. It takes padded sequences with their lengths, as the sizes of
packed ones would depend on data; and plain arguments alone (`Asked`), with a key in place of a binding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gatework.layers.autograd import backward, forward
from gatework.layers.batches import Packed, Rectangle, TracedEntry, put
from gatework.layers.binding import Binding, Setting, Tensors, known
from gatework.layers.direct import readable


class Asked(NamedTuple):
    """The operator's arguments before its tensors. `rates` are the numbers of the call, as "name=value name=value"."""

    key: str
    steps: int
    batch: int
    reverse: bool
    return_all: bool
    lengths: Tensor | None
    rates: str


def recurrence_traced(
    binding: Binding,
    entry: TracedEntry,
    reverse: bool,
    return_all: bool,
    rates: Mapping[str, float],
    tensors: Tensors,
) -> list[Tensor]:
    """`autograd.recurrence` as the registered operator."""
    said = " ".join(f"{name}={value!r}" for name, value in rates.items())
    given, first = list(tensors), binding.first_start
    for k, (state, width) in enumerate(zip(binding.graph.states, binding.widths, strict=True), first):
        if given[k] is None:
            given[k] = given[0].new_full((entry.batch, width), state.start)
    asked = Asked(binding.key, entry.steps, entry.batch, reverse, return_all, entry.lengths, said)
    return _op(*asked, given)


class Padded:
    """What the plain arguments mean: the binding, the setting, and the way between padded and packed rows."""

    def __init__(self, asked: Asked):
        steps, batch, lengths = asked.steps, asked.batch, asked.lengths
        self.asked, self.binding, self.reverse, self.places = asked, known(asked.key), asked.reverse, steps * batch
        self.batch = Rectangle(steps, batch) if lengths is None else Packed.from_lengths(lengths, steps, batch)
        self.index = self.batch.index(steps, batch_first=False) if isinstance(self.batch, Packed) else None
        rates = {name: float(value) for name, value in (rate.split("=") for rate in asked.rates.split())}
        axes = (steps, batch) if self.index is None else (self.batch.size,)
        self.setting = Setting(self.batch.rows(asked.reverse), asked.return_all, rates, axes)

    def pack(self, values: Tensor) -> Tensor:
        """(T*B, w) to (N, w), in the order in which the direction visits the rows."""
        if self.index is None:
            return values
        flat = values.index_select(0, self.index)
        return self.batch.flip(flat) if self.reverse else flat

    def unpack(self, flat: Tensor) -> Tensor:
        if self.index is None:
            return flat
        return put(self.batch.flip(flat) if self.reverse else flat, self.index, self.places)

    def unpack_history(self, history: Tensor) -> Tensor:
        """To (T, B, w)."""
        return self.unpack(history).view(self.asked.steps, self.asked.batch, history.shape[-1])

    def enter(self, tensors: Tensors) -> list[Tensor]:
        """The binding's tensors as `autograd.forward` takes them."""
        steps, params = len(self.binding.steps), self.binding.first_param
        tensors = readable(self.binding, tensors)
        sequences = map(self.batch.sort, tensors[steps:params])
        return [*map(self.pack, tensors[:steps]), *sequences, *tensors[params:]]

    def enter_gradients(self, grads: Tensors) -> list[Tensor]:
        return [self.pack(g.flatten(0, 1)) if self._is_history(k) else self.batch.sort(g) for k, g in enumerate(grads)]

    def leave(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        return [self.unpack_history(o) if self._is_history(k) else self.batch.unsort(o) for k, o in enumerate(outputs)]

    def _is_history(self, k: int) -> bool:
        """Outputs are the first state's history, the last states, the other histories."""
        return k == 0 or k > len(self.binding.states)

    def leave_gradients(self, grads: Tensors) -> list[Tensor | None]:
        b = self.binding
        steps, params = len(b.steps), b.first_param
        into = [self.unpack] * steps + [self.batch.unsort] * (params - steps) + [lambda g: g] * (len(grads) - params)
        return [None if g is None else f(g) for f, g in zip(into, grads, strict=True)]


@torch.library.custom_op("gatework::recurrence", mutates_args=())
def _op(
    key: str,
    steps: int,
    batch: int,
    reverse: bool,
    return_all: bool,
    lengths: Tensor | None,
    rates: str,
    tensors: Sequence[Tensor],
) -> list[Tensor]:
    """`recurrence` over padded sequences (T*B, w), every start given: histories (T, B, w), last states (1, B, w)."""
    padded = Padded(Asked(key, steps, batch, reverse, return_all, lengths, rates))
    outputs, _ = forward(padded.binding, padded.setting, padded.enter(tensors), train=False)
    return padded.leave(outputs)


@_op.register_fake
def _(*arguments: Any) -> list[Tensor]:
    *asked, tensors = arguments
    return [tensors[0].new_empty(shape) for shape in _output_shapes(Asked(*asked))]


def _output_shapes(asked: Asked) -> list[tuple[int, int, int]]:
    widths, axes = known(asked.key).widths, (asked.steps, asked.batch)
    others = [(*axes, w) for w in widths[1:]] if asked.return_all else []
    return [(*axes, widths[0]), *((1, asked.batch, w) for w in widths), *others]


@torch.library.custom_op("gatework::recurrence_backward", mutates_args=())
def _op_backward(
    key: str,
    steps: int,
    batch: int,
    reverse: bool,
    return_all: bool,
    lengths: Tensor | None,
    rates: str,
    tensors: Sequence[Tensor],
    grads: Sequence[Tensor],
    needs: Sequence[bool],
) -> list[Tensor]:
    """The gradients of the tensors that need one; runs the forward pass again, as operators keep no private state."""
    padded = Padded(Asked(key, steps, batch, reverse, return_all, lengths, rates))
    _, saved = forward(padded.binding, padded.setting, padded.enter(tensors), train=True)
    inner = padded.enter_gradients(grads)
    found = backward(padded.binding, padded.setting, saved, inner, needs)
    found = padded.leave_gradients(found)
    zero = [torch.zeros_like(t) if f is None else f for t, f in zip(tensors, found, strict=True)]
    return [f for f, n in zip(zero, needs, strict=True) if n]


@_op_backward.register_fake
def _(*arguments: Any) -> list[Tensor]:
    *_, tensors, _, needs = arguments
    return [t.new_empty(t.shape) for t, n in zip(tensors, needs, strict=True) if n]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    *arguments, tensors = inputs
    asked = Asked(*arguments)
    ctx.asked = asked._replace(lengths=None)  # tensors are kept by autograd alone, which notices if they are changed
    ctx.has_lengths = asked.lengths is not None
    ctx.needs = [t.requires_grad for t in tensors]
    ctx.save_for_backward(*tensors, *([asked.lengths] if ctx.has_lengths else []))


def _gradient(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    given: Any = grads[0] if len(grads) == 1 and isinstance(grads[0], (list, tuple)) else grads
    saved = list(ctx.saved_tensors)
    asked = ctx.asked._replace(lengths=saved.pop() if ctx.has_lengths else None)
    shapes = _output_shapes(asked)
    given = [saved[0].new_zeros(shape) if g is None else g for g, shape in zip(given, shapes, strict=True)]
    found = iter(_op_backward(*asked, saved, given, ctx.needs))
    return *[None] * len(asked), [next(found) if n else None for n in ctx.needs]


_op.register_autograd(_gradient, setup_context=_setup)
