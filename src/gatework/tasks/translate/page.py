"""What pages show of a translator, and how a run is used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gatework.pages import words
from gatework.tasks.base import Source, Task, Usage
from gatework.tasks.translate.examples import Batch, Examples
from gatework.tasks.translate.model import Translator
from gatework.tasks.translate.options import TranslateExplaining
from gatework.training.options import Options

if TYPE_CHECKING:
    from gatework.tasks.jobs import Trained
    from gatework.tasks.subject import Subject

words.know(
    {"bleu": "BLEU", "chrf": "chrF", "ter": "TER", "exact": "right as a whole"},
    higher=("bleu", "chrf", "exact"),
    lower=("ter", "word_error", "symbol_error", "perplexity"),
)


class TranslatePages(Task[Examples, Batch, Translator]):
    """The part of the task that pages and explanations ask for."""

    Explaining = TranslateExplaining

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
