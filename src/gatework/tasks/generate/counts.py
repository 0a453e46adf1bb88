"""Counts of what followed the last few units of the training text, mixed into the network's distribution.

A network of modest size forgets rare words that a table keeps; the table knows nothing longer than itself. Their
mixture, (1 - share) * network + share * table, is better than either (Mikolov et al. 2011, "Empirical evaluation and
combination of advanced language modeling techniques", section 4.2). What the table says: see `gatework.runtime.counts`;
here it is learned. The share is chosen on text that neither has learned from: on the training text the table would seem
too good.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatework.runtime import counts
from gatework.runtime.counts import Order, Tables

FIELDS = {
    "pairs": (torch.int64, 0),
    "hits": (torch.int32, 0),
    "totals": (torch.int32, 1),
    "kinds": (torch.int32, 1),
}
ROUNDS, MOST_SHARE = 30, 0.99
MOST_UNITS = 4_000_000  # of a longer text only the end is counted, which keeps long texts quick


class Counts(nn.Module):
    """Tables of n orders over V units, as buffers: they are saved and loaded with the model, whatever their sizes.

    counts = Counts.of(ids, order=6, size=65)
    nats = counts.nats(other_ids)                    # (N - 1,) of each unit but the first, given those before
    counts.tables.next(contexts)                     # unit by unit
    """

    grows = True  # a file says how long the tables are: see `gatework.training.state.shapes`

    def __init__(self, orders: int, size: int):
        super().__init__()
        self.orders, self.size = orders, size
        for k in range(orders):
            for field, (kind, length) in FIELDS.items():
                self.register_buffer(f"{field}{k}", torch.zeros(length, dtype=kind))

    @classmethod
    def of(cls, ids: np.ndarray, orders: int, size: int) -> Counts:
        """The tables of a text (N,)."""
        made = cls(orders, size)
        for k, order in enumerate(counts.tables_of(ids[-MOST_UNITS:], orders, size).orders):
            for (field, (kind, _)), values in zip(FIELDS.items(), order, strict=True):
                setattr(made, f"{field}{k}", torch.from_numpy(values).to(kind))
        return made

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Tables take the sizes that were saved."""
        for name, own in self._buffers.items():
            if prefix + name in state_dict and own is not None:
                setattr(self, name, torch.empty(state_dict[prefix + name].shape, dtype=own.dtype))
        super()._load_from_state_dict(state_dict, prefix, *others)
        self.tables.check()

    @property
    def tables(self) -> Tables:
        """The buffers as arrays."""
        fields = [[getattr(self, f"{field}{k}").numpy() for field in FIELDS] for k in range(self.orders)]
        return Tables(self.size, [Order(*each) for each in fields])

    def contexts(self, k: int) -> int:
        """How many contexts of order k there are: one more than pairs of the order before, also those at the end of the
        text, that nothing followed."""
        return 1 + len(getattr(self, f"pairs{k - 1}")) if k else 1

    def likelihoods(self, ids: np.ndarray, own: bool = False) -> Iterator[np.ndarray]:
        """For orders 1, 2, ...: the probability of each unit of a text (N,).

        `own`: the text is part of the one that was counted, and a unit does not count for itself.
        """
        tables, context, likely = self.tables, np.zeros(len(ids), np.int64), np.full(len(ids), 1 / self.size)
        for k, (_, hits, totals, kinds) in enumerate(tables.orders):
            number = tables.numbers(k, context, ids)
            hit, total, kind = np.append(0, hits)[number], totals[context], kinds[context]
            total = total if k == 0 else np.where(context > 0, total, 0)
            if own:
                hit, total, kind = hit - 1, total - 1, kind - (hit == 1)
            mixed = (hit + kind * likely) / np.where(total > 0, total + kind, 1)
            likely = np.where(total > 0, mixed, likely)
            yield likely
            context = np.append(0, number[:-1])

    def nats(self, ids: Tensor, own: bool = False) -> Tensor:
        """(N - 1,): what each unit but the first costs, given those before it."""
        *_, likely = self.likelihoods(ids.numpy(), own)
        return -torch.from_numpy(likely[1:]).log()


def mixed(network: Tensor, counted: Tensor, share: float) -> Tensor:
    """Nats under the mixture, from the nats under each."""
    counts.check_share(share)
    return -torch.logaddexp(math.log1p(-share) - network, math.log(share) - counted) if share else network


def best_share(network: Tensor, counted: Tensor) -> float:
    """The share, up to 0.99, that costs least, by expectation and maximisation (Dempster, Laird & Rubin 1977)."""
    share = 0.5
    for _ in range(ROUNDS):
        share = min(float((math.log(share) - counted + mixed(network, counted, share)).exp().mean()), MOST_SHARE)
    return share
