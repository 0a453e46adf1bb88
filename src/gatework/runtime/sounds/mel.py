"""Log-mel energies: how loud a sound is in bands that are narrow where pitch is low, for each hundredth of a second.

    Mel(8000).features(samples)                          # (n,) -> (T, 40)
    frames = Frames(Mel(8000))
    frames.feed(samples[:1000]), frames.feed(samples[1000:]), frames.finish()      # the same, as samples come

A frame reads `window` samples under a Hann window; the next one starts `hop` samples later. The last frame is filled up
with zeros, so that every sample is in one. Chunks of any size give the same bits as the whole: each frame's numbers
depend on its own samples alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gatework.errors import OptionError, ShapeError

LOWEST = 20.0  # Hz: where the first band begins
AT_ONCE = 1 << 22  # numbers of spectra that are there at a time
FLOOR = 1e-9  # power beside full scale that is silence: a little below the noise of 16 bits


@dataclass(frozen=True)
class Mel:
    """How samples become features.

    Args:
        rate: samples a second.
        mels: bands (F), as wide as they seem alike to the ear: 2595 log10(1 + f / 700) (O'Shaughnessy 1987).
        window_ms, hop_ms: length of a frame, and from one to the next.

    Raises: OptionError for sizes that make no frames.
    """

    rate: int
    mels: int = 40
    window_ms: float = 25.0
    hop_ms: float = 10.0

    def __post_init__(self) -> None:
        if self.mels < 1:
            raise OptionError(f"mels={self.mels}: give at least one band")
        if self.hop < 1 or self.window < max(self.hop, 2):
            raise OptionError(
                f"at {self.rate} samples a second window_ms={self.window_ms:g} has {self.window} samples and "
                f"hop_ms={self.hop_ms:g} {self.hop}: a window needs at least 2, a hop at least 1 and no more than it"
            )

    @property
    def window(self) -> int:
        """Samples of a frame."""
        return round(self.rate * self.window_ms / 1000)

    @property
    def hop(self) -> int:
        """Samples from the start of a frame to that of the next."""
        return round(self.rate * self.hop_ms / 1000)

    @cached_property
    def hann(self) -> np.ndarray:
        """[window]: the weight of each sample, scaled so that power does not depend on the window's length."""
        weights = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / self.window)
        return (weights / np.sqrt(np.square(weights).sum())).astype(np.float32)

    @cached_property
    def filters(self) -> np.ndarray:
        """[mels, bins]: triangles over the bins of the spectrum, each from its lower neighbour's middle to the
        upper's. The spectrum is so fine that every triangle has a bin."""
        size = 1 << (self.window - 1).bit_length()
        while not (found := _triangles(self.rate, size, self.mels)).any(axis=1).all():
            size *= 2
        return found

    @property
    def padded(self) -> int:
        """Samples of a frame and of the zeros behind it, of which the spectrum is made."""
        return 2 * (self.filters.shape[1] - 1)

    def features(self, samples: np.ndarray) -> np.ndarray:
        """float32 (T, F) of samples (n,) in [-1, 1]; T is 0 where n is."""
        frames = Frames(self)
        return np.concatenate([frames.feed(samples), frames.finish()])

    def of_frames(self, frames: np.ndarray) -> np.ndarray:
        """(T, F) of the samples (T, window) of each frame."""
        block = max(AT_ONCE // self.padded, 1)
        if len(frames) > block:
            return np.concatenate([self.of_frames(frames[at : at + block]) for at in range(0, len(frames), block)])
        power = np.square(np.abs(np.fft.rfft(frames * self.hann, self.padded))).astype(np.float32)
        # Not a product of matrices: BLAS rounds a row by how many rows there are.
        energy = np.einsum("tb,fb->tf", power, self.filters)
        return np.log(energy + np.float32(FLOOR))


class Frames:
    """A recording as it comes: `feed` gives the frames that are complete by now, `finish` the last one."""

    def __init__(self, mel: Mel):
        self.mel = mel
        self._held = np.zeros(0, np.float32)
        self._fresh = 0  # samples at the end of those held that no frame has read

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """The next frames (t, F), t from 0 on, after any number of samples (n,)."""
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1:
            raise ShapeError(f"samples are one channel (n,), not {samples.shape}")
        self._held = np.concatenate([self._held, samples])
        self._fresh += len(samples)
        window, hop = self.mel.window, self.mel.hop
        count = max(1 + (len(self._held) - window) // hop, 0)
        if not count:
            return np.zeros((0, self.mel.mels), np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(self._held, window)[::hop][:count]
        self._fresh = len(self._held) - ((count - 1) * hop + window)
        self._held = self._held[count * hop :]
        return self.mel.of_frames(frames)

    def finish(self) -> np.ndarray:
        """The frame (1, F) that holds what is left, filled up with zeros; (0, F) where nothing is left."""
        if not self._fresh:
            return np.zeros((0, self.mel.mels), np.float32)
        return self.feed(np.zeros(self.mel.window - len(self._held), np.float32))


def _triangles(rate: int, size: int, mels: int) -> np.ndarray:
    top = _mel(rate / 2)
    edges = _hertz(np.linspace(_mel(min(LOWEST, rate / 4)), top, mels + 2))[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    at = np.arange(size // 2 + 1) * rate / size
    return np.maximum(np.minimum((at - low) / (middle - low), (high - at) / (high - middle)), 0).astype(np.float32)


def _mel(hertz: float) -> float:
    return 2595 * np.log10(1 + hertz / 700)


def _hertz(mel: np.ndarray) -> np.ndarray:
    return 700 * (10 ** (mel / 2595) - 1)
