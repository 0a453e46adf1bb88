"""What a shell offers: cells, columns of the file at hand, runs, choices; and nothing of what cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gatework import cells, cli
from gatework.commands import complete


def offered(line: str) -> list[str]:
    """What a shell is told at the end of a line."""
    place = str(len(line.split(" ")) - 1)
    asked = {"_GATEWORK_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": place}
    shown = CliRunner(env=asked).invoke(cli.app, [], prog_name="gatework").stdout
    return [value for value in shown.splitlines() if value]  # nothing is an empty line


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("sales.csv").write_text('\ufeffdate;"units; sold";until\n2020;1;2\n', encoding="utf-8")
    for name in ("runs/sales", "runs/tuned/best", "runs/empty"):
        Path(name).mkdir(parents=True)
    for name in ("runs/sales", "runs/tuned/best"):
        Path(name, "config.json").write_text("{}")
    return tmp_path


def test_values_are_offered(here: Path) -> None:
    assert offered("gatework train forecast sales.csv --cell gr") == [c for c in cells.names() if c.startswith("gr")]
    assert offered("gatework train forecast sales.csv --target u") == ["units; sold", "until"]
    assert offered("gatework train forecast sales.csv --future until,d") == ["until,date"]
    assert offered("gatework train forecast sales.csv --optimizer ad") == ["adam", "adamw"]
    assert offered("gatework train forecast --target u") == [], "no file was named"
    assert "--refit-epochs" in offered("gatework train forecast sales.csv --re"), "options that are not basic, too"


def test_runs_are_offered(here: Path) -> None:
    assert offered("gatework evaluate ") == ["runs/sales", "runs/tuned/best"]
    assert offered("gatework compare runs/sales runs/t") == ["runs/tuned", "runs/tuned/best"]
    assert offered("gatework diagnose runs/") == ["runs/empty", "runs/sales", "runs/tuned", "runs/tuned/best"]
    os.chdir(here / "runs" / "empty")
    assert offered("gatework diagnose ") == []


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b'{"a": 1, "b": 2}\n{', ["a", "b"]),
        (b"x\ty z\n", ["x", "y z"]),
        (b"", []),
        (b"\xff\xfe\x00", []),
        (b'{"a": ', []),
        (b"PK\x03\x04" + b"\xff" * 90_000, []),
    ],
)
def test_columns_of_any_file(data: bytes, names: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(data)

    class Context:
        params, args = {"file": tmp_path / "file"}, ()

    assert complete.columns(Context(), "") == names  # pyright: ignore[reportArgumentType]
