"""Samples of one recording made fit to be heard: channels mixed down, numbers brought to -1 to 1, faults in words."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from gatework.errors import DataError

RATES = 1_000, 768_000  # samples a second that a recording may have
SHORTEST = 0.02  # seconds of a recording
CLIPPED = 0.001  # share of samples at the highest level, in runs, from which a recording counts as clipped
CANCELLED = 1e-3  # mixed down to less than this share of its channels' level, they cancel each other
QUIET = 1e-3  # the highest level of a recording in which hardly anything can be heard (-60 dB)
WHOLE = (100.0, 32_768.0, 2.0**31)  # floats above the first were meant as numbers of 16 or of 32 bits


class Tell(Protocol):
    """Hears a sentence that begins with the name of the item: what was mended (a "note") or is doubtful."""

    def __call__(self, message: str, level: str = "warning", /) -> None: ...


def untold(message: str, level: str = "warning", /) -> None:
    """Hears nothing: for those who ask a reader directly."""


def checked(samples: np.ndarray, rate: int, name: str, tell: Tell = untold) -> np.ndarray:
    """The samples, where they can be heard: long enough, finite, not silent; floats meant as whole numbers scaled.

    Raises: DataError that begins with `name`; what is mended or doubtful is told.
    """
    if not RATES[0] <= rate <= RATES[1]:
        lowest, highest = RATES
        raise DataError(f"{name}: the rate is {rate:,}; give {lowest:,} to {highest:,} samples a second")
    if len(samples) < SHORTEST * rate:
        long = f"{len(samples):,} samples, {len(samples) / rate:.3f} s"
        raise DataError(f"{name}: too short ({long}); give at least {SHORTEST} s")
    bad = np.flatnonzero(~np.isfinite(samples))
    if len(bad):
        where = f"{samples[bad[0]]} at {bad[0] / rate:.3f} s"
        raise DataError(f"{name}: {len(bad):,} samples are no numbers (first: {where}); record or export it again")
    if np.ptp(samples) == 0:
        raise DataError(f"{name}: silent, every one of its {len(samples):,} samples is {samples[0]:g}; leave it out")
    return _levelled(samples, name, tell)


def _levelled(samples: np.ndarray, name: str, tell: Tell) -> np.ndarray:
    level = float(np.abs(samples).max())
    least, *widths = WHOLE
    if level > max(widths):
        raise DataError(f"{name}: values up to {level:.3g} are no sound; give floats from -1 to 1, or whole numbers")
    if level > least:
        width = next(width for width in widths if level <= width)
        tell(f"{name}: floats up to {level:,.0f} were taken as whole numbers and divided by {width:,.0f}")
        return samples / np.float32(width)
    if level < QUIET:
        tell(f"{name}: so quiet that hardly anything is heard (at most {level:.1e} of 1); record it louder")
    elif (share := clipped(samples)) > CLIPPED:
        tell(f"{name}: clipped, {share:.1%} of its samples stand at the highest level; record it softer")
    return samples


def clipped(samples: np.ndarray) -> float:
    """The share of samples that stand at the highest level, three or more in a row."""
    level = float(np.abs(samples).max(initial=0))
    full = np.abs(samples) >= 0.999 * level
    rows = full[2:] & full[1:-1] & full[:-2]
    return float(rows.mean()) if level >= 0.1 and len(rows) else 0.0


def mixed(mean: np.ndarray, first: np.ndarray, name: str, tell: Tell = untold) -> np.ndarray:
    """The mean of the channels, or the first of those that cancel each other."""
    if np.abs(mean).max(initial=0) < CANCELLED * np.abs(first).max(initial=0):
        tell(f"{name}: its channels cancel each other, so only the first is heard")
        return first
    return mean


def scaled(array: np.ndarray, name: str) -> np.ndarray:
    """Samples float32 (n,) or (n, channels): whole numbers brought to -1 to 1 by their width, where unsigned ones have
    their silence in the middle; floats as they are."""
    if array.ndim not in (1, 2) or array.dtype.kind not in "iuf":
        raise DataError(f"{name}: samples are numbers (n,) or (n, channels), not {array.dtype} {array.shape}")
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as such
            return array.astype(np.float32)
    half = 2.0 ** (8 * array.dtype.itemsize - 1)
    return ((array.astype(np.float64) - (half if array.dtype.kind == "u" else 0)) / half).astype(np.float32)
