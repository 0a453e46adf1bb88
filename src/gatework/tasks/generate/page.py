"""What pages show of a text generator, and how a run is used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gatework.pages import words
from gatework.tasks.base import Page, Source, Task, Usage
from gatework.tasks.generate.model import LanguageModel
from gatework.tasks.generate.options import GenerateExplaining
from gatework.tasks.generate.streams import Chunk, Text
from gatework.training.options import Options

if TYPE_CHECKING:
    from gatework.tasks.jobs import Trained
    from gatework.tasks.subject import Subject

SECTIONS = frozenset({"samples", "cell", "counts"})
METRICS = (
    "Nats and bits are per character: the lower, the better the text is predicted. Perplexity is per unit: the number "
    "of equally likely units among which the model seems to choose; per word it is counted as in the literature, "
    "by words between white space and ends of lines. Spelling units that the vocabulary lacks is charged."
)

words.know({}, lower=("perplexity", "perplexity_per_word", "nats_per_character", "bits_per_character"))


class GeneratePages(Task[Text, Chunk, LanguageModel]):
    """The part of the task that pages and explanations ask for."""

    Explaining = GenerateExplaining

    @classmethod
    def page(cls, results: Mapping[str, Any], options: Mapping[str, Any]) -> Page:
        return Page("page.html", {"backwards": _backwards(options)}, sections=SECTIONS, metrics=METRICS)

    @classmethod
    def usage(cls, run: str, new: str, options: Mapping[str, Any]) -> Usage:
        prompt = "the end." if _backwards(options) else "Once"
        return Usage(
            [f'gatework generate {shlex.quote(run)} --prompt "{prompt}" --length 500 --temperature 0.8'],
            [
                "import gatework",
                f"model = gatework.TextGenerator.load({run!r})",
                f'print(model.generate("{prompt}", length=500))',
            ],
        )

    def subject(self, trained: Trained, given: Options, source: Source | None) -> Subject:
        from gatework.tasks.generate.explained import subject

        assert isinstance(given, GenerateExplaining)
        return subject(trained, given, source)


def _backwards(options: Mapping[str, Any]) -> bool:
    return bool(options.get("backwards"))
