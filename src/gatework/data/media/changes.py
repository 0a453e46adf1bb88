"""Changed copies of frames for training: what other voices, rooms, hands and cameras would have made of it.

Sounds are log-mel energies (T, F): another speed stretches time, another throat stretches bands ("vocal tract length
perturbation", Jaitly & Hinton 2013), loudness and microphones add to logarithms, noise adds power, and masks
(SpecAugment, Park et al. 2019) take away bands and stretches of time in proportion to the length.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

BANDS, WIDEST = 2, 0.2  # masks of bands, and the share of all that one takes at most
EVERY, LONGEST = 50, 8  # frames for each mask of time, and frames that one takes at most
LOUD, QUIET = 4.0, 14.0  # nats that noise lies below the loud parts of a recording
CURVES = 3  # cosines over the bands that make a microphone

Frames = np.ndarray
Change = Callable[[Frames, np.random.Generator], Frames]


# -- sounds -------------------------------------------------------------------------------------------------


def faster(frames: Frames, random: np.random.Generator, amount: float) -> Frames:
    """Time stretched by a factor of at most exp(amount)."""
    length = max(round(len(frames) * np.exp(random.uniform(-amount, amount))), 1)
    return between(frames, np.linspace(0, len(frames) - 1, length))


def pitched(frames: Frames, random: np.random.Generator, amount: float) -> Frames:
    """Bands stretched by a factor of at most exp(amount), from the lowest on."""
    places = np.arange(frames.shape[1]) * np.exp(random.uniform(-amount, amount))
    return between(frames.T, np.minimum(places, frames.shape[1] - 1)).T


def louder(frames: Frames, random: np.random.Generator, amount: float) -> Frames:
    return frames + np.float32(random.uniform(-amount, amount))


def coloured(frames: Frames, random: np.random.Generator, amount: float) -> Frames:
    """A microphone's curve over the bands: a sum of a few cosines."""
    waves = np.arange(1, CURVES + 1)
    curve = np.cos(np.pi * np.outer(np.linspace(0, 1, frames.shape[1]), waves))
    return frames + (curve @ (random.normal(0, amount, CURVES) / np.sqrt(waves))).astype(np.float32)


def noisy(frames: Frames, random: np.random.Generator, amount: float) -> Frames:
    """Noise of some tilt in a share of recordings; the power of each of its points varies as that of real noise."""
    if random.random() >= amount:
        return frames
    loud = np.float32(np.quantile(frames, 0.95))
    level = np.linspace(0, random.normal(), frames.shape[1]) - random.uniform(LOUD, QUIET)
    power = -np.log1p(-random.random((2, *frames.shape), np.float32)).sum(0) / 2  # of noise in two bins of a spectrum
    return np.log(np.exp(frames - loud) + np.exp(level).astype(np.float32) * power) + loud


def masked(frames: Frames, random: np.random.Generator, amount: float, fill: Frames | float = 0.0) -> Frames:
    """Some bands and stretches of time at `fill`, the mean of all training data, of each band (F,) or of all."""
    frames, fill = frames.copy(), np.broadcast_to(fill, frames.shape[1:])
    steps, bands = frames.shape
    for _ in range(BANDS):
        width = min(random.integers(0, int(amount * WIDEST * bands) + 1), bands)
        start = random.integers(0, bands - width + 1)
        frames[:, start : start + width] = fill[start : start + width]
    for _ in range(max(round(amount * steps / EVERY), 1)):
        width = random.integers(0, min(LONGEST, steps // 4) + 1)
        start = random.integers(0, steps - width + 1)
        frames[start : start + width] = fill
    return frames


# -- pictures -----------------------------------------------------------------------------------------------


def moved(picture: Frames, random: np.random.Generator, amount: float) -> Frames:
    """A line (W, H, C) a little wider or narrower, higher or lower; what comes in is its edge."""
    width, height = picture.shape[:2]
    wide = max(round(width * np.exp(random.uniform(-amount, amount))), 1)
    picture = between(picture.astype(np.float32), np.linspace(0, width - 1, wide))
    scale, shift = np.exp(random.uniform(-amount, amount)), random.uniform(-amount, amount) * height
    places = (np.arange(height) - height / 2) * scale + height / 2 + shift
    return between(picture.swapaxes(0, 1), np.clip(places, 0, height - 1)).swapaxes(0, 1)


def speckled(picture: Frames, random: np.random.Generator, amount: float) -> Frames:
    """Noise of each point."""
    noise = random.normal(0, 255 * amount / 10, picture.shape).astype(np.float32)
    return np.clip(picture + noise, 0, 255)


def shifted(frames: Frames, random: np.random.Generator, amount: float) -> Frames:
    """Pictures (T, H, W, C) moved alike, by at most this share of a side up or down and left or right; what comes in at
    an edge is that edge again."""
    places = []
    for side in frames.shape[1:3]:
        most = round(amount * side)
        places.append((np.arange(side) + random.integers(-most, most + 1)).clip(0, side - 1))
    return frames[:, places[0][:, None], places[1]]


def between(values: Frames, places: np.ndarray) -> Frames:
    """values [n, ...] at places from 0 to n - 1, straight lines between them."""
    below = np.minimum(places.astype(np.int64), len(values) - 1)
    above = np.minimum(below + 1, len(values) - 1)
    rest = (places - below).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    return values[below] * (1 - rest) + values[above] * rest
