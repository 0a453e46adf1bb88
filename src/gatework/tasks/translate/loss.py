"""The softmax of a large vocabulary: loss and gradient in one go, a bounded number of tokens at a time."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

AT_ONCE = 512  # tokens whose logits are held


def smoothed(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Mean nats of targets [M] under softmax(hidden [M, E] weight [V, E]^T + bias [V]).

    Of the truth a share `smoothing` is spread over all V symbols (Szegedy et al. 2016, section 7).
    """
    return _Smoothed.apply(hidden, weight, bias, targets, smoothing)


class _Smoothed(torch.autograd.Function):
    """For p = softmax(z) and truth q, the loss is logsumexp(z) - sum q z and its gradient by z is p - q: both are known
    once z is, so z is overwritten by p - q, and no [M, V] is kept for a backward pass."""

    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        total = hidden.new_zeros(())
        by_hidden, by_weight, by_bias = torch.empty_like(hidden), torch.zeros_like(weight), torch.zeros_like(bias)
        needed = any(ctx.needs_input_grad[:3])
        spread = smoothing / len(weight)
        for start in range(0, len(hidden), AT_ONCE):
            some, true = hidden[start : start + AT_ONCE], targets[start : start + AT_ONCE, None]
            scores = torch.addmm(bias, some, weight.t())
            log_sum = scores.logsumexp(1, keepdim=True)
            total += log_sum.sum() - (1 - smoothing) * scores.gather(1, true).sum() - spread * scores.sum()
            if needed:
                scores.sub_(log_sum).exp_().sub_(spread).scatter_add_(
                    1, true, scores.new_full((len(true), 1), smoothing - 1)
                )
                torch.mm(scores, weight, out=by_hidden[start : start + AT_ONCE])
                by_weight.addmm_(scores.t(), some)
                by_bias += scores.sum(0)
        ctx.save_for_backward(by_hidden, by_weight, by_bias)
        ctx.count = max(len(hidden), 1)
        return total / ctx.count

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        scale = gradient / ctx.count
        by_hidden, by_weight, by_bias = ctx.saved_tensors
        return by_hidden * scale, by_weight * scale, by_bias * scale, None, None


@torch.no_grad()
def nats(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Negative log probability of each target [M]."""
    found = [
        -torch.addmm(bias, some, weight.t()).log_softmax(1).gather(1, true[:, None])[:, 0]
        for some, true in zip(hidden.split(AT_ONCE), targets.split(AT_ONCE), strict=True)
    ]
    return torch.cat(found) if found else hidden.new_zeros(0)
