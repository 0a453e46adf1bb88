"""What training sees of recordings and lines in place of the very frames; see `data.media.changes`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from gatework.data.media.changes import (
    Change,
    Frames,
    coloured,
    faster,
    louder,
    masked,
    moved,
    noisy,
    pitched,
    speckled,
)
from gatework.tasks.transcribe.options import TranscribeOptions


@dataclass(frozen=True)
class Augmentation:
    """What training sees of frames: `changed` before they are scaled, `masked` after."""

    changes: tuple[Change, ...] = ()
    masks: float = 0.0

    @classmethod
    def of(cls, options: TranscribeOptions, kind: str) -> Augmentation:
        """What the options ask for, of "sound" or "picture"."""
        if kind == "picture":
            changes = [(options.shift, moved), (options.noise, speckled)]
            return cls(tuple(partial(change, amount=amount) for amount, change in changes if amount))
        amounts = [
            (options.speed, faster),
            (options.pitch, pitched),
            (options.loudness, louder),
            (options.colouring, coloured),
            (options.noise, noisy),
        ]
        return cls(tuple(partial(change, amount=amount) for amount, change in amounts if amount), options.specaugment)

    def changed(self, frames: Frames, random: np.random.Generator) -> Frames:
        for change in self.changes:
            frames = change(frames, random)
        return frames

    def masked(self, frames: Frames, random: np.random.Generator) -> Frames:
        return masked(frames, random, self.masks) if self.masks else frames
