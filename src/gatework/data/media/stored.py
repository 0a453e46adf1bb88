"""A store as sequences: what batches are packed of, without a copy of the whole in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatework.data.media.films import evenly
from gatework.data.media.store import Store
from gatework.data.ragged import Packed, Ragged


class Stored(Ragged):
    """n sequences on disk: sequence i is `store[i]`, its first axis time. To take some of them copies nothing; a batch
    of them is read when it is packed.

    Example: of films (T, H, W, C), `Stored(store).pack([3, 5]).values` is (N, H, W, C), time-major.
    """

    def __init__(self, store: Store):
        self.store = store

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.store[row]

    @property
    def lengths(self) -> np.ndarray:
        return self.store.lengths

    def take(self, rows: Sequence[int] | np.ndarray) -> Stored:
        return Stored(self.store.take(rows))

    def pack(self, rows: Sequence[int] | np.ndarray) -> Packed:
        return self.read(rows).pack(np.arange(len(rows)))

    def read(self, rows: Sequence[int] | np.ndarray) -> Ragged:
        """Some of the sequences in memory."""
        return Ragged.of([self.store[int(row)] for row in rows])

    def some(self, count: int) -> Ragged:
        """At most so many in memory, evenly taken."""
        return self.read(evenly(len(self), count))
