"""From a trained network to frames: step after step until it says that it ends, many texts at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from gatework.tasks.speak.codecs import Codecs
from gatework.tasks.speak.examples import Batch, Examples, make_batch
from gatework.tasks.speak.model import Voice

AT_ONCE = 64  # texts that are said together


class Said(NamedTuple):
    """`frames` (T, F), log-mel energies; `stopped`, whether the text came to an end by itself; `looks` (steps, S), the
    units that each step looked at."""

    frames: np.ndarray
    stopped: bool
    looks: np.ndarray


@dataclass(frozen=True)
class Saying:
    """A network that says texts.

        said = Saying(model, codecs)(examples)                       # of each text: frames, whether it stopped, looks

    Args:
        threshold: probability of an end from which it is one.
        seconds: longest sound; None: by the text's length.
    """

    model: Voice
    codecs: Codecs
    threshold: float = 0.5
    seconds: float | None = None

    def __call__(self, examples: Examples) -> list[Said]:
        """What is said of each text; a text that a speaker says twice is said once."""
        keys = [(*examples.units[row].tolist(), int(examples.speakers[row])) for row in range(len(examples))]
        rows = {key: row for row, key in reversed(list(enumerate(keys)))}
        order = np.array(sorted(rows.values(), key=lambda row: len(keys[row])), np.int64)
        found: dict[tuple[int, ...], Said] = {}
        for start in range(0, len(order), AT_ONCE):
            batch = make_batch(examples, order[start : start + AT_ONCE], self.codecs.options.reduction)
            found |= {keys[row]: each for row, each in zip(batch.rows.tolist(), self.said(batch), strict=True)}
        return [found[key] for key in keys]

    @torch.no_grad()
    def said(self, batch: Batch) -> list[Said]:
        """The same of the texts of a batch; all go on until the last one ends."""
        read = self.model.read(batch.units, batch.lengths, batch.speakers)
        most = np.array([self.codecs.most_steps(units, self.seconds) for units in batch.lengths.tolist()])
        steps, stopped, spoken = np.zeros(len(most), np.int64), np.zeros(len(most), bool), self.model.begin(read)
        rough, looks = [], []
        while not steps.all():
            frames, end, weights, spoken = self.model.step(read, spoken)
            rough.append(frames)
            looks.append(weights)
            ends = (torch.sigmoid(end).numpy() >= self.threshold) & (steps == 0)
            stopped |= ends
            steps[ends | ((most == len(rough)) & (steps == 0))] = len(rough)
        whole, weights = torch.cat(rough, 1), torch.stack(looks, 1).numpy()
        return [
            Said(self._finished(whole[row, : count * self.model.reduction]), bool(end), weights[row, :count, :units])
            for row, (count, end, units) in enumerate(zip(steps.tolist(), stopped, batch.lengths.tolist(), strict=True))
        ]

    def _finished(self, rough: torch.Tensor) -> np.ndarray:
        """Log-mel energies of one text's frames; the finish sees no other's."""
        return self.codecs.scale.energies(self.model.finished(rough[None])[0].numpy())
