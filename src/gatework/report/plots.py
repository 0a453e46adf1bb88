"""The pictures that every report has: the course of the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gatework.pages.picture import FAINT, OTHER, OURS, Picture, column, in_percent, picture
from gatework.pages.words import SHARES, named
from gatework.training.learner import NETWORK_LOSS, learned_too, like_training

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(results: Mapping[str, Any]) -> dict[str, Picture]:
    """The pictures of a training's course, by name; none of an evaluation."""
    metric = results["metric"]["name"]
    made: dict[str, Picture] = {}
    if results["history"]:
        made["loss"] = loss_curves(results["history"])
        watched = f"valid_{metric}"
        if metric != "loss" and any(watched in row for row in results["history"]):
            made["metric"] = metric_curve(results["history"], metric)
    return made


def loss_curves(history: Sequence[Mapping[str, float]]) -> Picture:
    """Training and validation loss by epoch: the network's, and the model's validation loss where that is another.

    Dropout is on in training alone; the gap without it is told in words (`words.gap`).
    """
    alone = any(f"valid_{NETWORK_LOSS}" in row for row in history)
    name = "network, " if alone else ""

    def paint(axes: Axes) -> None:
        epochs, valid = column(history, "epoch"), [like_training(row) for row in history]
        axes.plot(epochs, column(history, "train_loss"), "o-", color=OURS, markersize=3.5, label=f"{name}training")
        axes.plot(epochs, valid, "o-", color=OTHER, markersize=3.5, label=f"{name}validation")
        if alone:
            axes.plot(epochs, column(history, "valid_loss"), "--", color=FAINT, label="model, validation")
        axes.set_ylabel("loss")
        _by_epoch(axes)

    caption = f"Loss by epoch{' of the network' if alone else ''}: training (a mean over the epoch, with dropout) and "
    caption += "validation; dashed, that of the model as it answers" if alone else "validation"
    caption += "; epochs that learned the validation part too have none" if any(map(learned_too, history)) else ""
    return picture("loss", caption, paint)


def metric_curve(history: Sequence[Mapping[str, float]], metric: str) -> Picture:
    """The watched metric on the validation part by epoch."""
    words = named(metric)

    def paint(axes: Axes) -> None:
        axes.plot(column(history, "epoch"), column(history, f"valid_{metric}"), color=OTHER, marker="o", markersize=3.5)
        axes.set_ylabel(f"{words} (validation)")
        if metric in SHARES:
            in_percent(axes.yaxis)
        _by_epoch(axes)

    return picture("metric", f"{words[0].upper()}{words[1:]} on the validation part, epoch by epoch", paint)


def _by_epoch(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
