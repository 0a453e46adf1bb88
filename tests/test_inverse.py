"""Features back to samples: laws of the search for phases, and sounds whose pitch must come back."""

from __future__ import annotations

import numpy as np
import pytest

from gatework.errors import OptionError, ShapeError
from gatework.runtime.sounds.inverse import Inverse
from gatework.runtime.sounds.mel import Mel

MEL = Mel(8000, mels=48, window_ms=32.0, hop_ms=8.0)


def chirp(seconds: float = 0.5) -> np.ndarray:
    """A voice-like sound: harmonics of a pitch that rises, over low noise."""
    time = np.arange(int(8000 * seconds)) / 8000
    phase = 2 * np.pi * (120 * time + 40 * time**2)
    found = sum(np.sin(k * phase) / k for k in range(1, 12))
    return (0.2 * found + np.random.default_rng(1).normal(0, 1e-3, len(time))).astype(np.float32)


def test_samples_have_the_features_that_they_were_made_of() -> None:
    features = MEL.features(chirp())
    heard = MEL.features(Inverse(MEL).samples(features))
    audible = features > features.max() - 7  # nepers; what is quieter is hidden by windows and rounding
    assert len(heard) == len(features)
    assert np.abs(heard - features)[2:-2][audible[2:-2]].mean() < 0.25


@pytest.mark.parametrize("hertz", [300, 1000, 2500])
def test_a_tone_keeps_its_pitch(hertz: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(4000) / 8000)
    samples = Inverse(MEL).samples(MEL.features(tone))
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert spectrum.argmax() * 8000 / len(samples) == pytest.approx(hertz, rel=0.08)


def test_spectra_of_a_sound_give_it_back() -> None:
    inverse = Inverse(MEL)
    samples = chirp()[: 50 * MEL.hop + MEL.window].astype(np.float64)
    inside = slice(MEL.window, -MEL.window)
    np.testing.assert_allclose(inverse.overlapped(inverse.spectra(samples))[inside], samples[inside], atol=1e-6)


def test_without_momentum_no_round_makes_frames_contradict_each_other_more() -> None:
    magnitudes = np.sqrt(Inverse(MEL).power(MEL.features(chirp())))
    apart = []
    for rounds in (0, 1, 2, 4, 8, 16):
        inverse = Inverse(MEL, rounds=rounds, momentum=0.0)
        apart.append(np.linalg.norm(np.abs(inverse.spectra(inverse.sounding(magnitudes))) - magnitudes))
    assert (np.diff(apart) <= 1e-9 * apart[0]).all()
    assert apart[-1] < 0.8 * apart[0]


def test_power_fills_the_bands_and_is_never_negative() -> None:
    features = MEL.features(chirp())
    power = Inverse(MEL).power(features)
    assert (power >= 0).all()
    energy = power @ MEL.filters.T.astype(np.float64)
    loud = features > features.max() - 8
    np.testing.assert_allclose(np.log(energy + 1e-9)[loud], features[loud], atol=0.3)


def test_the_same_features_give_the_same_samples_and_none_give_none() -> None:
    features = MEL.features(chirp(0.2))
    np.testing.assert_array_equal(Inverse(MEL, rounds=5).samples(features), Inverse(MEL, rounds=5).samples(features))
    assert Inverse(MEL).samples(features[:0]).shape == (0,)
    assert Inverse(MEL, rounds=3).samples(features[:1]).shape == (MEL.window,)


def test_a_window_that_no_hop_divides() -> None:
    mel = Mel(8000, mels=40, window_ms=25.0, hop_ms=7.0)
    samples = Inverse(mel).samples(mel.features(chirp(0.2)))
    assert np.isfinite(samples).all() and (len(samples) - mel.window) % mel.hop == 0


def test_frames_that_do_not_overlap_and_other_bands_are_refused() -> None:
    with pytest.raises(OptionError, match="at least twice hop_ms"):
        Inverse(Mel(8000, window_ms=10.0, hop_ms=8.0))
    with pytest.raises(ShapeError, match=r"\(T, 48\), not \(3, 40\)"):
        Inverse(MEL).samples(np.zeros((3, 40)))
