"""The recurrence as an operator of torch: values and first derivatives from the kernel, the second from the reference.

`recurrence` is for calls outside of compilers and function transforms; see operator.py for those inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gatework.layers import fallback
from gatework.layers.binding import Binding, Setting, Tensors
from gatework.layers.direct import Saved, prepared, readable


def recurrence(binding: Binding, setting: Setting, tensors: Tensors) -> list[Tensor]:
    """Run one direction of one layer over flat rows.

    `tensors` are in the binding's order: inputs of each step (N, w), inputs of each sequence (B, w), starts (B, w) or
    None, parameters. Gives the output's history (N, H), the last states (B, w), and with `setting.return_all` the
    histories of the states after the first.
    """
    tensors = readable(binding, tensors)  # here, where autograd sees copies being made
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        return list(_Recurrence.apply(binding, setting, *tensors))
    return forward(binding, setting, tensors, train=False)[0]


def forward(binding: Binding, setting: Setting, tensors: Tensors, train: bool) -> tuple[list[Tensor], Saved]:
    """The kernel's forward pass: tensors out, and what is kept for the way back."""
    return_all, room = setting.return_all, setting.room
    call = prepared(binding, "train" if train or return_all else "infer", setting.rows, tensors)
    if call is not None:
        finals, histories, block = call(setting, tensors)
    else:
        finals, histories = fallback.forward(binding, setting, tensors, train or return_all)
        block = None
        histories[0] = histories[0] if room is None else room.copy_(histories[0])
    return [histories[0], *finals, *(histories[1:] if return_all else ())], Saved(tensors, histories, block)


@torch.compiler.disable  # else a compiled training step that calls Keras' layers traces what follows, to no end
def backward(
    binding: Binding, setting: Setting, saved: Saved, grads: Tensors, needs: Sequence[bool]
) -> list[Tensor | None]:
    """The kernel's backward pass: a gradient, or None, for each of the binding's tensors."""
    states, params = len(binding.states), binding.first_param
    given = [g if g is None or (g.stride(1) == 1 and g.stride(0) > 0) else g.contiguous() for g in grads]
    given = [g if g is None else g.resolve_neg() for g in given]
    finals = [None if g is None else g.contiguous() for g in given[1 : 1 + states]]
    d_histories = [given[0], *(given[1 + states :] if setting.return_all else [None] * (states - 1))]
    need = {n for n, needed in zip((*binding.steps, *binding.sequences), needs, strict=False) if needed}
    need |= {"weights"} if any(needs[params:]) else set()
    call = prepared(binding, frozenset(need), setting.rows, saved.tensors)
    if call is not None:
        return call(setting, saved, d_histories, finals)
    return fallback.backward(binding, setting, saved.tensors, d_histories, finals, need)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, binding: Binding, setting: Setting, *tensors: Tensor) -> Any:
        outputs, saved = forward(binding, setting, tensors, train=True)
        ctx.binding, ctx.setting = binding, setting._replace(room=None)
        others = () if setting.return_all else saved.histories[1:]
        ctx.save_for_backward(*saved.tensors, *outputs, *others, saved.block)
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        binding, setting = ctx.binding, ctx.setting
        needs = ctx.needs_input_grad[2:]
        *kept, block = ctx.saved_tensors
        tensors = kept[: len(needs)]
        if torch.is_grad_enabled():
            found = _again(binding, setting, grads, tensors, needs)
        else:
            states = len(binding.states)
            histories = [kept[len(needs)], *kept[len(needs) + 1 + states :]]
            saved = Saved(tensors, histories, block)
            # torch's own types say that what `compiler.disable` gives takes one argument
            found = backward(binding, setting, saved, grads, needs)  # pyright: ignore[reportCallIssue]
        return None, None, *(f if needed else None for f, needed in zip(found, needs, strict=True))


def side_by_side(parts: int, size: int, width: int, dtype: torch.dtype) -> tuple[Tensor, list[Tensor]]:
    """A tensor (size, parts * width), and tensors of their own (not views) over its columns, for `joined`."""
    whole = torch.empty(size, parts * width, dtype=dtype)
    storage, stride = whole.untyped_storage(), (parts * width, 1)
    return whole, [torch.empty(0, dtype=dtype).set_(storage, k * width, (size, width), stride) for k in range(parts)]


def joined(whole: Tensor, parts: list[Tensor]) -> Tensor:
    """What torch.cat(parts, 1) would give, if the parts were written side by side: `whole`, without a copy."""
    return _Joined.apply([whole], *parts)


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, whole: list[Tensor], *parts: Tensor) -> Tensor:
        ctx.widths = [p.shape[1] for p in parts]
        ctx.save_for_backward(whole[0])
        return whole[0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        _ = ctx.saved_tensors  # refuses if the tensor was changed, which the parts over the same memory do not see
        return None, *grads[0].split(ctx.widths, 1)


def _again(
    binding: Binding, setting: Setting, grads: Tensors, tensors: Tensors, needs: Sequence[bool]
) -> list[Tensor | None]:
    """First derivatives as a differentiable function of tensors and gradients: through the reference."""
    with torch.enable_grad():
        # Aliases, so that a tensor computed from another of them does not add to the other's gradient.
        aliases = [t.view_as(t) if t is not None and n else t for t, n in zip(tensors, needs, strict=True)]
        outputs = fallback.differentiable(binding, setting, aliases)
        wanted: list[Any] = [a for a, n in zip(aliases, needs, strict=True) if n]
        pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if g is not None and o.requires_grad]
        found = iter(
            torch.autograd.grad(
                [o for o, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, allow_unused=True
            )
        )
    return [next(found) if n else None for n in needs]
