"""Bad input on the command line: one message, the right exit code, and never a traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gatework import tasks
from gatework.cli import app
from gatework.data.codecs import Words
from gatework.data.ngrams import character_grams
from gatework.data.sequences import read_sequences
from gatework.tasks import jobs


def invoke(*words: object, input: str | None = None) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words], input=input, env={"COLUMNS": "300"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "unforeseen" not in result.output and "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classifier of texts with n-grams of words and of characters."""
    folder = tmp_path_factory.mktemp("texts")
    rows = [{"text": f"{'good' if n % 2 else 'bad'} film {n}", "label": "ab"[n % 2]} for n in range(60)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    kind = tasks.get("classify")
    small = {"hidden_size": 4, "embedding_size": 4, "epochs": 1, "ngrams": "both", "subwords": 0}
    jobs.train(kind(kind.Options.of(small)), folder / "rows.jsonl", out=folder / "run", quiet=True)
    return folder / "run"


@pytest.mark.parametrize("text", ["", "\n\n", "?!", "a", "漢", "x" * 100_000])
def test_any_text_gets_an_answer(run: Path, text: str) -> None:
    result = invoke("predict", run, "--json", input=f"{text}\n")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) == 1 + text.count("\n") and {row["label"] for row in rows} <= {"a", "b"}


def test_texts_without_words_have_no_words() -> None:
    tokens, lengths = Words().split(["", "  "])
    assert len(tokens) == 0 and lengths.tolist() == [0, 0] and lengths.dtype == "int64"


def test_a_word_shorter_than_the_grams_has_none() -> None:
    assert character_grams(["a"], 5, 7).lengths.tolist() == [0]
    assert character_grams(["a", "long"], 3, 6).lengths.tolist() == [1, 4 + 3 + 2 + 1]


def test_an_unfinished_training_can_be_evaluated(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "results.json").unlink()
    result = invoke("evaluate", copy, run.parent / "rows.jsonl", "--page", tmp_path / "new" / "page.html")
    assert result.exit_code == 0, result.output
    assert "the training itself has not finished" in (tmp_path / "new" / "page.html").read_text()


def test_two_steps_at_the_same_time_are_told(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    path.write_text("id,time,x,label\n1,0,0.5,a\n1,1,0.6,a\n1,1,0.7,a\n2,0,0.1,b\n2,2,0.2,b\n")
    found = read_sequences(path, id="id", time="time", label="label")
    assert [note for note in found.notes if "1 row(s) have the id and the time of another" in note and "line 4" in note]
    path.write_text("id,time,x,label\n1,0,0.5,a\n1,1,0.6,a\n2,1,0.1,b\n2,2,0.2,b\n")
    found = read_sequences(path, id="id", time="time", label="label")
    assert not [note for note in found.notes if "of another" in note], "the next sequence may begin at the same time"


def test_a_text_of_a_million_characters_beside_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    rows = [f"{'x ' * 500_000 if n == 7 else '' if n == 4 else f'word {n}'},{'ab'[n % 2]}" for n in range(40)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    result = invoke("check", "classify", path)
    assert result.exit_code == 0, result.output
    assert "line 6, column 'text': the text is empty" in result.stdout
    assert "line 9, column 'text': the text has 1,000,000 characters" in result.stdout
    *found, last = result.stdout.splitlines()
    assert last == "2 warnings: a training can begin, but look at them first"
    assert [line.partition(":")[0] for line in found] == ["warning"] * 2 + ["note"] * (len(found) - 2)


def test_check_tells_bad_values_and_too_few_rows_at_once(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    path.write_text("id,t,x,label\n" + "".join(f"{n},0,{'inf' if n == 3 else n},{'ab'[n % 2]}\n" for n in range(6)))
    result = invoke("check", "classify", path, "--id", "id", "--time", "t")
    assert result.exit_code == 2
    assert "line 5 (id '3'), 'x': inf" in result.stdout and "rows are too few to hold out" in result.stdout
    *found, last = result.stdout.splitlines()
    assert last == "2 errors: correct the errors, then train"
    assert [line.partition(":")[0] for line in found][:3] == ["error", "error", "note"]


def test_repeats_that_leave_nothing_to_hold_out_are_named(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("text,label\n" + "good,a\nbad,b\n" * 20)
    result = invoke("train", "classify", path, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "40 rows of 2 distinct inputs, repeats kept together, are too few to hold out 10%" in result.stderr


def test_delimiters_are_one_character_or_tab(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("text\tlabel\n" + "".join(f"word {n}\t{'ab'[n % 2]}\n" for n in range(40)))
    for given in ("tab", "\\t", "\t"):
        assert invoke("check", "classify", path, "--delimiter", given).exit_code == 0
    result = invoke("check", "classify", path, "--delimiter", ";;")
    assert result.exit_code == 2 and "delimiter=';;': one character" in result.output


def test_answers_for_sequences_name_their_ids(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    rows = [f"{name},{t},{n + t},{'ab'[n % 2]}\n" for n, name in enumerate(f"s{n}" for n in range(24)) for t in (0, 1)]
    path.write_text("id,t,x,label\n" + "".join(reversed(rows)))
    given = ("--id", "id", "--time", "t", "--epochs", 1, "--hidden-size", 4, "--quiet")
    trained = invoke("train", "classify", path, "--out", tmp_path / "run", *given)
    assert trained.exit_code == 0, trained.output
    answers = [json.loads(line) for line in invoke("predict", tmp_path / "run", path, "--json").stdout.splitlines()]
    assert [row["id"] for row in answers] == [f"s{n}" for n in reversed(range(24))]
