"""What watches a training: bar, plain lines, curves, TensorBoard, and who gets which."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatework.data.media.listing import read
from gatework.data.media.store import Store
from gatework.tasks import estimator, jobs
from gatework.tasks.generate import Generate, GenerateOptions
from gatework.training import console
from gatework.training.callbacks import Callback
from gatework.training.loggers import TensorBoard
from gatework.training.options import TrainingOptions
from gatework.training.run import Run
from gatework.training.trainer import Trainer
from learners import Line, fresh


def train(callback: Callback, learner: Line | None = None) -> Trainer:
    options = TrainingOptions(epochs=2, learning_rate=0.05)
    trainer = Trainer(learner or Line(), fresh(), options, callbacks=[callback])
    trainer.fit()
    return trainer


LINE = r"epoch 2/2  train loss \d+\.\d+  valid loss \d+\.\d+  \d+ s  best"


@pytest.mark.parametrize("watcher", [console.Lines, console.Bar])
def test_a_line_per_validation_and_the_guard_speaks_up(
    watcher: type[Callback], capsys: pytest.CaptureFixture[str]
) -> None:
    train(watcher(), Line(poison=(4,)))
    told = capsys.readouterr()
    assert told.out == ""
    text = " ".join(told.err.split())  # a terminal wraps long lines
    assert re.search(" ".join(LINE.split()), text)
    assert text.count("warning: at step 4 of epoch 1") == 1
    assert "stopped: all 2 epochs done" in text


@pytest.mark.parametrize("watcher", [console.Lines, console.Bar, console.Curves])
def test_what_was_noted_of_the_data_comes_before_the_first_epoch(
    watcher: type[Callback], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "IPython.display", Kernel())
    data = {"notes": ["text is column 'review'", "[bold] is no markup"]}
    run = Run.create(tmp_path / "run", task="none", options={}, data=data, assets={})
    Trainer(Line(), fresh(), TrainingOptions(epochs=1), run, callbacks=[watcher()]).fit()
    told = capsys.readouterr().err
    assert told.splitlines()[:2] == [f"note: {note}" for note in data["notes"]] and told.count("note: ") == 2


def test_long_epochs_say_something(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(console, "LINE_EVERY", 0.0)
    train(console.Lines())
    assert re.search(r"epoch 2  batch 3/6  loss \d", capsys.readouterr().err)


def test_the_terminal_decides_who_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    assert console.watcher(quiet=True) == []
    for terminal, kind in ((True, console.Bar), (False, console.Lines)):
        monkeypatch.setattr(sys.stderr, "isatty", lambda answer=terminal: answer)
        assert [type(each) for each in console.watcher(quiet=False)] == [kind]


class Kernel:
    """Stands in for the shell and the display of a notebook."""

    version_info = (9, 0)  # matplotlib asks

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def get_ipython(self) -> Any:
        return type("ZMQInteractiveShell", (), {})()

    def SVG(self, text: str) -> str:
        return text

    def display(self, picture: str, display_id: bool) -> Any:
        self.drawn.append(picture)
        return self

    def update(self, picture: str) -> None:
        self.drawn.append(picture)


def test_a_notebook_gets_no_notes_in_red(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What comes by stderr is red there."""
    monkeypatch.setitem(sys.modules, "IPython", Kernel())
    console.Curves().say("note: one")
    with console.waiting("reading the data"):
        pass
    assert capsys.readouterr() == ("note: one\nreading the data ...\n", "")


def test_files_that_are_read_for_long_are_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listing = read([np.full(9, n, np.float32) for n in range(4)], kind="sound")
    clock = iter(range(0, 100, 3))
    monkeypatch.setattr(console.time, "perf_counter", lambda: float(next(clock)))
    with console.waiting("reading the data"):
        Store.of(listing, lambda item, tell: item)
    Store.of(listing, lambda item, tell: item)  # nobody waits
    with console.waiting("reading the data", quiet=True):
        Store.of(listing, lambda item, tell: item)
    said = [line.removeprefix("reading the data ...") for line in capsys.readouterr().err.splitlines()]
    assert said == ["", " 2 of 4 files", " 4 of 4 files"]


def test_an_estimator_is_silent_but_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    from gatework.tasks import TextGenerator

    asked: list[bool] = []
    monkeypatch.setattr(jobs, "train", lambda *_, quiet, **others: asked.append(quiet) or trained)
    trained = types.SimpleNamespace(run=types.SimpleNamespace())
    for kernel, quiet in ((False, None), (True, None), (True, True), (False, False)):
        monkeypatch.setattr(estimator, "in_notebook", lambda kernel=kernel: kernel)
        TextGenerator(quiet=quiet)._fit(["text"])
    assert asked == [True, False, True, False]


def test_a_notebook_gets_curves_that_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel()
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setitem(sys.modules, "IPython.display", kernel)
    (watcher,) = console.watcher(quiet=False)
    assert isinstance(watcher, console.Curves)
    train(watcher)
    assert len(kernel.drawn) == 2
    assert all(picture.startswith("<svg") for picture in kernel.drawn)
    assert kernel.drawn[0] != kernel.drawn[1]


def test_curves_show_losses_and_the_watched_metric() -> None:
    history = [{"epoch": 1.0, "train_loss": 2.0, "valid_loss": 2.1, "valid_accuracy": 0.5}]
    assert console.curves_svg(history, "accuracy").count('id="axes_') == 2
    assert console.curves_svg(history, "loss").count('id="axes_') == 1
    mixed = [{**history[0], "valid_network_loss": 1.9}]
    lines = [console.curves_svg(rows, "loss").count("line2d_") for rows in (history, mixed)]
    assert lines[0] < lines[1]


def test_tensorboard_holds_the_scalars(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = Run.create(tmp_path / "run", task="none", options={}, data={}, assets={})
    trainer = train(TensorBoard(run))
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    written = [round(event.value, 5) for event in events.Scalars("epoch/valid_loss")]
    assert written == [round(row["valid_loss"], 5) for row in trainer.progress.history]
    assert [event.step for event in events.Scalars("step/loss")] == [10]


def test_the_rate_is_found_and_recorded(tmp_path: Path) -> None:
    options = GenerateOptions(find_rate=True, hidden_size=8, sequence_length=8, batch_size=4, epochs=1, sample_length=3)
    text = "the cat sat on the mat, the dog sat on the cat. " * 20
    trained = jobs.train(Generate(options), [text], out=tmp_path / "run", quiet=True)
    assert trained.run.options["find_rate"] is True  # so that the same options take it up again
    assert 1e-5 < trained.run.options["learning_rate"] <= 1
    assert trained.run.options["learning_rate"] != options.learning_rate
