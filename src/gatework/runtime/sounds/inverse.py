"""Log-mel energies back to samples: what a spectrum could have been, then phases that fit together.

    mel = Mel(8000, mels=64, window_ms=40.0)
    Inverse(mel).samples(mel.features(samples))              # (T, 64) -> ((T - 1) hop + window,)

Nothing is learned. Bands are wider than bins, so the spectrum is the smallest change of a flat one that fills them;
phases are gone, so those are looked for whose overlapping frames contradict each other least (Griffin & Lim 1984),
with the momentum of Perraudin, Balazs & Søndergaard 2013.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gatework.errors import OptionError, ShapeError
from gatework.runtime.sounds.mel import FLOOR, Mel

ROUNDS, MOMENTUM = 60, 0.99
UPDATES = 50  # of the spectrum from bands; fifty more change it by less than a decibel
EDGE = 0.1  # share of the usual weight below which samples at both ends fade, as too few frames speak of them
TINY = 1e-15


@dataclass(frozen=True)
class Inverse:
    """Samples whose features are those given, as nearly as may be.

    Args:
        mel: how the features were made. Frames overlap by half at least.
        rounds: of the search for phases.
        momentum: of this search; 0 is Griffin & Lim's own.
    """

    mel: Mel
    rounds: int = ROUNDS
    momentum: float = MOMENTUM

    def __post_init__(self) -> None:
        if self.mel.window < 2 * self.mel.hop:
            raise OptionError(
                f"frames of {self.mel.window_ms:g} ms every {self.mel.hop_ms:g} ms do not overlap by half, so that no "
                "sound can be made of them; make window_ms at least twice hop_ms"
            )

    def samples(self, features: np.ndarray) -> np.ndarray:
        """float32 (n,) of features (T, F); the same features give the same samples."""
        if features.ndim != 2 or features.shape[1] != self.mel.mels:
            raise ShapeError(f"features of {self.mel.mels} bands are (T, {self.mel.mels}), not {features.shape}")
        if not len(features):
            return np.zeros(0, np.float32)
        return self.sounding(np.sqrt(self.power(features))).astype(np.float32)

    def power(self, features: np.ndarray) -> np.ndarray:
        """Power (T, bins) >= 0 with these energies in its bands, quiet ones as well as loud: the least Kullback-Leibler
        divergence by multiplications, none of which makes the fit worse (Lee & Seung 2001, theorem 2)."""
        bands = self.mel.filters.astype(np.float64)
        energy = np.maximum(np.exp(np.asarray(features, np.float64)) - FLOOR, 0)
        weight = np.maximum(bands.sum(0), TINY)
        found = energy / bands.sum(1) @ bands / weight
        for _ in range(UPDATES):
            found = found * (energy / np.maximum(found @ bands.T, TINY) @ bands) / weight
        return found

    def sounding(self, magnitudes: np.ndarray) -> np.ndarray:
        """(n,): samples whose spectra have the magnitudes (T, bins), with the phases that were found."""
        phases = np.exp(2j * np.pi * np.random.default_rng(0).random(magnitudes.shape))
        before = np.zeros_like(phases)
        for _ in range(self.rounds):
            heard = self.spectra(self.overlapped(magnitudes * phases))
            ahead = heard + self.momentum * (heard - before)
            phases, before = ahead / np.maximum(np.abs(ahead), TINY), heard
        return self.overlapped(magnitudes * phases)

    def spectra(self, samples: np.ndarray) -> np.ndarray:
        """(T, bins) of whole frames of samples ((T - 1) hop + window,)."""
        frames = np.lib.stride_tricks.sliding_window_view(samples, self.mel.window)[:: self.mel.hop]
        return np.fft.rfft(frames * self.mel.hann, self.mel.padded)

    def overlapped(self, spectra: np.ndarray) -> np.ndarray:
        """The samples whose spectra are nearest to these (T, bins) in squares (Griffin & Lim 1984, equation 6)."""
        frames = np.fft.irfft(spectra, self.mel.padded)[:, : self.mel.window] * self.mel.hann
        weight = self._added(np.broadcast_to(np.square(self.mel.hann), frames.shape))
        return self._added(frames) / np.maximum(weight, EDGE / self.mel.hop)

    def _added(self, frames: np.ndarray) -> np.ndarray:
        """Frames (T, window) laid over each other, hop by hop."""
        count, (window, hop) = len(frames), (self.mel.window, self.mel.hop)
        pieces = -(-window // hop)
        parted = np.zeros((count, pieces, hop))
        parted.reshape(count, -1)[:, :window] = frames
        found = np.zeros((count + pieces - 1, hop))
        for piece in range(pieces):
            found[piece : piece + count] += parted[:, piece]
        return found.ravel()[: (count - 1) * hop + window]
