"""What every search does with steps as they come, and the search for the likeliest path."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from gatework.runtime.ctc.paths import BLANK, Path, checked, likeliest, likelihood


class Search(ABC):
    """Reads log probabilities step by step. How they are cut into pieces changes no result.

    The steps are kept, as what a text's symbols and probability are worked out from: 4 bytes of each symbol a step.
    """

    def __init__(self, size: int):
        self.size, self._pieces = size, [np.zeros((0, size), np.float32)]

    def next(self, log_p: np.ndarray) -> None:
        """Further steps (t, V), or one (V,).

        Raises: ShapeError, DataError (NaN); nothing has been read then.
        """
        steps = checked(log_p, self.size)
        self._pieces.append(steps.copy())
        self._read(steps)

    @abstractmethod
    def _read(self, steps: np.ndarray) -> None: ...

    @abstractmethod
    def partial(self) -> np.ndarray:
        """The symbols of the best text so far; changes nothing."""

    @abstractmethod
    def result(self) -> Path:
        """The best text if no more steps come; changes nothing."""

    @property
    def steps(self) -> np.ndarray:
        """All steps so far, (T, V)."""
        self._pieces = [np.concatenate(self._pieces)]
        return self._pieces[0]

    def _path(self, ids: np.ndarray, starts: np.ndarray, ends: np.ndarray, score: float | None = None) -> Path:
        steps = self.steps
        sure = [float(np.exp(steps[start:end, i].max())) for i, start, end in zip(ids, starts, ends, strict=True)]
        log_p = likelihood(steps, ids)
        return Path(ids, starts, ends, np.array(sure), log_p, log_p if score is None else score)


class Greedy(Search):
    """What the likeliest symbol of each step reads as.

    search = Greedy(3)
    search.next(np.log([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]))
    search.result().ids                                               # [1, 1]
    """

    def __init__(self, size: int):
        super().__init__(size)
        self._ids: list[int] = []
        self._last = BLANK

    def _read(self, steps: np.ndarray) -> None:
        for symbol in steps.argmax(1).tolist():
            if symbol not in (BLANK, self._last):
                self._ids.append(symbol)
            self._last = symbol

    def partial(self) -> np.ndarray:
        return np.array(self._ids, np.int64)

    def result(self) -> Path:
        return self._path(*likeliest(self.steps))
