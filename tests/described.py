"""Small pictures and films with captions that follow from them: what tests of describing learn and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (40, 40, 230)}
PLACES = {"left": (0, 0), "right": (0, 1), "below": (1, 0)}
# A network that learns these in seconds
SMALL: dict[str, Any] = {
    "size": 16, "widths": (8, 12), "embedding_size": 12, "hidden_size": 24, "encoder_size": 8, "dropout": 0.0,
    "weight_decay": 0.0, "shift": 0.0, "batch_size": 16, "half": False,
}  # fmt: skip


def pictures(count: int = 90, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """A square of some colour in some quarter on noisy ground, and its words: "red left", "blue"."""
    draw = np.random.default_rng(seed)
    shown, said = [], []
    for _ in range(count):
        picture = draw.integers(0, 60, (16, 16, 3), dtype=np.uint8)
        colour, place = draw.choice(list(COLOURS)), draw.choice(list(PLACES))
        down, right = (8 * each for each in PLACES[place])
        picture[down + 1 : down + 7, right + 1 : right + 7] = COLOURS[colour]
        shown.append(picture)
        said.append(f"{colour} {place}" if place != "below" else colour)
    return shown, said


def films(count: int = 60, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """A light square that moves one way or the other, 3 to 6 frames, grey."""
    draw = np.random.default_rng(seed)
    shown, said = [], []
    for _ in range(count):
        way, start, frames = draw.choice([-1, 1]), draw.integers(5, 8), int(draw.integers(3, 7))
        film = np.zeros((frames, 16, 16), np.uint8)
        for step in range(frames):
            left = int(np.clip(start + way * step, 0, 12))
            film[step, 6:10, left : left + 4] = 255
        shown.append(film)
        said.append("to the left" if way < 0 else "to the right")
    return shown, said


def rows(count: int = 60) -> list[dict[str, Any]]:
    """Pictures and captions as rows, as a caller hands them over."""
    return [{"image": shown, "caption": said} for shown, said in zip(*pictures(count), strict=True)]


def written(folder: Path, count: int = 30) -> Path:
    """Pictures as files beside a table of them."""
    from PIL import Image

    lines = ["image,caption"]
    for number, (shown, said) in enumerate(zip(*pictures(count), strict=True)):
        Image.fromarray(shown).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{said}")
    table = folder / "pictures.csv"
    table.write_text("\n".join(lines) + "\n")
    return table
