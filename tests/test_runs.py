"""Runs as people keep them: folders that get numbers, trainings that go on, weights that others start from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from gatework import cli, tasks
from gatework.errors import OptionError
from gatework.tasks import jobs
from gatework.training.callbacks import Callback
from gatework.training.run import Run
from gatework.training.trainer import INTERRUPTED
from small import CASES, Small
from toy import Toy, ToyOptions

ROWS = [0.5, -1.0, 2.0, 0.25, 1.5, -0.5, 1.0, 3.0]
QUICK = ("--epochs", "1", "--hidden-size", "4", "--quiet")


class Stop(Callback):
    """Ctrl-C after the first step."""

    def stepped(self, trainer: Any) -> None:
        trainer.stop(INTERRUPTED)


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A book, in the folder in which we work."""
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text("the cat sat on the mat, and the dog ate the hat; " * 30)
    return Path("book.txt")


# -- folders ------------------------------------------------------------------------------------------------


def test_a_run_without_a_name_gets_a_folder_with_a_number(book: Path) -> None:
    for name in ("book", "book-2"):
        done = invoke("train", "generate", book, *QUICK)
        assert done.exit_code == 0, done.output
        assert f"run: runs/{name}\n" in done.stdout
    assert sorted(os.listdir("runs")) == ["book", "book-2"]
    told = invoke("train", "generate", book, *QUICK[:-1])
    assert "run: runs/book-3\n" in told.stderr, "told at the start, too"


def test_overwrite_replaces_a_run_and_nothing_else(book: Path) -> None:
    invoke("train", "generate", book, *QUICK)
    Path("runs/book/notes.txt").write_text("mine")
    before = Run.open("runs/book").config["checksum"]
    refused = invoke("train", "generate", book, "--out", "runs/book", *QUICK)
    assert refused.exit_code == 2 and "--overwrite" in refused.stderr
    bad = invoke("train", "generate", book, "--overwrite", "--sequence-length", "5000", *QUICK)
    assert bad.exit_code == 2 and Run.open("runs/book").config["checksum"] == before, "refused before anything is lost"
    done = invoke("train", "generate", book, "--overwrite", "--layers", "2", *QUICK)
    assert done.exit_code == 0, done.output
    assert os.listdir("runs") == ["book"] and Run.open("runs/book").options["layers"] == 2
    assert Path("runs/book/notes.txt").read_text() == "mine"
    both = invoke("train", "generate", book, "--overwrite", "--resume", *QUICK)
    assert both.exit_code == 2 and "leave one of them out" in both.stderr


def test_overwrite_refuses_files_that_are_not_of_a_run(book: Path) -> None:
    Path("assets").mkdir()
    Path("assets/logo.svg").write_text("<svg/>")
    Path("config.json").write_text('{"mine": 1}')
    done = invoke("train", "generate", book, *QUICK, "--out", ".", "--overwrite")
    assert done.exit_code and "config.json" in done.stderr
    assert Path("assets/logo.svg").exists() and Path("config.json").read_text() == '{"mine": 1}'


def test_a_training_that_goes_on_has_no_results_until_it_ends(book: Path) -> None:
    kind = tasks.get("generate")
    short, longer = ({"epochs": epochs, "hidden_size": 4, "keep_state": True} for epochs in (1, 2))
    jobs.train(kind(kind.Options.of(short)), str(book), out="run", quiet=True)
    assert Run.open("run").finished
    stopped = jobs.train(
        kind(kind.Options.of(longer)), str(book), out="run", resume=True, quiet=True, callbacks=[Stop()]
    )
    assert stopped.interrupted and not Run.open("run").finished


def test_overwrite_follows_no_link(tmp_path: Path) -> None:
    outside, out = tmp_path / "outside", tmp_path / "run"
    jobs.train(Toy(ToyOptions()), ROWS, out=out, quiet=True)
    outside.mkdir()
    (outside / "x").write_text("kept")
    (out / "plots").symlink_to(outside)
    jobs.train(Toy(ToyOptions()), ROWS, out=out, overwrite=True, quiet=True)
    assert (outside / "x").exists() and not (out / "plots").exists()


# -- going on -----------------------------------------------------------------------------------------------


def test_a_training_that_is_done_drops_its_state(tmp_path: Path) -> None:
    jobs.train(Toy(ToyOptions()), ROWS, out=tmp_path / "run", quiet=True)
    assert not {"training.safetensors", "last.safetensors"} & set(os.listdir(tmp_path / "run"))
    with pytest.raises(OptionError, match=r"its state was not kept.*--from .*run.*--keep-state"):
        jobs.train(Toy(ToyOptions(epochs=3)), ROWS, out=tmp_path / "run", resume=True, quiet=True)
    jobs.train(Toy(ToyOptions(keep_state=True)), ROWS, out=tmp_path / "kept", quiet=True)
    longer = jobs.train(Toy(ToyOptions(epochs=3)), ROWS, out=tmp_path / "kept", resume=True, quiet=True)
    assert len(longer.run.history()) == 3 and not longer.run.has_state(), "which is what it was told last"


@pytest.mark.parametrize("apart", [False, True])
def test_resume_needs_the_run_alone(book: Path, apart: bool) -> None:
    Path("other.txt").write_text(book.read_text()[7:])
    kind = tasks.get("generate")
    options = {"epochs": 2, "hidden_size": 4, "dropout": 0.2, "threads": 1}
    others = {"test": "other.txt"} if apart else {}
    whole = jobs.train(kind(kind.Options.of(options)), str(book), out="whole", quiet=True, **others)
    jobs.train(kind(kind.Options.of(options)), str(book), out="parts", quiet=True, callbacks=[Stop()], **others)
    resumed = jobs.resume("parts", quiet=True)
    assert resumed.run.finished
    assert all(torch.equal(each, whole.model.state_dict()[n]) for n, each in resumed.model.state_dict().items())


def test_the_command_resume(book: Path) -> None:
    kind = tasks.get("generate")
    task = kind(kind.Options.of({"epochs": 2, "hidden_size": 4}))
    jobs.train(task, str(book), out="runs/book", quiet=True, callbacks=[Stop()])
    Path("data").mkdir()
    book.rename("data/book.txt")
    assert "is not at hand; name a file" in invoke("resume", "runs/book").stderr
    done = invoke("resume", "runs/book", "data/book.txt", "--epochs", "3", "--keep-state", "--quiet")
    assert done.exit_code == 0 and "run: runs/book\n" in done.stdout, done.output
    assert len(Run.open("runs/book").history()) == 3
    more = invoke("resume", "runs/book", "data/book.txt", "--epochs", "4", "--no-keep-state", "--quiet")
    assert more.exit_code == 0 and len(Run.open("runs/book").history()) == 4
    refused = invoke("resume", "runs/book", "data/book.txt", "--epochs", "5")
    assert refused.exit_code == 2 and "--keep-state" in refused.stderr
    assert invoke("resume", "runs/none").exit_code == 2


def test_resume_without_a_name_takes_the_newest_run_of_the_file(book: Path) -> None:
    kind = tasks.get("generate")
    for name in ("book", "book-2", "book-10"):
        task = kind(kind.Options.of({"epochs": 1, "hidden_size": 4}))
        jobs.train(task, str(book), out=f"runs/{name}", quiet=True, callbacks=[Stop()])
    done = invoke("train", "generate", book, "--resume", "--quiet")
    assert done.exit_code == 0 and "run: runs/book-10\n" in done.stdout, done.output


def test_resume_reads_no_pipe_for_ever(book: Path) -> None:
    kind = tasks.get("generate")
    jobs.train(
        kind(kind.Options.of({"epochs": 2, "hidden_size": 4})), str(book), out="run", quiet=True, callbacks=[Stop()]
    )
    book.unlink()
    os.mkfifo(book)
    with pytest.raises(OptionError, match="not at hand"):
        jobs.resume("run", quiet=True)


# -- starting from another run ------------------------------------------------------------------------------


def test_rows_of_known_units_are_taken_over(tmp_path: Path) -> None:
    kind = tasks.get("generate")
    options = {"epochs": 1, "hidden_size": 4, "learning_rate": 0.0, "keep": "last"}

    def run(text: str, name: str, **more: Any) -> jobs.Trained:
        task = kind(kind.Options.of(options | {"seed": len(name)}))
        return jobs.train(task, [text * 40], out=tmp_path / name, quiet=True, **more)

    first = run("abc dcba ", "a")
    second = run("xcb yab ", "second", start=tmp_path / "a")
    there, here = (dict(each.model.named_parameters()) for each in (first, second))
    known, own = (each.task.tokens.vocabulary for each in (first, second))
    for name in ("decoder.embedding.weight", "decoder.head.output.weight", "decoder.head.output.bias"):
        for place, unit in enumerate(own):
            same = unit in known and torch.equal(here[name][place], there[name][known.index(unit)])
            assert same or unit in "xy", (name, unit)
    assert all(torch.equal(each, there[name]) for name, each in here.items() if "encoder" in name)
    (note,) = [each for each in second.run.config["data"]["notes"] if each.startswith("started from")]
    assert f"6 of {len(own)} places of decoder.embedding.weight" in note


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    kind = tasks.get("generate")

    def run(name: str, hidden: int, **more: Any) -> jobs.Trained:
        task = kind(kind.Options.of({"epochs": 0, "hidden_size": hidden, "embedding_size": 3}))
        return jobs.train(task, ["abc dcba " * 40], out=tmp_path / name, quiet=True, **more)

    run("a", 4)
    (note,) = run("b", 5, start=tmp_path / "a").run.config["data"]["notes"]
    assert "not taken: " in note and "4 there" not in note.partition("not taken")[0]
    jobs.train(Toy(ToyOptions()), ROWS, out=tmp_path / "toy", quiet=True)
    with pytest.raises(OptionError, match="is a run of 'toy', not of 'generate'"):
        run("c", 4, start=tmp_path / "toy")
    with pytest.raises(OptionError, match="goes on from its own weights"):
        run("b", 5, start=tmp_path / "a", resume=True)


@pytest.mark.parametrize("case", [CASES[0], CASES[2], CASES[3], CASES[6]], ids=str)
def test_every_weight_of_the_same_job_fits(case: Small, tmp_path: Path) -> None:
    """Also where labels and words stand in another order: the names in `axes` are those of the model."""
    first = jobs.train(case.task(epochs=0), case.source(), out=tmp_path / "a", quiet=True)
    again = jobs.train(case.task(epochs=0, seed=2), case.source(), out=tmp_path / "b", start=tmp_path / "a", quiet=True)
    (note,) = [each for each in again.run.config["data"]["notes"] if each.startswith("started from")]
    names = {name for name, each in first.model.named_parameters() if each.requires_grad}
    assert bool(set(first.task.axes()) & names) == (case.name != "forecast")
    assert "not taken" not in note, note
