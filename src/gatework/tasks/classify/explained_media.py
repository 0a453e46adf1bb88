"""What is explained of a classifier of sounds, pictures or films: stretches of time, places, or frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gatework.runtime.sounds.mel import Mel
from gatework.tasks.classify import reading
from gatework.tasks.classify.classified import Classified, named
from gatework.tasks.classify.fronts import packed
from gatework.tasks.subject import Wording

if TYPE_CHECKING:
    from gatework.tasks.jobs import Trained

DECIBELS = 10 / np.log(10)  # of a nat of power
UNITS = {"sounds": "step", "pictures": "place", "films": "frame"}
SHOWN = {"sounds": "loudness (dB)", "pictures": "brightness", "films": "change"}


class Frames(Classified):
    """A sound, a picture or a film; each step is a vector that the convolutions give the recurrent layers."""

    def __init__(self, trained: Trained, rows: reading.Rows, row: int, target: str | None = None):
        super().__init__(trained, target)
        assert rows.media is not None
        self.source, self.kind = named(rows, row), rows.media.kind
        self.settle(self.classifier.codecs.inputs(reading.take(rows, np.array([row]))))
        mean = self.model.reader.mean.expand_as(self.batch.values)
        with torch.no_grad():
            self.entry = self.model.entered(self.batch).values
            self.baseline = self.model.entered(self.batch._replace(values=mean)).values
        self.steps = self._steps()
        self.values, self.channels = self._values(), [SHOWN[self.kind]]
        shown = f"probability of {self.spoken!r}"
        self.words = Wording(self.kind[:-1], UNITS[self.kind], self.against, shown, "the mean of the training part")

    def _steps(self) -> list[str]:
        """Seconds of a sound, rows and columns of a picture's places, numbers of a film's frames."""
        count, options = len(self.entry), self.classifier.options
        if self.kind == "sounds":
            mel = Mel(options.rate, options.mels)
            return [f"{step * options.stride * mel.hop / mel.rate:.2f} s" for step in range(count)]
        if self.kind == "films":
            return [str(step + 1) for step in range(count)]
        side = round(count**0.5)
        return [f"row {step // side + 1}, column {step % side + 1}" for step in range(count)]

    def _values(self) -> np.ndarray:
        """(T,) what is there at each step, in a number."""
        frames = torch.from_numpy(self.row.inputs[0].astype(np.float32))
        if self.kind == "sounds":
            starts = np.arange(0, len(frames), self.classifier.options.stride)
            loud = np.add.reduceat(frames.mean(1).numpy(), starts) / np.diff(starts, append=len(frames))
            return DECIBELS * loud
        if self.kind == "films":
            return np.concatenate([[0.0], frames.diff(dim=0).abs().mean((1, 2, 3)).numpy()])
        side = round(len(self.entry) ** 0.5)
        return functional.adaptive_avg_pool2d(frames.mean(3), side).flatten().numpy()

    def network(self, entries: Tensor) -> Tensor:
        lengths = torch.full((len(entries),), len(self.entry))
        batch = packed(self.batch, entries.transpose(0, 1), lengths)
        return self.model.mixed(self.model.answered(batch), batch).double()

    def whole(self) -> np.ndarray:
        with torch.no_grad():
            return self.classifier.logits(self.model, self.row)[0].astype(np.float64)

    def last(self, lengths: list[int]) -> tuple[np.ndarray, list[str]]:
        return self.judged(self.replaced([(0, len(self) - length) for length in lengths]))
