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
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

OURS, OTHER, FAINT = "#1f5fbf", "#d9720b", "#8a93a0"
# Lines beside each other, told apart by those who see few colours, too (Okabe & Ito 2008), and by their dashes.
COLOURS = (OURS, "#d55e00", "#009e73", "#a8477b", "#4a9fd0", "#b07800", "#7a8290")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))  # one fewer, so that 42 lines differ
SIZE = (5.0, 3.1)  # inches: one column of the page, also on a phone


@dataclass(frozen=True)
class Picture:
    """A drawing; `caption` says in words what it shows, `said` its content to those who cannot see it. `photo`: its
    colours are those of the world, and stay as they are on a dark page."""

    name: str
    caption: str
    svg: bytes
    png: bytes
    said: str = ""
    photo: bool = False

    @property
    def alt(self) -> str:
        """What stands in place of the picture."""
        return f"{self.caption}. {self.said}" if self.said else self.caption

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
    said: str = "",
    photo: bool = False,
) -> Picture:
    """Draws on fresh axes (several, where `rows` or `columns` is > 1), without touching the caller's settings."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # scripts that the font lacks
        figure = Figure(figsize=size, layout="constrained")
        paint(figure.subplots(rows, columns))
        png, svg = saved(figure, "png"), saved(figure, "svg")  # in this order: the latter leaves the axes see-through
        return Picture(name, caption, svg, png, said, photo)


def in_percent(*lines: Axis) -> None:
    """Shares on these axes have percent signs."""
    from matplotlib.ticker import PercentFormatter

    for line in lines:
        line.set_major_formatter(PercentFormatter(1.0))


def look(place: int) -> dict[str, Any]:
    """How the line at a place among several is drawn."""
    return {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place % len(DASHES)]}


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
    """The same bytes for the same figure: no date in it. A page shows through its SVG; a PNG stands on white."""
    file = io.BytesIO()
    about = {"Date": None} if kind == "svg" else {"Software": None}
    for axes in figure.axes if kind == "svg" else ():
        axes.patch.set_alpha(0)
    figure.savefig(file, format=kind, metadata=about, dpi=150, facecolor="none" if kind == "svg" else "white")
    return file.getvalue()
