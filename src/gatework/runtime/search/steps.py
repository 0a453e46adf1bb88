"""The step of an exported decoder, as a search sees it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gatework.runtime.net.run import Arrays, Bound


class Stand(NamedTuple):
    """What P places of B rows have read: states (B * P, w), and the memory of B rows that they share: keys and values
    (S, B, ...) with their lengths (B,), {} where there is none."""

    states: Arrays
    memory: Arrays
    places: int = 1

    def select(self, parents: np.ndarray, rows: np.ndarray | None = None) -> Stand:
        """Each place goes on from the place `parents` (B', K) of its row; only these `rows` (B',) stay, if given."""
        own = np.arange(len(parents)) if rows is None else rows
        at = (own[:, None] * self.places + parents).ravel()
        states = {name: each[at] for name, each in self.states.items()}
        memory = self.memory if rows is None else {name: _rows(each, rows) for name, each in self.memory.items()}
        return Stand(states, memory, parents.shape[1])


def _rows(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return array[rows] if array.ndim == 1 else array[:, rows]


class Steps:
    """A net whose states are a decoder's: it reads "last" (B * P,) and gives "log_p", and "attention" of a memory.

    search(Steps(exported.bound("step")), Stand(states, memory), last, Beam(5, end))
    """

    def __init__(self, net: Bound):
        self.net = net

    def step(self, state: Stand, last: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, Stand]:
        found = self.net(last=last.ravel(), **state.states, **state.memory)
        log_p, attention = found.pop("log_p").reshape(*last.shape, -1), found.pop("attention", None)
        return log_p, attention, state._replace(states=found)
