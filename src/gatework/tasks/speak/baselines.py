"""What a voice is compared with: the mean of the recordings of one text by one speaker, warped onto one of them."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from gatework.runtime.sounds.warping import path
from gatework.tasks.speak.examples import Examples
from gatework.tasks.speak.measures import cepstra

NAME, NOTE = "mean template", "the mean recording of the same text by the same speaker"
MOST = 50  # recordings of a text by a speaker that make a template


class Templates:
    """Mean frames by text and speaker; none where no training part is at hand.

    templates = Templates(examples)
    templates(other)                                   # of each row frames (T, F), or None: never recorded
    """

    def __init__(self, examples: Examples | None):
        rows: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row, pair in enumerate(examples.utterances.pairs if examples else []):
            rows[pair].append(row)
        self.examples, self.rows = examples, rows
        self.known: dict[tuple[str, str], np.ndarray] = {}

    def __call__(self, examples: Examples) -> list[np.ndarray | None]:
        return [self._of(pair) for pair in examples.utterances.pairs]

    def _of(self, pair: tuple[str, str]) -> np.ndarray | None:
        if pair not in self.rows:
            return None
        if pair not in self.known:
            assert self.examples is not None and self.examples.frames is not None
            self.known[pair] = mean([self.examples.frames[row] for row in self.rows[pair][:MOST]])
        return self.known[pair]


def mean(takes: list[np.ndarray]) -> np.ndarray:
    """Frames (T, F) in the time of the take of median length: of each moment the mean of all takes' frames there (one
    step of DTW barycenter averaging, Petitjean, Ketterlin & Gançarski 2011)."""
    middle = sorted(takes, key=len)[len(takes) // 2]
    total, count, own = np.zeros(middle.shape), np.zeros(len(middle)), cepstra(middle)
    for take in takes:
        ours, theirs = path(own, cepstra(take)).places.T
        np.add.at(total, ours, take[theirs])
        np.add.at(count, ours, 1)
    return (total / count[:, None]).astype(np.float32)
