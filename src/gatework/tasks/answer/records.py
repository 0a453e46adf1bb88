"""Stories as objects: lines of JSON, rows in memory, frames.

{"story": ["Mary went home.", "Bo left."], "question": "Where is Mary?", "answer": "home", "kind": "place"}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gatework.data.given import is_absent
from gatework.data.ragged import Ragged
from gatework.errors import DataError
from gatework.runtime.answers.stories import cut
from gatework.tasks.answer.options import Reading
from gatework.tasks.answer.stories import Stories
from gatework.training.options import known_names

Record = Mapping[str, Any]
AN_OBJECT = '{"story": ["Mary went home."], "question": "Where is Mary?", "answer": "home"}'


class Field(NamedTuple):
    """The name of a field in the records, "" where they have none."""

    story: str
    question: str
    answer: str
    kind: str
    facts: str


def read_records(
    records: Sequence[Record], source: str, place: Callable[[int], str], options: Reading, answered: bool
) -> Stories:
    """The questions of objects; a story is a list of sentences, or a text that is cut into sentences.

    Raises: DataError, by row, for an object without a question or with an empty one, a story that is no text, an
    answer that is none.
    """
    fields = _fields(records, source, options, answered)
    sentences: list[str] = []
    first, facts = [], []
    for row, record in enumerate(records):
        story = _story(record.get(fields.story), place(row)) if fields.story else []
        first.append(len(sentences))
        facts.append(_facts(record.get(fields.facts), len(story), len(sentences), place(row)) if fields.facts else [])
        sentences += story
    return Stories(
        sentences=sentences,
        first=np.array(first, np.int64),
        past=np.array([*first[1:], len(sentences)], np.int64),
        questions=[_question(record, fields.question, place(row)) for row, record in enumerate(records)],
        answers=list(_answers(records, fields.answer, place)) if fields.answer else None,
        kinds=[_text(record.get(fields.kind)) for record in records] if fields.kind else None,
        facts=Ragged.of(facts, np.int64) if any(facts) else None,
        where=place,
        form="jsonl",
        source=source,
    )


def _fields(records: Sequence[Record], source: str, options: Reading, answered: bool) -> Field:
    """Which fields hold what: those that the options name must be there."""
    there = dict.fromkeys(str(name) for record in records for name in record)
    names = {
        "story": options.story,
        "question": options.question,
        "answer": options.answer,
        "kind": options.kind,
        "facts": options.facts,
    }
    usual = Field("story", "question", "answer", "kind", "facts")._asdict()
    needed = {"question", *(["answer"] if answered else [])}
    for what, name in names.items():
        asked = name != usual[what] and (answered or what == "story")
        if name not in there and (what in needed or asked):
            raise DataError(
                f"{source}: no object has the field {name!r}{known_names(name, there)}; write objects: {AN_OBJECT}"
            )
    return Field(**{what: name if name in there else "" for what, name in names.items()})


def _text(value: object) -> str:
    return "" if is_absent(value) else str(value).strip()


def _story(value: object, where: str) -> list[str]:
    """The sentences of a story."""
    if is_absent(value):
        return []
    if isinstance(value, str):
        return cut(value)
    if not isinstance(value, list | tuple | np.ndarray) or not all(isinstance(each, str) for each in value):
        raise DataError(f"{where}: the story is {str(value)!r:.60}; give a text, or a list of sentences")
    return [sentence.strip() for sentence in value if sentence.strip()]


def _question(record: Record, name: str, where: str) -> str:
    question = record.get(name)
    if is_absent(question) or not isinstance(question, str) or not question.strip():
        raise DataError(f"{where}: the question is {str(question)!r:.40}; write one, or delete the object")
    return question.strip()


def _answers(records: Sequence[Record], name: str, place: Callable[[int], str]) -> Iterator[str]:
    """The answers as texts: a number as it is written, a list with commas."""
    for row, record in enumerate(records):
        value = record.get(name)
        if isinstance(value, list | tuple) and all(isinstance(each, str | int) for each in value):
            value = ",".join(str(each).strip() for each in value)
        if isinstance(value, Mapping | list | tuple) or not _text(value):
            raise DataError(
                f"{place(row)}: the answer is {str(value)!r:.40}; write a text, a number or a list of texts, or delete "
                "the object"
            )
        yield {True: "yes", False: "no"}[value] if isinstance(value, bool) else _text(value)


def _facts(value: object, count: int, start: int, where: str) -> list[int]:
    """Numbers of sentences among all, of numbers from 1 within the story."""
    if is_absent(value):
        return []
    numbers = list(value) if isinstance(value, list | tuple | np.ndarray) else [value]
    whole = [n for n in numbers if isinstance(n, int | np.integer) and not isinstance(n, bool) and 1 <= n <= count]
    if len(whole) < len(numbers):
        raise DataError(
            f"{where}: the facts are {str(value)!r:.40}, but the story has the sentences 1 to {count}; give their "
            "numbers"
        )
    return [start + int(number) - 1 for number in whole]
