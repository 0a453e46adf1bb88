"""The picture of attention: which of the things that were read each look weighed how much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gatework.pages.picture import OURS, Picture, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST = 22  # characters of a label
CELL = 0.24  # inches of a row and of a column
WIDEST = 7.6  # inches of a picture
ACROSS, PANEL = 6, 1.25  # panels beside each other, and inches of each
DARKEST = 0.85  # of what no look fell on


def attention(
    name: str, caption: str, rows: Sequence[str], columns: Sequence[str], weights: Sequence[Any] | np.ndarray
) -> Picture:
    """Weights (R, S) of R looks on S things as shades, from white, 0, to blue, 1."""
    values = np.asarray(weights, float).reshape(len(rows), len(columns))

    def paint(axes: Axes) -> None:
        from matplotlib.colors import LinearSegmentedColormap

        shades = LinearSegmentedColormap.from_list("weights", ["#ffffff", OURS])
        axes.imshow(values, cmap=shades, vmin=0, vmax=1, aspect="auto")
        size = 8 if len(columns) <= 40 else 5
        axes.set_xticks(range(len(columns)), [short(each) for each in columns], rotation=90, fontsize=size)
        axes.set_yticks(range(len(rows)), [short(each) for each in rows], fontsize=8)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.grid(visible=False)
        for side in axes.spines.values():
            side.set_visible(True)

    most_of = [(row, int(own.argmax()), own.max()) for row, own in zip(rows, values, strict=True) if len(columns)]
    said = " ".join(f"{row!r}: most on {columns[at]!r} ({share:.0%})." for row, at, share in most_of)
    most = [max((len(short(each)) for each in labels), default=0) for labels in (rows, columns)]
    width = min(max(CELL * len(columns) + 0.09 * most[0] + 0.3, 2.2), WIDEST)
    return picture(name, caption, paint, (width, CELL * len(rows) + 0.09 * most[1] + 0.3), said=said)


def short(label: str) -> str:
    """A label in one line, cut where it is long."""
    line = " ".join(label.split()) or repr(label)[1:-1]
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def overlaid(name: str, caption: str, rows: Sequence[str], scene: np.ndarray, weights: np.ndarray) -> Picture:
    """A picture (H, W, C), and for each look the same with what it looked at: weights (R, h * w) of its places, row
    after row. What was not looked at is dark."""
    side = round(weights.shape[1] ** 0.5)
    columns = min(len(rows) + 1, ACROSS)
    lines = -(-(len(rows) + 1) // columns)

    def paint(panels: object) -> None:
        flat = np.atleast_1d(np.asarray(panels, object)).ravel()
        for panel in flat:
            panel.axis("off")
        shown = scene if scene.shape[2] == 3 else np.repeat(scene, 3, 2)
        flat[0].imshow(shown)
        for panel, label, own in zip(flat[1:], rows, weights, strict=False):
            panel.imshow(shown)
            dark = 1 - own.reshape(side, side) / max(own.max(), 1e-9)
            height, width = shown.shape[:2]
            panel.imshow(
                np.zeros_like(dark),
                cmap="gray",
                alpha=DARKEST * dark,
                extent=(-0.5, width - 0.5, height - 0.5, -0.5),
                interpolation="bilinear",
            )
            panel.set_title(short(label), fontsize=8)

    return picture(
        name, caption, paint, (PANEL * columns, (PANEL + 0.2) * lines), rows=lines, columns=columns, photo=True
    )
