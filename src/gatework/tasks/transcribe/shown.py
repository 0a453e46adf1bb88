"""A recording or a picture of a line as a page shows it: to play or see, and as numbers for drawings. All bounded."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from gatework.data.media import pictures, sounds
from gatework.data.media.items import Item
from gatework.errors import DataError
from gatework.tasks.transcribe.search import Searching

RATE, SECONDS = 8_000, 6.0  # of what can be played: 128 kB at most
STEPS = 300  # that are drawn
UNITS, LIKELY = 8, 0.2  # units that are drawn, and how likely each is at its best step
DARKEST = 99  # of drawn frames, which are whole numbers from 0


def played(item: Item, stored: np.ndarray, kind: str) -> str:
    """A file as the source of <audio> or <img>, in which nothing can run; "" where it can be read no more.

    Args:
        item: the file or array; of a long recording its beginning.
        stored: of a picture the points (W, H, C) that the network read.
        kind: "sound" or "picture".
    """
    if kind == "picture":
        buffer = io.BytesIO()
        pictures.image_of(stored.swapaxes(0, 1)).save(buffer, "PNG")
        return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    try:
        rate = min(sounds.rate_of(item) or RATE, RATE)
        samples = sounds.load(item, rate)[: int(SECONDS * rate)]
    except DataError:
        return ""
    return "data:audio/wav;base64," + base64.b64encode(sounds.encoded(samples, rate)).decode()


def heard(
    frames: np.ndarray, steps: np.ndarray, words: list[dict[str, Any]], searching: Searching, kind: str
) -> dict[str, Any]:
    """What drawings need of a clip: "frames" (T', F) as whole numbers up to DARKEST, "likely" units with their
    probability at each step, "words" with their times, "second" of a step. Only the first STEPS steps.

    Args:
        frames: (T, F) of a recording, (W, H, C) of a picture.
        steps: log probabilities (T', V).
    """
    each = -(-len(frames) // max(len(steps), 1))
    steps, frames = steps[:STEPS], frames[: each * STEPS]
    probabilities = np.exp(steps.astype(np.float64))
    best = probabilities.max(0, initial=0)
    best[0] = 0.0  # the blank says nothing
    units = [unit for unit in np.argsort(-best, kind="stable")[:UNITS].tolist() if best[unit] > LIKELY]
    end = len(steps) * searching.second
    return {
        "frames": _shades(frames.astype(np.float32) if kind == "sound" else 255 - frames.mean(2)),
        "likely": [
            {"unit": searching.units.symbols[unit], "p": probabilities[:, unit].round(3).tolist()}
            for unit in sorted(units, key=lambda unit: int(probabilities[:, unit].argmax()))
        ],
        "words": [word for word in words if word["end"] <= end],
        "second": searching.second,
    }


def _shades(frames: np.ndarray) -> list[list[int]]:
    """Values as whole numbers from the quietest, 0, to the loudest."""
    low, high = np.quantile(frames, [0.02, 0.995]) if frames.size else (0, 1)
    shades = (frames - low) / max(float(high - low), 1e-6)
    return (DARKEST * np.clip(shades, 0, 1)).round().astype(int).tolist()
