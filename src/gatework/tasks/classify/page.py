"""What pages show of a classifier: calibration and confusion as pictures and words, and how a run is used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gatework.pages import words
from gatework.pages.picture import FAINT, OURS, Picture, column, in_percent, picture
from gatework.tasks.base import Page, Source, Task, Usage
from gatework.tasks.classify.examples import Batch, Examples
from gatework.tasks.classify.model import Classifier
from gatework.tasks.classify.options import ClassifyExplaining
from gatework.training.options import Options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gatework.tasks.jobs import Trained
    from gatework.tasks.subject import Subject

MOST_NAMES = 30  # classes whose names fit beside a picture of the matrix
MOST_CELLS = 25  # classes of a matrix that is written out
SECTIONS = frozenset({"part", "classes", "confusion", "most_confused", "calibration", "worst"})
USED = {  # the estimator of each kind but texts, and what it is given
    "sequences": ("SequenceClassifier", "arrays)    # each (steps, channels)"),
    "sounds": ("SoundClassifier", '["new.wav"])'),
    "pictures": ("PictureClassifier", '["new.png"])'),
    "films": ("FilmClassifier", '["new.gif"])'),
}
WELL, FAIRLY = 0.03, 0.1  # calibration errors below which a model is called so

words.know(
    {"mcc": "MCC", "macro_f1": "macro-F1", "f1": "F1", "ngrams": "n-grams"},
    higher=("accuracy", "macro_f1", "mcc", "f1", "precision", "recall"),
    lower=("calibration_error",),
    shares=("macro_f1", "calibration_error"),
)


class ClassifyPages(Task[Examples, Batch, Classifier]):
    """The part of the task that pages and explanations ask for."""

    Explaining = ClassifyExplaining

    @classmethod
    def page(cls, results: Mapping[str, Any], options: Mapping[str, Any]) -> Page:
        error = results["sections"]["calibration"]["error"]
        names = {"calibrated": calibrated(error), "most_cells": MOST_CELLS}
        return Page("page.html", names, SECTIONS, counts={"labels": "Labels of the training part"})

    @classmethod
    def pictures(cls, sections: Mapping[str, Any]) -> dict[str, Picture]:
        return {
            "calibration": calibration(sections["calibration"]["bins"]),
            "confusion": confusion(**sections["confusion"]),
        }

    @classmethod
    def usage(cls, run: str, new: str, options: Mapping[str, Any]) -> Usage:
        quoted = shlex.quote(run)
        name, given = USED.get(str(options.get("kind")), ("TextClassifier", '["a new text"])'))
        commands = [f'echo "a new text" | gatework predict {quoted}'] if name == "TextClassifier" else []
        python = ["import gatework", f"model = gatework.{name}.load({run!r})", f"model.predict({given}"]
        return Usage([f"gatework predict {quoted} {new}", *commands], python)

    def subject(self, trained: Trained, given: Options, source: Source | None) -> Subject:
        from gatework.tasks.classify.explained import subject

        assert isinstance(given, ClassifyExplaining)
        return subject(trained, given, source)


def calibrated(error: float) -> str:
    """The calibration error in a sentence."""
    judgement = "well calibrated" if error < WELL else "fairly calibrated" if error < FAIRLY else "badly calibrated"
    return f"Confidence and accuracy differ by {error:.1%} on average (ECE): the model is {judgement}."


def calibration(bins: Sequence[Mapping[str, float]]) -> Picture:
    """Accuracy beside confidence; on the diagonal the model is as right as it is sure."""

    def paint(axes: Axes) -> None:
        confidence, accuracy, rows = (column(bins, key) for key in ("confidence", "accuracy", "rows"))
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle="--", linewidth=1, label="as right as sure")
        areas = [20 + 180 * count / max(rows) for count in rows]
        axes.scatter(confidence, accuracy, s=areas, color=OURS, alpha=0.7, linewidth=0)
        axes.plot(confidence, accuracy, color=OURS, linewidth=1)
        axes.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.05))
        axes.legend(frameon=False, loc="upper left")
        in_percent(axes.xaxis, axes.yaxis)

    return picture("calibration", "Share of right answers among answers of about equal confidence", paint)


def confusion(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> Picture:
    """Rows are what is true, columns what was said; shades are shares of the row."""

    def paint(axes: Axes) -> None:
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
