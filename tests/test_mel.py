"""Log-mel energies, held against torch.stft and a filterbank written as loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gatework.errors import OptionError, ShapeError
from gatework.runtime.sounds.mel import FLOOR, Frames, Mel


def sound(seconds: float = 1.0, rate: int = 8000) -> np.ndarray:
    draw = np.random.default_rng(4)
    time = np.arange(int(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * 440 * time * (1 + time)) + 0.01 * draw.standard_normal(len(time))).astype("f4")


def triangles(mel: Mel, bins: int) -> np.ndarray:
    """The filterbank, one weight after another."""
    ear = [2595 * math.log10(1 + hertz / 700) for hertz in (20, mel.rate / 2)]
    edges = [ear[0] + (ear[1] - ear[0]) * k / (mel.mels + 1) for k in range(mel.mels + 2)]
    edges = [700 * (10 ** (each / 2595) - 1) for each in edges]
    found = np.zeros((mel.mels, bins // 2 + 1))
    for band in range(mel.mels):
        low, middle, high = edges[band : band + 3]
        for k in range(bins // 2 + 1):
            hertz = k * mel.rate / bins
            if low < hertz < high:
                found[band, k] = min((hertz - low) / (middle - low), (high - hertz) / (high - middle))
    return found


@pytest.mark.parametrize(("rate", "mels"), [(8000, 40), (16000, 80), (8000, 90)])
def test_features_are_those_of_torch_s_spectrum(rate: int, mels: int) -> None:
    mel, samples = Mel(rate, mels), sound(0.5, rate)
    bins = 2 * (mel.filters.shape[1] - 1)
    window = torch.hann_window(mel.window, dtype=torch.float64)
    beside = (bins - mel.window) // 2  # torch sets the window in the middle of its transform
    signal = torch.nn.functional.pad(torch.from_numpy(samples).double(), (beside, bins - mel.window - beside))
    spectrum = torch.stft(signal, bins, mel.hop, mel.window, window, center=False, return_complex=True)
    power = (spectrum.abs().square() / window.square().sum()).T.numpy()
    wanted = np.log(power @ triangles(mel, bins).T + FLOOR)
    assert len(mel.features(samples)) - len(wanted) in (0, 1)
    np.testing.assert_allclose(mel.features(samples)[: len(wanted)], wanted, atol=2e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1200), st.lists(st.integers(0, 500), max_size=9))
def test_chunks_do_not_change_a_bit(count: int, sizes: list[int]) -> None:
    mel, samples = Mel(8000, 24), sound()[:count]
    frames, found, start = Frames(mel), [], 0
    for size in [*sizes, count]:
        found.append(frames.feed(samples[start : start + size]))
        start += size
    found = np.concatenate([*found, frames.finish()])
    assert np.array_equal(found, mel.features(samples))
    assert len(found) == (0 if not count else 1 + max(math.ceil((count - mel.window) / mel.hop), 0))


def test_few_frames_at_a_time_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Mel(8000).features(sound())
    monkeypatch.setattr("gatework.runtime.sounds.mel.AT_ONCE", 1_000)
    assert np.array_equal(Mel(8000).features(sound()), whole)


def test_every_sample_is_in_a_frame() -> None:
    mel = Mel(8000, 24)
    quiet = np.zeros(1001, np.float32)
    loud = quiet.copy()
    loud[-1] = 1.0
    np.testing.assert_allclose(mel.features(quiet), np.full((12, 24), np.log(FLOOR)), rtol=1e-6)
    assert (mel.features(loud)[-1] > mel.features(quiet)[-1]).all()


def test_every_band_hears_something() -> None:
    for rate in (4000, 8000, 16000, 44100):
        for mels in (1, 40, 128):
            assert (Mel(rate, mels).filters.max(1) > 0).all()


def test_power_does_not_depend_on_the_window() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(80_000).astype("f4")
    short, long = (Mel(8000, 20, window_ms=ms).features(noise)[5:-5].mean() for ms in (25, 30))
    assert short == pytest.approx(long, abs=0.1)


def test_sizes_that_make_no_frames_are_refused() -> None:
    with pytest.raises(OptionError, match="hop_ms=30 240"):
        Mel(8000, hop_ms=30)
    with pytest.raises(OptionError, match="mels=0: give at least one band"):
        Mel(8000, mels=0)
    with pytest.raises(ShapeError, match="one channel"):
        Mel(8000).features(np.zeros((2, 100), np.float32))
