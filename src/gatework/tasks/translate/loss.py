"""The softmax of a large vocabulary: loss and gradient in one go, a bounded number of symbols at a time.

Letters: M symbols, E units that the output's matrix is multiplied with, V units of the vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

AT_ONCE = 512  # symbols whose V scores are held


def smoothed(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean nats of targets (M,) under softmax(hidden (M, E) weight (V, E)^T + bias (V,)).

        smoothed(hidden, head.output.weight, head.output.bias, targets, 0.1).backward()

    A share `smoothing` of the truth is spread over all V symbols (Szegedy et al. 2016, section 7): the value is that of
    `torch.nn.functional.cross_entropy` with the same label_smoothing, without logits kept for a backward pass.
    """
    return _Smoothed.apply(hidden, weight, bias, targets, smoothing)


class _Smoothed(torch.autograd.Function):
    """With p = softmax(z) the loss of a symbol t is log sum exp(z) - (1 - s) z_t - s mean(z), and its gradient by z is
    p - (1 - s) [t] - s / V.

    Both are known as soon as z is, so p overwrites z. What is the same for all symbols of the vocabulary, s mean(z) and
    s / V, comes from the mean row of the weights, and never touches the scores. As the largest p is at least 1 / V, its
    logarithm gives log sum exp(z) without another exponential.
    """

    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        symbols = len(weight)
        by_hidden, by_weight, by_bias = torch.empty_like(hidden), torch.zeros_like(weight), torch.zeros_like(bias)
        mean = weight.mean(0)
        total = -smoothing * (hidden @ mean + bias.mean()).sum()
        for some, true, out in zip(*(each.split(AT_ONCE) for each in (hidden, targets, by_hidden)), strict=True):
            scores = torch.addmm(bias, some, weight.t())
            right, top = scores.gather(1, true[:, None]).sum(), scores.amax(1)
            torch.softmax(scores, 1, out=scores)
            total += (top - scores.amax(1).log()).sum() - (1 - smoothing) * right
            scores.scatter_add_(1, true[:, None], scores.new_full((len(true), 1), smoothing - 1))
            torch.mm(scores, weight, out=out)
            by_weight.addmm_(scores.t(), some)
            by_bias += scores.sum(0)
        by_hidden -= smoothing * mean
        by_weight -= smoothing / symbols * hidden.sum(0)
        by_bias -= smoothing / symbols * len(hidden)
        ctx.save_for_backward(by_hidden, by_weight, by_bias)
        ctx.count = max(len(hidden), 1)
        return total / ctx.count

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        scale = gradient / ctx.count
        by_hidden, by_weight, by_bias = ctx.saved_tensors
        return by_hidden * scale, by_weight * scale, by_bias * scale, None, None
