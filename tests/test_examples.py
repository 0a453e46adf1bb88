"""Every numbered example runs as it stands, in an empty folder, in under a minute."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sources import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(path: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "torch", "MPLBACKEND": "agg", "PYTHONWARNINGS": "default"}
    command = [sys.executable, str(path)]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip(), "an example shows something"


def test_examples_are_numbered() -> None:
    assert not [p.name for p in EXAMPLES if not re.fullmatch(r"\d\d_\w+\.py", p.name)]
    numbers = [p.name[:2] for p in EXAMPLES]
    assert len(set(numbers)) == len(numbers), f"two examples share a number: {numbers}"
