"""What pages show of a describer, and how a run is used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gatework.pages import words
from gatework.pages.attention import attention, overlaid
from gatework.pages.picture import Picture
from gatework.tasks.base import Page, Source, Task, Usage
from gatework.tasks.caption.examples import Batch, Examples
from gatework.tasks.caption.model import Describer
from gatework.tasks.caption.options import CaptionExplaining
from gatework.training.options import Options

if TYPE_CHECKING:
    from gatework.tasks.jobs import Trained
    from gatework.tasks.subject import Subject

SECTIONS = frozenset({"part", "medium", "metric", "pictures", "methods", "shown", "kinds", "few"})
GROUPS = {"right": "Right as a whole", "wrong": "Not right"}
METRICS = (
    "A caption is right where it is one of the picture's captions, word for word. BLEU is counted as sacrebleu counts "
    "it, on its scale of 0 to 100, of single words (1) up to four in a row (4); the word error is edits for each true "
    "word."
)

words.know(
    {
        "bleu1": "BLEU-1",
        "bleu2": "BLEU-2",
        "bleu3": "BLEU-3",
        "bleu4": "BLEU-4",
        "exact": "right as a whole",
    },
    higher=("bleu1", "bleu2", "bleu3", "bleu4", "exact"),
    lower=("word_error", "perplexity"),
)


class CaptionPages(Task[Examples, Batch, Describer]):
    """The part of the task that pages and explanations ask for."""

    Explaining = CaptionExplaining

    @classmethod
    def page(cls, results: Mapping[str, Any], options: Mapping[str, Any]) -> Page:
        names = {"groups": GROUPS, "metric_name": words.named(results["sections"]["metric"])}
        return Page("page.html", names, SECTIONS, {}, METRICS)

    @classmethod
    def pictures(cls, sections: Mapping[str, Any]) -> dict[str, Picture]:
        few = [row for row in sections["few"] if row.get("attention")]
        return {name: looked(name, row) for name, row in zip(map("looked{}".format, range(len(few))), few, strict=True)}

    @classmethod
    def usage(cls, run: str, new: str, options: Mapping[str, Any]) -> Usage:
        quoted = shlex.quote(run)
        commands = [
            f"gatework predict {quoted} {new} --beam 5 --n-best 3",
            f"gatework explain {quoted} {new} --row 1",
        ]
        python = [
            "import gatework",
            f"model = gatework.Captioner.load({run!r})",
            f"model.predict({new!r})",
            f"model.looks({new!r})[0].weights",
        ]
        return Usage(commands, python)

    def subject(self, trained: Trained, given: Options, source: Source | None) -> Subject:
        from gatework.tasks.caption.explained import subject

        assert isinstance(given, CaptionExplaining)
        return subject(trained, given, source)


def looked(name: str, row: Mapping[str, Any]) -> Picture:
    """Where the best caption of a picture looked; of a film, at which frames."""
    units, weights = [unit or "(end)" for unit in row["units"]], np.array(row["attention"], float)
    if "scene" in row:
        caption = f"{row['where']}: the picture, and what of it each written unit looked at; the rest is dark"
        return overlaid(name, caption, units, np.array(row["scene"], np.uint8), weights)
    caption = f"{row['where']}: how much each written unit (row) looked at each step of the film (column)"
    return attention(name, caption, units, [str(step + 1) for step in range(weights.shape[1])], weights)
