"""The lengths that models reach, drawn: a panel for each test, a bar for each model."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatework.bench.memory import tasks
from gatework.bench.memory.ladder import Reached
from gatework.errors import OptionError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".svg", ".png", ".pdf")
FAILED, OPEN = "#8fb3e6", "#1f5fbf"
SAME: dict[Any, str] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gatework",
}  # text stays text; the same results give the same file
COLUMNS = 2


def check(path: Path) -> None:
    """Refuse a file name that is no picture before anything is measured."""
    if path.suffix.lower() not in FORMATS:
        raise OptionError(f"--out {path}: a picture's name ends with {', '.join(FORMATS)}")


def draw(found: Sequence[Reached], path: Path) -> None:
    """Write the picture; its kind is that of the name."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(each.test for each in found))
    columns, rows = min(COLUMNS, len(names)), -(-len(names) // COLUMNS)
    most = max(sum(each.test == name for each in found) for name in names)
    figure = Figure(figsize=(4.6 * columns, (0.9 + 0.32 * most) * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, name in zip(panels, names, strict=False):
        paint(panel, name, [each for each in found if each.test == name])
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    content = io.BytesIO()
    kind = path.suffix[1:].lower()
    with rc_context(SAME):
        figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.getvalue())


def paint(panel: Axes, name: str, own: Sequence[Reached]) -> None:
    """Bars to the last length that is right, dark where none failed; the cost of a step beside each name."""
    own = own[::-1]
    lengths = [each.longest for each in own]
    panel.barh(range(len(own)), lengths, color=[FAILED if each.fails else OPEN for each in own], height=0.6)
    labels = [f"{each.model}  {1e6 * each.step:.0f} µs" for each in own]
    panel.set_yticks(range(len(own)), labels, fontsize=8)
    right = max([*lengths, *(each.fails or 0 for each in own), 1])
    for place, each in enumerate(own):
        said = (
            f"fails at {each.fails}"
            if each.fails
            else f"{each.longest}, {'none failed' if each.in_time else 'time up'}"
        )
        panel.text(each.longest + 0.02 * right, place, said, va="center", fontsize=7.5)
    panel.set_xlim(0, 1.45 * right)
    panel.set_title(f"{name}: {tasks.get(name).says}", fontsize=9, loc="left")
    panel.set_xlabel("right up to n" if tasks.get(name).counts else "right up to this length", fontsize=8)
    panel.tick_params(axis="x", labelsize=8)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
