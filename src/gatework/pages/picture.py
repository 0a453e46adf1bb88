"""How a picture of a report is made: on fresh axes, as SVG for the page and as PNG for the folder `plots`."""

from __future__ import annotations

import base64
import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

OURS, OTHER, FAINT = "#1f5fbf", "#d9720b", "#8a93a0"
SIZE = (5.0, 3.1)  # inches: one column of the page, also on a phone


@dataclass(frozen=True)
class Picture:
    """A drawing; `caption` says in words what it shows."""

    name: str
    caption: str
    svg: bytes
    png: bytes

    @property
    def uri(self) -> str:
        """As the source of an <img>, in which nothing can run."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()


def picture(
    name: str,
    caption: str,
    paint: Callable[[Any], None],
    size: tuple[float, float] = SIZE,
    rows: int = 1,
    columns: int = 1,
) -> Picture:
    """Draws on fresh axes (several, where `rows` or `columns` is > 1), without touching the caller's settings."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # scripts that the font lacks
        figure = Figure(figsize=size, layout="constrained")
        paint(figure.subplots(rows, columns))
        return Picture(name, caption, saved(figure, "svg"), saved(figure, "png"))


def column(rows: Sequence[Mapping[str, float]], key: str) -> list[float]:
    """The numbers of a key in rows of results; NaN where a row has none."""
    values = (row.get(key) for row in rows)
    return [math.nan if value is None else float(value) for value in values]


STYLE: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e9ee",
    "axes.edgecolor": FAINT,
    "axes.axisbelow": True,
    "svg.hashsalt": "gatework",
    "svg.fonttype": "path",
    "text.parse_math": False,
    "axes.titlesize": 10,
}


def saved(figure: Figure, kind: str) -> bytes:
    """The same bytes for the same figure: no date in it."""
    file = io.BytesIO()
    about = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(file, format=kind, metadata=about, dpi=150)
    return file.getvalue()
