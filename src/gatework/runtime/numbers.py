"""Numbers of a sequence made ready: missing values filled."""

from __future__ import annotations

import numpy as np


def filled(values: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """NaN of a sequence (T, C) replaced by linear interpolation in its channel; a channel without a value is `fill`."""
    found = values.copy()
    for channel in np.flatnonzero(np.isnan(found).any(axis=0)):
        known = np.flatnonzero(~np.isnan(found[:, channel]))
        found[:, channel] = (
            np.interp(np.arange(len(found)), known, found[known, channel]) if len(known) else fill[channel]
        )
    return found
