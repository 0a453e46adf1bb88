"""Tasks and cells of other packages: dropped in as a folder with an entry point, they work in every verb.

The example task `examples/total` is copied into a temporary package. Each test runs Python anew, as entry points are
read when a process starts.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sources import PACKAGE, ROOT

EXAMPLE = ROOT / "examples" / "total"
MOST = 200  # lines that a small task takes, blank ones not counted
CELL = '''
from gatework.compiler.lang import cell, tanh

@cell
def halving(x, h, W):
    """Half of the state stays."""
    return 0.5 * h + 0.5 * tanh(W.n(h, x))
'''
ADD = '''
import typer

def register(app):
    @app.command()
    def add(numbers: list[float]):
        """Add numbers up, exactly."""
        typer.echo(sum(numbers))
'''


def install(site: Path, name: str, points: dict[str, dict[str, str]]) -> None:
    """A distribution of that name on the path, with entry points by group."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n" + "\n".join(f"{key} = {value}" for key, value in own.items()) for group, own in points.items()
    ]
    (info / "entry_points.txt").write_text("\n\n".join(lines))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages: one with the example task, a command and a cell."""
    site = tmp_path_factory.mktemp("site")
    package = site / "arithmetic"
    shutil.copytree(EXAMPLE, package / "total", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").write_text("")
    (package / "cells.py").write_text(CELL)
    (package / "total" / "commands.py").write_text(ADD)
    points = {"gatework.tasks": {"total": "arithmetic.total"}, "gatework.cells": {"any": "arithmetic.cells"}}
    install(site, "arithmetic", points)
    return site


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data: rows of six numbers and their sums."""
    work = tmp_path_factory.mktemp("work")
    rows = np.random.default_rng(1).uniform(-1, 1, (120, 6)).round(2)
    (work / "rows.txt").write_text("\n".join(f"{' '.join(map(str, row))} = {row.sum():.2f}" for row in rows))
    return work


def python(code: str, *sites: Path, cwd: Path | None = None, fails: bool = False) -> tuple[str, str]:
    """What a fresh Python prints and complains of, with these folders on its path."""
    path = os.pathsep.join(map(str, [*sites, PACKAGE.parent]))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg"}
    run = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True)
    assert (run.returncode != 0) == fails, run.stdout + run.stderr
    return run.stdout, run.stderr


VERBS = """
from typer.testing import CliRunner
from gatework.cli import app

def call(line, code=0):
    result = CliRunner().invoke(app, line.split())
    assert result.exit_code == code, (line, result.exit_code, result.output)
    print("##", line)
    print(result.output)

"""


def told(output: str) -> dict[str, str]:
    """Command line -> what it printed."""
    return dict(part.split("\n", 1) for part in output.split("## ")[1:])


def test_a_task_dropped_in_works_in_every_verb(site: Path, work: Path) -> None:
    lines = [
        "check total rows.txt",
        "train total rows.txt --epochs 40 --learning-rate 0.02 --out run -q",
        "evaluate run rows.txt --json",
        "predict run rows.txt --places 2",
        "explain run rows.txt --line 2 --page why.html",
        "diagnose run",
        "validate total rows.txt --folds 2 --epochs 1",
        "tune total --show-space",
        "tune total rows.txt --trials 2 --seeds 2 --epochs 1 --out tuned -q",
        "train total --help-all",
        "predict --help",
        "explain --help",
        "--help",
        "add 1 2.5",
    ]
    code = VERBS + "".join(f"call({line!r})\n" for line in lines) + "call('predict run rows.txt --horizon 3', 2)\n"
    found = told(python(code, site, cwd=work)[0])
    assert "nothing stands in the way" in found[lines[0]]
    assert json.loads((work / "run" / "config.json").read_text())["task"] == "total"
    assert json.loads(found[lines[2]].strip().splitlines()[-1])["error"] < 0.4, "the network learned to add"
    assert re.match(r"sum\n(-?\d(\.\d{1,2})?\n){120}", found[lines[3]])
    assert "why.html" in found[lines[4]] and "line 2" in (work / "why.html").read_text()
    assert "diagnose.html" in found[lines[5]]
    assert "mean" in found[lines[6]]
    assert found[lines[7]].strip() == (EXAMPLE / "space.toml").read_text().strip()
    assert "tune.html" in found[lines[8]] and (work / "tuned" / "best" / "report.html").exists()
    assert "First rows" in (work / "run" / "report.html").read_text(), "the task's own part of the page"
    assert "--held-out" in found[lines[9]] and "Rows of numbers -> their sums" in found[lines[9]]
    assert (
        "--places" in found[lines[10]]
        and "(total)" in found[lines[10]]
        and "Answers of total: sum." in found[lines[10]]
    )
    assert "--line" in found[lines[11]]
    assert "Add numbers up, exactly." in found[lines[12]]
    assert found[lines[13]].strip() == "3.5"
    assert (
        "--horizon works for runs of 'forecast'; run holds a run of 'total'"
        in found["predict run rows.txt --horizon 3"]
    )


def test_its_estimator_is_found(site: Path, work: Path) -> None:
    code = """
import inspect, gatework
from gatework import Totaler
from sklearn.base import clone
rows = open("rows.txt").read().splitlines()
model = clone(Totaler(epochs=1, hidden_size=8)).fit(rows)
assert inspect.signature(Totaler).parameters["held_out"].default == 0.2
assert inspect.signature(Totaler).parameters["hidden_size"].annotation is int
assert len(model.predict(rows[:3])) == 3 and model.get_params()["hidden_size"] == 8
assert gatework.explain(model, rows, line=3).steps and gatework.diagnose(model)
"""
    python(code, site, cwd=work)


def test_a_cell_of_another_package_is_found(site: Path) -> None:
    code = "from gatework import cells; assert 'halving' in cells.names(); print(cells.get('halving').doc)"
    assert python(code, site)[0].strip() == "Half of the state stays."


def test_the_example_is_small() -> None:
    counted = [
        line for path in EXAMPLE.iterdir() if path.is_file() for line in path.read_text().splitlines() if line.strip()
    ]
    assert len(counted) < MOST


BROKEN = """
import warnings
from gatework import cells, tasks
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    names = ["answer", "caption", "classify", "forecast", "generate", "speak", "tag", "transcribe", "translate"]
    assert sorted(tasks.working()) == names
    assert "lstm" in cells.names()
print(*(each.message for each in seen), sep="\\n")
try:
    tasks.get("odd")
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_broken_package_is_told_of_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("import nowhere_at_all")
    install(tmp_path, "odd", {"gatework.tasks": {"odd": "odd"}, "gatework.cells": {"odd": "odd"}})
    task, cell, error = python(BROKEN, tmp_path)[0].strip().splitlines()
    assert "the task 'odd' of odd" in task and "nowhere_at_all" in task
    assert "the cells of odd (package odd)" in cell and "nowhere_at_all" in cell
    assert error.startswith("OptionError the task 'odd' of odd cannot be used")
    output, warned = python(VERBS + "call('predict --help')", tmp_path)
    assert "--keep" in output and "warning: the task 'odd'" in output + warned


def test_two_of_one_name_are_refused_with_both(site: Path, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(CELL)
    install(tmp_path, "other", {"gatework.tasks": {"total": "other"}, "gatework.cells": {"mine": "other"}})
    found = told(python(VERBS + "call('train total rows.txt', 2)\ncall('cells', 2)\ncall('--help')", site, tmp_path)[0])
    assert "two tasks are called 'total': that of arithmetic.total and that of other" in found["train total rows.txt"]
    assert "other and arithmetic.cells both define a cell 'halving'" in found["cells"]


def test_a_command_that_exists_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "greedy").mkdir()
    (tmp_path / "greedy" / "__init__.py").write_text("")
    (tmp_path / "greedy" / "commands.py").write_text(ADD.replace("def add(", "def train("))
    install(tmp_path, "greedy", {"gatework.tasks": {"greedy": "greedy"}})
    output, warned = python(VERBS + "call('--help')", tmp_path)
    assert "Add numbers" not in output
    assert "there is a command 'train' already" in warned


# -- a task is whole ----------------------------------------------------------------------------------------

DEMO = PACKAGE / "commands" / "demo.py"


def outside() -> list[Path]:
    """All texts of the package that are of no task's folder, but the demo, which trains on data that it brings."""
    kinds = (".py", ".toml", ".html", ".css")
    found = [path for path in PACKAGE.rglob("*") if path.suffix in kinds and path != DEMO]
    return [
        path
        for path in found
        if len(path.relative_to(PACKAGE).parts) < 3 or path.relative_to(PACKAGE).parts[0] != "tasks"
    ]


# Words that also name columns of people's files, or an extra of the package; what a server is asked for and says.
ALSO_WORDS = {("tag", "columns.py"), ("tag", "conll.py"), ("translate", "extras.py"), ("generate", "serve")}
ALSO_WORDS |= {("answer", "serve"), ("answer", "answers"), ("tag", "tags")}
ALSO_WORDS |= {("caption", "media"), ("caption", "made.py"), ("caption", "picture.py")}


@pytest.mark.parametrize("path", outside(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_outside_names_a_task(path: Path) -> None:
    from gatework import tasks

    names = "|".join(name for name in tasks.names() if not ALSO_WORDS & {(name, part) for part in path.parts})
    named = (
        rf"""["'`](?:{names})["'`]|tasks[./](?:{names})\b|(?:train|tune|check|validate) (?:{names})\b|\((?:{names})\)"""
    )
    found = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if re.search(named, line)]
    assert not found, f"{path.name} names a task; ask the task instead: {found}"
