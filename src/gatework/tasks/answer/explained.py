"""What is explained of an answerer: which sentences of the story, and how much the question, its answer rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from gatework.data.codecs import UNKNOWN
from gatework.data.ragged import Ragged
from gatework.errors import DataError, OptionError
from gatework.networks.states import repeated
from gatework.tasks.answer import reading
from gatework.tasks.answer.decoding import answers
from gatework.tasks.answer.examples import UNCOUNTED, make_batch, written
from gatework.tasks.answer.options import AnswerExplaining
from gatework.tasks.answer.records import cut
from gatework.tasks.origin import training_file
from gatework.tasks.subject import Looked, Subject, Wording, contrast_to_others, must_be_written

if TYPE_CHECKING:
    from gatework.tasks.answer.model import Answering
    from gatework.tasks.answer.stories import Stories
    from gatework.tasks.answer.task import Answer
    from gatework.tasks.base import Source
    from gatework.tasks.jobs import Trained

OTHERS = 10  # answers that the explained one is compared with, at most


def subject(trained: Trained, given: AnswerExplaining, source: Source | None) -> Question:
    """The question that is named; an OptionError where none is, or two are."""
    if (given.text is None) == (given.row is None):
        raise OptionError(
            "give either a story with its question or a question of a file: --text 'Mary went home. Where is Mary?' or "
            "FILE --row 3; in Python text=... or source=..., row=3"
        )
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

    The outputs are the log probabilities of whole answers: of the likeliest ones, and of the one that is explained.
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
        """The answer, the answers that it is compared with, and which of them is explained."""
        found = answers(self.model, self.codecs, self.examples, beam=OTHERS, count=OTHERS)[0]
        self.said = answers(self.model, self.codecs, self.examples)[0][0]
        self.answer = self.said.text
        self.spoken = self.answer if target is None else target
        ids = {each.text: each.ids for each in [*found, self.said]}
        if self.spoken not in ids:
            ids[self.spoken] = self.codecs.answers.encode([self.spoken])[0].tolist()
        if UNKNOWN in ids[self.spoken]:
            raise DataError(f"the answer {self.spoken!r:.40} holds a word that no answer of the training has")
        self.names = list(ids)
        self.written = tuple(map(torch.from_numpy, written(Ragged.of(list(ids.values()), np.int64))))
        self.target = self.names.index(self.spoken)
        self.contrast = contrast_to_others(len(self.names), self.target)

    def network(self, entries: Tensor) -> Tensor:
        told, questions = entries[:, :-1], entries[:, -1]
        lengths = torch.full((len(entries),), told.shape[1])
        found, count = self.model.readings(told, lengths, questions), len(self.names)
        read, targets = (each.repeat(1, len(entries)) for each in self.written)
        logits, _, _ = self.model.decoder(read, None, repeated(found.start, count))
        own = logits.log_softmax(2).gather(2, targets.clamp(min=0).unsqueeze(2)).squeeze(2)
        return (own * (targets != UNCOUNTED)).sum(0).view(len(entries), count).double()

    def shown(self, outputs: np.ndarray) -> np.ndarray:
        return np.exp(outputs[:, self.target])

    @torch.no_grad()
    def last(self, lengths: list[int]) -> tuple[np.ndarray, list[str]]:
        """What the model says to the question when the story has but its last sentences."""
        found = np.concatenate([self.network(self.entry[None, -length:]).numpy() for length in lengths])
        return self.shown(found), [self.names[k] for k in found.argmax(1)]

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
            f"the log probability of {self.spoken!r} above the mean of the other answers",
            f"probability of {self.spoken!r}",
            "an empty sentence",
            tuple(notes),
        )
