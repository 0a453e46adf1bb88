"""Functions that know nothing of torch.vmap, run once for each element of a batch.

A graph of ordinary calls meets torch.vmap on the way back: `is_grads_batched`, `jacobian(vectorize=True)`. Those use
torch's older kind of batched tensors, torch.func.vmap the newer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._functorch.autograd_function import VmapInfo

_add_batch_dim: Any = vars(torch)["_add_batch_dim"]  # no module exports these two
_remove_batch_dim: Any = vars(torch)["_remove_batch_dim"]

Maybe = Tensor | None
Function = Callable[..., Sequence[Maybe]]


def for_each(function: Function, *tensors: Maybe) -> Sequence[Maybe]:
    """`function(*tensors)`; where torch.vmap batches the tensors, of each element, with the results batched again."""
    if torch._C._are_functorch_transforms_active():
        return _Each.apply(function, *tensors)
    level = _older_level()
    return _older(function, tensors, level) if level else function(*tensors)


class _Each(torch.autograd.Function):
    """For torch.func.vmap."""

    @staticmethod
    def forward(function: Function, *tensors: Maybe) -> tuple[Maybe, ...]:
        return tuple(function(*tensors))

    @staticmethod
    def setup_context(ctx: object, inputs: tuple[object, ...], output: object) -> None:
        """Nothing is kept: there is no derivative."""

    @staticmethod
    def vmap(info: VmapInfo, in_dims: tuple[int | None, ...], function: Function, *tensors: Maybe) -> tuple[Any, Any]:
        batched = [
            t if t is None or dim is None else t.movedim(dim, 0) for t, dim in zip(tensors, in_dims[1:], strict=True)
        ]
        rows = [
            [t if dim is None or t is None else t[k] for t, dim in zip(batched, in_dims[1:], strict=True)]
            for k in range(info.batch_size)
        ]
        found = _stacked([_Each.apply(function, *row) for row in rows])
        return tuple(found), tuple(None if f is None else 0 for f in found)


def _older_level() -> int:
    """How many of torch's older vmaps are at work."""
    level = torch._C._vmapmode_increment_nesting()
    torch._C._vmapmode_decrement_nesting()
    return level - 1


def _older(function: Function, tensors: Sequence[Maybe], level: int) -> Sequence[Maybe]:
    # A tensor that is not batched comes out as a batch of one.
    batches = [None if t is None else _remove_batch_dim(t, level, 1, 0) for t in tensors]
    size = max((len(b) for b in batches if b is not None), default=0)
    rows = [[None if b is None else b[k % len(b)] for b in batches] for k in range(size)]
    found = _stacked([function(*row) for row in rows])
    return [None if f is None else _add_batch_dim(f, 0, level) for f in found]


def _stacked(each: Sequence[Sequence[Maybe]]) -> list[Maybe]:
    return [None if same[0] is None else torch.stack(list(same)) for same in zip(*each, strict=True)]
