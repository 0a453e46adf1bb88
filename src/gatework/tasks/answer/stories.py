"""What was read: stories of sentences, and questions about them with their answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gatework.data.ragged import Ragged


@dataclass(frozen=True)
class Stories:
    """n questions about stories of N sentences in all; a sentence stands once, however many questions are about it.

    Example: sentences ["Mary went home.", "Bo left."], first [0, 0], past [1, 2], questions ["Where is Mary?", "Who
    left?"], answers ["home", "Bo"]: the second question is asked when both sentences have been told.

    Args:
        sentences: [N], one story after another.
        first, past: [n], question i is about the sentences `first[i]` to `past[i]`, the last one left out.
        questions, answers, kinds: [n]; None: there are no answers, or no kinds of questions.
        facts: Ragged [n] of numbers of sentences, by which a question is answered, for people to compare; None: not
            told.
        parts: [n], "train" or "test", where the source names parts.
        where: the place of question i in its source, as people would point at it.
        form: "babi", "jsonl" or "rows".
    """

    sentences: list[str]
    first: np.ndarray
    past: np.ndarray
    questions: list[str]
    answers: list[str] | None
    kinds: list[str] | None
    facts: Ragged | None
    where: Callable[[int], str]
    form: str
    source: str
    parts: list[str] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.questions)

    def story(self, row: int) -> list[str]:
        """What was told before question `row`."""
        return self.sentences[self.first[row] : self.past[row]]

    @property
    def lengths(self) -> np.ndarray:
        """How many sentences were told before each question, [n]."""
        return self.past - self.first

    def wholes(self) -> np.ndarray:
        """The story of each question, [n] texts: questions about one story, or about the same one told again."""
        texts = {first: "\n".join(self.sentences[first:past]) for first, past in self._ends().items()}
        told = zip(self.first.tolist(), self.questions, strict=True)
        return np.array([texts[first] or question for first, question in told], object)

    def told(self) -> list[int]:
        """A number for what was told before each question: the same for the same sentences, within this process."""
        last = self._ends()
        found: dict[tuple[int, int], int] = {}
        for first, past in last.items():
            number = 0
            found[first, first] = number
            for place, sentence in enumerate(self.sentences[first:past], first + 1):
                number = found[first, place] = hash((number, sentence))
        return [found[span] for span in zip(self.first.tolist(), self.past.tolist(), strict=True)]

    def _ends(self) -> dict[int, int]:
        """First sentence -> the end of what is told from there on before any question."""
        ends: dict[int, int] = {}
        for first, past in zip(self.first.tolist(), self.past.tolist(), strict=True):
            ends[first] = max(ends.get(first, past), past)
        return ends

    def take(self, rows: np.ndarray) -> Stories:
        """Some of the questions; the sentences stay."""
        rows = np.asarray(rows, np.int64)
        numbers = rows.tolist()

        def some(values: list[str] | None) -> list[str] | None:
            return None if values is None else [values[row] for row in numbers]

        place = self.where
        return replace(
            self,
            first=self.first[rows],
            past=self.past[rows],
            questions=[self.questions[row] for row in numbers],
            answers=some(self.answers),
            kinds=some(self.kinds),
            facts=None if self.facts is None else self.facts.take(rows),
            parts=some(self.parts),
            where=lambda row: place(numbers[row]),
        )
