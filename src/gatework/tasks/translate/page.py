"""What pages show of a translator, and how a run is used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gatework.pages import words
from gatework.pages.attention import attention
from gatework.pages.picture import OTHER, OURS, Picture, column, picture
from gatework.tasks.base import Page, Source, Task, Usage
from gatework.tasks.translate.examples import Batch, Examples
from gatework.tasks.translate.model import EncoderDecoder
from gatework.tasks.translate.options import TranslateExplaining
from gatework.training.options import Options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gatework.tasks.jobs import Trained
    from gatework.tasks.subject import Subject

SECTIONS = frozenset({"part", "kind", "metric", "pairs", "translations", "lengths", "rare", "outputs", "size", "few"})
GROUPS = {"best": "The best", "median": "In the middle", "worst": "The worst"}
METRICS = {
    "text": (
        "BLEU, chrF and TER are counted as sacrebleu counts them, on its scale of 0 to 100; perplexity is of the units "
        "that the network writes. A difference of less than one BLEU on a thousand sentences says little."
    ),
    "symbols": "A line is right where all of its symbols are; the symbol error is edits for each true symbol.",
    "letters": "A line is right where all of its letters are; the symbol error is edits for each true letter.",
}

words.know(
    {"bleu": "BLEU", "chrf": "chrF", "ter": "TER", "exact": "right as a whole"},
    higher=("bleu", "chrf", "exact"),
    lower=("ter", "word_error", "symbol_error", "perplexity"),
)


class TranslatePages(Task[Examples, Batch, EncoderDecoder]):
    """The part of the task that pages and explanations ask for."""

    Explaining = TranslateExplaining

    @classmethod
    def page(cls, results: Mapping[str, Any], options: Mapping[str, Any]) -> Page:
        sections = results["sections"]
        names = {"groups": GROUPS, "methods": methods(sections), "metric_name": words.named(sections["metric"])}
        return Page("page.html", names, SECTIONS, {}, METRICS[sections["kind"]])

    @classmethod
    def pictures(cls, sections: Mapping[str, Any]) -> dict[str, Picture]:
        found = {}
        if len(sections["lengths"]) > 1:
            found["lengths"] = by_length(sections)
        for number, row in enumerate(sections["few"]):
            if "attention" in row:
                found[f"looked{number}"] = looked(f"looked{number}", row)
        return found

    @classmethod
    def usage(cls, run: str, new: str, options: Mapping[str, Any]) -> Usage:
        quoted = shlex.quote(run)
        commands = [
            f"gatework predict {quoted} {new} --beam 5 --n-best 3",
            f'echo "a text" | gatework predict {quoted}',
            f'gatework explain {quoted} --text "a text"',
        ]
        python = [
            "import gatework",
            f"model = gatework.Translator.load({run!r})",
            'model.predict(["a text"])',
            'model.looks(["a text"])[0].weights',
        ]
        return Usage(commands, python)

    def subject(self, trained: Trained, given: Options, source: Source | None) -> Subject:
        from gatework.tasks.translate.explained import subject

        assert isinstance(given, TranslateExplaining)
        return subject(trained, given, source)


def methods(sections: Mapping[str, Any]) -> list[str]:
    """The methods that tables by length and rare words compare, the model first."""
    return list(sections["lengths"][0]["values"]) if sections["lengths"] else ["model"]


def looked(name: str, row: Mapping[str, Any]) -> Picture:
    """Where the best translation of a text looked."""
    rows, columns = ([unit or "(end)" for unit in row[key]] for key in ("target_units", "source_units"))
    caption = f"{row['where']}: how much each written unit (row) looked at each unit of the source (column)"
    return attention(name, caption, rows, columns, row["attention"])


def by_length(sections: Mapping[str, Any]) -> Picture:
    """The watched metric of the model and the best baseline over the length of the source."""
    rows, name = sections["lengths"], words.named(sections["metric"])

    def paint(axes: Axes) -> None:
        for method, colour in zip(methods(sections), (OURS, OTHER), strict=False):
            values = column([row["values"] for row in rows], method)
            axes.plot(range(len(rows)), values, color=colour, marker="o", label=method)
        axes.set_xticks(range(len(rows)), [f"{row['length']}\n({row['pairs']:,})" for row in rows], fontsize=8)
        axes.set(xlabel="units of the source (pairs)", ylabel=name)
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)

    return picture("lengths", f"{name} by the length of the source", paint)
