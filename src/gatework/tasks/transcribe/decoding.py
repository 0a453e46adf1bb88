"""What a trained model hears: clips of like length go through the network together, and come out in order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gatework.tasks.transcribe.examples import Examples, alike, make_batch
from gatework.tasks.transcribe.hearing import Hearing
from gatework.tasks.transcribe.model import Listener, heard

AT_ONCE, FRAMES = 64, 60_000  # clips, and frames, that go through the network together
AHEAD = 1_024  # clips that are sorted by length together


def log_p(model: Listener, examples: Examples, hearing: Hearing) -> Iterator[np.ndarray]:
    """Log probabilities (T, V) of each clip, in the order of the clips."""
    for start in range(0, len(examples), AHEAD):
        rows = np.arange(start, min(start + AHEAD, len(examples)))
        found: dict[int, np.ndarray] = {}
        for group in alike(examples.clips.lengths, rows, AT_ONCE, FRAMES):
            batch = make_batch(examples, group, hearing)
            steps = (each.numpy() for each in heard(model, batch.frames, batch.lengths))
            found |= dict(zip(batch.rows.tolist(), steps, strict=True))
        yield from (found[row] for row in rows.tolist())
