"""Change one import in a PyTorch model: the same weights, the same results, less time; then options torch lacks."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

import gatework
from gatework.layers import from_torch


class Tagger(nn.Module):
    """Words to tags: an embedding, an LSTM in both directions, a linear map."""

    def __init__(self, rnn: type[nn.Module]):
        super().__init__()
        self.embed = nn.Embedding(1000, 64)
        self.rnn = rnn(64, 64, num_layers=2, bidirectional=True, batch_first=True)
        self.out = nn.Linear(128, 10)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(self.embed(words))[0])


def milliseconds(call: Callable[[], object]) -> float:
    """The median of ten calls, after two to warm up."""
    times = []
    for _ in range(12):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * sorted(times[2:])[5]


def training_step(model: nn.Module, words: torch.Tensor) -> None:
    model(words).square().mean().backward()


torch.manual_seed(0)
words = torch.randint(1000, (16, 60))  # B = 16 rows of T = 60 words
before = Tagger(nn.LSTM)
after = Tagger(gatework.LSTM)  # the one change
after.load_state_dict(before.state_dict())
difference = (after(words) - before(words)).abs().max().item()
print(f"largest difference of the outputs: {difference:.1e}")
assert difference < 1e-5

# Or change a model that exists already; the copy has the same weights.
assert torch.allclose(from_torch(before)(words), before(words), atol=1e-5)

ours, theirs = (milliseconds(lambda m=m: training_step(m, words)) for m in (after, before))
print(f"a training step: {theirs:.1f} ms with torch.nn, {ours:.1f} ms with gatework")

# Options that nn.LSTM lacks. Sequences of 1 to 60 steps cost what their real steps cost.
lengths = torch.randint(1, 61, (16,))
regularised = gatework.LSTM(64, 64, batch_first=True, recurrent_dropout=0.2, layer_norm=True, forget_bias=1.0)
output, (h, c) = regularised(torch.randn(16, 60, 64), lengths=lengths)
print(f"{int(lengths.sum())} of {16 * 60} steps are real; output {tuple(output.shape)}")
print(regularised.describe())
