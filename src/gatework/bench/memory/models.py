"""The networks that are compared: a cell with a linear layer on top, and a small Transformer."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatework.layers import Recurrent

TRANSFORMER = "transformer"
HEADS, DEPTH = 2, 2


class CellNet(nn.Module):
    """A recurrent layer and a linear one: (T, B, I) to (T, B, K)."""

    def __init__(self, cell: str, inputs: int, units: int, outputs: int, **options: Any):
        super().__init__()
        self.recurrent = Recurrent(cell, inputs, units, **options)
        self.head = nn.Linear(self.recurrent.output_size, outputs)

    def forward(self, inputs: Tensor, last: bool = False) -> Tensor:
        hidden, _ = self.recurrent(inputs)
        return self.head(hidden[-1] if last else hidden)


class Transformer(nn.Module):
    """torch.nn.TransformerEncoder that sees the past: (T, B, I) to (T, B, K).

    Two layers, two heads, sinusoids for places (Vaswani et al., NIPS 2017, section 3.5). If the last answer alone is
    asked for, the upper layer makes no other.
    """

    def __init__(self, inputs: int, units: int, outputs: int):
        super().__init__()
        self.enter = nn.Linear(inputs, units)
        layer = nn.TransformerEncoderLayer(units, HEADS, 4 * units, dropout=0.0, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, DEPTH, nn.LayerNorm(units), enable_nested_tensor=False)
        self.head = nn.Linear(units, outputs)

    def forward(self, inputs: Tensor, last: bool = False) -> Tensor:
        steps = len(inputs)
        hidden = self.enter(inputs) + places(steps, self.enter.out_features).to(inputs)[:, None]
        past = nn.Transformer.generate_square_subsequent_mask(steps, dtype=inputs.dtype)
        layers: Any = self.encoder.layers
        for layer in layers if not last else layers[:-1]:
            hidden = layer(hidden, past, is_causal=True)
        if last:
            hidden = self._top(layers[-1], hidden)
        norm = self.encoder.norm
        return self.head(hidden if norm is None else norm(hidden))

    @staticmethod
    def _top(layer: nn.TransformerEncoderLayer, hidden: Tensor) -> Tensor:
        """The last step's answer, (B, units), of all steps (T, B, units)."""
        seen = layer.norm1(hidden)
        mixed = hidden[-1] + layer.self_attn(seen[-1:], seen, seen, need_weights=False)[0][0]
        return mixed + perceptron(layer, mixed)


def perceptron(layer: nn.TransformerEncoderLayer, hidden: Tensor) -> Tensor:
    """What a layer adds to each step by itself."""
    return layer.linear2(functional.relu(layer.linear1(layer.norm2(hidden))))


def places(steps: int, units: int) -> Tensor:
    """(T, units): sines and cosines of the place."""
    rates = torch.exp(torch.arange(0, units, 2) * (-math.log(10000.0) / units))
    angles = torch.arange(steps)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).reshape(steps, units)


class Cached:
    """One more step of a Transformer that keeps the keys and values of the steps before: its cost in a stream.

    stream = Cached(model, rows=1)
    y = stream.step(x)              # x (B, I), y (B, K), as the model's last step over all that came so far
    """

    def __init__(self, model: Transformer, rows: int = 1):
        self.model, self.steps = model, 0
        self.kept: list[list[Tensor]] = [[] for _ in model.encoder.layers]
        self.rows = rows

    def step(self, x: Tensor) -> Tensor:
        units = self.model.enter.out_features
        hidden = self.model.enter(x) + places(self.steps + 1, units)[-1].to(x)
        layers: Any = self.model.encoder.layers
        for number, layer in enumerate(layers):
            hidden = hidden + self._attend(number, layer, layer.norm1(hidden))
            hidden = hidden + perceptron(layer, hidden)
        self.steps += 1
        norm = self.model.encoder.norm
        return self.model.head(hidden if norm is None else norm(hidden))

    def _attend(self, number: int, layer: nn.TransformerEncoderLayer, hidden: Tensor) -> Tensor:
        own = layer.self_attn
        parts = functional.linear(hidden, own.in_proj_weight, own.in_proj_bias).view(self.rows, 3, HEADS, -1)
        query, now = parts[:, 0, :, None], parts[:, 1:, :, None]
        past = self.kept[number]
        past[:] = [torch.cat([*past, now], 3)]
        mixed = functional.scaled_dot_product_attention(query, past[0][:, 0], past[0][:, 1])
        return own.out_proj(mixed.reshape(self.rows, -1))
