"""A comparison of runs as plain text and as a page: the options that differ, results, curves."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gatework.comparison import listing
from gatework.pages.picture import Picture, column, in_percent, look, picture
from gatework.pages.templating import WON, template
from gatework.pages.words import SHARES, duration, named, number, plain
from gatework.training.learner import like_training

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gatework.comparison.compare import Comparison, Result, Side

BLOCKS, WIDEST = "▁▂▃▄▅▆▇█", 24
TALL = (5.0, 5.4)  # inches, of a picture of two


def text(found: Comparison) -> str:
    """Everything but the picture, in columns of plain text; curves as a line of blocks."""
    names = [side.name for side in found.sides]
    differing = [[named(name), *map(plain, values)] for name, values in found.options.items()]
    options = columns([["", *names], *differing]) if differing else "all options are the same"
    results = columns([["", *heads(found)], *([row.run, *cells(found, row)] for row in found.results)])
    drawn = [[side.name, curve(found, side)] for side in found.sides]
    return "\n\n".join([options, results, "\n".join(found.sentences), columns(drawn)])


def heads(found: Comparison) -> list[str]:
    return [named(found.metric.name), "95% interval", "part", "weights of epoch", "epochs", "time", "parameters"]


def cells(found: Comparison, row: Result) -> list[str]:
    """A run's line of the table of results."""
    side = next(each for each in found.sides if each.name == row.run)
    course: Mapping[str, Any] = {} if side.results is None else side.results["training"]
    bounds = "–" if row.low is None or row.high is None else f"{number(row.low)} to {number(row.high)}"
    value = "not finished" if side.results is None else number(row.value)
    spent = listing.number(course.get("seconds"))
    seconds = "–" if spent is None else duration(spent)
    chosen = "the last" if side.run.options.get("keep") == "last" else number(course.get("best_epoch"))
    return [value, bounds, row.part, chosen, number(course.get("epochs")), seconds, number(course.get("parameters"))]


def curve(found: Comparison, side: Side) -> str:
    """`0.52 ▁▃▅▇█ 0.83`: the watched metric on the validation part, epoch by epoch."""
    values = [value for value in column(side.history, f"valid_{found.metric.name}") if math.isfinite(value)]
    if not values:
        return "no curve"
    low, high = min(values), max(values)
    shown = values[:: -(-len(values) // WIDEST)]
    heights = [int((value - low) / (high - low or 1) * (len(BLOCKS) - 1)) for value in shown]
    return f"{number(values[0])} {''.join(BLOCKS[height] for height in heights)} {number(values[-1])}"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as columns of plain text."""
    widths = [max(map(len, each)) for each in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


# -- the page -----------------------------------------------------------------------------------------------


def render(found: Comparison) -> str:
    """The whole page as text."""
    return template("compare.html", "gatework.comparison").render(
        task=found.sides[0].run.task,
        names=[side.name for side in found.sides],
        verdict="",
        sentences=found.sentences,
        judged=judged(found),
        options=found.options,
        heads=heads(found),
        rows=[(row, cells(found, row)) for row in found.results],
        metric=found.metric,
        examples=found.examples,
        pictures={"curves": curves(found)} if any(side.history for side in found.sides) else {},
        commands=[shlex.join(["gatework", "compare", *(side.name for side in found.sides)])],
    )


def judged(found: Comparison) -> str:
    """The colour of the verdict: of two runs, whether the second is better."""
    gaps = [row.difference.sign for row in found.results if row.difference is not None]
    return WON[{1: True, -1: False}.get(gaps[0]) if len(gaps) == 1 else None]


def curves(found: Comparison) -> Picture:
    """The losses of all runs, and where they watch another metric, that one below: one colour for each run."""
    metric = found.metric.name
    both = metric != "loss"
    caption = "Loss by epoch: full on the validation part, pale on the training part"
    if both:
        caption += f"; below, {named(metric)} on the validation part"

    def paint(drawn: object) -> None:
        axes: list[Axes] = list(np.atleast_1d(drawn))  # pyright: ignore[reportArgumentType, reportCallIssue] (of Axes)
        for place, side in enumerate(found.sides):
            losses(axes[0], side, look(place))
            if both:
                axes[1].plot(column(side.history, "epoch"), column(side.history, f"valid_{metric}"), **look(place))
        if both:
            axes[1].set_ylabel(f"{named(metric)} (validation)")
            if metric in SHARES:
                in_percent(axes[1].yaxis)
        finish(axes)

    return picture("curves", caption, paint, TALL if both else (5.0, 3.1), 2 if both else 1)


def losses(axes: Axes, side: Side, drawn: Mapping[str, Any]) -> None:
    epochs = column(side.history, "epoch")
    axes.plot(epochs, [like_training(row) for row in side.history], label=side.name, **drawn)
    axes.plot(epochs, column(side.history, "train_loss"), alpha=0.4, **drawn)


def finish(axes: Sequence[Axes]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes[0].set_ylabel("loss")
    axes[0].figure.legend(loc="outside upper left", frameon=False)
    axes[-1].set_xlabel("epoch")
    for each in axes:
        each.xaxis.set_major_locator(MaxNLocator(integer=True))
