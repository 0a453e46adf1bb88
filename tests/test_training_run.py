"""The run folder: it can be moved, it notices damage, and a full disk leaves what was there before."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from gatework.bench import machine
from gatework.errors import FileFormatError, OptionError, TrainingError
from gatework.training import files
from gatework.training.environment import commit
from gatework.training.files import read_tensors, write_bytes, write_tensors
from gatework.training.options import TrainingOptions
from gatework.training.run import Run
from gatework.training.trainer import Trainer
from learners import Line, fresh


def new_run(path: Path) -> Run:
    assets = {"labels.json": '["a", "b"]'}
    return Run.create(path, task="line", options=TrainingOptions().to_dict(), data={"sha256": "0"}, assets=assets)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = new_run(tmp_path / "run")
    Trainer(Line(), fresh(), TrainingOptions(epochs=2), run).fit()
    return run


@pytest.mark.paths
def test_a_run_says_which_code_it_is_from(run: Run) -> None:
    assert run.config["environment"]["commit"] == machine.describe()["commit"] == commit()
    commit.cache_clear()
    root = Path(__file__).parents[1]
    git = ["git", "-C", str(root), "rev-parse", "HEAD"]
    asked = subprocess.run(git, capture_output=True, text=True, check=False) if (root / ".git").exists() else None
    assert (commit() or "").rstrip("+") == (asked.stdout.strip() if asked else ""), "an installed package has none"


@pytest.mark.paths
@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mask", [0o077, 0o027, 0o022])
def test_who_may_read_a_run_is_the_users_choice(tmp_path: Path, mask: int) -> None:
    old = os.umask(mask)
    try:
        run = new_run(tmp_path / "run")
        Trainer(Line(), fresh(), TrainingOptions(epochs=1), run).fit()
    finally:
        os.umask(old)
    paths = [run.path, *run.path.rglob("*")]
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o666 & ~mask}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} == {0o777 & ~mask}


@pytest.mark.paths
def test_a_run_is_moved_and_opened(run: Run, tmp_path: Path) -> None:
    weights = run.weights("best")
    shutil.move(run.path, tmp_path / "elsewhere")
    moved = Run.open(tmp_path / "elsewhere", "line")
    assert moved.options == TrainingOptions().to_dict()
    assert moved.assets == {"labels.json": '["a", "b"]'}
    assert [row["epoch"] for row in moved.history()] == [1, 2]
    assert all(torch.equal(tensor, weights[name]) for name, tensor in moved.weights("best").items())
    assert "torch" in moved.config["environment"]["packages"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 2'))


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("config.json", cut, "damaged"),
        ("config.json", edit, "was changed"),
        ("config.json", remove, "is missing"),
        ("assets/labels.json", cut, r"labels.json \(3 bytes\) was changed or cut short"),
        ("assets/labels.json", remove, "incomplete"),
        ("best.safetensors", cut, "cut short"),
        ("best.safetensors", flip, "checksum"),
        ("training.safetensors", flip, "checksum"),
    ],
)
def test_damage_is_named(run: Run, name: str, damage: Any, message: str) -> None:
    damage(run.path / name)
    with pytest.raises(FileFormatError, match=message):
        opened = Run.open(run.path)
        opened.assets  # noqa: B018 (reads and verifies)
        opened.weights("best")
        opened.state()


def test_weights_of_another_run_are_refused(run: Run, tmp_path: Path) -> None:
    other = new_run(tmp_path / "other")
    other.config["data"]["sha256"] = "1"
    other.save_weights("best", run.weights("best"), {})
    shutil.copy(other.path / "best.safetensors", run.path)
    with pytest.raises(FileFormatError, match="belongs to another run"):
        run.weights("best")


def test_other_folders_tasks_and_versions_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is no run folder"):
        Run.open(tmp_path / "nothing")
    with pytest.raises(OptionError, match="a run of 'line', not of 'generate'"):
        Run.open(run.path, "generate")
    with pytest.raises(OptionError, match=r"already holds a run; .* or go on with it: gatework resume"):
        new_run(run.path)
    run.write_results({})
    run.drop_state()
    with pytest.raises(OptionError, match=r"choose another folder \(--out\), or replace it \(--overwrite\)$"):
        new_run(run.path)
    (run.path / "config.json").write_text(json.dumps({**run.config, "version": 99}))
    with pytest.raises(FileFormatError, match="update it"):
        Run.open(run.path)
    (run.path / "config.json").write_text(json.dumps({**run.config, "version": 1}))
    with pytest.raises(FileFormatError, match=r"by gatework 0\.1; gatework 0\.1 reads it: train anew"):
        Run.open(run.path)
    (run.path / "config.json").write_text("[]")
    with pytest.raises(FileFormatError, match="not the config"):
        Run.open(run.path)


def test_nothing_in_a_run_is_a_pickle(run: Run) -> None:
    written = [path for path in run.path.rglob("*") if path.is_file()]
    assert len(written) >= 7
    assert not [path for path in written if path.read_bytes()[:2] in (b"\x80\x04", b"\x80\x05", b"PK")]


def fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(files, "_write_through", full)


def test_a_full_disk_in_mid_training_keeps_the_earlier_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Filling(Line):
        def loss(self, *arguments: Any) -> Any:
            if self.steps == 10:
                fill_the_disk(monkeypatch)
            return super().loss(*arguments)

    run = new_run(tmp_path / "run")
    trainer = Trainer(Filling(), fresh(), TrainingOptions(epochs=3, save_every=0.0), run)
    with pytest.raises(TrainingError, match=r"disk is full: .*training.safetensors needs .* earlier file is intact"):
        trainer.fit()
    tensors, progress = run.state()
    assert progress["step"] == 10
    assert tensors["model.linear.weight"].shape == (3, 4)
    assert not list(run.path.glob("*.part")) + list(run.path.glob(".*.part"))


def test_a_file_is_written_wholly_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_bytes(path, b"old")
    fill_the_disk(monkeypatch)
    with pytest.raises(TrainingError, match="Free some space and run the command again"):
        write_bytes(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_training_still_has_weights(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    Trainer(Line(), fresh(), TrainingOptions(epochs=2), run).fit()
    best = run.weights("best")
    (run.path / "best.safetensors").unlink()
    assert torch.equal(run.weights("best")["linear.weight"], best["linear.weight"])


def test_tied_tensors_and_every_dtype_survive(tmp_path: Path) -> None:
    tied = torch.randn(3, 2)
    tensors = {"a": tied, "b": tied, "c": torch.tensor(3), "d": torch.zeros(0, 2), "e": torch.ones(2).bfloat16()}
    write_tensors(tmp_path / "t.safetensors", tensors, {"x": 0.1})
    read, about = read_tensors(tmp_path / "t.safetensors")
    assert about == {"x": 0.1}
    assert all(torch.equal(read[name], tensor) and read[name].dtype == tensor.dtype for name, tensor in tensors.items())
