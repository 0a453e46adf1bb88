"""Rules of a search: pure functions on scores (B, K, V), by what each place has written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gatework.networks.written import Written

Rule = Callable[[Tensor, Written], Tensor]  # scores and what was written -> scores


def forbid(ids: Sequence[int]) -> Rule:
    """These symbols are never written."""
    never = torch.tensor(list(ids), dtype=torch.long)
    return lambda scores, written: scores.index_fill(2, never, -torch.inf)


class Edges(NamedTuple):
    """Which symbols (V,) begin inside a word and which end inside one, so that two side by side make one word: of
    "wo", "man", " is" all close, and the first two open."""

    opens: Tensor
    closes: Tensor


def never(sequences: Sequence[Sequence[int]], edges: Edges | None = None) -> Rule:
    """None of these sequences of symbols is written: the last symbol of one is forbidden after its others.

    Empty sequences say nothing. With `edges` a sequence may be written where it goes on a word: "man" in "wo", "man".
    """
    lengths = sorted({len(each) for each in sequences} - {0})
    groups = [torch.tensor([list(each) for each in sequences if len(each) == length]) for length in lengths]

    def rule(scores: Tensor, written: Written) -> Tensor:
        for group in groups:
            first = written.steps - group.shape[1] + 1
            if first >= 0:
                complete = (written.ids[:, :, None, first:] == group[:, :-1]).all(3)  # (B, K, n)
                if edges is not None and first:
                    complete &= ~(edges.closes[written.ids[:, :, None, first - 1]] & edges.opens[group[:, 0]])
                scores = without(scores, group[:, -1].expand_as(complete), complete)
        return scores

    return rule


def without(scores: Tensor, ids: Tensor, where: Tensor) -> Tensor:
    """Scores at the symbols `ids` (B, K, n) are -inf where `where` holds; a symbol may be named several times."""
    there = torch.zeros_like(scores).scatter_add(2, ids, where.to(scores))
    return scores.masked_fill(there > 0, -torch.inf)


def at_least(count: int, end: int) -> Rule:
    """`count` symbols come before the end."""
    stay = forbid([end])
    return lambda scores, written: stay(scores, written) if written.steps < count else scores


def ended(end: int) -> Rule:
    """The last symbol that the limit leaves is the end."""

    def rule(scores: Tensor, written: Written) -> Tensor:
        last = (written.left == 1)[:, None, None]
        others = torch.arange(scores.shape[2]) != end
        return scores.masked_fill(last & others, -torch.inf)

    return rule


def beginning(ids: Tensor) -> Rule:
    """The first symbols of each row are given, ids (B, P)."""

    def rule(scores: Tensor, written: Written) -> Tensor:
        if written.steps >= ids.shape[1]:
            return scores
        given = ids[written.rows, None, written.steps, None].expand(-1, scores.shape[1], 1)
        return torch.full_like(scores, -torch.inf).scatter(2, given, scores.gather(2, given))

    return rule


def no_repeats(length: int) -> Rule:
    """No `length` symbols in a row are written twice (Paulus, Xiong & Socher 2018, section 2.5)."""

    def rule(scores: Tensor, written: Written) -> Tensor:
        steps = written.steps
        if steps < length:
            return scores
        parts = written.ids.unfold(2, length, 1)  # (B, K, t - length + 1, length)
        again = (parts[..., :-1] == written.ids[:, :, None, steps - length + 1 :]).all(3)
        return without(scores, parts[..., -1], again)

    return rule
