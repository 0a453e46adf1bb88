"""Rules of a search: pure functions on scores (B, K, V), by what each place has written (B, K, t)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Rule = Callable[[Tensor, Tensor], Tensor]  # scores and what was written -> scores


def forbid(ids: Sequence[int]) -> Rule:
    """These symbols are never written."""
    never = torch.tensor(list(ids), dtype=torch.long)
    return lambda scores, written: scores.index_fill(2, never, -torch.inf)


def at_least(count: int, end: int) -> Rule:
    """`count` symbols come before the end."""
    stay = forbid([end])
    return lambda scores, written: stay(scores, written) if written.shape[2] < count else scores


def beginning(ids: Tensor) -> Rule:
    """The first symbols of each row are given, ids (B, P)."""

    def rule(scores: Tensor, written: Tensor) -> Tensor:
        step = written.shape[2]
        if step >= ids.shape[1]:
            return scores
        given = ids[:, None, step, None].expand(-1, scores.shape[1], 1)
        return torch.full_like(scores, -torch.inf).scatter(2, given, scores.gather(2, given))

    return rule


def no_repeats(length: int) -> Rule:
    """No `length` symbols in a row are written twice (Paulus, Xiong & Socher 2018, section 2.5)."""

    def rule(scores: Tensor, written: Tensor) -> Tensor:
        steps = written.shape[2]
        if steps < length:
            return scores
        parts = written.unfold(2, length, 1)  # (B, K, t - length + 1, length)
        again = (parts[..., :-1] == written[:, :, None, steps - length + 1 :]).all(3)
        there = torch.zeros_like(scores).scatter_add(2, parts[..., -1], again.to(scores))
        return scores.masked_fill(there > 0, -torch.inf)

    return rule
