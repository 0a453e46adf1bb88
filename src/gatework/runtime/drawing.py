"""Symbols that are drawn: from scores and numbers in [0, 1), so that whoever brings the same numbers draws the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gatework.errors import OptionError


@dataclass(frozen=True)
class Drawing:
    """How the next symbol is drawn.

    Args:
        temperature: 0 takes the likeliest symbol; below 1 likely ones are drawn more often than their probability.
        top_k: among the k likeliest; 0: all.
        top_p: among the fewest that hold this probability (Holtzman et al. 2020).
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise OptionError(f"temperature must be 0 (the likeliest symbol) or more, not {self.temperature}")
        if self.top_k < 0:
            raise OptionError(f"top_k must be at least 0 (0 keeps all), not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise OptionError(f"top_p must lie in (0, 1], not {self.top_p}")

    def drawn(self, scores: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Symbols (..., n) by log probabilities (..., V), at `numbers` (..., n) of their distribution."""
        if self.temperature == 0:
            return np.repeat(scores.argmax(-1)[..., None], numbers.shape[-1], -1)
        scaled = scores.astype(np.float64) / self.temperature
        likely = np.exp(scaled - scaled.max(-1, keepdims=True))
        likely /= likely.sum(-1, keepdims=True)
        if not self.top_k and self.top_p == 1:
            return _drawn_at(likely, numbers)
        ids = np.argsort(-likely, axis=-1, kind="stable")[..., : self.top_k or None]
        likely = np.take_along_axis(likely, ids, -1)
        before = likely.cumsum(-1) - likely
        return np.take_along_axis(ids, _drawn_at(np.where(before >= self.top_p, 0.0, likely), numbers), -1)


def _drawn_at(likely: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The inverse of the cumulative distribution (..., V), which need not end at 1. What has no probability is never
    drawn: a number lies below the last sum, and its symbol is the first whose sum lies above it."""
    sums = likely.cumsum(-1)
    whole = sums[..., -1:]
    below = np.minimum(numbers * whole, np.nextafter(whole, 0))
    return np.minimum((sums[..., None, :] <= below[..., None]).sum(-1), likely.shape[-1] - 1)


def uniform(seed: int) -> Iterator[float]:
    """Numbers in [0, 1), those that a generator of torch draws one by one in float64 after `manual_seed(seed)`: 53 bits
    of two numbers of the Mersenne Twister (Matsumoto & Nishimura 1998)."""
    twister = np.random.RandomState(seed & 0xFFFFFFFF)
    while True:
        high, low = twister.randint(0, 1 << 32, size=2, dtype=np.uint32).tolist()
        yield (high << 32 & (1 << 53) - 1 | low) * 2.0**-53
