"""What is told of questions about stories, and how texts of stories are cut."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from gatework.runtime.search import Beam, Hypothesis, search
from gatework.runtime.search.rules import at_least, forbid
from gatework.runtime.search.walk import State, Steps
from gatework.runtime.texts import NOTHING, UNKNOWN, Codec

S = TypeVar("S", bound=State)
SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[.!?][\"'”’)])\s+")  # where a text is cut into sentences


def cut(text: str) -> list[str]:
    """The sentences of a text: `cut("Mary left. Where is she?")` is ["Mary left.", "Where is she?"]."""
    return [part.strip() for line in text.splitlines() for part in SENTENCE.split(line) if part.strip()]


def spoken(codec: Codec, ids: Sequence[int]) -> str:
    """The answer that words are, without its end. Between words that no answer has side by side stands a space."""
    units = [codec.text([each]) for each in ids if each != NOTHING]
    return re.sub(r"(?<=\w)\0(?=\w)", " ", "\0".join(units)).replace("\0", "").strip()


def written(decoder: Steps[S], state: S, rows: int, longest: int, beam: int, count: int) -> list[list[Hypothesis]]:
    """The answers to each of the rows, at most `count`, the best first; `longest` words had one of the training."""
    last, rules = np.full((rows, 1), NOTHING), [forbid([UNKNOWN]), at_least(1, NOTHING)]
    return search(decoder, state, last, Beam(beam, NOTHING), rules=rules, limit=2 * longest + 2, count=count)


class Answer(NamedTuple):
    """What is written to one question, its words without the end, and its probability; what each reading `looked` at,
    weights [hops, S]."""

    text: str
    ids: list[int]
    probability: float
    looked: np.ndarray

    @classmethod
    def of(cls, found: Hypothesis, codec: Codec, looked: np.ndarray) -> Self:
        ids = found.ids[:-1] if found.ended else found.ids
        return cls(spoken(codec, ids), ids, float(np.exp(found.score)), looked)


def told(
    questions: Sequence[str], answers: Sequence[Sequence[Answer]], n_best: int, looks: bool
) -> Iterator[dict[str, Any]]:
    """{"question", "answer", "probability"} of each answer; where there are several, numbered by "question_number" and
    "rank"; with `looks` also "looks" [hops, S]."""
    for number, (question, some) in enumerate(zip(questions, answers, strict=True), 1):
        for rank, each in enumerate(some, 1):
            row = {"question_number": number, "rank": rank} if n_best > 1 else {}
            row |= {"question": question, "answer": each.text, "probability": round(each.probability, 4)}
            yield row | ({"looks": np.round(each.looked.astype(np.float64), 4).tolist()} if looks else {})
