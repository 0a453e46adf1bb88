"""A training that was killed, interrupted, or spread over processes gives the same bits as one that was not."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from children import child
from gatework.training.files import read_tensors

NUMBERS = ("one", "two", "three", "four")
BOOK = " ".join(f"{number} and {letter}, said the fox;" for number in NUMBERS for letter in "abcdefghij")

# All that must survive: an optimiser with moments, averages, dropout, a schedule, and states carried in mid-epoch.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from gatework.tasks import jobs
from gatework.tasks.generate import Generate, GenerateOptions
from gatework.training.callbacks import Callback

out, resume, at, how, batch = sys.argv[1], sys.argv[2] == "resume", int(sys.argv[3]), sys.argv[4], int(sys.argv[5])

class Killer(Callback):
    def stepped(self, trainer):
        if trainer.step == at and not resume:
            os.kill(os.getpid(), getattr(signal, how))

options = GenerateOptions(
    hidden_size=8, sequence_length=8, batch_size=batch, epochs=3, dropout=0.2, weight_drop=0.2, average="ema",
    save_every=0.0, keep_state=True, test_share=0.1, valid_share=0.1, sample_length=5, threads=1,
)
trained = jobs.train(Generate(options), [Path(sys.argv[6]).read_text()], out=out, resume=resume, quiet=True,
                     callbacks=[Killer()])
print(trained.stopped)
"""


LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")


def start(
    out: Path, book: Path, resume: bool, at: int, how: str, launcher: tuple[str, ...] = (), program: str = PROGRAM
) -> subprocess.CompletedProcess[str]:
    path = out.parent / "program.py"
    path.write_text(program)
    words = [*launcher, str(path), str(out), "resume" if resume else "new", str(at), how, "4", str(book)]
    with child(*words, OMP_NUM_THREADS="1") as process:
        stdout, stderr = process.communicate(timeout=120)
    return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text(BOOK)
    return path


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, book: Path) -> Path:
    out = tmp_path_factory.mktemp("straight") / "run"
    done = start(out, book, False, -1, "SIGKILL")
    assert done.returncode == 0, done.stderr
    return out


def same(one: Path, other: Path) -> None:
    """All tensors of the final state, the random generator's included, and all numbers but those of the clock."""
    (tensors, about), (others, about_other) = (read_tensors(run / "training.safetensors") for run in (one, other))
    assert tensors.keys() == others.keys()
    assert {name.partition(".")[0] for name in tensors} >= {"model", "best", "good", "average", "optimizer", "local"}
    assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []
    progress, progress_other = about["progress"], about_other["progress"]
    for numbers in (progress, progress_other):
        numbers.pop("seconds")
        for row in numbers["history"]:
            row.pop("seconds")
    assert progress == progress_other
    assert len(progress["history"]) == 3


@pytest.mark.parametrize(("at", "code"), [(7, -signal.SIGKILL)])
def test_kill_9_in_mid_epoch_and_resume_give_the_same_bits(
    tmp_path: Path, book: Path, straight: Path, at: int, code: int
) -> None:
    out = tmp_path / "run"
    assert start(out, book, False, at, "SIGKILL").returncode == code
    tensors, about = read_tensors(out / "training.safetensors")
    assert about["progress"]["index"] > 0
    assert any(name.startswith("local.carry.") for name in tensors)
    done = start(out, book, True, -1, "SIGKILL")
    assert done.returncode == 0, done.stderr
    same(out, straight)


def test_ctrl_c_saves_and_resume_goes_on(tmp_path: Path, book: Path, straight: Path) -> None:
    out = tmp_path / "run"
    done = start(out, book, False, 11, "SIGINT")
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
    assert "Traceback" not in done.stderr
    assert not (out / "results.json").exists()
    assert start(out, book, True, -1, "SIGINT").returncode == 0
    same(out, straight)


def test_two_processes_train_as_one_and_resume(tmp_path: Path, book: Path) -> None:
    """Without dropout the gradients are those of the whole batch, up to the order of their sum."""
    program = PROGRAM.replace("dropout=0.2, weight_drop=0.2", "dropout=0.0")
    assert start(tmp_path / "one", book, False, -1, "SIGINT", program=program).returncode == 0
    assert start(tmp_path / "two", book, False, 7, "SIGINT", LAUNCHER, program).stdout == "interrupted\n" * 2
    done = start(tmp_path / "two", book, True, -1, "SIGINT", LAUNCHER, program)
    assert done.returncode == 0, done.stderr
    one, two = (read_tensors(tmp_path / name / "best.safetensors")[0] for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-5)


def test_ctrl_c_on_the_command_line(tmp_path: Path, book: Path) -> None:
    out = tmp_path / "run"
    words = ["train", "generate", str(book), "--out", str(out), "--epochs=100000", "--patience=0", "--hidden-size=4"]
    with child("-c", "from gatework.cli import main; main()", *words) as process:
        while not (out / "metrics.csv").exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert f"Go on with: gatework resume {out}" in stderr
    assert "epoch 1/100000  network: train loss" in stderr
    assert "Traceback" not in stderr
    assert (out / "training.safetensors").exists()
