"""Stories in the form of bAbI's files: numbered sentences, among them questions with a tab before the answer.

    1 Mary moved to the bathroom.
    2 Where is Mary? <tab> bathroom <tab> 1

The numbers begin anew with each story. Behind a second tab stand the numbers of the lines that hold the answer (Weston
et al. 2016, section 3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gatework.data.files import plain, read_text
from gatework.data.ragged import Ragged
from gatework.errors import DataError
from gatework.tasks.answer.stories import Stories

LINE = re.compile(r"(\d+)\s+(\S.*)")
PART = re.compile(r"^(?P<kind>.+?)[_-](?P<part>train|valid|dev|test)$", re.IGNORECASE)
NAMES = {"dev": "valid"}  # other words for the parts
SUFFIXES = (".txt", ".babi")


class Asked(NamedTuple):
    """A question: its sentences, what is asked, its answer (None: it has none), numbers of the supporting sentences,
    counted over all, and its line."""

    first: int
    past: int
    question: str
    answer: str | None
    facts: list[int]
    line: int


def is_babi(text: str) -> bool:
    """Whether the first line that is not empty is one of a story: 1, a space, and a sentence."""
    first = next((line for line in text[:10_000].splitlines() if line.strip()), "")
    found = LINE.fullmatch(first.strip())
    return found is not None and found[1] == "1"


def read_babi(text: str, source: str, kind: str | None = None) -> Stories:
    """The questions of a file's text.

    Raises: DataError, by line, for a line without a number, a number that does not go on, a supporting line that the
    story lacks.
    """
    sentences: list[str] = []
    asked = list(_asked(text.split("\n"), source, sentences))
    if not asked:
        raise DataError(f"{source} has no question: a line such as '3 Where is Mary?<tab>kitchen<tab>1'")
    return Stories(
        sentences=sentences,
        first=np.array([each.first for each in asked], np.int64),
        past=np.array([each.past for each in asked], np.int64),
        questions=[each.question for each in asked],
        answers=_answers(asked, source),
        kinds=None if kind is None else [kind] * len(asked),
        facts=Ragged.of([each.facts for each in asked], np.int64) if any(each.facts for each in asked) else None,
        where=lambda row: f"{source}, line {asked[row].line}",
        form="babi",
        source=source,
    )


def _asked(lines: Sequence[str], source: str, sentences: list[str]) -> Iterator[Asked]:
    """The questions of numbered lines; what is told goes to `sentences`."""
    first, last = 0, 0
    numbers: dict[int, int] = {}  # of a line of the story -> of its sentence
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        number, text = _numbered(line, f"{source}, line {place}", last)
        if number == 1:
            first, numbers = len(sentences), {}
        last = number
        if "\t" in text or text.rstrip().endswith("?"):
            question, answer, facts = _parts(text)
            found = _found(facts, numbers, f"{source}, line {place}")
            yield Asked(first, len(sentences), question, answer, found, place)
        else:
            numbers[number] = len(sentences)
            sentences.append(text.strip())


def _numbered(line: str, where: str, last: int) -> tuple[int, str]:
    found = LINE.fullmatch(line.strip())
    if found is None:
        raise DataError(f"{where}: {line.strip()!r:.60} does not begin with a number and a space, as in '1 Mary left.'")
    number = int(found[1])
    if number not in (1, last + 1):
        raise DataError(
            f"{where}: the line has the number {number} behind {last}; lines of a story are numbered in order, and the "
            "next story begins with 1"
        )
    return number, found[2]


def _parts(text: str) -> tuple[str, str | None, list[str]]:
    """Question, answer, and the numbers of supporting lines, as a question's line has them."""
    question, *rest = (part.strip() for part in text.split("\t"))
    return question, (rest[0] or None) if rest else None, rest[1].split() if len(rest) > 1 else []


def _found(facts: Sequence[str], numbers: dict[int, int], where: str) -> list[int]:
    """The sentences that lines of the story are."""
    odd = next((fact for fact in facts if not fact.isdecimal() or int(fact) not in numbers), None)
    if odd is not None:
        raise DataError(
            f"{where}: the supporting line {odd!r} is no sentence of the story before the question; correct the "
            "number, or leave the numbers out"
        )
    return [numbers[int(fact)] for fact in facts]


def _answers(asked: Sequence[Asked], source: str) -> list[str] | None:
    """All answers; None where there are none at all."""
    lacking = [each for each in asked if each.answer is None]
    if len(lacking) == len(asked):
        return None
    if lacking:
        raise DataError(
            f"{source}, line {lacking[0].line}: the question {lacking[0].question!r:.60} has no answer; write one "
            f"behind a tab, or delete the line ({len(lacking):,} of {len(asked):,} questions have none)"
        )
    return [each.answer or "" for each in asked]


# -- folders ------------------------------------------------------------------------------------------------


def read_folder(path: Path, encoding: str | None) -> Stories:
    """The questions of all files of a folder: their kinds are the files' names, without "_train" and "_test"."""
    files = sorted(
        (each for each in path.iterdir() if unpacked(each).suffix in SUFFIXES and each.is_file()), key=_in_order
    )
    texts = {each: plain(read_text(each, encoding)) for each in files}
    there = [each for each, text in texts.items() if is_babi(text)]
    if not there:
        raise DataError(
            f"{path} has no file of stories ({', '.join(SUFFIXES)}; lines such as '1 Mary moved to the bathroom.'); "
            f"there are: {', '.join(sorted(each.name for each in path.iterdir())[:5]) or 'no files'}"
        )
    read = [read_babi(texts[each], str(each), kind_of(each)) for each in there]
    parts = [part_of(each) for each in there]
    left = [each.name for each in files if each not in there]
    notes = (f"{path}: {', '.join(left)} hold no stories, and are not read",) if left else ()
    return joined(read, parts, str(path), notes)


def _in_order(path: Path) -> list[tuple[int, str]]:
    """Names with numbers in the order of the numbers: qa2 before qa10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def unpacked(path: Path) -> Path:
    """The name without .gz."""
    return path.with_suffix("") if path.suffix == ".gz" else path


def kind_of(path: Path) -> str:
    """The kind of the questions of a file, by its name: qa1_single of qa1_single_train.txt."""
    name = unpacked(path).stem
    found = PART.match(name)
    return name if found is None else found["kind"]


def part_of(path: Path) -> str | None:
    """Which part a file's name says that it is: "train", "valid" or "test"."""
    found = PART.match(unpacked(path).stem)
    return None if found is None else NAMES.get(found["part"].lower(), found["part"].lower())


def joined(read: Sequence[Stories], parts: Sequence[str | None], source: str, notes: tuple[str, ...] = ()) -> Stories:
    """The stories of several files as one source; `parts` are named where each file names one."""
    sizes = [len(each) for each in read]
    told = np.concatenate([[0], np.cumsum([len(each.sentences) for each in read])])
    begins = np.concatenate([[0], np.cumsum(sizes)])

    def where(row: int) -> str:
        file = int(np.searchsorted(begins, row, "right")) - 1
        return read[file].where(row - int(begins[file]))

    answered = [each.answers is not None for each in read]
    if any(answered) and not all(answered):
        lacking = read[answered.index(False)]
        raise DataError(f"{lacking.source} has no answers, other files of {source} have; add them, or move it away")
    facts = [each.facts or Ragged.from_lengths(np.zeros(0, np.int64), [0] * len(each)) for each in read]
    moved = [Ragged(each.values + start, each.offsets) for each, start in zip(facts, told, strict=False)]
    if any(parts) and None in parts:
        raise DataError(
            f"{read[list(parts).index(None)].source} names no part, other files of {source} do; call it ..._train, "
            "..._valid or ..._test, or move it away"
        )
    whole = len(set(parts)) > 1
    return Stories(
        sentences=[sentence for each in read for sentence in each.sentences],
        first=np.concatenate([each.first + start for each, start in zip(read, told, strict=False)]),
        past=np.concatenate([each.past + start for each, start in zip(read, told, strict=False)]),
        questions=[question for each in read for question in each.questions],
        answers=[answer for each in read for answer in each.answers or []] if all(answered) else None,
        kinds=[kind for each in read for kind in each.kinds or [""] * len(each)],
        facts=Ragged.joined(moved) if any(each.facts is not None for each in read) else None,
        parts=[str(part) for part, size in zip(parts, sizes, strict=True) for _ in range(size)] if whole else None,
        where=where,
        form="babi",
        source=source,
        notes=notes,
    )
