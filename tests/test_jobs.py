"""What `jobs.train` promises around a training: data that changed is seen, and the process stays as it was."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from gatework.errors import OptionError
from gatework.tasks import jobs
from gatework.tasks.origin import fingerprint
from toy import Toy, ToyOptions

ROWS, OTHERS = [0.5, -1.0, 2.0, 0.25, 1.5, -0.5, 1.0, 3.0], [1.0, 2.0]


def trained(out: Path, epochs: int = 1, **how: Any) -> jobs.Trained:
    return jobs.train(Toy(ToyOptions(epochs=epochs)), ROWS, out=out, quiet=True, **how)


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
