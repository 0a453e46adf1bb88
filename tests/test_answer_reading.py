"""What the job `answer` reads: bAbI's files and folders, objects, and what is refused or told by line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gatework.errors import DataError, OptionError
from gatework.runtime.answers.stories import cut
from gatework.tasks.answer import Answer, AnswerOptions, reading
from gatework.tasks.answer.options import AnswerPredicting

OPTIONS = AnswerOptions()
STORY = "1 Mary went home.\n2 Bo left.\n3 Where is Mary?\thome\t1\n4 Mary ran.\n5 Who ran? \tMary\t4\n"
OTHER = "1 Ada sat.\n2 Who sat?\tAda\t1\n"
ROW: dict[str, Any] = {"story": ["Mary went home."], "question": "Where is Mary?", "answer": "home"}


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def failure(folder: Path, name: str, text: str | bytes, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        reading.read(written(folder, name, text), AnswerOptions(**options))
    return str(caught.value)


# -- bAbI ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_story_is_what_was_told_before_the_question(tmp_path: Path, ends: str, mark: str) -> None:
    path = written(tmp_path, "qa1_one_train.txt", mark + (STORY + OTHER).replace("\n", ends))
    read = reading.read(path, OPTIONS)
    assert [read.story(row) for row in range(3)] == [
        ["Mary went home.", "Bo left."], ["Mary went home.", "Bo left.", "Mary ran."], ["Ada sat."]
    ]  # fmt: skip
    assert read.questions == ["Where is Mary?", "Who ran?", "Who sat?"]
    assert read.answers == ["home", "Mary", "Ada"]
    assert read.facts is not None
    assert [[read.sentences[k] for k in read.facts[row]] for row in range(3)] == [
        ["Mary went home."], ["Mary ran."], ["Ada sat."]
    ]  # fmt: skip
    assert [read.where(row) for row in range(3)] == [f"{path}, line {line}" for line in (3, 5, 7)]
    assert set(read.kinds or []) == {"qa1_one"}


def test_taken_questions_keep_their_stories(tmp_path: Path) -> None:
    read = reading.read(written(tmp_path, "a.txt", STORY + OTHER), OPTIONS)
    some = read.take(np.array([2, 1]))
    assert [some.story(row) for row in range(2)] == [read.story(2), read.story(1)]
    assert (some.questions, some.answers) == (["Who sat?", "Who ran?"], ["Ada", "Mary"])
    assert some.where(0) == read.where(2)
    assert len(set(read.wholes())) == 2
    assert read.wholes()[0] == read.wholes()[1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 A b.\nno number\n", "line 2: 'no number' does not begin with a number"),
        ("1 A b.\n3 Who?\tA\n", "line 2: the line has the number 3 behind 1"),
        ("1 A b.\n2 Who?\tA\t7\n", "line 2: the supporting line '7' is no sentence"),
        ("1 A b.\n2 Who?\tA\tx\n", "the supporting line 'x'"),
        ("1 A b.\n2 Who?\tA\n3 Where?\n", "line 3: the question 'Where?' has no answer"),
        ("1 A b.\n2 Who?\n", "questions without answers"),
        ("1 A b.\n2 C d.\n", "has no question"),
        ("just a line\n", "begins with 'just a line'"),
        ("", "is empty"),
        (b"1 A b.\n2 Who?\tA\xc3", "the file ends within a character"),
    ],
)
def test_faulty_lines_are_named(tmp_path: Path, text: str | bytes, told: str) -> None:
    assert told in failure(tmp_path, "a.txt", text)


def test_questions_without_answers_are_read_to_be_answered(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", "1 A b.\n2 Who?\n3 Where?\t\n")
    assert reading.read(path, OPTIONS, answered=False).questions == ["Who?", "Where?"]
    lines = ["1 A b.", "2 Who?"]
    assert reading.read(lines, OPTIONS, answered=False).story(0) == ["A b."]


# -- folders ------------------------------------------------------------------------------------------------


def test_a_folder_names_kinds_and_parts(tmp_path: Path) -> None:
    for name in ("qa10_b", "qa2_a"):
        for part in ("train", "test"):
            written(tmp_path, f"{name}_{part}.txt", STORY if part == "train" else OTHER)
    written(tmp_path, "LICENSE.txt", "Do what you like.")
    read = reading.read(tmp_path, OPTIONS)
    assert list(dict.fromkeys(read.kinds or [])) == ["qa2_a", "qa10_b"]
    assert list(dict.fromkeys(read.parts or [])) == ["test", "train"]
    assert len(read) == 6
    assert read.where(5) == f"{tmp_path / 'qa10_b_train.txt'}, line 5"
    assert read.story(5) == ["Mary went home.", "Bo left.", "Mary ran."]
    assert read.facts is not None
    assert read.sentences[read.facts[5][0]] == "Mary ran."
    assert any("LICENSE.txt" in note for note in read.notes)


def test_a_folder_of_packed_files_is_read_like_the_files(tmp_path: Path) -> None:
    for part, text in (("train", STORY), ("test", OTHER)):
        (tmp_path / f"qa1_a_{part}.txt.gz").write_bytes(gzip.compress(text.encode()))
    read = reading.read(tmp_path, OPTIONS)
    assert set(read.kinds or []) == {"qa1_a"} and set(read.parts or []) == {"train", "test"}


def test_questions_alone_need_no_field_of_kinds() -> None:
    rows = [{"story": ["Mary went home."], "question": "Where is Mary?"}]
    assert len(reading.read(rows, AnswerOptions(kind="sort"), answered=False)) == 1
    with pytest.raises(DataError, match="no object has the field 'sort'"):
        reading.read([{**rows[0], "answer": "home"}], AnswerOptions(kind="sort"))


def test_a_folder_without_stories(tmp_path: Path) -> None:
    written(tmp_path, "notes.txt", "hello")
    with pytest.raises(DataError, match=r"has no file of stories.*notes.txt"):
        reading.read(tmp_path, OPTIONS)


def test_parts_of_a_folder_are_the_parts_of_the_training(tmp_path: Path) -> None:
    stories = [f"1 {who} went {where}.\n2 Where is {who}?\t{where}\t1\n" for who in "ABCDE" for where in ("up", "down")]
    written(tmp_path, "qa1_train.txt", "".join(stories))
    written(tmp_path, "qa1_test.txt", "1 Ada went up.\n2 Where is Ada?\tup\t1\n")
    task = Answer(AnswerOptions())
    parts = task.prepare(tmp_path)
    assert parts.test is not None
    assert (len(parts.train) + len(parts.valid), len(parts.test)) == (10, 1)
    assert task.examples(tmp_path).stories.questions == parts.test.stories.questions


# -- objects ------------------------------------------------------------------------------------------------


def test_objects_hold_lists_or_texts(tmp_path: Path) -> None:
    rows = [
        {**ROW, "kind": "place", "facts": [1]},
        {"story": "Bo left. \"Why?\" Ada stayed.\nTom too.", "question": "Who stayed?", "answer": ["Ada", "Tom"]},
        {"question": "How many?", "answer": 2},
        {"story": None, "question": "Is it?", "answer": True},
    ]  # fmt: skip
    path = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)) + "\n")
    for source in (path, rows):
        read = reading.read(source, OPTIONS)
        assert read.answers == ["home", "Ada,Tom", "2", "yes"]
        assert read.story(1) == ["Bo left.", '"Why?"', "Ada stayed.", "Tom too."]
        assert read.story(2) == read.story(3) == []
        assert read.kinds == ["place", "", "", ""]
        assert read.facts is not None
        assert read.facts.lengths.tolist() == [1, 0, 0, 0]
    assert reading.read(path, OPTIONS).where(1) == f"{path}, line 2"


def test_frames_and_columns() -> None:
    frame = pl.DataFrame([{**ROW, "story": "Mary went home."}] * 2)
    columns = {name: frame[name].to_list() for name in frame.columns}
    for source in (frame, frame.to_pandas(), columns):
        read = reading.read(source, OPTIONS)
        assert [read.story(row) for row in range(2)] == [["Mary went home."]] * 2


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"question": "", "answer": "a"}, "the question is ''"),
        ({"question": None, "answer": "a"}, "the question is 'None'"),
        ({"question": "Who?", "answer": ""}, "the answer is ''"),
        ({"question": "Who?", "answer": {"a": 1}}, "the answer is"),
        ({"question": "Who?", "answer": "a", "story": 7}, "the story is '7'"),
        ({"question": "Who?", "answer": "a", "story": [1]}, "the story is '[1]'"),
        ({"question": "Who?", "answer": "a", "story": ["A."], "facts": [2]}, "the facts are '[2]'"),
        ({"question": "Who?", "answer": "a", "story": ["A."], "facts": [True]}, "the facts are"),
        ({"question": "Who?", "answer": "\ud800", "story": ["A."]}, "half a character"),
        ({"question": "Who?", "answer": "a", "story": ["\ud800"]}, "half a character"),
    ],
)
def test_faulty_objects_are_named(row: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError) as caught:
        reading.read([ROW, row], OPTIONS)
    assert told in str(caught.value)
    assert "question 2" in str(caught.value)


def test_fields_by_other_names() -> None:
    rows = [{"context": "A b.", "q": "Who?", "reply": "A"}]
    named = AnswerOptions(story="context", question="q", answer="reply")
    assert reading.read(rows, named).answers == ["A"]
    with pytest.raises(DataError, match="no object has the field 'question'"):
        reading.read(rows, OPTIONS)
    with pytest.raises(DataError, match="no object has the field 'contxt'; did you mean 'context'"):
        reading.read(rows, AnswerOptions(story="contxt", question="q", answer="reply"))


@pytest.mark.parametrize("source", [[], 3, [3], [["a"]], np.zeros(3)])
def test_what_is_no_source(source: Any) -> None:
    with pytest.raises(DataError, match=r"cannot read stories from"):
        reading.read(source, OPTIONS)


def test_a_text_is_cut_at_ends_of_sentences() -> None:
    assert cut('He said "No." Then he left!  Where is he?') == ['He said "No."', "Then he left!", "Where is he?"]
    assert cut("one\n\ntwo. three") == ["one", "two.", "three"]


# -- faults -------------------------------------------------------------------------------------------------


def told(rows: list[dict[str, Any]]) -> list[str]:
    return [f"{each.level}: {each.message}" for each in reading.check(reading.read(rows, OPTIONS))]


def test_what_deserves_a_look_is_told() -> None:
    other = {**ROW, "answer": "away"}
    (contradiction,) = told([ROW, other])
    assert contradiction.startswith("warning: question 2: the answer is 'away', but at question 1")
    assert len(told([ROW, *[other] * 9])) == 4  # three, and how many more
    assert any("more than 200 words" in text for text in told([ROW, {**other, "story": ["a " * 300]}]))
    assert any("nothing is told" in text for text in told([ROW, {**other, "story": []}]))
    assert told([{**ROW, "question": f"{k}?"} for k in range(3)]) == [
        "error: the given questions: every answer is 'home'; there is nothing to tell apart: add questions with other "
        "answers"
    ]
    (few,) = told([{**ROW, "question": f"{k}?", "answer": str(k)} for k in range(30)])
    assert "30 different answers of 30 questions" in few
    assert "no question has a story" in told([{"question": "a?", "answer": "b"}, {"question": "c?", "answer": "d"}])[0]


def test_words_and_questions_of_other_parts_are_compared() -> None:
    rows = [{**ROW, "story": [f"Mary went {k}."], "answer": "here" if k % 2 else "there"} for k in range(40)]
    task = Answer(AnswerOptions())
    task.prepare(rows, test=[{**rows[0], "answer": "somewhere"}, rows[1]])
    messages = [each.message for each in task.found]
    assert any(
        "1 of 2 answers of the test part hold words that no answer of the training has" in text for text in messages
    )
    assert any("of 2 questions of the test part are learned too" in text for text in messages)
    found = Answer(AnswerOptions()).check(rows)
    assert not [each for each in found if each.level == "error"]
    assert any("would split into" in each.message for each in found)


def test_options_that_do_not_fit() -> None:
    with pytest.raises(OptionError, match="leave nothing to learn from"):
        AnswerOptions(valid_share=0.5, test_share=0.5)
    with pytest.raises(OptionError, match=r"n_best=3 answers need a beam as wide; add beam=3"):
        AnswerPredicting(n_best=3)
