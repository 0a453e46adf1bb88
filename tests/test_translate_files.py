"""Commands and verbs on data in two files, a side in each: named by flags, kept in the run, found again."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gatework.cli import app
from gatework.errors import OptionError
from gatework.report import evaluation
from gatework.tasks import get, jobs, origin
from gatework.tasks.jobs import load

WORDS = {"ein": "a", "mann": "man", "hund": "dog", "haus": "house", "und": "and", "geht": "walks", "alt": "old"}
SMALL = "--hidden-size 8 --encoder-size 4 --embedding-size 4 --epochs 1 --threads 1 -q"


def write(folder: Path) -> None:
    """train, val and test, each as two files of lines and as a table."""
    draw, seen = random.Random(1), set[str]()
    for part, count in (("train", 60), ("val", 10), ("test", 10)):
        drawn = (" ".join(draw.choices(list(WORDS), k=draw.randint(2, 5))) for _ in range(1_000))
        sources = [text for text in dict.fromkeys(drawn) if text not in seen][:count]  # no part has a text of another
        seen.update(sources)
        targets = [" ".join(WORDS[word] for word in source.split()) for source in sources]
        (folder / f"{part}.de").write_text("\n".join(sources) + "\n")
        (folder / f"{part}.en").write_text("\n".join(targets) + "\n")
        rows = zip(sources, targets, strict=True)
        (folder / f"{part}.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in rows))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(line: str, code: int = 0, input: str | None = None) -> Result:
    result = CliRunner().invoke(app, line.split(), input=input, env={"COLUMNS": "300"})
    assert result.exit_code == code, (line, result.exit_code, result.output)
    return result


def train(line: str) -> dict:
    """What the config of a small run says of its data."""
    invoke(f"train translate {line} {SMALL}")
    return json.loads(Path("runs/train/config.json").read_text())["data"]


@pytest.mark.parametrize(
    "line",
    [
        "train.de --target train.en --valid val.de --valid-target val.en --test test.de --test-target test.en",
        "--source train.de --target train.en --valid-source val.de --valid-target val.en --test test.tsv",
    ],
)
def test_a_run_knows_its_files(folder: Path, line: str) -> None:
    kept = train(line)
    assert kept["source"] == ["train.de", "train.en"] and kept["valid_source"] == ["val.de", "val.en"]
    assert kept["pairs"] == {"train": 60, "valid": 10, "test": 10}
    run = load("runs/train").run
    assert origin.training_file(run) == (Path("train.de"), Path("train.en"))
    assert origin.other_files(run)[0] == (Path("val.de"), Path("val.en"))
    assert "train.de + train.en" in Path("runs/train/report.html").read_text()
    told = invoke("evaluate runs/train --source train.de --target train.en --json").stderr
    assert "learned from this very data" in told and "learned" not in invoke("evaluate runs/train test.tsv").stderr
    assert "validation part" not in invoke("diagnose runs/train").output
    Path("val.en").write_text("other\n" * 10)
    with pytest.raises(OptionError, match=r"val.de \+ val.en.*changed since"):
        origin.other_files(run)
    Path("train.en").unlink()
    with pytest.raises(OptionError, match=r"train.de \+ train.en.*not at hand"):
        origin.training_file(run)


def test_two_files_are_measured_as_the_table_of_them(folder: Path) -> None:
    train("train.tsv")
    by_files = invoke("evaluate runs/train test.de --target test.en --json").stdout
    assert by_files == invoke("evaluate runs/train test.tsv --json").stdout
    assert invoke("evaluate runs/train test.de --target test.en").stdout.splitlines()[1].startswith("test.de + test.en")
    _, page = evaluation(load("runs/train"), ("test.de", "test.en"))
    assert page == Path("runs/train/evaluation-test.html")


def test_lines_are_answered_line_by_line(folder: Path) -> None:
    train("train.tsv")
    by_file = invoke("predict runs/train test.de").stdout
    assert by_file == invoke("predict runs/train --source test.de").stdout
    assert "add --score" in invoke("predict runs/train test.de --target test.en", code=2).output
    scored = invoke("predict runs/train test.de --target test.en --score").stdout
    assert scored == invoke("predict runs/train test.tsv --score").stdout and len(scored.splitlines()) == 10
    lines = Path("test.de").read_text()
    assert (
        by_file
        == invoke("predict runs/train -", input=lines).stdout
        == invoke("predict runs/train", input=lines).stdout
    )


def test_a_training_goes_on_only_with_the_same_two_files(folder: Path) -> None:
    line = "--source train.de --target train.en"
    train(f"{line} --keep-state")
    resumed = f"train translate {line} {SMALL} --epochs 2 --resume"
    invoke(resumed)
    Path("train.en").write_text(Path("train.en").read_text().replace("dog", "cat"))
    assert "data changed" in invoke(resumed, code=2).output


def test_data_are_checked_and_validated_in_two_files(folder: Path) -> None:
    told = invoke("check translate train.de --target train.en").output
    assert "train.de and train.en: 60 pairs" in told
    Path("short.en").write_text("a\n" * 59)
    told = invoke("check translate --source train.de --target short.en", code=2).output
    assert "train.de has 60 lines, but short.en has 59" in told
    told = invoke(f"validate translate train.de --target train.en --folds 2 --json {SMALL.removesuffix(' -q')}").stdout
    assert len(json.loads(told)["folds"]) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train translate", "name the data: FILE, or --source"),
        ("check translate --target train.en", "train.en holds translations; name the file of the texts"),
        ("train translate train.de --source test.de --target train.en", "train.de and test.de: both name the texts"),
        ("train translate train.tsv --valid-target val.en", "val.en holds translations; name the file of the texts"),
        ("train translate train.de", "train.de is one text a line"),
        ("train classify", "Missing argument"),
        ("tune classify", "name the data: FILE"),
    ],
)
def test_data_that_are_not_named_rightly(folder: Path, line: str, message: str) -> None:
    assert message in invoke(line, code=2).output


def test_files_in_memory_are_rows() -> None:
    assert origin.files_of(("a text", "another")) == () == origin.files_of([Path("x")])
    assert origin.named(("a text", "another")) == origin.MEMORY


def test_other_tasks_take_no_such_files(folder: Path) -> None:
    task = get("classify")
    assert task.source(Path("a.csv"), task.Files()) == Path("a.csv")
    rows = [{"text": word, "label": str(len(word) % 2)} for word in list(WORDS) * 6]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = {"epochs": 1, "hidden_size": 4, "ngrams": "none"}
    jobs.train(task(task.Options.of(options)), "rows.jsonl", out="runs/other", quiet=True)
    told = invoke("evaluate runs/other rows.jsonl --target x.en", code=2).output
    assert "--target works for runs of 'translate'; runs/other holds a run of 'classify'" in told
