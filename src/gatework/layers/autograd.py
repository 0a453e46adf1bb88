"""The recurrence as an operator of torch: values and first derivatives from the kernel, the second from the reference.

`recurrence` is for calls outside of compilers and function transforms; see operator.py for those inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from gatework.layers import fallback
from gatework.layers.binding import DTYPES, Binding, Room, Saved, Setting, Tensors
from gatework.layers.direct import prepared, readable
from gatework.layers.vmapped import for_each


def recurrence(binding: Binding, setting: Setting, tensors: Tensors) -> list[Tensor]:
    """Run one direction of one layer over flat rows.

    `tensors` are in the binding's order: inputs of each step (N, w), inputs of each sequence (B, w), starts (B, w) or
    None, parameters. Gives the output's history, the last states, and with `setting.return_all` the histories of the
    states after the first, in the forms that `setting.axes` says.
    """
    tensors = readable(binding, tensors)  # here, where autograd sees copies being made
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        return list(Operator.apply(_Direction(binding, setting), *tensors))
    return forward(binding, setting, tensors, train=False)[0]


def forward(binding: Binding, setting: Setting, tensors: Tensors, train: bool) -> tuple[list[Tensor], Saved]:
    """The kernel's forward pass: tensors out, and what is kept for the way back."""
    return_all = setting.return_all
    call = prepared(binding, "train" if train or return_all else "infer", setting.rows, tensors[0].dtype)
    finals, histories, block = call(setting, tensors)
    return [histories[0], *finals, *(histories[1:] if return_all else ())], Saved(tensors, histories, block)


def backward(
    binding: Binding, setting: Setting, saved: Saved, grads: Tensors, needs: Sequence[bool]
) -> list[Tensor | None]:
    """The kernel's backward pass: a gradient, or None, for each of the binding's tensors."""
    states = len(binding.states)
    given = [None if g is None else as_rows(g) for g in grads]
    finals = [None if g is None else g.flatten(0, -2).contiguous() for g in given[1 : 1 + states]]
    d_histories = [given[0], *(given[1 + states :] if setting.return_all else [None] * (states - 1))]
    call = prepared(binding, needed(binding, needs), setting.rows, saved.tensors[0].dtype)
    return call(setting, saved, d_histories, finals)


def needed(binding: Binding, needs: Sequence[bool]) -> frozenset[str]:
    """The kind of a backward pass: the inputs that need a gradient, "start" if any of the starts does, and "weights" if
    any of the parameters does."""
    first, params = binding.first_start, binding.first_param
    found = [n for n, need in zip((*binding.steps, *binding.sequences), needs, strict=False) if need]
    found += ["start"] * any(needs[first:params]) + ["weights"] * any(needs[params:])
    return frozenset(found)


def as_rows(grad: Tensor) -> Tensor:
    """A gradient of a history or a last state as rows that the kernel can walk: contiguous, or (N, w)."""
    if grad.is_contiguous():
        return grad.resolve_neg()
    rows = grad if grad.dim() == 2 else grad.flatten(0, 1)
    return (rows if rows.stride(1) == 1 and rows.stride(0) > 0 else rows.contiguous()).resolve_neg()


class Done(NamedTuple):
    """What a forward pass gives: its outputs, those of them that are kept and that callers may change in place, and
    what is kept for the way back beside the operator's tensors."""

    outputs: list[Tensor]
    shown: list[Tensor]
    kept: list[Tensor | None]


class Work(Protocol):
    """What one operator computes: a direction of a layer, or a stack."""

    def later(self) -> Work:
        """What the way back may hold: without the outputs, which would then hold themselves, and be written again."""
        ...

    def forward(self, tensors: Tensors, kept: Tensors = ()) -> Done:
        """The kernel's forward pass; once more, with the masks that were drawn before, where `kept` is given."""
        ...

    def backward(self, tensors: Tensors, kept: Tensors, grads: Tensors, needs: Sequence[bool]) -> list[Tensor | None]:
        """The kernel's backward pass: a gradient, or None, for each of the tensors."""
        ...

    def differentiable(self, tensors: Tensors, kept: Tensors) -> list[Tensor]:
        """The outputs by way of the reference, as ordinary operations of torch."""
        ...


class _Direction(NamedTuple):
    """One direction of one layer."""

    binding: Binding
    setting: Setting

    def later(self) -> Work:
        return self._replace(setting=self.setting._replace(room=None))

    def forward(self, tensors: Tensors, kept: Tensors = ()) -> Done:
        outputs, saved = forward(self.binding, self.setting, tensors, train=True)
        shown, room = [outputs[0], *outputs[1 + len(self.binding.states) :]], self.setting.room
        unwatched = [h.data for h in shown]
        kept = [*unwatched, *saved.histories[len(shown) :], saved.block]
        return Done(outputs, [room.whole if room else shown[0], *shown[1:]], kept)

    def backward(self, tensors: Tensors, kept: Tensors, grads: Tensors, needs: Sequence[bool]) -> list[Tensor | None]:
        return backward(self.binding, self.setting, Saved(tensors, kept[:-1], kept[-1]), grads, needs)

    def differentiable(self, tensors: Tensors, kept: Tensors) -> list[Tensor]:
        return fallback.differentiable(self.binding, self.setting, tensors)


class Operator(torch.autograd.Function):
    """A work, with its derivatives. Callers may change outputs in place, as those of torch.nn's layers. So what is kept
    for the way back is a history whose changes autograd does not see; `watched` sees them, and then the forward pass
    runs again."""

    @staticmethod
    def forward(ctx: Any, work: Work, *tensors: Tensor) -> Any:
        done = work.forward(tensors)
        ctx.work, ctx.watched = work.later(), [watched(h) for h in done.shown]
        ctx.save_for_backward(*tensors, *done.kept)
        ctx.set_materialize_grads(False)
        return tuple(done.outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        return _way_back(ctx, *grads)


@torch.compiler.disable  # else a compiled training step that calls Keras' layers traces what follows, to no end
def _way_back(ctx: Any, *grads: Tensor | None) -> Any:
    work, needs, saved = ctx.work, ctx.needs_input_grad[1:], ctx.saved_tensors
    tensors, kept = saved[: len(needs)], saved[len(needs) :]
    if torch.is_grad_enabled():
        found = for_each(lambda *g: _again(lambda t: work.differentiable(t, kept), g, tensors, needs), *grads)
    else:
        if any(history._version for history in ctx.watched):
            kept = work.forward(tensors, kept).kept
        found = for_each(lambda *g: work.backward(tensors, kept, g, needs), *grads)
    return None, *(f if needed else None for f, needed in zip(found, needs, strict=True))


_NOTHING = {dtype: torch.empty(0, dtype=dtype, device="cpu") for dtype in DTYPES}


def watched(tensor: Tensor) -> Tensor:
    """An empty tensor whose `_version` counts how often a new tensor, through whatever alias, is changed in place: with
    `detach` it shares that counter, and then it gives the memory back."""
    twin = tensor.detach()
    twin.data = _NOTHING[tensor.dtype]
    return twin


def side_by_side(parts: int, axes: tuple[int, ...], width: int, dtype: torch.dtype) -> list[Room]:
    """Rooms over the columns of one tensor (*axes, parts * width), for `joined`."""
    whole = torch.empty(*axes, parts * width, dtype=dtype)
    shape, storage = (*axes, width), whole.untyped_storage()
    places = [torch.empty(0, dtype=dtype).set_(storage, k * width, shape, whole.stride()) for k in range(parts)]
    return [Room(place, whole) for place in places]


def joined(whole: Tensor, parts: list[Tensor]) -> Tensor:
    """What torch.cat(parts, -1) would give, if the parts were written side by side: `whole`, without a copy."""
    return _Joined.apply([whole], *parts)


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, whole: list[Tensor], *parts: Tensor) -> Tensor:
        ctx.widths = [p.shape[-1] for p in parts]
        return whole[0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return None, *grads[0].split(ctx.widths, -1)


def _again(
    run: Callable[[Tensors], list[Tensor]], grads: Tensors, tensors: Tensors, needs: Sequence[bool]
) -> list[Tensor | None]:
    """First derivatives as a differentiable function of tensors and gradients: through the reference."""
    with torch.enable_grad():
        # Aliases, so that a tensor computed from another of them does not add to the other's gradient.
        aliases = [t.view_as(t) if t is not None and n else t for t, n in zip(tensors, needs, strict=True)]
        outputs = run(aliases)
        wanted: list[Any] = [a for a, n in zip(aliases, needs, strict=True) if n]
        pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if g is not None and o.requires_grad]
        found = iter(
            torch.autograd.grad(
                [o for o, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, allow_unused=True
            )
        )
    return [next(found) if n else None for n in needs]
