"""What training sees of sounds, pictures and films in place of the very frames; see `data.media.changes`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from gatework.data.augment import Augmentation
from gatework.data.media import changes
from gatework.data.media.changes import Change
from gatework.data.ragged import Ragged
from gatework.tasks.classify.options import MEDIA, ClassifyOptions


@dataclass(frozen=True)
class FrameChanges:
    """Changes of frames, one after another, each drawn anew for every sequence. False where there is none."""

    changes: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    def sequences(self, sequences: Ragged, random: np.random.Generator) -> Ragged:
        return Ragged.of([self._changed(sequences[row], random) for row in range(len(sequences))])

    def _changed(self, frames: np.ndarray, random: np.random.Generator) -> np.ndarray:
        for change in self.changes:
            frames = change(frames, random)
        return frames


def augmentation(options: ClassifyOptions, frames: np.ndarray | None = None) -> Augmentation | FrameChanges:
    """What the options ask for; the mean of each band of `frames` (N, F) stands where a sound is masked."""
    if options.kind not in MEDIA:
        return Augmentation.of(options)
    if options.kind != "sounds":
        return FrameChanges((partial(changes.shifted, amount=options.shift),) if options.shift else ())
    amounts = [
        (options.speed, changes.faster),
        (options.pitch, changes.pitched),
        (options.loudness, changes.louder),
        (options.noise, changes.noisy),
        (options.specaugment, partial(changes.masked, fill=0.0 if frames is None else frames.mean(0))),
    ]
    return FrameChanges(tuple(partial(change, amount=amount) for amount, change in amounts if amount))
