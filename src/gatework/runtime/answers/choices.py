"""Answers to questions about stories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatework.errors import DataError, OptionError
from gatework.runtime.answers.given import count, rows_of, whole_text
from gatework.runtime.answers.stories import Answer, cut, told, written
from gatework.runtime.exported import Exported
from gatework.runtime.model import Model
from gatework.runtime.search.steps import Stand, Steps
from gatework.runtime.texts import codec

AT_ONCE = 64  # questions that are answered together
MOST_WORDS = 1_000  # of an answer that is written
Asked = tuple[list[str], str]  # a story and a question


class Choices(Model):
    """{"question", "answer", "probability"} of each question; of the `n_best` answers a row each, and with `looks` the
    weights of the story's sentences.

    model.predict([{"story": ["Mary went home."], "question": "Where is Mary?"}])
    """

    kind = "choices"

    def __init__(self, exported: Exported, hash: str = ""):
        super().__init__(exported, hash)
        said = exported.settings
        self.story, self.question = said["fields"]["story"], said["fields"]["question"]
        self.memory = count(said, "memory", len(exported.arrays["places"]) // 2)
        self.longest = count(said, "longest", MOST_WORDS)
        self.words, self.answers = codec(exported.texts["words"]), codec(exported.texts["answers"])
        self.inputs = f'{{"{self.story}": a text or a list of sentences, "{self.question}": a text}}'
        self.readings, self.decoder = exported.bound("readings"), Steps(exported.bound("step"))

    @property
    def schema(self) -> dict[str, Any]:
        text = {"type": "string"}
        story = {"anyOf": [text, {"type": "array", "items": text}, {"type": "null"}]}
        return {"type": "object", "properties": {self.story: story, self.question: text}, "required": [self.question]}

    @property
    def example(self) -> object:
        return {self.story: "Mary went home.", self.question: "Where is Mary?"}

    def predict(
        self, rows: Sequence[Any], *, beam: int = 1, n_best: int = 1, looks: bool = False
    ) -> list[dict[str, Any]]:
        if not all(type(each) is int for each in (beam, n_best)) or not 1 <= n_best <= beam:
            raise OptionError(f"n_best={n_best!r:.20} must be a whole number from 1 to beam={beam!r:.20}")
        rows = rows_of(rows, self.inputs)
        read = [self._read(row, number) for number, row in enumerate(rows, 1)]
        order = sorted(range(len(read)), key=lambda i: len(read[i][0]))
        found: list[list[Answer]] = [[] for _ in read]
        for at in range(0, len(order), AT_ONCE):
            some = order[at : at + AT_ONCE]
            for i, own in zip(some, self._answered([read[i] for i in some], beam, n_best), strict=True):
                found[i] = own
        return list(told([question for _, question in read], found, n_best, looks))

    def _read(self, row: object, number: int) -> Asked:
        if not isinstance(row, Mapping):
            raise DataError(f"row {number} is {row!r:.60}; it must be {self.inputs}")
        story, question = row.get(self.story), whole_text(row.get(self.question), number, self.inputs).strip()
        if not question:
            raise DataError(f"row {number}: the question is empty; write one")
        if isinstance(story, str):
            story = cut(story)
        if story is not None and not isinstance(story, list | tuple):
            raise DataError(f"row {number}: the story is {story!r:.60}; give a text, or a list of sentences")
        sentences = [whole_text(each, number, self.inputs).strip() for each in story or []]
        return [each for each in sentences if each][-self.memory :], question

    def _answered(self, some: Sequence[Asked], beam: int, count: int) -> list[list[Answer]]:
        states = self.readings(**self._inputs(some))
        looked = states.pop("looked")
        best = written(self.decoder, Stand(states, {}), len(some), self.longest, beam, count)
        steps = [own[:, : len(story)] for own, (story, _) in zip(looked, some, strict=True)]
        return [
            [Answer.of(each, self.answers, seen) for each in found] for found, seen in zip(best, steps, strict=True)
        ]

    def _inputs(self, some: Sequence[Asked]) -> dict[str, np.ndarray]:
        """The inputs of the readings: each different text is among them once."""
        lengths = np.array([len(story) for story, _ in some], np.int64)
        texts = dict.fromkeys(text for story, question in some for text in (*story, question))
        number = {text: i for i, text in enumerate(texts)}
        story = np.zeros((max(int(lengths.max()), 1), len(some)), np.int64)
        for place, (sentences, _) in enumerate(some):
            story[: len(sentences), place] = [number[each] for each in sentences]
        places = np.clip(lengths - 1 - np.arange(len(story))[:, None], 0, 2 * self.memory - 1)
        questions = np.array([number[question] for _, question in some], np.int64)
        found = {"lengths": lengths, "story": story, "places": places, "questions": questions}
        return found | self._words([self.words.ids(text) for text in texts])

    def _words(self, ids: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Words (T, U) of texts and their sizes (U,); 1 - p and 1 - 2p of each place p, 0 beyond an end."""
        sizes = np.array([len(own) for own in ids], np.int64)
        steps = np.arange(int(sizes.max()))[:, None]
        words, there, place = np.zeros((len(steps), len(ids)), np.int64), steps < sizes, (steps + 1) / sizes
        for i, own in enumerate(ids):
            words[: len(own), i] = own
        near, far = (np.where(there, 1 - k * place, 0).astype(np.float32) for k in (1, 2))
        return {"words": words, "sizes": sizes, "near": near, "far": far}
