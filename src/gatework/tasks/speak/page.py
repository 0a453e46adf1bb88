"""What pages show of a voice: sounds beside recordings, where the network looked, and how a run is used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gatework.errors import OptionError
from gatework.pages import words
from gatework.pages.picture import OURS, Picture, picture
from gatework.tasks.base import Page, Source, Task, Usage
from gatework.tasks.speak.examples import Batch, Examples
from gatework.tasks.speak.model import Voice
from gatework.training.options import Options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gatework.tasks.jobs import Trained
    from gatework.tasks.subject import Subject

SECTIONS = frozenset({"part", "recordings", "few", "speakers", "texts", "seconds", "unended", "hints"})
METRICS = (
    "The distance (mel cepstral distortion) is in decibels between the spectra of what is said anew and of the "
    "recording, smoothed and without their level, after both were warped onto each other in time. Two takes of one "
    "word by one person differ, too: the mean template says how near one comes by copying. It does not say whether one "
    "understands the voice: listen, or let a transcriber listen that never heard it."
)
END = "(end)"

words.know(
    {"mcd": "distance, dB", "ended": "texts that ended"},
    higher=("ended",),
    lower=("mcd",),
)


class SpeakPages(Task[Examples, Batch, Voice]):
    """The part of the task that pages and explanations ask for."""

    @classmethod
    def page(cls, results: Mapping[str, Any], options: Mapping[str, Any]) -> Page:
        counts = {"speakers": "Recordings of each speaker", "texts": "Texts of the training part"}
        return Page("page.html", {}, SECTIONS, counts, METRICS)

    @classmethod
    def pictures(cls, sections: Mapping[str, Any]) -> dict[str, Picture]:
        return {f"spoken{number}": spoken(f"spoken{number}", row) for number, row in enumerate(sections["few"])}

    @classmethod
    def usage(cls, run: str, new: str, options: Mapping[str, Any]) -> Usage:
        quoted = shlex.quote(run)
        who = " --speaker NAME" if options.get("speaker") else ""
        commands = [
            f'gatework predict {quoted} --text "a text"{who} --out said.wav',
            f"gatework predict {quoted} {new} --out said",
        ]
        named = ', speaker="NAME"' if options.get("speaker") else ""
        python = [
            "import gatework",
            f"model = gatework.Speaker.load({run!r})",
            f'(samples,) = model.predict(["a text"]{named})',
            "model.rate_",
        ]
        return Usage(commands, python)

    def subject(self, trained: Trained, given: Options, source: Source | None) -> Subject:
        raise OptionError(
            "runs of 'speak' cannot be explained unit by unit: a frame is many numbers, none of which is an answer "
            "that units could speak for; the report shows where each frame looked in the text"
        )

    def exported(self, model: Voice):
        raise OptionError("runs of 'speak' have no export yet: use the run folder, or write sounds with predict --out")


def spoken(name: str, row: Mapping[str, Any]) -> Picture:
    """The spectrogram of what was said above that of the recording, and where each step looked."""
    units = [*row["units"], END][-len(row["looks"][0]) :]

    def paint(panels: Sequence[Axes]) -> None:
        for panel, levels, title in zip(panels, (row["said_levels"], row["recorded_levels"]), TITLES, strict=False):
            panel.imshow(np.array(levels).T, origin="lower", aspect="auto", cmap="Blues", vmin=0, vmax=255)
            panel.set(title=title, ylabel="band")
        _looks(panels[2], np.array(row["looks"]), units)
        for panel in panels:
            panel.grid(visible=False)

    who = f", {row['speaker']}" if row["speaker"] else ""
    bands = len(row["said_levels"][0])
    caption = f"{row['text']}{who}: {bands} bands over time, the deeper the louder, and where each step looked"
    return picture(name, caption, paint, (5.0, 5.4), rows=3)


TITLES = ("said anew", "recorded")


def _looks(panel: Axes, looks: np.ndarray, units: list[str]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("weights", ["#ffffff", OURS])
    panel.imshow(looks.T, aspect="auto", cmap=shades, vmin=0, vmax=1)
    panel.set(xlabel="step", title="where it looked")
    if len(units) <= 40:
        panel.set_yticks(range(len(units)), [unit.replace(" ", "␣") for unit in units], fontsize=7)
