"""The states of streams in arrays: a stream has a place, a row in each; places double when all are taken."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

Arrays = dict[str, np.ndarray]
FIRST = 64
LANES = (512, 64, 8, 1)  # rows of a batch


class Places:
    """Rows of states, of the last outputs, and of the number of steps.

    >>> places = Places({"h": np.zeros(3, np.float32)})
    >>> places.take(), places.take()
    (0, 1)
    >>> places.gather(np.array([1, 1]))["h"].shape
    (2, 3)
    """

    def __init__(self, start: Arrays):
        self.start = start
        self.states = {name: np.tile(values, (FIRST, 1)) for name, values in start.items()}
        self.outputs: np.ndarray | None = None  # their width shows at the first step
        self.steps = np.zeros(FIRST, np.int64)
        self.free = dict.fromkeys(range(FIRST - 1, -1, -1))  # a set in order: the last is taken first

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def row_bytes(self) -> int:
        """What a place weighs."""
        return sum(values.nbytes for values in self.start.values()) + 8

    def take(self, place: int | None = None) -> int:
        """A free place, with the states of a new stream; `place` names one, as a log does."""
        while not self.free or (place is not None and place >= len(self)):
            self._double()
        place = next(reversed(self.free)) if place is None else place
        del self.free[place]
        for name, values in self.states.items():
            values[place] = self.start[name]
        self.steps[place] = 0
        return place

    def give_back(self, place: int) -> None:
        self.free[place] = None

    def gather(self, rows: np.ndarray) -> Arrays:
        return {name: values[rows] for name, values in self.states.items()}

    def scatter(self, rows: np.ndarray, chosen: np.ndarray, states: Arrays, outputs: np.ndarray) -> None:
        """What a step gave for `rows`, of the `chosen` among them; each counts a step more."""
        if self.outputs is None:
            self.outputs = np.zeros((len(self), outputs.shape[1]), outputs.dtype)
        for name, values in self.states.items():
            values[rows[chosen]] = states[name][chosen]
        self.outputs[rows[chosen]] = outputs[chosen]
        self.steps[rows[chosen]] += 1

    def _double(self) -> None:
        count = len(self)
        for name, values in self.states.items():
            self.states[name] = np.concatenate([values, values])
        if self.outputs is not None:
            self.outputs = np.concatenate([self.outputs, self.outputs])
        self.steps = np.concatenate([self.steps, self.steps])
        self.free = dict.fromkeys([*range(2 * count - 1, count - 1, -1), *self.free])


def lane(count: int) -> int:
    """The smallest fixed size that holds so many rows."""
    return min(rows for rows in LANES if rows >= count)


def lanes(count: int) -> Iterator[slice]:
    """How so many rows are cut into batches of the fixed sizes: full ones, and one that is at least half full.

    >>> [part.stop - part.start for part in lanes(585)]
    [512, 64, 8, 1]
    >>> [part.stop - part.start for part in lanes(40)]
    [40]
    """
    at = 0
    while at < count:
        left = count - at
        size = next(rows for rows in LANES if rows <= 2 * left)
        yield slice(at, min(at + size, count))
        at += size
