"""Sources -> stories with questions, by their form; and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gatework.data.files import must_exist, plain, read_text
from gatework.data.finding import Finding
from gatework.data.readers import read_objects
from gatework.errors import DataError
from gatework.tasks.answer.babi import is_babi, kind_of, read_babi, read_folder
from gatework.tasks.answer.options import Reading
from gatework.tasks.answer.records import AN_OBJECT, read_records
from gatework.tasks.answer.stories import Stories
from gatework.tasks.base import Source

LONG = 200  # words of a sentence that is hardly one
TOLD = 3  # faults of one sort that are told one by one


def read(source: Source, options: Reading, *, answered: bool = True) -> Stories:
    """Stories and questions of any source.

    Example: `read([{"story": ["Mary went home."], "question": "Where is Mary?", "answer": "home"}], options)`.

    Args:
        source: a folder of bAbI's files, a file of that form or of JSON lines (each also as .gz), a list of objects,
            a frame, or lines of text in one of these forms.
        options: how it is read.
        answered: whether there must be answers.

    Raises: DataError that names file, line and what to do.
    """
    if isinstance(source, Stories):
        found = source
    elif isinstance(source, str | Path):
        found = _of_path(Path(source), options, answered)
    else:
        found = _of_memory(source, options, answered)
    if answered and found.answers is None:
        raise DataError(f"{found.source} has questions without answers; write one behind each question, after a tab")
    _must_be_whole(found)
    return found


def _of_path(path: Path, options: Reading, answered: bool) -> Stories:
    must_exist(path)
    if path.is_dir():
        return read_folder(path, options.encoding)
    return _of_text(read_text(path, options.encoding), str(path), options, answered, kind_of(path))


def _of_text(text: str, source: str, options: Reading, answered: bool, kind: str | None = None) -> Stories:
    text = plain(text)
    if options.format == "babi" or (options.format is None and is_babi(text)):
        return read_babi(text, source, kind)
    if options.format is None and not text.lstrip().startswith(("{", "[")):
        first = next(line for line in text.split("\n") if line.strip())
        raise DataError(
            f"{source} begins with {first!r:.60}: neither a line of a story, as in '1 Mary went home.', nor an object, "
            f"as in {AN_OBJECT}"
        )
    records, lines = read_objects(text, source)
    return read_records(records, source, lambda row: f"{source}, line {lines[row]}", options, answered)


def _of_memory(source: Source, options: Reading, answered: bool) -> Stories:
    """Stories of objects, of a frame or of lines of text."""
    if hasattr(source, "to_dicts"):
        source = source.to_dicts()
    elif hasattr(source, "iloc") and hasattr(source, "columns"):
        source = source.to_dict("records")
    elif isinstance(source, Mapping):
        source = [dict(zip(source, values, strict=True)) for values in zip(*source.values(), strict=True)]
    rows = list(source) if isinstance(source, Sequence | np.ndarray) and not isinstance(source, bytes) else []
    if rows and all(isinstance(row, str) for row in rows):
        return _of_text("\n".join(rows), "the given lines", options, answered)
    if rows and all(isinstance(row, Mapping) for row in rows):
        place = "the given questions"
        found = read_records(rows, place, lambda row: f"question {row + 1}", options, answered)
        return replace(found, form="rows")
    given = type(source).__name__ + ("" if rows or not hasattr(source, "__len__") else " without questions")
    raise DataError(f"cannot read stories from {given}: give a path, or a list of objects such as {AN_OBJECT}")


def _must_be_whole(read: Stories) -> None:
    """Refuses half a character, which lines of JSON can hold and no file of text."""
    asked = zip(read.questions, read.answers or read.questions, read.kinds or read.questions, strict=True)
    told = np.concatenate([[0], np.cumsum([_is_half(sentence) for sentence in read.sentences])])
    for row, texts in enumerate(asked):
        if any(map(_is_half, texts)) or told[read.past[row]] > told[read.first[row]]:
            raise DataError(f"{read.where(row)}: holds half a character; write it anew")


def _is_half(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)


# -- faults -------------------------------------------------------------------------------------------------


def check(read: Stories, learned: bool = True) -> list[Finding]:
    """What is wrong with stories that are to be learned from, or but measured on."""
    if read.answers is None:
        return [Finding("error", f"{read.source} has no answers; write one for each question")]
    found = _contradictions(read) + _long(read) + _without_story(read)
    if learned and len(set(read.answers)) == 1:
        text = f"{read.source}: every answer is {read.answers[0]!r:.40}; there is nothing to tell apart"
        found.append(Finding("error", f"{text}: add questions with other answers"))
    elif learned and len(read) >= 20 and len(set(read.answers)) > 0.9 * len(read):
        text = f"{read.source}: {len(set(read.answers)):,} different answers of {len(read):,} questions"
        found.append(Finding("warning", f"{text}: what is asked but once can hardly be learned; are these answers?"))
    return found


def listed(rows: Sequence[int], read: Stories, what: str) -> list[Finding]:
    """A warning of each of the first rows of a fault, and of how many more there are."""
    found = [Finding("warning", f"{read.where(row)}: {what}") for row in rows[:TOLD]]
    if len(rows) > TOLD:
        found.append(Finding("warning", f"{read.source}: {len(rows) - TOLD:,} further questions: {what}"))
    return found


def _contradictions(read: Stories) -> list[Finding]:
    """One story and question with different answers."""
    assert read.answers is not None
    seen: dict[tuple[int, str], int] = {}
    said = read.answers
    first = [seen.setdefault(asked, row) for row, asked in enumerate(zip(read.told(), read.questions, strict=True))]
    odd = [row for row, other in enumerate(first) if said[row] != said[other]]
    found = [
        Finding(
            "warning",
            f"{read.where(row)}: the answer is {said[row]!r:.40}, but at {read.where(first[row])}, to the same story "
            f"and question, {said[first[row]]!r:.40}; delete the wrong one",
        )
        for row in odd[:TOLD]
    ]
    if len(odd) > TOLD:
        found.append(Finding("warning", f"{read.source}: {len(odd) - TOLD:,} further questions have two answers"))
    return found


def _long(read: Stories) -> list[Finding]:
    """Stories with a sentence so long that it is hardly one."""
    sizes = np.array([text.count(" ") for text in read.sentences], np.int64)
    long = np.concatenate([[0], np.cumsum(sizes >= LONG)])
    _, begins = np.unique(read.first, return_index=True)
    rows = [row for row in begins.tolist() if long[read.past[row]] > long[read.first[row]]]
    return listed(rows, read, f"the story has a sentence of more than {LONG} words; give its sentences one by one")


def _without_story(read: Stories) -> list[Finding]:
    rows = np.flatnonzero(read.lengths == 0).tolist()
    if len(rows) == len(read):
        return [Finding("error", f"{read.source}: no question has a story; give each object a story, see {AN_OBJECT}")]
    return listed(rows, read, "nothing is told before the question; it is answered by the question alone")
