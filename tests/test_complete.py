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

LAYER = """
import torch
import gatework

layer = gatework.Recurrent("swirl", 3, 5)
x = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
output, _ = layer(x)
output.sum().backward()
assert all(p.grad is not None and p.grad.abs().max() > 0 for p in layer.parameters())
print(tuple(output.shape), bool(torch.isfinite(output).all()))
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


@pytest.mark.paths
def test_a_dropped_cell_is_found(environment: dict[str, str]) -> None:
    listed = [line.split()[0] for line in python(environment, *CLI, "cells").splitlines()]
    assert "swirl" in listed
    assert "lstm" in listed
    page = python(environment, *CLI, "cells", "swirl", "--input-size", "3", "--hidden-size", "5")
    assert "A made-up cell" in page
    assert "120 multiply-adds" in page  # three maps from 5 + 3 values to 5 units
    assert python(environment, "-c", LAYER).strip() == "(4, 2, 5) True"
