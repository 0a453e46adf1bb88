"""What pages show of a transcriber, and how a run is used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gatework.pages import words
from gatework.pages.picture import FAINT, OTHER, OURS, Picture, column, picture
from gatework.tasks.base import Page, Source, Task, Usage
from gatework.tasks.transcribe.examples import Batch, Examples
from gatework.tasks.transcribe.model import Listener
from gatework.tasks.transcribe.options import TranscribeExplaining
from gatework.tasks.transcribe.shown import DARKEST
from gatework.training.options import Options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gatework.tasks.jobs import Trained
    from gatework.tasks.subject import Subject

SECTIONS = frozenset(
    {"part", "kind", "units", "metric", "clips", "errors", "speakers", "lengths"}
    | {"confusions", "matrix", "sure", "searches", "worst"}
)
METRICS = (
    "A word error is edits (words substituted, left out or put in, as jiwer aligns them) for each true word, the "
    "character error the same of characters, with spaces; exact is the share of texts that are right as a whole."
)
COLOURS = (OURS, OTHER, "#1c8a4b", "#8a4fb8", "#b3261e", "#0b8a8a", "#8a6d0b", "#5b6675")
WIDE = 7.6  # inches of a picture

words.know(
    {"exact": "right as a whole", "left_out": "left out", "put_in": "put in"},
    higher=("exact",),
    lower=("word_error", "character_error"),
)


class TranscribePages(Task[Examples, Batch, Listener]):
    """The part of the task that pages and explanations ask for."""

    Explaining = TranscribeExplaining

    @classmethod
    def page(cls, results: Mapping[str, Any], options: Mapping[str, Any]) -> Page:
        sections = results["sections"]
        names = {
            "methods": [row["method"] for row in sections["errors"]["words"]],
            "metric_name": words.named(sections["metric"]),
            "clip": "recording" if sections["kind"] == "sound" else "picture",
        }
        return Page("page.html", names, SECTIONS, {}, METRICS)

    @classmethod
    def pictures(cls, sections: Mapping[str, Any]) -> dict[str, Picture]:
        found = {}
        if len(sections["lengths"]) > 1:
            found["lengths"] = by_length(sections)
        for number, row in enumerate(sections["worst"]):
            if "frames" in row:
                found[f"heard{number}"] = heard(f"heard{number}", row, sections["kind"])
        return found

    @classmethod
    def usage(cls, run: str, new: str, options: Mapping[str, Any]) -> Usage:
        quoted = shlex.quote(run)
        commands = [
            f"gatework predict {quoted} {new} --timestamps",
            f"gatework predict {quoted} {new} --beam 16 --n-best 3",
        ]
        python = [
            "import gatework",
            f"model = gatework.Transcriber.load({run!r})",
            f"model.predict({new!r})",
            f"model.words({new!r})[0]",
        ]
        if not options.get("bidirectional", True):
            commands.append(
                f"arecord -f S16_LE -r {options.get('rate') or 16_000} | gatework predict {quoted} --stream"
            )
        return Usage(commands, python)

    def subject(self, trained: Trained, given: Options, source: Source | None) -> Subject:
        from gatework.tasks.transcribe.explained import subject

        assert isinstance(given, TranscribeExplaining)
        return subject(trained, given, source)


def by_length(sections: Mapping[str, Any]) -> Picture:
    """The watched metric of the model and the best baseline over the length of the text."""
    rows, name = sections["lengths"], words.named(sections["metric"])

    def paint(axes: Axes) -> None:
        for method, colour in zip(rows[0]["values"], (OURS, OTHER), strict=False):
            values = column([row["values"] for row in rows], method)
            axes.plot(range(len(rows)), values, color=colour, marker="o", label=method)
        axes.set_xticks(range(len(rows)), [f"{row['length']}\n({row['clips']:,})" for row in rows], fontsize=8)
        axes.set(xlabel=f"{sections['units']} of the text (how many such)", ylabel=name)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)

    return picture("lengths", f"{name} by the length of the text", paint)


def heard(name: str, row: Mapping[str, Any], kind: str) -> Picture:
    """What the network read of a clip, above the probability of each unit at each step."""
    frames, second = np.array(row["frames"], float), row["second"]
    end = second * max((len(each["p"]) for each in row["likely"]), default=1)

    def paint(axes: Any) -> None:
        above, below = axes
        extent = (0, end, 0, 1)
        origin = "lower" if kind == "sound" else "upper"
        above.imshow(frames.T, cmap="Greys", vmin=0, vmax=DARKEST, extent=extent, aspect="auto", origin=origin)
        above.set(yticks=[], ylabel="bands" if kind == "sound" else "")
        above.grid(visible=False)
        for each, colour in zip(row["likely"], COLOURS, strict=False):
            places = (np.arange(len(each["p"])) + 0.5) * second
            below.plot(
                places, each["p"], color=colour, label=repr(each["unit"]) if each["unit"].isspace() else each["unit"]
            )
        for word in row["words"]:
            below.axvspan(word["start"], word["end"], color=FAINT, alpha=0.15, linewidth=0)
        below.set(
            xlim=(0, end), ylim=(0, 1.05), ylabel="probability", xlabel="seconds" if kind == "sound" else "points"
        )
        if row["likely"]:
            below.legend(frameon=False, fontsize=8, ncols=8, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.1)

    caption = f"{row['where']}: what was read, and how likely each unit was; grey: the words that were found"
    return picture(name, caption, paint, (WIDE, 3.6), rows=2)
