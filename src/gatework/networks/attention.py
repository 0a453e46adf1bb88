"""Attention: what of a memory a state looks at, and the layer that joins what it sees with the state."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gatework.errors import OptionError
from gatework.networks.heads import linear_in_net
from gatework.runtime.net.builder import Builder, Value

SCORES = ("dot", "general", "additive")


class Memory(NamedTuple):
    """What can be looked at: keys (B, S, A) to find by, values (B, S, M) to read, lengths (B,); None: all S steps.
    `ready`: mapped already by what would map queries or contexts, see `AttentionLayer.ready`."""

    keys: Tensor
    values: Tensor
    lengths: Tensor | None = None
    ready: bool = False

    def select(self, rows: Tensor) -> Memory:
        """The memory of these rows."""
        lengths = None if self.lengths is None else self.lengths[rows]
        return self._replace(keys=self.keys[rows], values=self.values[rows], lengths=lengths)

    def inside(self) -> Tensor | None:
        """(B, 1, S): which steps are there; None for all."""
        if self.lengths is None:
            return None
        return (torch.arange(self.keys.shape[1]) < self.lengths[:, None])[:, None]


class Attention(nn.Module):
    """Weights over a memory's steps, and the mean of its values by these.

        attention = Attention(64, 128, score="additive")
        memory = attention.memory(encoded, lengths)            # encoded (B, S, M)
        context, weights = attention(queries, memory)          # (B, K, H) -> (B, K, M), (B, K, S)

    Args:
        queries, values: H and M.
        score: "dot" q.k, for H = M; "general" q.W k (both Luong, Pham & Manning 2015, section 3.1); "additive"
            v.tanh(W q + U k) (Bahdanau, Cho & Bengio 2015, appendix A.1.2).

    All queries of a row share one memory, so a search with K places never copies it.
    """

    def __init__(self, queries: int, values: int, score: str = "general"):
        super().__init__()
        if score not in SCORES:
            raise OptionError(f"score is one of {', '.join(SCORES)}; got {score!r}")
        if score == "dot" and queries != values:
            raise OptionError(f"score=dot needs queries as wide as values; got {queries} and {values}")
        self.kind = score
        width = queries if score == "additive" else values
        self.query = None if score == "dot" else nn.Linear(queries, width, bias=False)
        self.key = nn.Linear(values, width) if score == "additive" else None
        self.vector = nn.Linear(width, 1, bias=False) if score == "additive" else None
        self.keys = values if score == "dot" else queries  # how wide keys are that are ready

    def memory(self, values: Tensor, lengths: Tensor | None = None) -> Memory:
        """Values (B, S, M) with their keys, mapped once for all queries."""
        return Memory(values if self.key is None else self.key(values), values, lengths)

    def forward(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Contexts (B, K, M) and weights (B, K, S), which are 0 beyond a length; a memory of length 0 gives zeros."""
        scores, inside = self._scores(queries, memory), memory.inside()
        if inside is None:
            weights = torch.softmax(scores, dim=2)
        else:
            weights = torch.softmax(scores.masked_fill(~inside, torch.finfo(scores.dtype).min), dim=2) * inside
        return weights @ memory.values, weights

    def ready(self, memory: Memory) -> Memory:
        """The same for many queries, one after another: q.W k is q.(W k), and W k is worked out once."""
        if self.kind != "general" or self.query is None or memory.ready:
            return memory._replace(ready=True)
        return memory._replace(keys=memory.keys @ self.query.weight, ready=True)

    def keys_in_net(self, b: Builder, values: Value, name: str = "attention") -> Value:
        """Keys (S, B, A) of values (S, B, M) in a net, ready for many queries: see `ready`."""
        if self.key is not None:
            return linear_in_net(self.key, b, f"{name}.key", values)
        return values if self.query is None else b.linear(values, b.array(f"{name}.query", self.query.weight.t()))

    def in_net(self, b: Builder, queries: Value, keys: Value, lengths: Value, name: str = "attention") -> Value:
        """Weights (B, P, S) of queries (B, P, H) in a net, on the keys of `keys_in_net`."""
        if self.query is None or self.vector is None:
            return b.attention(queries, keys, lengths)
        asked = b.expand(linear_in_net(self.query, b, f"{name}.query", queries), axis=2)
        hidden = b.tanh(b.add(asked, b.expand(b.transpose(keys, axes=[1, 0, 2]), axis=1)))
        scores = b.squeeze(linear_in_net(self.vector, b, f"{name}.vector", hidden), axis=-1)
        return b.softmax_inside(scores, lengths)

    def _scores(self, queries: Tensor, memory: Memory) -> Tensor:
        asked = queries if self.query is None or (memory.ready and self.vector is None) else self.query(queries)
        if self.vector is None:
            return asked @ memory.keys.transpose(1, 2)
        return self.vector(torch.tanh(asked.unsqueeze(2) + memory.keys.unsqueeze(1))).squeeze(3)


class AttentionLayer(nn.Module):
    """States after a look at the memory: tanh(W [h; context]) (Luong et al. 2015, equation 5).

    looked, weights = layer(states, memory)                    # (B, K, H) -> (B, K, H), (B, K, S)
    """

    def __init__(self, states: int, values: int, score: str = "general"):
        super().__init__()
        self.attention = Attention(states, values, score)
        self.joined = nn.Linear(states + values, states)

    def memory(self, values: Tensor, lengths: Tensor | None = None) -> Memory:
        """See `Attention.memory`."""
        return self.attention.memory(values, lengths)

    def ready(self, memory: Memory) -> Memory:
        """The same memory for many states, one after another: keys and values are mapped once, in place of each query
        and each context. W (sum of a v) is the sum of a (W v)."""
        if memory.ready:
            return memory
        of_context = self.joined.weight[:, self.joined.out_features :]
        return self.attention.ready(memory)._replace(values=memory.values @ of_context.t())

    def forward(self, states: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        context, weights = self.attention(states, memory)
        if not memory.ready:
            return torch.tanh(self.joined(torch.cat([states, context], 2))), weights
        own = functional.linear(states, self.joined.weight[:, : self.joined.out_features], self.joined.bias)
        return torch.tanh(own + context), weights

    def memory_in_net(self, b: Builder, values: Value, name: str = "attention") -> tuple[Value, Value]:
        """Keys and values of a memory (S, B, M) in a net, ready for many states: see `ready`."""
        of_context = b.array(f"{name}.context", self.joined.weight[:, self.joined.out_features :])
        return self.attention.keys_in_net(b, values, name), b.linear(values, of_context)

    def in_net(
        self, b: Builder, states: Value, keys: Value, values: Value, lengths: Value, name: str = "attention"
    ) -> tuple[Value, Value]:
        """States (B, P, H) after a look, and weights (B, P, S), in a net."""
        weights = self.attention.in_net(b, states, keys, lengths, name)
        of_state = b.array(f"{name}.state", self.joined.weight[:, : self.joined.out_features])
        own = b.linear(states, of_state, b.array(f"{name}.bias", self.joined.bias))
        return b.tanh(b.add(own, b.attended(weights, values))), weights


def coverage_loss(weights: Tensor) -> Tensor:
    """How much each target step looks where earlier ones have looked, (B, T, S) -> (B, T), each in [0, 1].

    The sum over s of min(a[t, s], sum of a[:t, s]) (See, Liu & Manning 2017, equations 10 and 12); 0 at the first step.
    """
    before = weights.cumsum(1) - weights
    return torch.minimum(weights, before).sum(2)
