"""What is said in recordings, or what stands on pictures of lines: a text for each, with its probability."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from gatework.errors import DataError, FileFormatError, OptionError
from gatework.runtime.answers.given import count, numbers_of, options_of, rows_of
from gatework.runtime.answers.listening import Listening, must_be
from gatework.runtime.ctc.searching import How, Searching
from gatework.runtime.ctc.units import Units
from gatework.runtime.exported import Exported
from gatework.runtime.model import Model
from gatework.runtime.sounds.mel import Mel
from gatework.runtime.sounds.samples import RATES, SHORTEST, checked, scaled
from gatework.runtime.stepper import Stepper

AT_ONCE, FRAMES = 64, 60_000  # rows, and frames, that go through the network together
SECONDS, WIDEST = 1_200, 200  # of a recording, and times its height of a picture, at most
MOST_TEXTS = 1 << 26  # characters of training texts that are counted, each text as often as it was there
MOST_BANDS = 512  # as in training
MOST_FILTERS = 1 << 25  # numbers that turn a frame into bands
GREY = np.array([19595, 38470, 7471])  # of red, green and blue in 65,536 parts, as ITU-R 601 says


class Transcripts(Model):
    """{"text", "confidence"} of each recording or picture of a line; options of `How` change the search and add
    "words" with their times and "n_best" texts.

    model.predict([{"sound": samples, "rate": 8000}], beam=16, lm_weight=0.5, timestamps=True)
    """

    kind = "transcripts"

    def __init__(self, exported: Exported, hash: str = ""):
        super().__init__(exported, hash)
        said = exported.settings
        self.reader: Reader = Pictures(said) if said["reads"] == "picture" else Sounds(said)
        self.inputs = self.reader.inputs
        self.mean, self.scale = np.array(said["mean"], np.float32), np.float32(said["scale"])
        if self.mean.shape != (self.reader.width,) or not np.isfinite(self.mean).all() or not 0 < self.scale < np.inf:
            raise FileFormatError("the scale of frames does not fit them")
        self.units, self.texts = Units(said["units"], tuple(said["symbols"])), counted_texts(exported.texts["texts"])
        self.second = self.reader.second * count(said, "stride", 1 << 16)
        if any("log_p" not in exported.nets[name].outputs for name in exported.nets):
            raise FileFormatError("a net of a transcriber answers with log_p")
        self.net, self._stepper = exported.bound("whole"), self._listening()
        self._searching = Searching(self.units, How(), self.texts, self.second)

    @property
    def schema(self) -> dict[str, Any]:
        return self.reader.schema

    @property
    def example(self) -> object:
        return self.reader.example

    @property
    def why_no_stream(self) -> str:
        if isinstance(self.reader, Pictures):
            return "it reads pictures"
        if any(len(layer.weights) > 1 for stack in self.exported.stacks for layer in stack):
            return "it reads recordings from both ends"
        return "its file has no steps: export it anew"

    @property
    def stepper(self) -> Stepper | None:
        return self._stepper

    def _listening(self) -> Listening | None:
        if "step" not in self.exported.nets or not isinstance(self.reader, Sounds):
            return None
        net, stride = self.exported.bound("step"), self.exported.settings["stride"]
        return Listening(net, self.reader.mel, self.reader.samples, self._scaled, self.units.symbols, stride)

    def predict(self, rows: Sequence[Any], **how: object) -> list[dict[str, Any]]:
        rows = rows_of(rows, self.inputs)
        if isinstance(how.get("word_list"), str):
            raise OptionError("an exported model reads no files: give word_list the words themselves, as a list")
        asked = options_of(How, how)
        searching = self._searching
        if searching.how != asked:  # what it has counted is kept for the next call
            searching = self._searching = Searching(self.units, asked, self.texts, self.second)
        frames = [self.reader.read(row, number) for number, row in enumerate(rows, 1)]
        found: dict[int, dict[str, Any]] = {}
        for some in _alike([len(each) for each in frames]):
            steps = self._steps([frames[i] for i in some])
            found |= {i: searching.row(searching.read(own)) for i, own in zip(some, steps, strict=True)}
        return [found[i] for i in range(len(frames))]

    def _steps(self, frames: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Log probabilities (T', V) of rows of frames (T, ...)."""
        lengths = np.array([len(each) for each in frames], np.int64)
        x = np.zeros((int(lengths.max()), len(frames), *frames[0].shape[1:]), np.float32)
        for row, own in enumerate(frames):
            x[: len(own), row] = self._scaled(own)
        stride = self.exported.settings["stride"]
        log_p = self.net(x=x, lengths=lengths)["log_p"]
        must_be(log_p, (-(-len(x) // stride), len(frames), len(self.units)))
        yield from (log_p[: -(-length // stride), row] for row, length in enumerate(lengths.tolist()))

    def _scaled(self, frames: np.ndarray) -> np.ndarray:
        return ((frames - self.mean) / self.scale).astype(np.float32, copy=False)


def _alike(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Groups of rows of like length, no more than go through the network together."""
    group: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if group and (len(group) == AT_ONCE or lengths[group[0]] * (len(group) + 1) > FRAMES):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def counted_texts(text: str) -> dict[str, int]:
    """The training texts, and how often each was there."""
    found = json.loads(text)
    if not isinstance(found, dict) or not all(type(often) is int and often > 0 for often in found.values()):
        raise FileFormatError("the training texts are no texts with the number of times that each was there")
    if (size := sum((len(each) + 1) * often for each, often in found.items())) > MOST_TEXTS:
        raise FileFormatError(
            f"the training texts have {size:,} characters, more than the {MOST_TEXTS:,} that are counted"
        )
    return found


# -- rows -----------------------------------------------------------------------------------------------------


class Reader(Protocol):
    """Rows as frames: `width` is that of their last axis, `second` how much of a row each is."""

    inputs: str
    width: int
    second: float

    @property
    def schema(self) -> dict[str, Any]: ...
    @property
    def example(self) -> object: ...
    def read(self, row: object, number: int) -> np.ndarray: ...


class Sounds:
    """Samples of one channel as log-mel frames (T, F)."""

    def __init__(self, said: Mapping[str, Any]):
        self.rate = count(said, "rate", RATES[1])
        for name in ("window_ms", "hop_ms"):
            if not isinstance(said[name], int | float) or not 0 < said[name] < math.inf:
                raise FileFormatError(f"the setting {name} is {said[name]!r:.40}, no number above 0")
        self.mel = Mel(self.rate, count(said, "mels", MOST_BANDS), float(said["window_ms"]), float(said["hop_ms"]))
        if self.mel.window * self.mel.mels > MOST_FILTERS:
            raise FileFormatError(f"{self.mel.mels} bands of frames of {self.mel.window:,} samples are too many")
        self.width, self.second = self.mel.mels, said["hop_ms"] / 1000
        self.most = SECONDS * self.rate
        self.inputs = f'{{"sound": samples of one channel from -1 to 1, "rate": {self.rate}}}, or the samples alone'

    @property
    def schema(self) -> dict[str, Any]:
        least = math.ceil(SHORTEST * self.rate)
        samples = {"type": "array", "items": {"type": "number"}, "minItems": least, "maxItems": self.most}
        named = {"sound": samples, "rate": {"const": self.rate}}
        return {"anyOf": [{"type": "object", "properties": named, "required": ["sound"]}, samples]}

    @property
    def example(self) -> object:
        length = max(math.ceil(SHORTEST * self.rate), 8)
        return {"sound": [(0.0, 0.5, 0.0, -0.5)[step % 4] for step in range(length)], "rate": self.rate}

    def read(self, row: object, number: int) -> np.ndarray:
        name = f"row {number}"
        return self.mel.features(checked(self.samples(row, name, self.inputs), self.rate, name, _warned))

    def samples(self, row: object, name: str, wanted: str) -> np.ndarray:
        """float32 (n,), of one channel at the model's rate."""
        rate: object = self.rate
        if isinstance(row, Mapping):
            row, rate = row.get("sound"), row.get("rate", rate)
        elif isinstance(row, tuple) and len(row) == 2 and isinstance(row[0], np.ndarray):
            row, rate = row
        if not np.isscalar(rate) or rate != self.rate:
            raise DataError(
                f"{name} is at {rate!r:.20} samples a second; the model learned at {self.rate:,}: bring it to that "
                "rate first (such as scipy.signal.resample_poly or sox do)"
            )
        samples = scaled(numbers_of(row, name, wanted), name)
        if samples.ndim != 1:
            raise DataError(f"{name} has the shape {samples.shape}; give one channel (n,), such as their mean")
        if len(samples) > self.most:
            raise DataError(
                f"{name}: {len(samples):,} samples; at most {SECONDS:,} s are read at once: cut it at pauses"
            )
        return samples


class Pictures:
    """Pictures of lines as columns of points (W, H, C)."""

    second = 1.0  # point

    def __init__(self, said: Mapping[str, Any]):
        self.height, self.width = count(said, "height", 1 << 12), 3 if said["colour"] else 1
        self.inputs = f'{{"picture": bytes (H, W) or (H, W, 3), H = {self.height}}}, or the bytes alone'

    @property
    def schema(self) -> dict[str, Any]:
        byte = {"type": "integer", "minimum": 0, "maximum": 255}
        point = {"anyOf": [byte, {"type": "array", "items": byte, "minItems": 3, "maxItems": 3}]}
        line = {"type": "array", "items": point, "minItems": 1, "maxItems": WIDEST * self.height}
        picture = {"type": "array", "items": line, "minItems": self.height, "maxItems": self.height}
        return {"anyOf": [{"type": "object", "properties": {"picture": picture}, "required": ["picture"]}, picture]}

    @property
    def example(self) -> object:
        return {"picture": [[255, 255, 0, 0, 255, 255]] * self.height}

    def read(self, row: object, number: int) -> np.ndarray:
        name, row = f"row {number}", row.get("picture") if isinstance(row, Mapping) else row
        points = numbers_of(row, name, self.inputs)
        points = points[:, :, None] if points.ndim == 2 else points
        if points.ndim != 3 or points.shape[2] not in (1, 3) or not points.shape[1]:
            raise DataError(f"{name} has the shape {points.shape}; it must be {self.inputs}")
        if len(points) != self.height:
            raise DataError(
                f"{name} is {len(points):,} points high; the model reads {self.height}: scale it to that height first, "
                "width and height alike"
            )
        if points.shape[1] > WIDEST * self.height:
            raise DataError(f"{name} is {points.shape[1]:,} points wide; a line has at most {WIDEST * self.height:,}")
        odd = (points < 0) | (points > 255) | (points % 1 != 0)
        if odd.any():
            raise DataError(f"{name} has the value {points[odd][0]:g}; give bytes, whole numbers from 0 to 255")
        return self._coloured(points.astype(np.int64)).swapaxes(0, 1)

    def _coloured(self, points: np.ndarray) -> np.ndarray:
        """(H, W, C) with the channels that the model reads; grey is rounded as Pillow rounds it."""
        if points.shape[2] == self.width:
            return points
        return np.repeat(points, 3, 2) if self.width == 3 else ((points @ GREY + 0x8000) >> 16)[:, :, None]


def _warned(message: str, level: str = "warning", /) -> None:
    if level == "warning":
        warnings.warn(message, stacklevel=2)
