"""The equations of the cell that a run used: typeset where matplotlib can, as text everywhere."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gatework.errors import CellError, OptionError

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

LEGEND = (
    "x is the step's input; a name with ₋ (or index t−1) is a state before the step. W are learned weights, b learned "
    "biases; [h₋, x] puts two vectors end to end. σ is the logistic function; ⊙ multiplies unit by unit."
)
SIZE = 14  # points
STYLE: dict[RcKeyType, Any] = {
    "mathtext.fontset": "cm",
    "svg.hashsalt": "gatework",
    "svg.fonttype": "path",
    "savefig.facecolor": "none",
    "savefig.transparent": True,
}


@dataclass(frozen=True)
class Equation:
    """One line, as plain text and, where it could be typeset, as the source of an image."""

    text: str
    uri: str | None


@dataclass(frozen=True)
class CellPage:
    name: str
    about: str
    lines: list[Equation]
    latex: str


def of(name: object) -> CellPage | None:
    """The equations of a cell that the registry knows; None for others."""
    from gatework import cells
    from gatework.compiler import latex

    try:
        cell = cells.get(str(name))
    except (CellError, OptionError):
        return None
    plain = latex.equations(cell.graph).splitlines()
    source = latex.latex(cell.graph)
    typeset = [line.strip().removesuffix("\\\\").strip() for line in source.splitlines()[1:-1]]
    images = [image(line) for line in typeset] if len(typeset) == len(plain) else [None] * len(plain)
    lines = [Equation(text, uri) for text, uri in zip(plain, images, strict=True)]
    return CellPage(cell.name, cell.doc, lines, source)


def image(line: str) -> str | None:
    """An equation in LaTeX as an SVG image, or None where matplotlib's mathtext does not know a command."""
    from matplotlib import rc_context

    plain = line.replace(" &= ", " = ").replace("\\left(", "(").replace("\\right)", ")")
    try:
        with rc_context(STYLE):
            svg = typeset(f"${plain}$")
    except ValueError:
        return None
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def typeset(text: str) -> bytes:
    """As matplotlib's `math_to_image`, but the same bytes every time: no date."""
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import MathTextParser

    font, file = FontProperties(size=SIZE), io.BytesIO()
    width, height, depth, *_ = MathTextParser("path").parse(text, dpi=72, prop=font)
    figure = Figure(figsize=(width / 72, height / 72))
    figure.text(0, depth / height, text, fontproperties=font)
    figure.savefig(file, format="svg", dpi=72, metadata={"Date": None})
    return file.getvalue()
