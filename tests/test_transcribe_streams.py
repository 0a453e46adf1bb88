"""Recordings as they come: whatever the chunks, the end is that of the whole; pipes, rates, partial results."""

from __future__ import annotations

import io
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compare import assert_close
from gatework.data.media import sounds
from gatework.errors import DataError, OptionError
from gatework.runtime.ctc import Greedy
from gatework.tasks.jobs import Trained, train
from gatework.tasks.transcribe import Transcribe, TranscribeOptions, Transcriber, decoding, pipes, streams
from gatework.tasks.transcribe.search import Searching
from small import said

SIZES = {"hidden_size": 12, "front_size": 12, "layers": 2}


@cache
def ready(cell: str = "lstm", stride: int = 3) -> tuple[Transcribe, torch.nn.Module]:
    """A task and an untrained model that reads forward."""
    task = Transcribe(TranscribeOptions(bidirectional=False, cell=cell, stride=stride, **SIZES))
    task.prepare(said())
    torch.manual_seed(0)
    return task, task.build().eval()


def samples(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.1, count).astype(np.float32)


def whole(task: Transcribe, model, sound: np.ndarray) -> np.ndarray:
    examples = task._encoded(task._clips([(sound, 8_000)], texted=False))
    (steps,) = decoding.log_p(model, examples, task.hearing)
    return steps


def streamed(task: Transcribe, model, sound: np.ndarray, sizes: list[int]) -> np.ndarray:
    stream, start = streams.Stream(model, task.hearing, Greedy(len(task.units))), 0
    for size in [*sizes, len(sound)]:
        stream.feed(sound[start : start + size])
        start += size
    stream.finish()
    return stream.search.steps


@settings(max_examples=25, deadline=None)
@given(st.integers(200, 4_000), st.lists(st.integers(0, 900), max_size=9))
def test_any_chunks_give_the_same_bits_and_the_steps_of_the_whole(count: int, sizes: list[int]) -> None:
    task, model = ready()
    sound = samples(count)
    found = streamed(task, model, sound, sizes)
    assert np.array_equal(found, streamed(task, model, sound, []))
    assert_close(found, whole(task, model, sound), length=len(found))


@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.parametrize("cell", ["gru", "slstm"])
def test_it_is_so_for_other_cells_and_strides(cell: str, stride: int) -> None:
    task, model = ready(cell, stride)
    sound = samples(3_333)
    found = streamed(task, model, sound, [100, 7, 900, 0, 1_000])
    assert_close(found, whole(task, model, sound), length=len(found))


def test_a_partial_text_changes_nothing_and_grows_to_the_whole() -> None:
    task, model = ready()
    sound, texts = samples(6_000), []
    recogniser = streams.Recogniser(model, task.hearing, Searching(task.units))
    for start in range(0, len(sound), 500):
        recogniser.feed(sound[start : start + 500])
        texts.append(recogniser.partial())
        assert recogniser.partial() == texts[-1]
    silent = streams.Recogniser(model, task.hearing, Searching(task.units))
    silent.feed(sound)
    found, searching = recogniser.finish(), Searching(task.units)
    assert found == silent.finish()
    assert found["text"] == searching.row(searching.read(whole(task, model, sound)))["text"]
    assert all(found["text"].startswith(text) for text in texts) and recogniser.stream.seconds == 0.75


def test_a_step_hangs_on_no_sample_after_its_delay() -> None:
    task, model = ready()
    assert streams.delay(task.hearing, task.options.stride) == pytest.approx(0.045)
    sound = samples(4_000)
    later = sound.copy()
    later[2_000:] += 0.3
    one, two = whole(task, model, sound), whole(task, model, later)
    first = int(np.flatnonzero((one != two).any(1))[0])
    begin = first * task.hearing.mel.hop * task.options.stride / task.hearing.rate
    assert 0 <= 2_000 / task.hearing.rate - begin <= streams.delay(task.hearing, task.options.stride)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([(44_100, 8_000), (8_000, 16_000), (11_025, 8_000), (8_000, 8_000), (48_000, 44_100)]),
    st.integers(0, 6_000),
    st.lists(st.integers(0, 1_500), max_size=6),
)
def test_a_resampled_stream_is_the_resampled_whole(rates: tuple[int, int], count: int, sizes: list[int]) -> None:
    sound, resampler, found, start = samples(count), pipes.Resampler(*rates), [], 0
    for size in [*sizes, count]:
        found.append(resampler.feed(sound[start : start + size]))
        start += size
    assert_close(np.concatenate([*found, resampler.finish()]), sounds.resampled(sound, *rates))


def test_a_recording_of_another_rate_reads_as_its_resampled_samples() -> None:
    task, model = ready()
    sound = samples(8_000)
    fast = streams.Recogniser(model, task.hearing, Searching(task.units), rate=16_000)
    for start in range(0, len(sound), 700):
        fast.feed(sound[start : start + 700])
    slow = streams.Recogniser(model, task.hearing, Searching(task.units))
    slow.feed(sounds.resampled(sound, 16_000, 8_000))
    assert fast.finish()["text"] == slow.finish()["text"]
    assert_close(fast.search.steps, slow.search.steps)


def test_models_that_need_the_whole_are_refused() -> None:
    task = Transcribe(TranscribeOptions(**SIZES))
    task.prepare(said())
    with pytest.raises(OptionError, match="--no-bidirectional"):
        streams.Recogniser(task.build(), task.hearing, Searching(task.units))
    with pytest.raises(OptionError, match="is of a stream"):
        task.predict(task.build(), [said()[0]["audio"]], rate=8_000)
    with pytest.raises(OptionError, match="--stream"):
        task.predict(task.build(), None)


# -- pipes ------------------------------------------------------------------------------------------------------


class Drops(io.RawIOBase):
    """Bytes that come a few at a time, as through a pipe."""

    def __init__(self, data: bytes, size: int):
        self.data, self.size = data, size

    def read(self, count: int = -1) -> bytes:
        count = min(self.size, count) if count >= 0 else self.size
        found, self.data = self.data[:count], self.data[count:]
        return found


def stereo(sound: np.ndarray) -> bytes:
    """A wav file of two channels, with a note before its samples, and the endless sizes of a file that is written as it
    is sent."""
    both = np.stack([sound, sound], 1)
    body = (both * 32_767).round().astype("<i2").tobytes()
    form = b"".join(
        n.to_bytes(size, "little") for n, size in ((1, 2), (2, 2), (8_000, 4), (32_000, 4), (4, 2), (16, 2))
    )
    chunks = b"fmt " + len(form).to_bytes(4, "little") + form + b"LIST" + (3).to_bytes(4, "little") + b"abc\0"
    return b"RIFF" + b"\xff" * 4 + b"WAVE" + chunks + b"data" + b"\xff" * 4 + body


@pytest.mark.parametrize("size", [1, 3, 4_096])
def test_wav_and_bare_samples_come_in_drops_of_any_size(size: int) -> None:
    sound = np.clip(samples(500), -0.9, 0.9)
    bare = (sound * 32_767).round().astype("<i2").tobytes()
    for data in (bare, sounds.encoded(sound, 8_000), stereo(sound)):
        rate, chunks = pipes.opened(Drops(data, size), None, 8_000)
        np.testing.assert_allclose(np.concatenate(list(chunks)), sound, atol=1e-4)
        assert rate == 8_000


def test_what_is_no_stream_is_told() -> None:
    wav = bytearray(sounds.encoded(samples(100), 8_000))
    for data, rate, message in (
        (b"", None, "nothing came"),
        (bytes(wav), 16_000, "8,000 samples a second, not 16,000"),
        (bytes(wav[:20]) + b"\3" + bytes(wav[21:]), None, "form 3"),
        (bytes(wav[:12]), None, "does not say"),
        (b"fLaC" + bytes(60), None, r"is a sound \(FLAC\), not PCM"),
        (b"RIFX" + bytes(wav[4:]), None, "the high byte first"),
        (b"<!DOCTYPE html><p>not found", None, "is a web page"),
    ):
        with pytest.raises(DataError, match=message):
            pipes.opened(io.BytesIO(data), rate, 8_000)


def test_half_a_sample_at_the_end_is_told() -> None:
    with pytest.warns(UserWarning, match=r"last 1 byte\(s\) are left out"):
        assert sum(map(len, pipes.opened(io.BytesIO(bytes(41)), None, 8_000)[1])) == 20


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    options = {**SIZES, "layers": 1, "epochs": 30, "learning_rate": 0.01, "dropout": 0.0, "noise": 0.0, "pitch": 0.0}
    task = Transcribe(TranscribeOptions(bidirectional=False, batch_size=8, curriculum=0.0, **options))
    return train(task, said(), out=tmp_path_factory.mktemp("stream") / "run", quiet=True)


def test_the_command_tells_partial_results_and_the_text(run: Trained) -> None:
    clip = max(said(), key=lambda each: len(each["text"]))
    command = [sys.executable, "-m", "gatework", "predict", str(run.run.path), "-", "--stream"]
    bare = (clip["audio"] * 32_767).round().astype("<i2").tobytes()
    for data in (bare, sounds.encoded(clip["audio"], 8_000)):
        found = subprocess.run(command, input=data, capture_output=True, timeout=120, check=True).stdout.decode()
        *partial, last = [line.split("\t") for line in found.splitlines()]
        assert last[1:] == ["final", clip["text"]]
        assert partial and all(kind == "partial" and clip["text"].startswith(text) for _, kind, text in partial)
    recogniser = Transcriber.load(run.run.path).stream()
    recogniser.feed(clip["audio"])
    assert recogniser.finish()["text"] == clip["text"]
    answer = subprocess.run([*command, "--json"], input=bare, capture_output=True, timeout=120, check=True).stdout
    assert f'"text": "{clip["text"]}"'.encode() in answer


def test_a_broken_pipe_of_sound_is_an_error_in_words(run: Trained, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gatework", "predict", str(run.run.path), "-", "--stream"]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=120, check=False)
    assert done.returncode == 2 and b"nothing came through the pipe" in done.stderr and b"Traceback" not in done.stderr
    with pytest.raises(OptionError, match="name - in place of a file"):
        run.predict(tmp_path / "a.wav", stream=True)
