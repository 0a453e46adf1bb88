"""What a network reads of a file: log-mel frames of a recording, columns of a picture; scaled by the training part."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypedDict

import numpy as np

from gatework.data.media import pictures, sounds
from gatework.data.media.items import Item, Tell
from gatework.data.stored import stored
from gatework.errors import FileFormatError
from gatework.runtime.sounds.mel import Mel
from gatework.tasks.transcribe.options import TranscribeOptions

Kind = Literal["sound", "picture"]
LEARNED = 2_000  # recordings from which the scale is learned


class Kept(TypedDict):
    """hearing.json."""

    kind: str
    rate: int
    mean: list[float]
    scale: float


@dataclass(frozen=True)
class Hearing:
    """How items become frames: float32 (T, F) of a recording, bytes (W, H, C) of a picture.

    `mean` (F,) or (C,) and `scale` are those of the training part: frames are scaled by them, never by their own, as
    the mean of a short recording is the word itself.
    """

    options: TranscribeOptions
    kind: Kind
    rate: int = 0
    mean: tuple[float, ...] = (0.0,)
    scale: float = 1.0

    @cached_property
    def mel(self) -> Mel:
        return Mel(self.rate, self.options.mels, self.options.window_ms, self.options.hop_ms)

    def decode(self, item: Item, tell: Tell) -> np.ndarray:
        """What a store keeps of an item."""
        if self.kind == "sound":
            return self.mel.features(sounds.load(item, self.rate, tell))
        mode = "colour" if self.options.colour else "grey"
        return pictures.load(item, (self.options.height, None), mode, tell).swapaxes(0, 1)

    def scaled(self, frames: np.ndarray) -> np.ndarray:
        """float32, as the network reads them."""
        return (frames.astype(np.float32) - np.array(self.mean, np.float32)) / np.float32(self.scale)

    def fitted(self, store: Iterable[np.ndarray]) -> tuple[tuple[float, ...], float]:
        """Mean and scale of some stored arrays. Of pictures the mean is the middle value, which is the background."""
        arrays = [array for array, _ in zip(store, range(LEARNED), strict=False)]
        values = np.concatenate([array.reshape(-1, array.shape[-1]) for array in arrays]).astype(np.float32)
        middle = values.mean(0) if self.kind == "sound" else np.median(values, 0)
        return tuple(middle.tolist()), max(float((values - middle).std()), 1e-3)

    def to_json(self) -> str:
        return json.dumps(Kept(kind=self.kind, rate=self.rate, mean=list(self.mean), scale=self.scale))

    @classmethod
    def from_json(cls, options: TranscribeOptions, text: str) -> Hearing:
        """Raises: FileFormatError for anything but what `to_json` gives."""
        kept: Kept = stored(text, Kept, "hearing.json")
        kind = kept["kind"]
        wide = options.mels if kind == "sound" else 3 if options.colour else 1
        if kind not in ("sound", "picture") or len(kept["mean"]) != wide or not kept["scale"] > 0:
            raise FileFormatError("hearing.json: its kind, mean and scale do not fit the options")
        return cls(options, kind, kept["rate"], tuple(kept["mean"]), kept["scale"])
