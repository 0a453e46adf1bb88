"""The steps of each sequence to one vector, on packed rows: the last one, the mean, the maximum, or by attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gatework.networks.heads import linear_in_net
from gatework.runtime.net.builder import Builder, Value

POOLINGS = ("last", "mean", "max", "attention")


class Pooling(nn.Module):
    """Vectors (B, H) of outputs (N, H).

        pooled = Pooling("max", 64)(outputs, ends, rows, lengths)

    Args of the call: `ends` (directions, B, H) the last layer's states at the ends; `rows` (N,) the sequence of each
    output; `lengths` (B,).
    """

    def __init__(self, kind: str, features: int):
        super().__init__()
        self.kind = kind
        self.score = StepWeights(features) if kind == "attention" else None

    def forward(self, outputs: Tensor, ends: Tensor, rows: Tensor, lengths: Tensor) -> Tensor:
        if self.kind == "last":
            return torch.cat(list(ends), dim=1)
        if self.kind == "max":
            return RowMax.apply(outputs, rows, len(lengths))
        zeros = outputs.new_zeros(len(lengths), outputs.shape[1])
        if self.score is None:
            return zeros.index_add(0, rows, outputs) / lengths[:, None]
        return zeros.index_add(0, rows, outputs * self.score(outputs, rows, len(lengths)))

    def in_net(self, b: Builder, outputs: Value, ends: Sequence[Value], lengths: Value) -> Value:
        """The same in a net, of outputs (T, B, H)."""
        if self.kind == "last":
            return b.concat(*ends)
        if self.score is None:
            return b.pool(outputs, lengths, kind=self.kind)
        return b.weighed(outputs, b.time_softmax(self.score.in_net(b, outputs), lengths))


class RowMax(torch.autograd.Function):
    """Maximum (count, w) of the values (N, w) of each sequence, `rows` (N,) says whose; -inf where it has none. Values
    that hold it share the gradient. (That of torch's scatter_reduce takes several times as long, and that of its
    segment_reduce is wrong where some are equal.)"""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rows: Tensor, count: int) -> Tensor:
        start = values.new_full((count, values.shape[1]), float("-inf"))
        most = start.scatter_reduce(0, rows[:, None].expand_as(values), values, "amax")
        ctx.save_for_backward(values, rows, most)
        return most

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        values, rows, most = ctx.saved_tensors
        holds = (values == most.index_select(0, rows)).to(values.dtype)
        share = gradient / torch.zeros_like(most).index_add_(0, rows, holds)
        return holds.mul_(share.index_select(0, rows)), None, None


class StepWeights(nn.Module):
    """Weights of the steps: softmax of v . tanh(W y + b) (Yang et al. 2016, section 2.2)."""

    def __init__(self, features: int):
        super().__init__()
        self.map = nn.Linear(features, features)
        self.vector = nn.Linear(features, 1, bias=False)

    def forward(self, outputs: Tensor, rows: Tensor, count: int) -> Tensor:
        """Weights (N, 1) that sum to 1 over each sequence."""
        scores = self.vector(torch.tanh(self.map(outputs)))[:, 0]
        top = scores.new_full((count,), float("-inf")).scatter_reduce(0, rows, scores.detach(), "amax")
        weights = torch.exp(scores - top[rows])
        return (weights / weights.new_zeros(count).index_add(0, rows, weights)[rows])[:, None]

    def in_net(self, b: Builder, outputs: Value) -> Value:
        """Scores (T, B) of outputs (T, B, H)."""
        hidden = b.tanh(linear_in_net(self.map, b, "score.map", outputs))
        return b.squeeze(linear_in_net(self.vector, b, "score.vector", hidden), axis=-1)
