"""The language model: a decoder without a memory, whose distribution is mixed with what counts expect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gatework.networks.decoder import Decoder, Places
from gatework.networks.embedding import Embedding
from gatework.networks.encoder import Encoder
from gatework.networks.heads import Symbols
from gatework.networks.states import States
from gatework.runtime.counts import mixed
from gatework.runtime.net.ops import log_softmax
from gatework.tasks.generate.counts import MOST_SHARE, Counts
from gatework.tasks.generate.options import GenerateOptions

SHARE = 0.25  # of the counts, before it is chosen


class Reading(NamedTuple):
    """Where K places of one text stand: in the network, and in the counts."""

    network: Places
    contexts: np.ndarray  # (K, n); see `gatework.runtime.counts.Tables`

    def select(self, parents: np.ndarray, rows: np.ndarray | None = None) -> Reading:
        return Reading(self.network.select(parents, rows), self.contexts[parents[0]])


class LanguageModel(nn.Module):
    """Next-unit logits of the network: `logits, states = model(units, states)`, (T, B) -> (T, B, V).

    What is expected of a text is a mixture: (1 - share) * softmax(logits) + share * what `counts` say; see `Counts`.
    `begin` and `step` are of that mixture: a search writes from it, and `expected` tells it.
    """

    share: Tensor
    share_apart: Tensor

    def __init__(self, vocabulary: int, options: GenerateOptions, counts: Counts | None = None):
        super().__init__()
        size = options.embedding_units
        std = size**-0.5 if options.tied else 1.0
        embedding = Embedding(vocabulary, size, std=std, word_dropout=options.word_dropout)
        encoder = Encoder(options, size, locked=options.dropout)
        head = Symbols(options.hidden_size, vocabulary, tied=embedding if options.tied else None)
        self.decoder = Decoder(embedding, encoder, head)
        self.counts = counts or (Counts(options.orders, vocabulary) if options.orders else None)
        share = SHARE if options.ngram_share is None else options.ngram_share
        self.register_buffer("share", torch.tensor(share if options.orders else 0.0))
        self.register_buffer("share_apart", torch.tensor(MOST_SHARE))  # beside a network that knows nothing

    def forward(self, units: Tensor, states: Mapping[str, Tensor]) -> tuple[Tensor, States]:
        logits, _, after = self.decoder(units, None, states)
        return logits, after

    def begin(self, ids: Tensor) -> tuple[Reading, np.ndarray]:
        """What has read a text (N,) but for its last unit, and that unit (1, 1), which a step reads next."""
        states = self(ids[:-1, None], {})[1] if len(ids) > 1 else {}
        contexts = np.zeros((1, 0)) if self.counts is None else self.counts.tables.place(ids[:-1].numpy())
        return Reading(self.decoder.begin(None, states), contexts), ids[-1:, None].numpy()

    def step(self, state: Reading, last: np.ndarray) -> tuple[np.ndarray, None, Reading]:
        """Log probabilities (1, K, V) of the units after `last` (1, K), in doubles."""
        log_p, _, network = self.decoder.step(state.network, last)
        scores = log_softmax(log_p.astype(np.float64))  # once more: what adds up to 1 in floats does not in doubles
        if self.counts is None:
            return scores, None, Reading(network, state.contexts)
        tables = self.counts.tables
        contexts = tables.moved(state.contexts, last.ravel())
        counted = -np.log(tables.next(contexts)).reshape(scores.shape)
        return -mixed(-scores, counted, float(self.share)), None, Reading(network, contexts)

    def expected(self, ids: Tensor) -> np.ndarray:
        """Log probabilities (V,) of the unit after a text (N,)."""
        return self.step(*self.begin(ids))[0][0, 0]
