"""The language model: embedding, recurrent layers, a distribution over the next unit; states go in and come out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gatework.tasks.generate.counts import MOST_SHARE, Counts
from gatework.tasks.generate.options import GenerateOptions
from gatework.tasks.recurrent import recurrent_stack

States = dict[str, Tensor]
SHARE = 0.25  # of the counts, before it is chosen


class LanguageModel(nn.Module):
    """Next-unit logits: `logits, states = model(units, states)`, (T, B) -> (T, B, V).

    `states` is {} at a start, else what the call before gave: "0.1" is the second state of the first layer. What is
    expected of a text is a mixture: (1 - share) * softmax(logits) + share * what `counts` say; see `Counts`.
    """

    share: Tensor
    share_apart: Tensor

    def __init__(self, vocabulary: int, options: GenerateOptions, counts: Counts | None = None):
        super().__init__()
        size = options.embedding_units
        self.dropout, self.word_dropout = options.dropout, options.word_dropout
        self.embedding = nn.Embedding(vocabulary, size)
        widths = [size] + [options.hidden_size] * (options.layers - 1)
        self.layers = nn.ModuleList(recurrent_stack(options, width) for width in widths)
        bridge = options.tied and size != options.hidden_size
        self.bridge = nn.Linear(options.hidden_size, size, bias=False) if bridge else None
        self.output = nn.Linear(size if options.tied else options.hidden_size, vocabulary)
        nn.init.normal_(self.embedding.weight, std=size**-0.5 if options.tied else 1.0)
        nn.init.zeros_(self.output.bias)
        if options.tied:
            self.output.weight = self.embedding.weight
        self.counts = counts or (Counts(options.orders, vocabulary) if options.orders else None)
        share = SHARE if options.ngram_share is None else options.ngram_share
        self.register_buffer("share", torch.tensor(share if options.orders else 0.0))
        self.register_buffer("share_apart", torch.tensor(MOST_SHARE))  # beside a network that knows nothing

    def forward(self, units: Tensor, states: Mapping[str, Tensor]) -> tuple[Tensor, States]:
        hidden = self._locked(self._blanked(self.embedding(units)))
        after: States = {}
        for number, layer in enumerate(self.layers):
            hidden, last = layer(hidden, _of_layer(states, number))
            last = last if isinstance(last, tuple) else (last,)
            hidden = self._locked(hidden)
            after |= {f"{number}.{place}": state for place, state in enumerate(last)}
        hidden = hidden if self.bridge is None else self.bridge(hidden)
        return self.output(hidden), after

    def _blanked(self, vectors: Tensor) -> Tensor:
        """Vectors (T, B, I) of which some units' are zero in training."""
        if not (self.training and self.word_dropout):
            return vectors
        return vectors * (torch.rand(vectors.shape[:2]) >= self.word_dropout).unsqueeze(2)

    def _locked(self, values: Tensor) -> Tensor:
        """Dropout with one mask for all steps: (T, B, H) times (1, B, H)."""
        if not (self.training and self.dropout):
            return values
        return values * F.dropout(values.new_ones(1, *values.shape[1:]), self.dropout)


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
