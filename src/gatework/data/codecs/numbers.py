"""Numbers of a sequence made ready: missing values filled, channels scaled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from gatework.data.codecs.base import Codec
from gatework.data.ragged import Ragged
from gatework.errors import DataError
from gatework.runtime.numbers import filled

METHODS = ("standard", "range", "robust", "none")


@dataclass
class Scaler(Codec[np.ndarray, np.ndarray]):
    """Per channel: `(values - shift) / scale`. Fitted on training data alone; kept in the run folder.

    Example: `Scaler().fit(np.array([[0.0], [2.0]])).encode(np.array([[3.0]]))` gives `[[2.0]]`.

    Args:
        method: "standard" (mean, deviation), "range" (to 0..1), "robust" (quartiles) or "none".
        shift, scale: one number for each channel, once fitted.
    """

    method: str = "standard"
    shift: list[float] = field(default_factory=list)
    scale: list[float] = field(default_factory=list)
    kind = "scaler"

    def __post_init__(self) -> None:
        numbers = isinstance(self.shift, list) and isinstance(self.scale, list)
        if self.method not in METHODS or not numbers or len(self.shift) != len(self.scale):
            raise DataError(f"a scaler has one of {', '.join(METHODS)} and as many shifts as scales; got {self!r:.80}")

    def fit(self, values: np.ndarray) -> Self:
        """From values [N, C], NaN where one is missing."""
        shift, scale = _fitted(np.asarray(values, np.float64), self.method)
        self.shift, self.scale = shift.tolist(), np.where(scale > 0, scale, 1.0).tolist()
        return self

    def encode(self, values: np.ndarray) -> np.ndarray:
        return ((values - np.array(self.shift)) / np.array(self.scale)).astype(np.float32)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return (codes * np.array(self.scale) + np.array(self.shift)).astype(np.float32)


def _fitted(values: np.ndarray, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Shift and scale [C]; a scale of a channel that does not vary is 0."""
    if method == "standard":
        return np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    if method == "range":
        lowest = np.nanmin(values, axis=0)
        return lowest, np.nanmax(values, axis=0) - lowest
    if method == "robust":
        low, middle, high = np.nanpercentile(values, [25, 50, 75], axis=0)
        return middle, (high - low) / 1.349
    return np.zeros(values.shape[1]), np.ones(values.shape[1])


def fill_missing(sequences: Ragged, fill: np.ndarray) -> Ragged:
    """NaN replaced by linear interpolation in its sequence and channel; a channel without a value gets `fill` [C]."""
    values = sequences.values.copy()
    for i in np.unique(sequences.owners[np.isnan(values).any(axis=1)]):
        own = slice(sequences.offsets[i], sequences.offsets[i + 1])
        values[own] = filled(values[own], fill)
    return Ragged(values, sequences.offsets)
