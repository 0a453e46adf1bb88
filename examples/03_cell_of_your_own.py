"""A cell of your own in a few lines: check its gradient, train it, read its gates."""

from __future__ import annotations

import torch
from torch import nn

import gatework
from gatework import cell, sigmoid, tanh


@cell
def decaying(x, h, c, W):
    """A memory that fades at a learned rate for each unit, and an output gate that sees it."""
    keep = sigmoid(W.fade)
    i = sigmoid(W.i(h, x))
    c = keep * c + (1 - keep) * i * tanh(W.g(x))
    o = sigmoid(W.o(h, x, c))
    return o * tanh(c), c


# The derivative comes from the equations; torch's own check compares it with differences, in float64.
small = gatework.Recurrent(decaying, 3, 4, dtype=torch.float64)
assert torch.autograd.gradcheck(lambda x: small(x)[0], torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True))

# Train: is the running sum of the first channel positive, at each step?
torch.manual_seed(0)
layer, out = gatework.Recurrent(decaying, 2, 32), nn.Linear(32, 1)
optimiser = torch.optim.Adam([*layer.parameters(), *out.parameters()], 1e-2)
for step in range(151):
    x = torch.randn(40, 32, 2)  # (T, B, I)
    target = (x[..., :1].cumsum(0) > 0).float()
    output, _ = layer(x)
    loss = nn.functional.binary_cross_entropy_with_logits(out(output), target)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if step % 50 == 0:
        print(f"step {step:3}: loss {loss.item():.3f}")
assert loss.item() < 0.45

# Every state and named value of every step can be asked for.
_, _, values = layer(torch.randn(40, 1, 2), return_all=True)
print("values:", ", ".join(f"{name} {tuple(value.shape)}" for name, value in values.items()))
print("slowest units keep", [round(v, 3) for v in values["keep_l0"][0, 0].sort(descending=True).values[:4].tolist()])
print(layer.describe())
