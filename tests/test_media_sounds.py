"""Recordings of any form are read as the same samples; what is broken is refused or mended in words."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gatework.data.media import sounds
from gatework.data.media.decoding import check
from gatework.data.media.listing import read
from gatework.errors import DataError, OptionError

RATE = 8000
TONE = (0.4 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)  # one second
PCM = (TONE * 32767).astype("<i2").tobytes()


def wav(path: Path, data: bytes = PCM, *, form=1, channels=1, rate=RATE, bits=16, size: int | None = None) -> Path:
    """A wav file whose header says what it is told to."""
    align = channels * bits // 8
    head = struct.pack("<IHHIIHH", 16, form, channels, rate, rate * align & 0xFFFFFFFF, align, bits)
    body = b"WAVEfmt " + head + b"data" + struct.pack("<I", len(data) if size is None else size) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def heard(path: Path) -> tuple[sounds.Sound, list[str]]:
    """A recording and what was told of it, without its path."""
    told: list[str] = []
    sound = sounds.read(path, lambda message, level="warning": told.append(message.removeprefix(str(path))))
    return sound, told


# -- whole ones -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "a.au", "a.w64", "a.caf", "a.mp3", "a.ogg"])
def test_forms_of_files(tmp_path, name) -> None:
    soundfile.write(tmp_path / name, TONE, 16000)
    sound, told = heard(tmp_path / name)
    assert sound.rate == 16000 and len(sound.samples) == RATE and sound.samples.dtype == np.float32 and not told
    lossy = name in ("a.mp3", "a.ogg")
    assert np.abs(sound.samples - TONE)[500:-500].max() < (0.05 if lossy else 1e-4)
    assert sound.seconds == 0.5


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
def test_long_recordings_are_read_without_seams(tmp_path, name) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 12_345).astype(np.float32)
    soundfile.write(tmp_path / name, noise, 16000)
    whole, _ = soundfile.read(tmp_path / name, dtype="float32")
    assert np.abs(heard(tmp_path / name)[0].samples - whole).max() < 1e-6


@pytest.mark.parametrize("width", ["PCM_16", "PCM_24", "PCM_32", "PCM_U8", "FLOAT", "DOUBLE", "ALAW", "ULAW"])
def test_widths_of_samples(tmp_path, width) -> None:
    soundfile.write(tmp_path / "a.wav", TONE, RATE, subtype=width)
    error = np.abs(heard(tmp_path / "a.wav")[0].samples - TONE).max()
    assert error < {"PCM_U8": 0.01, "ALAW": 0.02, "ULAW": 0.02}.get(width, 1e-4)


@pytest.mark.parametrize("name", ["flac.wav", "wav.mp3", "ogg.flac", "noend"])
def test_the_content_counts_not_the_name(tmp_path, name) -> None:
    form = {"flac": "FLAC", "ogg": "OGG"}.get(name.partition(".")[0], "WAV")
    soundfile.write(tmp_path / name, TONE, RATE, format=form)
    assert len(heard(tmp_path / name)[0].samples) == RATE


def test_channels_are_mixed_down(tmp_path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([TONE, 0 * TONE, TONE, 0 * TONE], 1), 44100)
    sound, told = heard(tmp_path / "a.wav")
    assert np.abs(sound.samples - TONE / 2).max() < 1e-4 and told == [": 4 channels, mixed down to one"]
    soundfile.write(tmp_path / "b.wav", np.stack([TONE, -TONE], 1), RATE)
    sound, told = heard(tmp_path / "b.wav")
    assert np.abs(sound.samples - TONE).max() < 1e-4 and "cancel each other" in told[1]


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 44101, 48000, 192000])
def test_any_rate_becomes_the_one_asked_for(tmp_path, rate) -> None:
    times = np.arange(rate) / rate
    soundfile.write(tmp_path / "a.wav", 0.4 * np.sin(2 * np.pi * 440 * times), rate)
    samples = sounds.load(tmp_path / "a.wav", RATE)
    assert abs(len(samples) - RATE) <= 1
    assert np.abs(samples[:RATE] - TONE[: len(samples)])[400:-400].max() < 0.004


def test_what_cannot_be_heard_at_a_lower_rate_goes() -> None:
    high = np.sin(2 * np.pi * 7000 * np.arange(32000) / 32000).astype(np.float32)
    assert np.abs(sounds.resampled(high, 32000, 8000))[100:-100].max() < 0.01


def test_arrays() -> None:
    assert np.array_equal(sounds.load(TONE, RATE), TONE)
    assert np.abs(sounds.load(((TONE * 32767).astype(np.int16), RATE)) - TONE).max() < 1e-4
    assert np.abs(sounds.load(((TONE * 127 + 128).astype(np.uint8), RATE)) - TONE).max() < 0.02
    assert np.abs(sounds.load((np.stack([TONE, 0 * TONE], 1), RATE)) - TONE / 2).max() < 1e-6
    assert np.abs(sounds.load((np.stack([TONE, 0 * TONE]), RATE)) - TONE / 2).max() < 1e-6
    assert len(sounds.load((TONE, 16000), RATE)) == RATE // 2
    with pytest.raises(DataError, match="does not say its rate"):
        sounds.load(TONE)
    for wrong in (np.zeros((2, 2, 2)), np.array(["a"]), np.zeros(9, complex)):
        with pytest.raises(DataError, match=r"samples are numbers \(n,\)"):
            sounds.load((wrong, RATE))


def test_the_usual_rate() -> None:
    items = [(TONE, 8000), (TONE, 44100), (TONE, 8000), TONE, Path("gone.wav")]
    assert sounds.rates_of(items) == {8000: 2, 44100: 1} and sounds.usual_rate(items) == 8000
    assert sounds.usual_rate([(TONE, 44100)]) == 16000 and sounds.usual_rate([TONE]) is None


def test_what_is_written_is_read(tmp_path) -> None:
    sounds.write(tmp_path / "a.wav", 3 * TONE, RATE)
    sound, _ = heard(tmp_path / "a.wav")
    assert np.abs(sound.samples - np.clip(3 * TONE, -1, 1)).max() < 1e-4 and os.listdir(tmp_path) == ["a.wav"]
    with pytest.raises(OptionError, match="cannot be written: there is no folder"):
        sounds.write(tmp_path / "gone" / "a.wav", TONE, RATE)


# -- broken ones ------------------------------------------------------------------------------------------------

REFUSED = {
    "no samples": (b"", {}, "holds a header and no samples"),
    "one sample": (PCM[:2], {}, r"too short \(1 samples, 0.000 s\); give at least 0.02 s"),
    "silent": (bytes(16000), {}, "silent, every one of its 8,000 samples is 0"),
    "one value": (np.full(8000, 500, "<i2").tobytes(), {}, "silent, every one"),
    "rate 0": (PCM, {"rate": 0}, r"a sound \(WAV\) that cannot be read \(its rate"),
    "rate 1": (PCM, {"rate": 1}, "the rate is 1; give 1,000 to 768,000"),
    "no channels": (PCM, {"channels": 0}, r"a sound \(WAV\) that cannot be read \(Channel"),
    "100 channels": (PCM, {"channels": 100}, "the header says 100 channels, which is hardly true"),
    "unknown form": (PCM, {"form": 0x1234}, r"a sound \(WAV\) that cannot be read"),
    "not a number": (np.r_[TONE, np.nan, np.inf].astype("<f4").tobytes(), {"form": 3, "bits": 32}, "2 samples are no"),
    "endless": ((1e30 * TONE).astype("<f4").tobytes(), {"form": 3, "bits": 32}, "values up to 4e[+]29 are no sound"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_and_how(tmp_path, case) -> None:
    data, header, said = REFUSED[case]
    with pytest.raises(DataError, match=f"a.wav: {said}"):
        sounds.read(wav(tmp_path / "a.wav", data, **header))


MENDED = {
    "cut": (PCM[:8000], {"size": 16000}, "cut short, the header says 1.00 s and 0.50 s are there"),
    "cut in a sample": (PCM[:7999], {"size": 16000}, "cut short"),
    "a huge size": (PCM, {"size": 0x7FFFFF00}, "cut short"),
    "clipped": ((np.clip(4 * TONE, -1, 1) * 32767).astype("<i2").tobytes(), {}, "clipped, 35.0% of its samples"),
    "16 bits as floats": (
        (32767 * TONE).astype("<f4").tobytes(),
        {"form": 3, "bits": 32},
        "floats up to 13,107 were",
    ),
    "hardly a sound": (np.array([0, 1] * 4000, "<i2").tobytes(), {}, "so quiet that hardly anything is heard"),
}


@pytest.mark.parametrize("case", MENDED)
def test_what_is_mended_or_doubtful_is_told(tmp_path, case) -> None:
    data, header, said = MENDED[case]
    sound, told = heard(wav(tmp_path / "a.wav", data, **header))
    assert len(told) == 1 and told[0].startswith(f": {said}")
    assert len(sound.samples) == {"cut": 4000, "cut in a sample": 3999}.get(case, 8000)
    assert np.abs(sound.samples).max() <= 1


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_stream_that_did_not_know_its_size_is_whole(tmp_path, size) -> None:
    sound, told = heard(wav(tmp_path / "a.wav", size=size))
    assert len(sound.samples) == RATE and not told


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3"])
def test_packed_files_that_were_cut(tmp_path, name) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 10 * 16000)
    soundfile.write(tmp_path / name, noise, 16000)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    sound, told = heard(tmp_path / name)
    assert 3 < sound.seconds < 6 and told and told[0].startswith(": cut short")


CONTENTS = {
    "empty": (b"", "is empty"),
    "text": (b"hello there, this is a text", "not a sound that can be read: it is text, beginning 'hello there"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), r"it is a picture \(PNG\)"),
    "a page": (b"<!DOCTYPE html><html>404</html>", "it is a web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
    "samples alone": (PCM, "not a sound that can be read; give wav, flac"),
    "AAC": (b"\0\0\0\x20ftypM4A " + bytes(60), r"a sound \(AAC\) that cannot be read"),
    "half a header": (b"RIFF\x24\0\0\0WAVEfmt ", "cannot be read"),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_files_that_are_no_sound(tmp_path, case) -> None:
    data, said = CONTENTS[case]
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(DataError, match=said):
        sounds.read(tmp_path / "a.wav")


def test_what_is_no_file(tmp_path) -> None:
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    said = {"gone.wav": "no such file", "loop.wav": "no such file", "pipe.wav": "is a pipe", "": "is a folder"}
    said |= {"x" * 300: "not the name of a file", "no/a.wav": "nor a folder", "a\0b.wav": "no such file|not the name"}
    for name, words in said.items():
        with pytest.raises(DataError, match=words):
            sounds.read(tmp_path / name)


def test_damage_anywhere_is_refused_or_mended(tmp_path) -> None:
    """Bytes changed and files cut at random, headers above all: never another error."""
    random = np.random.default_rng(0)
    for name in ("a.wav", "a.flac", "a.ogg", "a.au"):
        soundfile.write(tmp_path / name, TONE, RATE)
        whole = (tmp_path / name).read_bytes()
        for _ in range(60):
            data = bytearray(whole[: random.integers(1, len(whole))] if random.random() < 0.5 else whole)
            places = random.integers(0, min(len(data), random.choice([64, len(data)])), random.integers(0, 6))
            for place in places:
                data[place] = random.integers(256)
            (tmp_path / name).write_bytes(data)
            with suppress(DataError):
                samples = sounds.read(tmp_path / name).samples
                assert len(samples) and np.isfinite(samples).all()


def test_a_check_tells_every_fault_by_row_and_equal_ones_once(tmp_path) -> None:
    for name in ("a.wav", "b.wav", "d.wav"):
        wav(tmp_path / name, PCM[:8000], size=16000)
    wav(tmp_path / "c.wav", b"")
    (tmp_path / "t.csv").write_text("file,text\na.wav,x\nb.wav,y\nc.wav,z\nd.wav,z\n")
    error, warning = check(read(tmp_path / "t.csv"), lambda item, tell: sounds.load(item, RATE, tell))
    assert error.level == "error" and error.message.startswith(f"{tmp_path / 't.csv'}, line 4 (c.wav): holds a header")
    assert warning.level == "warning" and "(3 such files; the next: " in warning.message and warning.row == 0
