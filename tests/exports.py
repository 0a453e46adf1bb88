"""What the tests of exports share: an exported file's answers in a process that has neither torch nor polars."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema

BLOCKED = ("torch", "polars", "pandas", "scipy", "sklearn", "tokenizers", "snowballstemmer", "statsforecast", "onnx")
CODE = """
import json, sys
for name in {blocked!r}: sys.modules[name] = None
import gatework
path, rows, how = json.loads(sys.stdin.read())
model = gatework.runtime.load(path)
print(json.dumps(model.predict(rows, **how)))
"""


def bare(path: Path, rows: list[Any], allowed: tuple[str, ...] = (), **how: Any) -> list[dict[str, Any]]:
    """The answers of an exported file, asked `how`, without the packages that trained it. Rows go there and back as
    JSON."""
    code = CODE.format(blocked=[name for name in BLOCKED if name not in allowed])
    given = json.dumps([str(path), rows, how])
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def fits(model: Any, rows: Sequence[Any]) -> None:
    """Rows, and the model's example, are what its schema says, and a number is not."""
    said = jsonschema.Draft202012Validator(model.schema)
    for row in (*rows, model.example):
        said.validate(row)
    assert model.predict([model.example]) and not said.is_valid(3)


def same(found: Any, wanted: Any, relative: float = 1e-5, absolute: float = 2e-6) -> None:
    """Equal keys, texts and numbers, the last to rounding; `absolute` is what rounding to six digits leaves."""
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            same(found[key], wanted[key], relative, absolute)
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            same(one, other, relative, absolute)
    elif isinstance(wanted, float):
        assert math.isclose(found, wanted, rel_tol=relative, abs_tol=absolute), (found, wanted)
    else:
        assert found == wanted
