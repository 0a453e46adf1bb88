"""Changed copies of numeric sequences for training: noise, another size, another speed for a part of the time.

Jitter and scaling as in Um et al., "Data augmentation of wearable sensor data for Parkinson's disease monitoring using
convolutional neural networks", ICMI 2017; window warping as in Le Guennec, Malinowski & Tavenard, "Data augmentation
for time series classification using convolutional neural networks", AALTD 2016. Lengths and the order of time stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gatework.data.ragged import Ragged


class Augmenting(Protocol):
    """Options that say how much."""

    @property
    def jitter(self) -> float: ...
    @property
    def rescale(self) -> float: ...
    @property
    def window_warp(self) -> float: ...


SPEEDS = (0.5, 2.0)  # how long a warped part takes, as a factor


@dataclass(frozen=True)
class Augmentation:
    """What is changed, and how much; see `training.regularisation.NumericOptions`. False where nothing is.

    Example: `Augmentation(jitter=0.1).sequences(ragged, np.random.default_rng(1))`.
    """

    jitter: float = 0.0
    rescale: float = 0.0
    window_warp: float = 0.0

    @classmethod
    def of(cls, options: Augmenting) -> Augmentation:
        return cls(options.jitter, options.rescale, options.window_warp)

    def __bool__(self) -> bool:
        return bool(self.jitter or self.rescale or self.window_warp)

    def sequences(self, sequences: Ragged, random: np.random.Generator) -> Ragged:
        """Sequences of scaled values [N, C]: warped, each channel times its factor, noise added."""
        values = warped(sequences, self.window_warp, random) if self.window_warp else sequences.values
        if self.rescale:
            factors = np.exp(self.rescale * random.standard_normal((len(sequences), values.shape[1])))
            values = values * factors[sequences.owners]
        if self.jitter:
            values = values + self.jitter * random.standard_normal(values.shape)
        return Ragged(values.astype(sequences.values.dtype, copy=False), sequences.offsets)

    def windows(self, values: np.ndarray, lookback: int, random: np.random.Generator) -> np.ndarray:
        """Scaled windows [n, lookback + horizon]: warped and scaled as wholes, so that the future still follows from
        the past; noise is added to the past alone. NaN stays where a value is missing."""
        n, length = values.shape
        if self.window_warp:
            rows = Ragged.from_lengths(values.reshape(-1, 1), np.full(n, length))
            values = warped(rows, self.window_warp, random).reshape(n, length)
        if self.rescale:
            values = values * np.exp(self.rescale * random.standard_normal((n, 1)))
        if self.jitter:
            noise = self.jitter * random.standard_normal((n, lookback))
            values = np.concatenate([values[:, :lookback] + noise, values[:, lookback:]], axis=1)
        return values


def warped(sequences: Ragged, share: float, random: np.random.Generator) -> np.ndarray:
    """Values [N, C] of sequences in which a random part takes half or twice the time; resampled to their lengths.

    share   length of the part, as a share of the sequence's.
    """
    places = warped_places(sequences.lengths, share, random)
    below = np.floor(places).astype(np.int64)
    rest = (places - below)[:, None]
    first = np.repeat(sequences.offsets[:-1], sequences.lengths)
    last = np.repeat(sequences.lengths - 1, sequences.lengths)
    low = sequences.values[first + below]
    high = sequences.values[first + np.minimum(below + 1, last)]
    return np.where(rest > 0, low + rest * (high - low), low)


def warped_places(lengths: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """[N] the place, from 0 to length - 1 and rising, at which each step of the new sequences reads the old ones."""
    ends = (lengths - 1).astype(np.float64)
    part = share * ends
    start = random.random(len(lengths)) * (ends - part)
    slow = random.choice(SPEEDS, len(lengths))
    whole = ends + part * (slow - 1)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    steps = np.arange(len(owners)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    time = steps * (whole / np.maximum(ends, 1))[owners]
    inside = np.clip(time - start[owners], 0, (part * slow)[owners])
    return np.clip(time - inside + (inside / slow[owners]), 0, ends[owners])
