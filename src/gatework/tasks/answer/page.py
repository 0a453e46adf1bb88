"""What pages show of an answerer: which sentences each reading looked at, kinds of questions, and how a run is used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gatework.pages import words
from gatework.pages.picture import Picture, picture
from gatework.tasks.answer.examples import Batch, Examples
from gatework.tasks.answer.model import Answering
from gatework.tasks.answer.options import AnswerExplaining
from gatework.tasks.base import Page, Source, Task, Usage
from gatework.training.options import Options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gatework.tasks.jobs import Trained
    from gatework.tasks.subject import Subject

SECTIONS = frozenset({"part", "kinds", "lengths", "confusions", "confused", "wrong", "stories", "places"})
METRICS = (
    "An answer counts where it is the true one as a whole, all words of a list in order; the mean accuracy is over the "
    "kinds of questions."
)

words.know({}, higher=("accuracy", "mean_accuracy"), lower=("perplexity",), shares=("mean_accuracy",))


class AnswerPages(Task[Examples, Batch, Answering]):
    """The part of the task that pages and explanations ask for."""

    Explaining = AnswerExplaining

    @classmethod
    def page(cls, results: Mapping[str, Any], options: Mapping[str, Any]) -> Page:
        sections = results["sections"]
        names = {"named": any(row["facts_seen"] is not None for row in sections["kinds"])}
        counts = {"answers": "Answers of the training part", "kinds": "Kinds of questions of the training part"}
        return Page("page.html", names, SECTIONS, counts, METRICS)

    @classmethod
    def pictures(cls, sections: Mapping[str, Any]) -> dict[str, Picture]:
        return {"places": places(sections["places"])} if sections["places"] else {}

    @classmethod
    def usage(cls, run: str, new: str, options: Mapping[str, Any]) -> Usage:
        quoted = shlex.quote(run)
        commands = [
            f"gatework predict {quoted} {new}",
            f"gatework explain {quoted} --text 'Mary went home. Bo left. Where is Mary?'",
        ]
        python = [
            "import gatework",
            f"model = gatework.Answerer.load({run!r})",
            'model.predict([{"story": ["Mary went home.", "Bo left."], "question": "Where is Mary?"}])',
        ]
        return Usage(commands, python)

    def subject(self, trained: Trained, given: Options, source: Source | None) -> Subject:
        from gatework.tasks.answer.explained import subject

        assert isinstance(given, AnswerExplaining)
        return subject(trained, given, source)


def places(weights: list[list[float]]) -> Picture:
    """How far back each reading looks, as lines."""

    def paint(axes: Axes) -> None:
        for number, row in enumerate(weights, 1):
            axes.plot(range(1, len(row) + 1), row, marker=".", label=f"reading {number}")
        axes.set(xlabel="sentence, counted from the story's end", ylabel="mean weight", ylim=(0, None))
        axes.legend(frameon=False, fontsize=8)

    return picture("places", "How far back each reading looks", paint)
