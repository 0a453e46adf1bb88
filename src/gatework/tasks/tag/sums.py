"""Sums of rows of weights: the linear scores of the features of windows (see `gatework.runtime.texts.windows`)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def sums(weight: Tensor, rows: Tensor) -> Tensor:
    """(M, K): of weights (D, K) the rows (M, F) added up."""
    return _Sums.apply(weight, rows)


class _Sums(torch.autograd.Function):
    """The gradient of `embedding_bag` takes ten times as long as this product of a sparse matrix."""

    @staticmethod
    def forward(ctx, weight: Tensor, rows: Tensor) -> Tensor:
        ctx.rows, ctx.size = rows, len(weight)
        return functional.embedding_bag(rows, weight, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        from scipy import sparse

        rows, values = ctx.rows.numpy(), gradient.numpy()
        ends = np.arange(len(rows) + 1) * rows.shape[1]
        chosen = sparse.csr_matrix((np.ones(rows.size, values.dtype), rows.ravel(), ends), (len(rows), ctx.size))
        return torch.from_numpy(chosen.T @ values), None
