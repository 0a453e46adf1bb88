"""The pictures of a report, each as SVG for the page and as PNG for the folder `plots`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gatework.pages.picture import FAINT, OTHER, OURS, Picture, picture
from gatework.pages.words import named
from gatework.report import forecast_plots
from gatework.training.learner import NETWORK_LOSS, like_training

MOST_NAMES = 30  # classes whose names fit beside a matrix


def draw(results: Mapping[str, Any]) -> dict[str, Picture]:
    """All pictures that the results have the numbers for, by name."""
    metric, sections = results["metric"]["name"], results["sections"]
    made: dict[str, Picture] = {}
    if results["history"]:
        made["loss"] = loss_curves(results["history"])
        watched = f"valid_{metric}"
        if metric != "loss" and any(watched in row for row in results["history"]):
            made["metric"] = metric_curve(results["history"], metric)
    if "calibration" in sections:
        made["calibration"] = calibration(sections["calibration"]["bins"])
    if "confusion" in sections:
        made["confusion"] = confusion(**sections["confusion"])
    return made | (forecast_plots.draw(sections) if "by_horizon" in sections else {})


def series(history: Sequence[Mapping[str, float]], key: str) -> list[float]:
    """A column of the history; NaN where a row has no number."""
    values = (row.get(key) for row in history)
    return [math.nan if value is None else float(value) for value in values]


def loss_curves(history: Sequence[Mapping[str, float]]) -> Picture:
    """Training and validation loss by epoch: the network's, and the model's validation loss where that is another.

    Dropout is on in training alone; the gap without it is told in words (`words.gap`).
    """
    alone = any(f"valid_{NETWORK_LOSS}" in row for row in history)
    name = "network, " if alone else ""

    def paint(axes: Any) -> None:
        epochs, valid = series(history, "epoch"), [like_training(row) for row in history]
        axes.plot(epochs, series(history, "train_loss"), "o-", color=OURS, markersize=3.5, label=f"{name}training")
        axes.plot(epochs, valid, "o-", color=OTHER, markersize=3.5, label=f"{name}validation")
        if alone:
            axes.plot(epochs, series(history, "valid_loss"), "--", color=FAINT, label="model, validation")
        axes.set_ylabel("loss")
        _by_epoch(axes)

    caption = f"Loss by epoch{' of the network' if alone else ''}: training (a mean over the epoch, with dropout) and "
    caption += "validation; dashed, that of the model as it answers" if alone else "validation"
    return picture("loss", caption, paint)


def metric_curve(history: Sequence[Mapping[str, float]], metric: str) -> Picture:
    """The watched metric on the validation part by epoch."""
    words = named(metric)

    def paint(axes: Any) -> None:
        axes.plot(series(history, "epoch"), series(history, f"valid_{metric}"), color=OTHER, marker="o", markersize=3.5)
        axes.set_ylabel(f"{words} (validation)")
        _by_epoch(axes)

    return picture("metric", f"{words[0].upper()}{words[1:]} on the validation part, epoch by epoch", paint)


def _by_epoch(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)


def calibration(bins: Sequence[Mapping[str, float]]) -> Picture:
    """Accuracy beside confidence; on the diagonal the model is as right as it is sure."""

    def paint(axes: Any) -> None:
        confidence, accuracy, rows = (series(bins, key) for key in ("confidence", "accuracy", "rows"))
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1, label="as right as sure")
        areas = [20 + 180 * count / max(rows) for count in rows]
        axes.scatter(confidence, accuracy, s=areas, color=OURS, alpha=0.7, linewidth=0)
        axes.plot(confidence, accuracy, color=OURS, linewidth=1)
        axes.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.05))
        axes.legend(frameon=False, loc="upper left")

    return picture("calibration", "Share of right answers among answers of about equal confidence", paint)


def confusion(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> Picture:
    """Rows are what is true, columns what was said; shades are shares of the row."""

    def paint(axes: Any) -> None:
        shares = [[count / max(sum(row), 1) for count in row] for row in matrix]
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set(xlabel="predicted", ylabel="true")
        axes.grid(visible=False)
        if len(labels) <= MOST_NAMES:
            places = range(len(labels))
            names = [label if len(label) <= 16 else label[:15] + "…" for label in labels]
            for text in axes.set_xticks(places, names, rotation=90), axes.set_yticks(places, names):
                for tick in text:
                    tick.label1.set_parse_math(False)

    side = min(3 + 0.22 * len(labels), 9)
    return picture("confusion", "Which class was taken for which", paint, (side, side))
