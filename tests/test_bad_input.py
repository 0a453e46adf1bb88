"""Bad input on the command line: one message, the right exit code, and never a traceback."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gatework import tasks
from gatework.cli import app
from gatework.commands.train import again
from gatework.data.ngrams import character_grams
from gatework.data.sequences import read_sequences
from gatework.data.tokenizers import Words
from gatework.tasks import jobs


def invoke(*words: object, input: str | None = None) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words], input=input, env={"COLUMNS": "300"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "unforeseen" not in result.output and "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
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
    result = invoke("evaluate", copy, run.parent / "rows.jsonl", "--report", tmp_path / "new" / "page.html")
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


def test_the_command_to_go_on_can_be_pasted() -> None:
    words = shlex.split(again("generate", Path("a b.txt"), Path("it's"), None, Path("$x.txt")))
    expected = ["gatework", "train", "generate", "a b.txt", "--out", "it's", "--test", "$x.txt", "--resume"]
    assert words == expected
