"""What `jobs.train` promises around a training: data that changed is seen, and the process stays as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from children import child
from gatework.errors import OptionError, TrainingError
from gatework.tasks import jobs
from gatework.tasks.origin import fingerprint
from gatework.training.callbacks import Callback
from gatework.training.locks import TRAINING
from gatework.training.run import Run
from toy import Toy, ToyOptions

ROWS, OTHERS = [0.5, -1.0, 2.0, 0.25, 1.5, -0.5, 1.0, 3.0], [1.0, 2.0]


def trained(out: Path, epochs: int = 1, **how: Any) -> jobs.Trained:
    return jobs.train(Toy(ToyOptions(epochs=epochs, keep_state=True)), ROWS, out=out, quiet=True, **how)


def test_a_run_goes_on_with_the_same_parts_alone(tmp_path: Path) -> None:
    out = tmp_path / "run"
    trained(out, test=OTHERS)
    assert len(trained(out, 2, test=OTHERS, resume=True).run.history()) == 2
    for parts in ({"valid": OTHERS}, {"test": OTHERS, "valid": OTHERS}, {"test": OTHERS[::-1]}, {}):
        with pytest.raises(OptionError, match="the data changed"):
            trained(out, 3, **parts, resume=True)


def test_a_file_that_moves_within_a_folder_is_other_data(tmp_path: Path) -> None:
    for place in ("neg/a.txt", "pos/b.txt", "pos/c.txt"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(f"review {place[-5]}")
    before = fingerprint(tmp_path)
    moved = (tmp_path / "pos/b.txt").rename(tmp_path / "neg/b.txt")
    assert fingerprint(tmp_path) != before
    moved.rename(tmp_path / "pos/b.txt")
    assert fingerprint(tmp_path) == before
    assert fingerprint(tmp_path / "neg/a.txt") != fingerprint(tmp_path / "pos/b.txt")


@pytest.mark.parametrize("rows", [ROWS, ["no number"]])
def test_a_training_leaves_the_process_as_it_was(tmp_path: Path, rows: list, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(Toy, "build", lambda self: seen.append(torch.get_num_threads()) or torch.nn.Linear(1, 1, False))
    threads, generator = torch.get_num_threads(), torch.get_rng_state()
    task = Toy(ToyOptions(epochs=1, threads=threads + 1))
    with nullcontext() if rows is ROWS else pytest.raises(ValueError, match="no number"):
        jobs.train(task, rows, out=tmp_path / "run", quiet=True)
    assert seen == [threads + 1] * (rows is ROWS)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), generator)


def test_options_that_began_a_range_test_take_the_training_up(tmp_path: Path) -> None:
    options = ToyOptions(epochs=2, find_rate=True, keep_state=True)

    class Stop(Callback):
        def stepped(self, trainer: Any) -> None:
            trainer.stop("interrupted")

    out, rows = tmp_path / "run", ROWS * 8
    assert jobs.train(Toy(options), rows, out=out, quiet=True, callbacks=[Stop()]).interrupted
    begun = Run.open(out).options
    assert begun["find_rate"] and begun["learning_rate"] != options.learning_rate
    assert not jobs.train(Toy(options), rows, out=out, quiet=True, resume=True).interrupted
    assert Run.open(out).options == begun
    again = jobs.train(Toy(ToyOptions.of(begun)), rows, out=out, quiet=True, resume=True)  # as the command line does
    assert again.task.options.learning_rate == begun["learning_rate"]
    with pytest.raises(OptionError, match="find_rate=True, not False"):
        jobs.train(Toy(replace(again.task.options, find_rate=False)), rows, out=out, quiet=True, resume=True)


TRAINS = """
import sys, time; from pathlib import Path; from gatework.training.locks import alone
with alone(Path(sys.argv[1])): print("there", flush=True); time.sleep(100)
"""


@contextmanager
def other_training(out: Path) -> Iterator[Any]:
    """Another process that trains in the folder for as long as the block lasts, or until it is killed."""
    with child("-c", TRAINS, str(out)) as process:
        assert process.stdout is not None and process.stdout.readline() == "there\n"
        yield process


def test_one_process_at_a_time_trains_in_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "new" / "run"
    with other_training(out) as process:
        with pytest.raises(OptionError, match=r"another process trains in .*run; wait"):
            trained(out)
        process.kill()  # lets go of the lock, and leaves the file
        process.wait()
        assert (out / TRAINING).exists()
        trained(out)
    assert not (out / TRAINING).exists()
    with other_training(out), pytest.raises(OptionError, match="another process trains"):
        trained(out, 2, resume=True)
    assert len(trained(out, 3, resume=True).run.history()) == 3


def test_a_training_that_never_began_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no number"):
        jobs.train(Toy(ToyOptions()), ["no number"], out=tmp_path / "new" / "run", quiet=True)
    assert not (tmp_path / "new").exists()
    with pytest.raises(TrainingError, match="broken"):
        jobs.train(Toy(ToyOptions(kind_of="fail")), ROWS, out=tmp_path / "run", quiet=True)
    assert sorted(os.listdir(tmp_path / "run"))[:1] == ["assets"]
