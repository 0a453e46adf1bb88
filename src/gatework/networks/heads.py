"""From a network's last units to what is asked: scores of symbols, or numbers that start at nothing."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from gatework.runtime.net.builder import Builder, Value


class Symbols(nn.Module):
    """Logits (..., V) of the symbols of a vocabulary, from (..., H).

    With `tied`, the embedding's matrix serves as the output's, too (Press & Wolf 2017); where its width is not H, a
    linear bridge leads there.
    """

    def __init__(self, features: int, vocabulary: int, tied: nn.Embedding | None = None):
        super().__init__()
        width = features if tied is None else tied.embedding_dim
        self.bridge = None if width == features else nn.Linear(features, width, bias=False)
        self.output = nn.Linear(width, vocabulary)
        nn.init.zeros_(self.output.bias)
        if tied is not None:
            self.output.weight = tied.weight

    def forward(self, hidden: Tensor) -> Tensor:
        return self.output(self.bridged(hidden))

    def bridged(self, hidden: Tensor) -> Tensor:
        """What the output's matrix is multiplied with."""
        return hidden if self.bridge is None else self.bridge(hidden)

    def in_net(self, b: Builder, hidden: Value, name: str = "output") -> Value:
        """The same in a net."""
        bridged = hidden if self.bridge is None else linear_in_net(self.bridge, b, f"{name}.bridge", hidden)
        return linear_in_net(self.output, b, name, bridged)


def linear_in_net(layer: nn.Linear, b: Builder, name: str, x: Value) -> Value:
    """A linear layer in a net; its arrays are called after it."""
    bias = None if layer.bias is None else b.array(f"{name}.bias", layer.bias)
    return b.linear(x, b.array(f"{name}.weight", layer.weight), bias)


def conv_in_net(layer: nn.Module, b: Builder, name: str, x: Value, lengths: Value) -> Value:
    """A convolution over the steps (T, B, C) of sequences in a net; its arrays are called after it."""
    weight, bias = (b.array(f"{name}.{part}", layer.get_parameter(part)) for part in ("weight", "bias"))
    return b.conv(x, weight, bias, lengths)


def silent(layer: nn.Linear) -> nn.Linear:
    """A map that gives 0 until it is trained."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def cross_entropy(logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """Nats per counted target (T, B) of logits (T, B, V)."""
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)
