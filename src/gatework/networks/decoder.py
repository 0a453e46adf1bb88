"""Decoder: whole target sequences at once in training, single steps for a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gatework.networks.attention import AttentionLayer, Memory
from gatework.networks.encoder import Encoder
from gatework.networks.states import States, chosen, repeated


class Places(NamedTuple):
    """What K places of B rows have read: states of B * K rows, and the memory of B rows that they share."""

    states: States
    memory: Memory | None

    def select(self, parents: Tensor) -> Places:
        """Each place goes on from the place `parents` (B, K) of its row. The number of places stays, so that layers
        and their packed weights do, too."""
        if parents.shape[1] == 1:
            return self
        rows = parents + torch.arange(len(parents))[:, None] * parents.shape[1]
        return self._replace(states=chosen(self.states, rows.flatten()))


class Decoder(nn.Module):
    """An embedding, recurrent layers, attention after them, and a head.

        decoder = Decoder(Embedding(V, 32), Encoder(options, 32), Symbols(64, V), AttentionLayer(64, M))
        memory = decoder.attention.memory(encoded, lengths)     # encoded (B, S, M): an encoder's outputs, transposed
        logits, weights, states = decoder(targets, memory)      # (T, B) -> (T, B, V), (B, T, S)

    As attention comes after the recurrence (Luong et al. 2015, without input feeding), a whole sequence runs in the
    fused kernels, and no step is written in Python. `embedding` maps what is read, ids or frames, to (T, B, I). Without
    `attention` it is a language model.
    """

    def __init__(
        self, embedding: nn.Module, encoder: Encoder, head: nn.Module, attention: AttentionLayer | None = None
    ):
        super().__init__()
        self.embedding, self.encoder, self.attention, self.head = embedding, encoder, attention, head

    def forward(
        self, targets: Tensor, memory: Memory | None = None, start: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor | None, States]:
        """Outputs (T, B, V), attention (B, T, S), and the states after the last step, from which the next call goes
        on; `start` {} or None is a beginning."""
        looked, weights, states = self.looked(targets, memory, start)
        return self.head(looked), weights, states

    def looked(
        self, targets: Tensor, memory: Memory | None = None, start: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor | None, States]:
        """What the head reads, (T, B, H), beside what `forward` gives: for a loss that needs not every output."""
        hidden, states = self.encoder(self.embedding(targets), start)
        assert isinstance(hidden, Tensor)
        if self.attention is None or memory is None:
            return hidden, None, states
        looked, weights = self.attention(hidden.transpose(0, 1), memory)
        return looked.transpose(0, 1), weights, states

    def begin(self, memory: Memory | None, start: Mapping[str, Tensor], places: int) -> Places:
        """Every place of a row starts from the row's states `start` (layers, B, H)."""
        return Places(repeated(start, places), memory)

    def step(self, state: Places, last: Tensor) -> tuple[Tensor, Tensor | None, Places]:
        """Reads one more input `last` (B, K) of every place: outputs (B, K, V), attention (B, K, S), state."""
        rows, count = last.shape[:2]
        hidden, states = self.encoder(self.embedding(last.flatten(0, 1).unsqueeze(0)), state.states)
        assert isinstance(hidden, Tensor)
        hidden, weights = hidden.view(rows, count, -1), None
        if self.attention is not None and state.memory is not None:
            hidden, weights = self.attention(hidden, state.memory)
        return self.head(hidden), weights, Places(states, state.memory)
