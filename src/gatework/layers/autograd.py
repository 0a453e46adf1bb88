"""The recurrence as an operator of torch: values and first derivatives from the kernel, the second from the reference.

There are two ways in, with one body. Outside of compilers and function transforms, `_Recurrence` (an autograd.Function)
costs a few microseconds. Inside, `torch.ops.gatework.recurrence` is an operator with a fake and a derivative; it takes
padded sequences with their lengths, as the sizes of packed ones would depend on data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gatework.layers import through_arrays
from gatework.layers.binding import Binding, known
from gatework.layers.differentiable import differentiable
from gatework.layers.direct import Saved, prepared
from gatework.layers.entry import TracedEntry
from gatework.layers.ragged import Packed, Rectangle, put
from gatework.runtime.rows import Rows

Tensors = Sequence[Any]


class Setting(NamedTuple):
    """What a call says beside its tensors. `room` is where the output's history goes, if somewhere in particular."""

    rows: Rows
    every: bool = False
    rates: dict[str, float] = {}  # noqa: RUF012
    room: Tensor | None = None


def recurrence(
    binding: Binding, rows: Rows, every: bool, rates: dict[str, float], tensors: Tensors, room: Tensor | None = None
) -> list[Tensor]:
    """Run one direction of one layer over flat rows.

    `tensors` are in the binding's order: inputs of each step (N, w), inputs of each sequence (B, w), starts (B, w) or
    None, parameters. Gives the output's history (N, H), the last states (B, w), and with `every` the histories of the
    states after the first.
    """
    tensors = binding.checked(tensors)  # here, where autograd sees copies being made
    setting = Setting(rows, every, rates, room)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        return list(_Recurrence.apply(binding, setting, *tensors))
    return forward(binding, setting, tensors, train=False)[0]


def forward(binding: Binding, setting: Setting, tensors: Tensors, train: bool) -> tuple[list[Tensor], Saved]:
    """The kernel's forward pass: tensors out, and what is kept for the way back."""
    rows, every, rates, room = setting
    if rows.size and binding.direct(tensors):
        call = prepared(binding, "train" if train or every else "infer", rows, tensors)
        finals, histories, block = call(tensors, rates, room)
    else:
        finals, histories = through_arrays.forward(binding, rows, rates, tensors, train or every)
        block = None
        histories[0] = histories[0] if room is None else room.copy_(histories[0])
    return [histories[0], *finals, *(histories[1:] if every else ())], Saved(tensors, histories, block)


@torch.compiler.disable  # else a compiled training step that calls Keras' layers traces what follows, to no end
def backward(binding: Binding, setting: Setting, saved: Saved, grads: Tensors, needs: Sequence[bool]) -> list:
    """The kernel's backward pass: a gradient, or None, for each of the binding's tensors."""
    rows, every, rates, _ = setting
    states, params = len(binding.states), binding.first_param
    given = [g if g is None or (g.stride(1) == 1 and g.stride(0) > 0) else g.contiguous() for g in grads]
    given = [g if g is None else g.resolve_neg() for g in given]
    finals = [None if g is None else g.contiguous() for g in given[1 : 1 + states]]
    d_histories = [given[0], *(given[1 + states :] if every else [None] * (states - 1))]
    need = {n for n, needed in zip((*binding.steps, *binding.sequences), needs, strict=False) if needed}
    need |= {"weights"} if any(needs[params:]) else set()
    if rows.size and binding.direct(saved.tensors):
        return prepared(binding, frozenset(need), rows, saved.tensors)(saved, d_histories, finals, rates)
    return through_arrays.backward(binding, rows, rates, saved.tensors, d_histories, finals, need)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, binding: Binding, setting: Setting, *tensors: Tensor) -> Any:
        outputs, saved = forward(binding, setting, tensors, train=True)
        ctx.said = binding, setting._replace(room=None)
        others = () if setting.every else saved.histories[1:]
        ctx.save_for_backward(*saved.tensors, *outputs, *others, saved.block)
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        binding, setting = ctx.said
        needs = ctx.needs_input_grad[2:]
        *kept, block = ctx.saved_tensors
        tensors = kept[: len(needs)]
        if torch.is_grad_enabled():
            found = _again(binding, setting, grads, tensors, needs)
        else:
            states = len(binding.states)
            histories = [kept[len(needs)], *kept[len(needs) + 1 + states :]]
            saved = Saved(tensors, histories, block)
            found = backward(binding, setting, saved, grads, needs)  # pyright: ignore[reportCallIssue]
        return None, None, *(f if needed else None for f, needed in zip(found, needs, strict=True))


def side_by_side(parts: int, size: int, width: int, dtype: torch.dtype) -> tuple[Tensor, list[Tensor]]:
    """A tensor (size, parts * width), and tensors of their own (not views) over its columns, for `joined`."""
    whole = torch.empty(size, parts * width, dtype=dtype)
    storage, stride = whole.untyped_storage(), (parts * width, 1)
    return whole, [torch.empty(0, dtype=dtype).set_(storage, k * width, (size, width), stride) for k in range(parts)]


def joined(whole: Tensor, parts: list[Tensor]) -> Tensor:
    """What torch.cat(parts, 1) would give, if the parts were written side by side: `whole`, without a copy."""
    return _Joined.apply([whole], *parts)  # type: ignore[return-value]


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, whole: list[Tensor], *parts: Tensor) -> Tensor:
        ctx.widths = [p.shape[1] for p in parts]
        ctx.save_for_backward(whole[0])
        return whole[0]

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        _ = ctx.saved_tensors  # refuses if the tensor was changed, which the parts over the same memory do not see
        return None, *grads[0].split(ctx.widths, 1)


def _again(binding: Binding, setting: Setting, grads: Tensors, tensors: Tensors, needs: Any) -> list:
    """First derivatives as a differentiable function of tensors and gradients: through the reference."""
    with torch.enable_grad():
        # Aliases, so that a tensor computed from another of them does not add to the other's gradient.
        aliases = [t.view_as(t) if t is not None and n else t for t, n in zip(tensors, needs, strict=True)]
        outputs = differentiable(binding, setting.rows, setting.every, setting.rates, aliases)
        wanted: list[Any] = [a for a, n in zip(aliases, needs, strict=True) if n]
        pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if g is not None and o.requires_grad]
        found = iter(
            torch.autograd.grad(
                [o for o, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, allow_unused=True
            )
        )
    return [next(found) if n else None for n in needs]


# --- the registered operator -----------------------------------------------------------------------------------------


@torch.library.custom_op("gatework::recurrence", mutates_args=())
def _op(
    key: str, steps: int, batch: int, reverse: bool, every: bool, lengths: Tensor | None,
    rates: str, tensors: Sequence[Tensor],
) -> list[Tensor]:  # fmt: skip
    """`recurrence` over padded sequences (T*B, w); every start is given."""
    call = _Call(key, steps, batch, reverse, lengths, rates)
    outputs, _ = forward(call.binding, Setting(call.rows, every, call.rates), call.enter(tensors), train=False)
    return call.leave(outputs)


@_op.register_fake
def _(
    key: str, steps: int, batch: int, reverse: bool, every: bool, lengths: Tensor | None,
    rates: str, tensors: Sequence[Tensor],
) -> list[Tensor]:  # fmt: skip
    binding, like = known(key), tensors[0]
    history = [like.new_empty(steps * batch, w) for w in (binding.widths if every else binding.widths[:1])]
    return [history[0], *(like.new_empty(batch, w) for w in binding.widths), *history[1:]]


@torch.library.custom_op("gatework::recurrence_backward", mutates_args=())
def _op_backward(
    key: str, steps: int, batch: int, reverse: bool, every: bool, lengths: Tensor | None, rates: str,
    tensors: Sequence[Tensor], grads: Sequence[Tensor], needs: Sequence[bool],
) -> list[Tensor]:  # fmt: skip
    """The gradients of the tensors that need one; runs the forward pass again, as operators keep no private state."""
    call = _Call(key, steps, batch, reverse, lengths, rates)
    entered = call.enter(tensors)
    setting = Setting(call.rows, every, call.rates)
    _, saved = forward(call.binding, setting, entered, train=True)
    states = len(call.binding.states)
    inner = [call.pack(g) if k == 0 or k > states else call.batch.sort(g) for k, g in enumerate(grads)]
    found = call.left(backward(call.binding, setting, saved, inner, needs))  # pyright: ignore[reportCallIssue]
    zero = [torch.zeros_like(t) if f is None else f for t, f in zip(tensors, found, strict=True)]
    return [f for f, n in zip(zero, needs, strict=True) if n]


@_op_backward.register_fake
def _(
    key: str, steps: int, batch: int, reverse: bool, every: bool, lengths: Tensor | None, rates: str,
    tensors: Sequence[Tensor], grads: Sequence[Tensor], needs: Sequence[bool],
) -> list[Tensor]:  # fmt: skip
    return [t.new_empty(t.shape) for t, n in zip(tensors, needs, strict=True) if n]


class _Call:
    """What the operators' plain arguments mean: the binding, the rows, and the way between padded and packed."""

    def __init__(self, key: str, steps: int, batch: int, reverse: bool, lengths: Any, rates: str):
        self.binding, self.reverse, self.padded = known(key), reverse, steps * batch
        self.batch = Rectangle(steps, batch) if lengths is None else Packed.from_lengths(lengths, steps, batch)
        self.index = self.batch.index(steps, batch_first=False) if isinstance(self.batch, Packed) else None
        self.rows = self.batch.rows(reverse)
        self.rates = {name: float(value) for name, value in (r.split("=") for r in rates.split())}

    def pack(self, values: Tensor) -> Tensor:
        """(T*B, w) to (N, w), in the order in which the direction visits the rows."""
        if self.index is None:
            return values
        flat = values.index_select(0, self.index)
        return self.batch.flip(flat) if self.reverse else flat

    def unpack(self, flat: Tensor) -> Tensor:
        if self.index is None:
            return flat
        return put(self.batch.flip(flat) if self.reverse else flat, self.index, self.padded)

    def enter(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        b, tensors = self.binding, self.binding.checked(tensors)
        steps, params = len(b.steps), b.first_param
        return [
            *map(self.pack, tensors[:steps]), *map(self.batch.sort, tensors[steps:params]), *tensors[params:]
        ]  # fmt: skip

    def leave(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        states = len(self.binding.states)
        return [self.unpack(o) if k == 0 or k > states else self.batch.unsort(o) for k, o in enumerate(outputs)]

    def left(self, grads: Sequence[Any]) -> list:
        b = self.binding
        steps, params = len(b.steps), b.first_param
        into = [self.unpack] * steps + [self.batch.unsort] * (params - steps) + [lambda g: g] * (len(grads) - params)
        return [None if g is None else f(g) for f, g in zip(into, grads, strict=True)]


def _setup(ctx: Any, inputs: tuple, output: Any) -> None:
    *said, tensors = inputs
    lengths = said[5]
    ctx.said = [*said[:5], None, *said[6:]]
    ctx.has_lengths = lengths is not None
    ctx.needs = [t.requires_grad for t in tensors]
    ctx.save_for_backward(*tensors, *([lengths] if ctx.has_lengths else []))


def _op_gradient(ctx: Any, *grads: Any) -> Any:
    given: Any = grads[0] if len(grads) == 1 and isinstance(grads[0], (list, tuple)) else grads
    saved = list(ctx.saved_tensors)
    lengths = saved.pop() if ctx.has_lengths else None
    said: Any = (*ctx.said[:5], lengths, *ctx.said[6:])
    binding, steps, batch, every = known(said[0]), said[1], said[2], said[4]
    widths = [(steps * batch, binding.widths[0]), *((batch, w) for w in binding.widths)]
    widths += [(steps * batch, w) for w in binding.widths[1:]] if every else []
    given = [saved[0].new_zeros(shape) if g is None else g for g, shape in zip(given, widths, strict=True)]
    found = iter(_op_backward(*said, saved, given, ctx.needs))
    return *[None] * len(said), [next(found) if n else None for n in ctx.needs]


_op.register_autograd(_op_gradient, setup_context=_setup)


def recurrence_traced(
    binding: Binding, entry: TracedEntry, reverse: bool, every: bool, rates: dict[str, float], tensors: Tensors
) -> list[Tensor]:
    """`recurrence` as the registered operator."""
    said = " ".join(f"{name}={value!r}" for name, value in rates.items())
    first, given = binding.first_start, list(tensors)
    for k, (state, width) in enumerate(zip(binding.graph.states, binding.widths, strict=True), first):
        if given[k] is None:
            given[k] = given[0].new_full((entry.batch, width), state.start)  # type: ignore[union-attr]
    return _op(binding.key, entry.steps, entry.batch, reverse, every, entry.lengths, said, given)
