"""A cell is one file: dropped into a copy of the package, or into a package of one's own, it is found everywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sources import PACKAGE

SWIRL = '''"""A cell nobody shipped."""

from gatework.compiler.lang import cell, sigmoid, tanh


@cell
def swirl(x, h, s, W):
    """A made-up cell: two states that feed each other."""
    u = sigmoid(W.u(h, x))
    s = u * s + (1 - u) * tanh(W.v(s, x))
    return s * tanh(W.w(u * h, x)), s
'''

LOOKS = """
import numpy as np
from gatework import cells
from gatework.backends import reference
from gatework.compiler import params

graph, sizes = cells.get("swirl").graph, {"I": 3, "H": 5}
draw = np.random.default_rng(0)
weights = {key: draw.normal(size=shape) for key, shape in params.shapes(graph, sizes).items()}
run = reference.run(graph, sizes, {"x": draw.normal(size=(4, 2, 3))}, None, weights)
print(run.history["h"].shape, bool(np.isfinite(run.history["h"]).all()))
"""


@pytest.fixture(params=["dropped into gatework/cells", "in a package of one's own"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of a process that sees the cell."""
    found = {**os.environ, "PYTHONPATH": str(tmp_path)}
    folder = tmp_path / "my_cells"
    if request.param.startswith("dropped"):
        folder = tmp_path / "gatework" / "cells"
        shutil.copytree(PACKAGE, tmp_path / "gatework", ignore=shutil.ignore_patterns("__pycache__"))
    else:
        folder.mkdir()
        (folder / "__init__.py").touch()
        found["GATEWORK_CELLS"] = "my_cells"
    (folder / "swirl.py").write_text(SWIRL, encoding="utf-8")
    return found


def python(environment: dict[str, str], *arguments: str) -> str:
    run = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    return run.stdout


CLI = ("-c", "from gatework.cli import main; main()")


def test_a_dropped_cell_is_found(environment: dict[str, str]) -> None:
    listed = [line.split()[0] for line in python(environment, *CLI, "cells").splitlines()]
    assert "swirl" in listed
    assert "lstm" in listed
    page = python(environment, *CLI, "cells", "swirl", "--input-size", "3", "--hidden-size", "5")
    assert "A made-up cell" in page
    assert "120 multiply-adds" in page  # three maps from 5 + 3 values to 5 units
    assert python(environment, "-c", LOOKS).strip() == "(4, 2, 5) True"
