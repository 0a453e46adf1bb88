"""The pictures of an explanation: curves as SVG, heat maps as small PNG images."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gatework.pages import attention as drawing
from gatework.pages.parts import spoken
from gatework.pages.picture import FAINT, OTHER, OURS, STYLE, Picture, look, saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gatework.explanation.memory import Layer
    from gatework.explanation.result import Explanation
    from gatework.tasks.subject import Looked

LEVELS = 64  # shades of a heat map
NARROW = 5.0  # the ratio of largest and smallest value below which no powers of ten are drawn
TICKS = 5  # times below a series
WIDE, SMALL = (7.6, 2.6), (5.0, 2.9)  # inches
BELOW, MIDDLE, ABOVE = (217, 114, 11), (255, 255, 255), (31, 95, 191)


def drawn(paint: Callable[[Any], None], size: tuple[float, float] = SMALL, rows: int = 1) -> str:
    """An SVG picture as the source of an <img>."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure = Figure(figsize=size, layout="constrained")
        paint(figure.subplots(rows, sharex=rows > 1))
        return "data:image/svg+xml;base64," + base64.b64encode(saved(figure, "svg")).decode()


def steps_curve(found: Explanation) -> str:
    """What was read, and what each step contributes by both methods."""
    steps = np.arange(1, len(found) + 1)
    taken = found.occlusion.per_step(len(found))
    series = np.zeros((len(found), 1)) if found.series is None else found.series

    def paint(axes: Any) -> None:  # one Axes, or an array of them
        *above, below = np.atleast_1d(axes)
        for panel in above:
            names = found.channels if len(found.channels) > 1 else [""] * series.shape[1]
            for name, values in zip(names[:8], series.T, strict=False):
                panel.plot(steps, values, linewidth=1.2, label=name, color=None if name else OURS)
            panel.set_ylabel("as read")
            if len(found.channels) > 1:
                above_it(panel, 8)
        below.bar(steps, found.attribution.steps, width=1.0, color=OURS, label="integrated gradients")
        below.step(steps, taken, where="mid", color=OTHER, linewidth=1.2, label="fall when taken away")
        below.axhline(0, color=FAINT, linewidth=0.8)
        below.set(xlabel=f"{found.words.unit}", ylabel="contribution")
        if found.words.what == "series":  # whose steps are times
            places = np.unique(np.linspace(0, len(found) - 1, TICKS).astype(int))
            below.set_xticks(steps[places], [found.steps[place] for place in places])
        above_it(below, 2)

    rows = 1 if found.series is None else 2
    return drawn(paint, (WIDE[0], WIDE[1] * (0.4 + 0.8 * rows)), rows)


def attention(looked: Looked, found: Explanation) -> Picture:
    """Where attention looked, a row for each look, or a picture."""
    if looked.scene is not None:
        caption = f"The picture as it is read, and what of it each {looked.what} looked at: the rest is dark"
        return drawing.overlaid("looked", caption, looked.rows, looked.scene, looked.weights)
    caption = (
        f"How much each {looked.what} (row) looked at each {found.words.unit} (column): without colour is 0, blue is 1"
    )
    return drawing.attention("looked", caption, looked.rows, found.steps, looked.weights)


def cut_curve(found: Explanation) -> str:
    """The answer over how much of the input is left."""

    def paint(axes: Axes) -> None:
        axes.plot(found.cut.lengths, found.cut.shown, color=OURS, marker="o", markersize=3.5)
        axes.axhline(found.cut.shown[-1], color=FAINT, linestyle="--", linewidth=1)
        axes.set_xscale("log", base=2)
        axes.set_xticks(found.cut.lengths, [str(n) for n in found.cut.lengths], rotation=45 if len(found) > 99 else 0)
        axes.set(xlabel=f"{found.words.left} {found.words.unit}s that are left", ylabel=found.words.shown)
        if not found.words.valued:
            axes.set_ylim(-0.03, 1.03)

    return drawn(paint)


def reach_curve(layers: list[Layer]) -> str:
    """How strongly the last output feels each step's input."""

    def paint(axes: Axes) -> None:
        for place, layer in enumerate(layers):
            assert layer.reach is not None
            values = np.where(layer.reach > 0, layer.reach, np.nan)
            axes.plot(np.arange(1, len(values) + 1), values, **look(place), linewidth=1.2, label=spoken(layer.name))
        log_scale(axes)
        axes.set(xlabel="step t", ylabel="|| d h_T / d x_t ||")
        above_it(axes, 2)

    return drawn(paint)


def life_curve(layers: list[Layer]) -> str:
    """Half-lives of the units, the shortest first."""

    def paint(axes: Axes) -> None:
        lives = [(f"{spoken(layer.name)}: {s.name}", s.half_life) for layer in layers for s in layer.states]
        known = [(name, half) for name, half in lives if half is not None]
        for place, (name, half) in enumerate(known):
            ordered = np.sort(np.where(np.isfinite(half), half, np.nan))
            axes.plot(np.arange(1, len(ordered) + 1), ordered, **look(place), linewidth=1.4, label=name)
        log_scale(axes)
        axes.set(xlabel="units, the most forgetful first", ylabel="half-life in steps")
        above_it(axes, 2)

    return drawn(paint)


def above_it(axes: Axes, columns: int) -> None:
    """A legend above the picture, where it hides nothing."""
    axes.legend(frameon=False, fontsize=8, ncols=columns, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def log_scale(axes: Axes) -> None:
    """A vertical axis of powers of ten, and of their halves where there are few, written as plain numbers; a plain axis
    where the values differ little."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    values = np.concatenate([np.zeros(0), *(np.asarray(line.get_ydata(), float) for line in axes.lines)])
    known = values[values > 0]
    if not len(known) or known.max() < NARROW * known.min():
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,), numticks=6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))


def heat(values: np.ndarray) -> tuple[str, str]:
    """Values (T, H) as an image, a row for each unit, and what its shades mean."""
    from PIL import Image

    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low >= 0 and high <= 1:
        scale, shades, meaning = values, ramp(MIDDLE, ABOVE), "without colour is 0, blue is 1"
    else:
        most = max(abs(low), abs(high)) or 1.0
        scale, shades = values / (2 * most) + 0.5, ramp(BELOW, MIDDLE, ABOVE)
        meaning = f"orange is {-most:.3g}, without colour is 0, blue is {most:.3g}"
    level = np.clip(np.nan_to_num(scale.T) * (LEVELS - 1), 0, LEVELS - 1).round().astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(level), "P")
    image.putpalette(shades.ravel().tolist())
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode(), meaning


def ramp(*colours: tuple[int, int, int]) -> np.ndarray:
    """Shades (LEVELS, 3) from the first colour over others to the last."""
    places = np.linspace(0, 1, len(colours))
    at = np.linspace(0, 1, LEVELS)
    return np.stack([np.interp(at, places, part) for part in np.array(colours).T], 1).round().astype(np.uint8)
