"""Folders with odd names: the package under test is this checkout's, make works, and what commands say can be typed."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import gatework
from children import child
from gatework import tasks
from gatework.report import page
from gatework.training.run import Run
from sources import PACKAGE, ROOT

pytestmark = [pytest.mark.paths, pytest.mark.skipif(os.name != "posix", reason="shells and make are POSIX's")]

# Stands in for Python: notes what it is asked, and answers `-m venv` with a copy of itself.
PYTHON = """#!/bin/sh
echo "$@" >> asked
[ "$2" != venv ] || { mkdir -p .venv/bin && cp "$0" .venv/bin/python; }
"""
ROWS = "text,label\n" + "".join(f"{word} {k},{word}\n" for k in range(12) for word in ("good", "bad"))


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "l'été & co" / "gatework"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def made(odd: Path, *words: str) -> list[str]:
    """What make asks of Python, line by line; the name of Python holds a space."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, odd)
    python = odd / "my python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    subprocess.run(["make", *words, f"PYTHON={python}"], check=True, env=environment, capture_output=True)
    return (odd / "asked").read_text().splitlines()


def typed(line: str) -> str:
    """What a command prints when it is typed at a shell, with the package under test."""
    words = "-c", "import sys; from gatework.cli import main; sys.argv = sys.argv[1:]; main()", *shlex.split(line)
    with child(*words, OMP_NUM_THREADS="1", NO_COLOR="1") as process:
        printed, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    return printed


def test_the_package_under_test_is_of_this_checkout(odd: Path) -> None:
    assert Path(gatework.__file__).parent == PACKAGE
    with child("-c", "import gatework; print(gatework.__file__)") as process:
        assert Path(process.communicate(timeout=60)[0].strip()).parent == PACKAGE


def test_make_sets_itself_up(odd: Path) -> None:
    """Where the name of the folder, and that of Python, hold spaces and quotes."""
    venv, torch, pip, tests = made(odd, "test", "JOBS=3", "TORCH_INDEX=there")
    assert venv == "-m venv .venv"
    assert torch.endswith("--index-url there torch")
    assert pip.startswith("-m pip install -e .[train,keras,dev]")
    assert tests.startswith("-m pytest -n 3 ")


def test_make_demo_installs_what_the_demo_needs(odd: Path) -> None:
    _, pip = made(odd, ".venv/.demo", "TORCH_INDEX=")
    assert pip.endswith("--no-compile -e .[demo]")


def test_what_the_commands_say_can_be_typed(odd: Path) -> None:
    (odd / "my rows.csv").write_text(ROWS)
    typed("gatework train classify 'my rows.csv' --out 'my run' --epochs 1 --quiet")
    run = Run.open(odd / "my run")
    line = next(line for line in page.use(run, tasks.get(run.task)).commands if "predict" in line)
    shutil.copy("my rows.csv", shlex.split(line)[3])
    assert typed(line).startswith("label,confidence")
