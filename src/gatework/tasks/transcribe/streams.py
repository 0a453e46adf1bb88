"""Recordings as they come: samples in chunks of any size, a partial result at any time, the same end as of the whole.

Samples, frames, the front's steps and the search each hold what they still need, and the network takes one step at a
time: no chunk size changes a bit of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from gatework.errors import OptionError
from gatework.runtime.ctc import Search
from gatework.runtime.sounds.mel import Frames
from gatework.tasks.transcribe.hearing import Hearing
from gatework.tasks.transcribe.model import Listener
from gatework.tasks.transcribe.pipes import Resampler
from gatework.tasks.transcribe.search import Searching


class Stream:
    """Samples -> log probabilities: `feed(samples)` and `finish()` hand each step to a search.

        stream = Stream(model, hearing, Greedy(11))
        stream.feed(samples[:700]), stream.feed(samples[700:]), stream.finish()

    Args:
        model: one that reads forward alone.
        hearing: how samples become frames.
        search: hears each step (1, V).

    Raises: OptionError for a model that needs whole recordings.
    """

    def __init__(self, model: Listener, hearing: Hearing, search: Search):
        must_stream(model, hearing)
        self.model, self.hearing, self.search = model, hearing, search
        self._frames, self._held, self._states = Frames(hearing.mel), model.front.begin(), {}
        self._waiting = np.zeros((0, hearing.mel.mels), np.float32)
        self.samples = 0

    @property
    def seconds(self) -> float:
        """How much has been heard."""
        return self.samples / self.hearing.rate

    def feed(self, samples: np.ndarray) -> None:
        """The next samples (n,), from -1 to 1, at the model's rate."""
        frames = self._frames.feed(samples)
        self.samples += len(samples)
        self._hear(frames)

    def finish(self) -> None:
        """The end: what is held back is heard. Nothing can be fed afterwards."""
        self._hear(self._frames.finish())
        with torch.no_grad():
            _, self._held = self.model.front.step(self._scaled(self._waiting), self._held)
            self._further(self.model.front.finish(self._held))

    def _hear(self, frames: np.ndarray) -> None:
        """Frames (t, F), in pieces that make one step each."""
        waiting, stride = np.concatenate([self._waiting, frames]), self.model.front.stride
        whole = len(waiting) // stride * stride
        self._waiting = waiting[whole:]
        with torch.no_grad():
            for start in range(0, whole, stride):
                piece = self._scaled(waiting[start : start + stride])
                features, self._held = self.model.front.step(piece, self._held)
                self._further(features)

    def _scaled(self, frames: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.hearing.scaled(frames))[None]

    def _further(self, features: torch.Tensor) -> None:
        log_p, self._states = self.model.further(features, self._states)
        if len(log_p):
            self.search.next(log_p[:, 0].numpy())


def must_stream(model: Listener, hearing: Hearing) -> None:
    """Refuses a model that cannot read a recording as it comes."""
    if hearing.kind != "sound":
        raise OptionError("pictures are read whole; a stream is of sound")
    if not model.front.causal:
        raise OptionError(
            "this model reads recordings from both ends, so it needs the whole: for streams train one with "
            "bidirectional=False (--no-bidirectional)"
        )


def delay(hearing: Hearing, stride: int) -> float:
    """Seconds by which a step comes later than the first of its samples, at most: its frames and the last window."""
    return ((stride - 1) * hearing.options.hop_ms + hearing.options.window_ms) / 1000


class Recogniser:
    """A recording as it comes, of any rate: text so far at any time, and at the end.

        recogniser = Transcriber.load("runs/digits").stream()
        recogniser.feed(samples)
        recogniser.partial()                                          # "seven two": changes nothing
        recogniser.finish()                                           # {"text": "seven two nine", "confidence": 0.98}

    Args:
        model, hearing: of a trained task: `trained.model`, `trained.task.hearing`.
        searching: how steps become texts: `trained.task.searching(how)`.
        rate: of the samples; None: that of the model.

    Raises: OptionError for a model that needs whole recordings.
    """

    def __init__(self, model: Listener, hearing: Hearing, searching: Searching, rate: int | None = None):
        self.searching, self.search = searching, searching.new()
        self.stream = Stream(model, hearing, self.search)
        self._resampler = Resampler(rate or hearing.rate, hearing.rate)

    def feed(self, samples: np.ndarray) -> None:
        """The next samples (n,), from -1 to 1."""
        self.stream.feed(self._resampler.feed(samples))

    def partial(self) -> str:
        """The text so far."""
        return self.searching.units.text(self.search.partial().tolist())

    def finish(self) -> dict[str, Any]:
        """The text of the whole; nothing can be fed afterwards."""
        self.stream.feed(self._resampler.finish())
        self.stream.finish()
        return self.searching.row(self.search)


def heard(recogniser: Recogniser, chunks: Iterable[np.ndarray]) -> dict[str, Any]:
    """What is said in chunks of samples, at their end."""
    for samples in chunks:
        recogniser.feed(samples)
    return {"seconds": recogniser.stream.seconds} | recogniser.finish()


def lines(recogniser: Recogniser, chunks: Iterable[np.ndarray]) -> Iterator[str]:
    """The same with every partial text as soon as it is another: "1.24\tpartial\tseven two"."""
    told = ""
    for samples in chunks:
        recogniser.feed(samples)
        if (text := recogniser.partial()) != told:
            told = text
            yield f"{recogniser.stream.seconds:.2f}\tpartial\t{text}\n"
    found = recogniser.finish()
    yield f"{recogniser.stream.seconds:.2f}\tfinal\t{found['text']}\n"
