"""What turns stories, questions and answers into numbers and back: learned in training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np

from gatework.data.codecs import from_json
from gatework.data.codecs.words import Words
from gatework.data.ragged import Ragged
from gatework.data.stored import stored
from gatework.errors import FileFormatError
from gatework.runtime.answers.choices import MOST_WORDS
from gatework.tasks.answer.examples import Examples
from gatework.tasks.answer.options import AnswerOptions
from gatework.tasks.answer.stories import Stories


class Kept(TypedDict):
    """inputs.json."""

    longest: int


def answer_words() -> Words:
    """Answers keep capitals, commas and spaces, so that what is written is what was learned."""
    return Words(lower=False, markup=True, lossless=True)


@dataclass
class Codecs:
    """`fit(stories)` learns from training stories, `encode(stories)` gives Examples.

    `words` are those of stories and questions, `answers` those of answers; `longest` is the most words of an answer.
    """

    options: AnswerOptions
    words: Words = field(default_factory=Words)
    answers: Words = field(default_factory=answer_words)
    longest: int = 0

    def fit(self, stories: Stories) -> Examples:
        """Learns both vocabularies; gives the encoded stories."""
        self.words = Words(min_count=self.options.min_count, max_size=self.options.vocabulary)
        used = np.zeros(len(stories.sentences) + 1, np.int64)
        np.add.at(used, stories.first, 1)
        np.add.at(used, stories.past, -1)
        told = [stories.sentences[row] for row in np.flatnonzero(np.cumsum(used)).tolist()]
        self.words.fit([*told, *stories.questions])
        self.longest = min(int(self.answers.fit_encode(stories.answers or []).lengths.max(initial=1)), MOST_WORDS)
        return self.encode(stories)

    def encode(self, stories: Stories) -> Examples:
        """Stories encoded with what `fit` learned; those without answers have empty ones."""
        texts = np.array([*stories.sentences, *stories.questions], object)
        different, numbers = np.unique(texts, return_inverse=True)
        told = len(stories.sentences)
        answers = Ragged.from_lengths(np.zeros(0, np.int32), [0] * len(stories))
        if stories.answers is not None:
            answers = self.answers.encode(stories.answers)
        first = np.maximum(stories.first, stories.past - self.options.memory)
        return Examples(stories, self.words.encode(different.tolist()), numbers[:told], first, numbers[told:], answers)

    @property
    def sizes(self) -> tuple[int, int]:
        """How many words there are of stories, and of answers."""
        return len(self.words), len(self.answers)

    def assets(self) -> dict[str, str]:
        """File name -> JSON."""
        kept: Kept = {"longest": self.longest}
        return {
            "inputs.json": json.dumps(kept),
            "words.json": self.words.to_json(),
            "answers.json": self.answers.to_json(),
        }

    @classmethod
    def restored(cls, options: AnswerOptions, assets: Mapping[str, str]) -> Codecs:
        """The codecs that `assets` were taken from."""
        kept: Kept = stored(assets["inputs.json"], Kept, "inputs.json")
        words, answers = (from_json(assets[f"{name}.json"]) for name in ("words", "answers"))
        if not isinstance(words, Words) or not isinstance(answers, Words) or not 1 <= kept["longest"] <= MOST_WORDS:
            raise FileFormatError("the assets of an answerer hold no words of stories and of answers")
        return cls(options, words, answers, kept["longest"])
