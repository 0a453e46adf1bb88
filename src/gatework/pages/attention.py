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

    most = [max((len(short(each)) for each in labels), default=0) for labels in (rows, columns)]
    width = min(max(CELL * len(columns) + 0.09 * most[0] + 0.3, 2.2), WIDEST)
    return picture(name, caption, paint, (width, CELL * len(rows) + 0.09 * most[1] + 0.3))


def short(label: str) -> str:
    """A label in one line, cut where it is long."""
    line = " ".join(label.split()) or repr(label)[1:-1]
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
