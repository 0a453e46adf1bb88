"""The commands as functions of the same names."""

from __future__ import annotations

from pathlib import Path

import pytest

import gatework
from gatework import cli
from gatework.errors import OptionError
from gatework.training.run import Run
from toy import Toy

TEXT = ["the cat sat on the mat, and the dog ate the hat; " * 30]
# They write files or print; `gatework.cells` is a module.
NO_FUNCTIONS = {"serve", "demo", "init", "cells", "bench", "profile"}


def test_every_command_is_a_function() -> None:
    assert [name for name in cli.COMMANDS if not callable(getattr(gatework, name, None))] == [
        name for name in cli.COMMANDS if name in NO_FUNCTIONS
    ]


def test_a_run_from_its_beginning_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not [each for each in gatework.check("generate", TEXT) if each.level == "error"]
    trained = gatework.train("generate", TEXT, epochs=1, hidden_size=4, keep_state=True, quiet=True)
    assert trained.run.path == Path("runs/generate") and (trained.run.path / "report.html").exists()
    assert gatework.evaluate(trained) == Run.open("runs/generate").results()["test"]
    assert gatework.evaluate("runs/generate", TEXT) == gatework.evaluate(trained, TEXT)
    assert [row["prompt"] for row in gatework.predict("runs/generate", ["the cat"])] == ["the cat"]
    longer = gatework.resume(trained, TEXT, epochs=2, quiet=True)
    assert len(longer.run.history()) == 2
    again = gatework.train("generate", TEXT, config="runs/generate", epochs=0, start=trained.run.path, quiet=True)
    assert again.run.options["hidden_size"] == 4 and again.run.path == Path("runs/generate-2")
    assert [each.state for each in gatework.runs()] == ["done", "done"]


def test_a_task_of_ones_own_and_bad_names(tmp_path: Path) -> None:
    rows = [0.5, -1.0, 2.0, 0.25, 1.5, -0.5, 1.0, 3.0]
    trained = gatework.train(Toy, rows, out=tmp_path / "toy", shift=0.4, quiet=True)
    assert trained.run.options["shift"] == 0.4
    with pytest.raises(OptionError, match="there is no option 'shif'"):
        gatework.train(Toy, rows, out=tmp_path / "other", shif=1, quiet=True)
    with pytest.raises(OptionError, match="there is no task 'clasify'"):
        gatework.check("clasify", rows)
