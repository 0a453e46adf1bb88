"""Forced decoding: what a decoder thinks of sequences that are given."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gatework.networks.decoder import Decoder, Places

AT_ONCE = 1024  # symbols whose scores are held


class Forced(NamedTuple):
    """The log probability of each symbol (B, T), 0 beyond a length, and what was looked at before it (B, T, S)."""

    log_p: Tensor
    attention: Tensor | None


@torch.no_grad()
def forced(decoder: Decoder, state: Places, last: Tensor, ids: Tensor, lengths: Tensor) -> Forced:
    """Scores of given sequences ids (B, T), of which `lengths` (B,) symbols are there, their end among them.

        state, last = decoder.begin(memory, start), torch.full((B, 1), first)
        forced(decoder, state, last, ids, lengths).log_p.sum(1)   # (B,): what a search would say of them

    Whole sequences run in the fused kernels. Scores of all symbols are held for AT_ONCE places at a time.
    """
    reads = torch.cat([last, ids[:, :-1]], 1).t()
    hidden, attention, _ = decoder.looked(reads, state.memory, state.states)
    inside = torch.arange(ids.shape[1]) < lengths[:, None]
    units, wanted = hidden.transpose(0, 1)[inside], ids[inside, None]
    pairs = zip(units.split(AT_ONCE), wanted.split(AT_ONCE), strict=True)
    found = [decoder.head(some).log_softmax(1).gather(1, symbols).squeeze(1) for some, symbols in pairs]
    log_p = hidden.new_zeros(ids.shape)
    log_p[inside] = torch.cat(found)
    return Forced(log_p, attention)
