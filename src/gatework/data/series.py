"""Numbers of a sequence made ready: missing values filled, channels scaled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gatework.data.ragged import Ragged


@dataclass(frozen=True)
class Scaler:
    """Per channel: `(values - shift) / scale`. Fitted on training data alone; kept in the run folder.

    Example: `Scaler.fit(np.array([[0.0], [2.0]])).transform(np.array([[3.0]]))` gives `[[2.0]]`.
    """

    kind: str
    shift: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def fit(cls, values: np.ndarray, kind: str = "standard") -> Scaler:
        """From values [N, C]: "standard" (mean, deviation), "range" (to 0..1), "robust" (quartiles) or "none"."""
        values = np.asarray(values, np.float64)
        shift, scale = np.zeros(values.shape[1]), np.ones(values.shape[1])
        if kind == "standard":
            shift, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        elif kind == "range":
            shift, scale = np.nanmin(values, axis=0), np.nanmax(values, axis=0) - np.nanmin(values, axis=0)
        elif kind == "robust":
            low, shift, high = np.nanpercentile(values, [25, 50, 75], axis=0)
            scale = (high - low) / 1.349
        scale = np.where(scale > 0, scale, 1.0)
        return cls(kind, tuple(map(float, shift)), tuple(map(float, scale)))

    def transform(self, values: np.ndarray) -> np.ndarray:
        return ((values - np.array(self.shift)) / np.array(self.scale)).astype(np.float32)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        return (values * np.array(self.scale) + np.array(self.shift)).astype(np.float32)


def fill_missing(sequences: Ragged, fill: np.ndarray) -> Ragged:
    """NaN replaced by linear interpolation in its sequence and channel; a channel without a value gets `fill` [C]."""
    values = sequences.values.copy()
    for i in np.unique(sequences.owners[np.isnan(values).any(axis=1)]):
        part = values[sequences.offsets[i] : sequences.offsets[i + 1]]
        for channel in np.flatnonzero(np.isnan(part).any(axis=0)):
            known = np.flatnonzero(~np.isnan(part[:, channel]))
            part[:, channel] = (
                np.interp(np.arange(len(part)), known, part[known, channel]) if len(known) else fill[channel]
            )
    return Ragged(values, sequences.offsets)
