"""The language model: embedding, recurrent layers, a distribution over the next unit; states go in and come out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

import gatework
from gatework.tasks.generate.options import GenerateOptions

States = dict[str, Tensor]
EMBEDDING_LIMIT = 128


class LanguageModel(nn.Module):
    """Next-unit logits: `logits, states = model(units, states)`, (T, B) -> (T, B, V).

    `states` is {} at a start, else what the call before gave: "0.1" is the second state of the first layer.
    """

    def __init__(self, vocabulary: int, options: GenerateOptions):
        super().__init__()
        size = options.embedding_size or min(options.hidden_size, EMBEDDING_LIMIT)
        self.dropout, self.weight_drop = options.dropout, options.weight_drop
        self.embedding = nn.Embedding(vocabulary, size)
        widths = [size] + [options.hidden_size] * (options.layers - 1)
        self.layers = nn.ModuleList(make_layer(width, options) for width in widths)
        bridge = options.tied and size != options.hidden_size
        self.bridge = nn.Linear(options.hidden_size, size, bias=False) if bridge else None
        self.output = nn.Linear(size if options.tied else options.hidden_size, vocabulary)
        nn.init.normal_(self.embedding.weight, std=size**-0.5 if options.tied else 1.0)
        nn.init.zeros_(self.output.bias)
        if options.tied:
            self.output.weight = self.embedding.weight

    def forward(self, units: Tensor, states: Mapping[str, Tensor]) -> tuple[Tensor, States]:
        hidden = self._locked(self.embedding(units))
        after: States = {}
        for number, layer in enumerate(self.layers):
            hidden, last = self._run(layer, hidden, _of_layer(states, number))
            hidden = self._locked(hidden)
            after |= {f"{number}.{place}": state for place, state in enumerate(last)}
        hidden = hidden if self.bridge is None else self.bridge(hidden)
        return self.output(hidden), after

    def _run(self, layer: nn.Module, inputs: Tensor, states: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        if self.training and self.weight_drop:
            dropped = {name: F.dropout(weight, self.weight_drop) for name, weight in state_weights(layer).items()}
            outputs, last = functional_call(layer, dropped, (inputs, states))
        else:
            outputs, last = layer(inputs, states)
        return outputs, last if isinstance(last, tuple) else (last,)

    def _locked(self, values: Tensor) -> Tensor:
        """Dropout with one mask for all steps: (T, B, H) times (1, B, H)."""
        if not (self.training and self.dropout):
            return values
        return values * F.dropout(values.new_ones(1, *values.shape[1:]), self.dropout)


def make_layer(inputs: int, options: GenerateOptions) -> nn.Module:
    """One recurrent layer of the options' cell; only options in use are passed on."""
    extras = {
        name: value
        for name in ("recurrent_dropout", "zoneout", "layer_norm")
        if (value := getattr(options, name))
    }  # fmt: skip
    known = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}
    if options.cell in known:
        return getattr(gatework, known[options.cell])(inputs, options.hidden_size, **extras)
    return gatework.Recurrent(options.cell, inputs, options.hidden_size, **extras)


def state_weights(layer: Any) -> dict[str, nn.Parameter]:
    """The matrices that act on states: torch's weight_hh_l0, or weight_f_h_l0 where the cell has a state h."""
    found = {name: each for name, each in layer.named_parameters() if name.startswith("weight_hh")}
    if found:
        return found
    states = {state.name for state in layer.graph.states}
    return {name: each for name, each in layer.named_parameters() if each.dim() > 1 and name.split("_")[-2] in states}


def _of_layer(states: Mapping[str, Tensor], number: int) -> Any:
    """A layer's states in the form its class takes: None, one tensor, or a tuple."""
    own = [states[name] for name in sorted(states) if name.startswith(f"{number}.")]
    if not own:
        return None
    return own[0] if len(own) == 1 else tuple(own)


def cross_entropy(logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """Nats per counted target of (T, B, V) logits."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)


def zero_first(states: Mapping[str, Tensor]) -> States:
    """The states with row 0 of the batch at zero: (layers, B, H)."""
    keep = {name: torch.ones_like(state) for name, state in states.items()}
    for mask in keep.values():
        mask[:, 0] = 0
    return {name: state * keep[name] for name, state in states.items()}
