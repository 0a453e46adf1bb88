"""Decoder: whole target sequences at once in training, single steps for a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gatework.networks.attention import AttentionLayer, Memory
from gatework.networks.encoder import Encoder
from gatework.networks.heads import Symbols
from gatework.networks.states import States, chosen
from gatework.runtime.net.builder import Builder, Value
from gatework.runtime.saved import Layer


class Places(NamedTuple):
    """What P places of B rows have read: states of B * P rows, and the memory of B rows that they share."""

    states: States
    memory: Memory | None
    places: int = 1

    def select(self, parents: np.ndarray, rows: np.ndarray | None = None) -> Places:
        """Each place goes on from the place `parents` (B', K) of its row; only these `rows` (B',) stay, if given. As
        long as their number stays, layers and their packed weights do, too."""
        if rows is None and self.places == parents.shape[1] == 1:
            return self
        own = np.arange(len(parents)) if rows is None else rows
        states = chosen(self.states, torch.from_numpy((own[:, None] * self.places + parents).ravel()))
        memory = self.memory
        if memory is not None and rows is not None:
            memory = memory.select(torch.from_numpy(rows))
        return Places(states, memory, parents.shape[1])


class Decoder(nn.Module):
    """An embedding, recurrent layers, attention after them, and a head.

        decoder = Decoder(Embedding(V, 32), Encoder(options, 32), Symbols(64, V), AttentionLayer(64, M))
        memory = decoder.attention.memory(encoded, lengths)     # encoded (B, S, M): an encoder's outputs, transposed
        logits, weights, states = decoder(targets, memory)      # (T, B) -> (T, B, V), (B, T, S)

    As attention comes after the recurrence (Luong et al. 2015, without input feeding), a whole sequence runs in the
    fused kernels, and no step is written in Python. `embedding` maps what is read, ids (T, B), to (T, B, I). Without
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

    def begin(self, memory: Memory | None, start: Mapping[str, Tensor]) -> Places:
        """A single place of each row, with the row's states `start` (layers, B, H): a search makes more of it."""
        ready = memory if self.attention is None or memory is None else self.attention.ready(memory)
        return Places(dict(start), ready)

    @torch.no_grad()
    def step(self, state: Places, last: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, Places]:
        """Reads one more symbol `last` (B, P) of every place: log probabilities (B, P, V) of the next one, attention
        (B, P, S), state. A search is numpy's, and what it reads is made into arrays here."""
        hidden, states = self.encoder(self.embedding(torch.from_numpy(last.reshape(1, -1))), state.states)
        assert isinstance(hidden, Tensor)
        hidden, weights = hidden.view(*last.shape, -1), None
        if self.attention is not None and state.memory is not None:
            hidden, weights = self.attention(hidden, state.memory)
        seen = None if weights is None else weights.numpy()
        return self.head(hidden).log_softmax(2).numpy(), seen, state._replace(states=states)

    def in_net(
        self, b: Builder, layers: list[Layer], last: Value, memory: tuple[Value, Value, Value] | None = None
    ) -> tuple[Value, Value | None]:
        """A step in a net: log probabilities and attention after symbols `last` (B * P,), of a memory's keys and values
        (S, B, ...), ready for it, and lengths (B,). `layers` are `encoder.entries`."""
        assert isinstance(self.embedding, nn.Embedding) and isinstance(self.head, Symbols)
        hidden = b.step(layers, b.gather(b.array("decoder.units", self.embedding.weight), last))
        weights = None
        if self.attention is not None and memory is not None:
            hidden, weights = self.attention.in_net(b, b.grouped(hidden, memory[0]), *memory)
        return b.log_softmax(self.head.in_net(b, hidden)), weights


def axes(units: Sequence[str]) -> dict[str, tuple[Sequence[str] | None, ...]]:
    """Of a model's `decoder` that reads and writes these units, the weights whose places stand for them: see
    `Task.axes`."""
    found = {"decoder.embedding.weight": (units, None), "decoder.head.output.weight": (units, None)}
    return {**found, "decoder.head.output.bias": (units,)}
