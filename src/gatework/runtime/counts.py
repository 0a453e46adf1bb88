"""Tables of what followed the last few units of a text: an interpolated n-gram (Witten & Bell 1991).

p_k(w | c) = (count(c, w) + kinds(c) * p_(k-1)(w)) / (count(c) + kinds(c)),   c the last k - 1 units, p_0 uniform,

where kinds(c) is how many different units followed c.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from gatework.errors import FileFormatError

MOST_PAIRS = 1 << 24  # numbers up to here are exact in float32, in which a stream keeps its contexts


class Order(NamedTuple):
    """Of one order: `pairs` holds context * V + unit, sorted, and `hits` how often each was seen; `totals` and `kinds`
    are of contexts."""

    pairs: np.ndarray
    hits: np.ndarray
    totals: np.ndarray
    kinds: np.ndarray


class Tables:
    """Tables of n orders over V units.

        contexts = tables.start(1)                          # (B, n) of a text that begins
        contexts = tables.moved(contexts, np.array([7]))    # one unit (B,) later
        likely = tables.next(contexts)                      # (B, V) probabilities of the next unit

    Order k's context is the number, from 1, of the pair (context of order k - 1, unit) a unit before; 0 is a context
    never seen, and the only one of order 1.
    """

    def __init__(self, size: int, orders: list[Order]):
        self.size, self.orders = size, orders

    def check(self) -> None:
        """Refuses tables of which one leads beyond the end of another."""
        contexts = 1
        for n, (pairs, hits, totals, kinds) in enumerate(self.orders, 1):
            flat = all(table.ndim == 1 and table.dtype.kind == "i" for table in (pairs, hits, totals, kinds))
            if not flat or len(hits) != len(pairs) or not len(totals) == len(kinds) == contexts:
                raise FileFormatError(f"the counts of {n} units do not fit each other")
            if (np.diff(pairs) <= 0).any() or (len(pairs) and not 0 <= pairs[0] <= pairs[-1] < self.size * contexts):
                raise FileFormatError(f"the counts of {n} units are not in order")
            if min(table.min(initial=0) for table in (hits, totals, kinds)) < 0:
                raise FileFormatError(f"of {n} units some were counted less than never")
            if len(pairs) >= MOST_PAIRS:
                raise FileFormatError(f"{len(pairs):,} different sequences of {n} units were counted; too many")
            contexts = 1 + len(pairs)

    def numbers(self, k: int, contexts: np.ndarray, units: np.ndarray) -> np.ndarray:
        """The number of each pair of order k, from 1; 0 where there is none."""
        pairs = self.orders[k].pairs
        wanted = contexts * self.size + units
        places = np.searchsorted(pairs, wanted)
        there = (places < len(pairs)) & ((contexts > 0) | (k == 0))
        there[there] = pairs[places[there]] == wanted[there]
        return np.where(there, places + 1, 0)

    def start(self, batch: int) -> np.ndarray:
        """The contexts (B, n) of texts that begin."""
        return np.zeros((batch, len(self.orders)), np.int64)

    def moved(self, contexts: np.ndarray, units: np.ndarray) -> np.ndarray:
        """The contexts (B, n) one unit (B,) later."""
        later = np.zeros_like(contexts)
        for k in range(len(self.orders) - 1):
            later[:, k + 1] = self.numbers(k, contexts[:, k], units)
        return later

    def place(self, ids: np.ndarray) -> np.ndarray:
        """The contexts (1, n) after a text (N,): they hang on its last n - 1 units alone."""
        contexts = self.start(1)
        for unit in ids[-len(self.orders) :]:
            contexts = self.moved(contexts, np.array([unit], np.int64))
        return contexts

    def next(self, contexts: np.ndarray) -> np.ndarray:
        """Probabilities (B, V) of the next units."""
        return np.stack([self._next(row) for row in contexts])

    def _next(self, contexts: np.ndarray) -> np.ndarray:
        likely = np.full(self.size, 1 / self.size)
        for k, context in enumerate(contexts.tolist()):
            pairs, hits, totals, kinds = self.orders[k]
            if (k and not context) or not totals[context]:
                break
            part = slice(*np.searchsorted(pairs, [context * self.size, (context + 1) * self.size]))
            likely = kinds[context] * likely
            likely[pairs[part] - context * self.size] += hits[part]
            likely /= totals[context] + kinds[context]
        return likely


def tables_of(ids: np.ndarray, orders: int, size: int) -> Tables:
    """The tables of a text (N,) of units below `size`.

    tables_of(np.array([0, 1, 0, 1]), 2, size=2)
    """
    counted: list[Order] = []
    context, contexts = np.zeros(len(ids), np.int64), 1
    for k in range(orders):
        pairs, found, hits = np.unique(context[k:] * size + ids[k:], return_inverse=True, return_counts=True)
        totals = np.bincount(pairs // size, hits, contexts).astype(np.int64)
        counted.append(Order(pairs, hits, totals, np.bincount(pairs // size, minlength=contexts)))
        context, contexts = np.zeros(len(ids), np.int64), 1 + len(pairs)  # also pairs at the end, that nothing followed
        context[k + 1 :] = found[:-1] + 1
    return Tables(size, counted)


def check_share(share: float) -> None:
    if not 0 <= share < 1:
        raise FileFormatError(f"the share of the counts is {share:g}, not 0 or more and below 1")


def mixed(network: np.ndarray, counted: np.ndarray, share: float) -> np.ndarray:
    """Nats under (1 - share) * network + share * counted, from the nats under each."""
    check_share(share)
    return -np.logaddexp(math.log1p(-share) - network, math.log(share) - counted) if share else network
