"""What is explained of an answerer: which sentences of the story, and how much the question, its answer rests on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from gatework.data.codecs import UNKNOWN
from gatework.data.ragged import Ragged
from gatework.errors import DataError
from gatework.runtime.answers.stories import cut
from gatework.tasks.answer import reading
from gatework.tasks.answer.decoding import answers
from gatework.tasks.answer.examples import make_batch, written
from gatework.tasks.answer.options import AnswerExplaining
from gatework.tasks.origin import training_file
from gatework.tasks.subject import Looked, Subject, Wording, must_be_written, must_name_one

if TYPE_CHECKING:
    from gatework.tasks.answer.model import Answering
    from gatework.tasks.answer.stories import Stories
    from gatework.tasks.answer.task import Answer
    from gatework.tasks.base import Source
    from gatework.tasks.jobs import Trained

TINY = 1e-15  # what is left to all other answers at least


def subject(trained: Trained, given: AnswerExplaining, source: Source | None) -> Question:
    """The question that is named; an OptionError where none is, or two are."""
    must_name_one(given.text, given.row, "a question", "'Mary went home. Where is Mary?'")
    task = cast("Answer", trained.task)
    if given.text is not None:
        must_be_written(given.text)
        *story, question = cut(given.text)
        rows = [{task.options.story: story, task.options.question: question}]
        return Question(trained, reading.read(rows, task.options, answered=False), given.target)
    read = reading.read(training_file(trained.run) if source is None else source, task.options, answered=False)
    if not 1 <= (row := given.row or 0) <= len(read):
        raise DataError(f"{read.source} has the questions 1 to {len(read):,}; there is no question {row}")
    return Question(trained, read.take(np.array([row - 1])), given.target)


class Question(Subject):
    """A question and its story; each step is a sentence that is read, the last one is the question.

    The outputs are the log probabilities of one answer as a whole, and of all others together.
    """

    model: Answering
    timed = None

    def __init__(self, trained: Trained, read: Stories, target: str | None):
        self.model, self.task = cast("Answering", trained.model), cast("Answer", trained.task)
        self.codecs, self.examples = self.task.codecs, self.task.codecs.encode(read)
        told, asked = read.story(0)[-self.task.options.memory :], read.questions[0]
        self.steps, self.source = [*told, asked], asked
        self.entry = self._vectors()
        self.baseline = torch.zeros_like(self.entry)
        self.contrast = torch.tensor([1.0, -1.0], dtype=torch.float64)
        self.exact, self.linear = {}, {}
        self._settle(target)
        self.words = self._wording(read)
        looks = np.pad(self.said.looked, ((0, 0), (0, len(self.steps) - self.said.looked.shape[1])))
        self.looked = Looked("reading", [f"reading {number}" for number in range(1, len(looks) + 1)], looks)

    @torch.no_grad()
    def _vectors(self) -> Tensor:
        batch = make_batch(self.examples, np.array([0]))
        vectors = self.model.sentences(batch.texts)
        return vectors[torch.cat([batch.story[0, : int(batch.lengths[0])], batch.questions])]

    def _settle(self, target: str | None) -> None:
        """The answer, and which one is explained."""
        self.said = answers(self.model, self.codecs, self.examples)[0][0]
        self.answer = self.said.text
        self.spoken = self.answer if target is None else target
        given = self.codecs.answers.encode([self.spoken])[0]
        ids = np.array(self.said.ids) if self.spoken == self.answer else given
        if UNKNOWN in ids:
            raise DataError(f"the answer {self.spoken!r:.40} holds a word that no answer of the training has")
        self.written = tuple(map(torch.from_numpy, written(Ragged.of([ids], np.int64))))

    def network(self, entries: Tensor) -> Tensor:
        told, questions = entries[:, :-1], entries[:, -1]
        lengths = torch.full((len(entries),), told.shape[1])
        start = self.model.readings(told, lengths, questions).start
        read, targets = (each.expand(-1, len(entries)) for each in self.written)
        logits, _, _ = self.model.decoder(read, None, start)
        scores = logits.double().log_softmax(2).gather(2, targets.unsqueeze(2)).sum((0, 2))
        return torch.stack([scores, torch.log(-torch.expm1(scores.clamp(max=-TINY)))], 1)

    def shown(self, outputs: np.ndarray) -> np.ndarray:
        return np.exp(outputs[:, 0])

    @torch.no_grad()
    def last(self, lengths: list[int]) -> tuple[np.ndarray, list[str]]:
        """What the model says to the question when the story has but its last sentences."""
        found = np.concatenate([self.network(self.entry[None, -length:]).numpy() for length in lengths])
        rows = self.examples.take(np.zeros(len(lengths), np.int64))
        cut = replace(rows, first=rows.stories.past - np.array(lengths) + 1)
        return self.shown(found), [each[0].text for each in answers(self.model, self.codecs, cut)]

    def _wording(self, read: Stories) -> Wording:
        looked = self.said.looked
        notes = ["The last step is the question itself."]
        if looked.size:
            most = [f"{self.steps[k]!r} ({row[k]:.0%})" for row, k in zip(looked, looked.argmax(1), strict=True)]
            notes.append(f"The readings looked most at, one after another: {', '.join(most)}.")
        if int(read.lengths[0]) + 1 > len(self.steps):
            notes.append(f"The story is longer than memory={self.task.options.memory}: its last sentences are read.")
        return Wording(
            "text",
            "sentence",
            f"the log-odds of {self.spoken!r}",
            f"probability of {self.spoken!r}",
            "an empty sentence",
            tuple(notes),
        )
