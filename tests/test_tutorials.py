"""Tutorials and explanations run as they stand, block after block, and what they print is what they show."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import notebooks
import pytest

from sources import ROOT

EXPLAINED = ("cells-language", "layers", "how", "gradients")
PAGES = [*notebooks.tutorials(), *(ROOT / "docs" / f"{name}.md" for name in EXPLAINED)]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # Keras'
@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_blocks_run_and_print_what_the_page_shows(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of text right after one of code, with nothing between, is what that prints; "..." stands for anything."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": path.stem}
    printed, ran = None, 0
    for number, (language, text) in enumerate(notebooks.parts(path.read_text(encoding="utf-8"))):
        if language == "python":
            printed, ran = python(text, tmp_path / f"block_{number}.py", names), ran + 1
        elif language == "sh":
            printed, ran = shell(text), ran + 1
        elif language == "text" and printed is not None:
            assert same(text, printed), f"{path.name} shows\n{text}\nand its code prints\n{printed}"
        elif text:
            printed = None
    assert ran


def python(text: str, file: Path, names: dict[str, Any]) -> str:
    """From a file, because cells read their own source."""
    file.write_text(text, encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(text, str(file), "exec"), names)
    return printed.getvalue()


def shell(text: str) -> str:
    """In one shell, whose commands are those of this environment; the first that fails ends it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(["bash", "-ec", text], env=os.environ | {"PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def same(shown: str, printed: str) -> bool:
    return doctest.OutputChecker().check_output(shown, printed, FLAGS)


def test_what_a_page_shows_is_compared() -> None:
    assert same("a\n...\nc\n", "a\nb\nc\n")
    assert not same("a\n...\nc\n", "a\nb\nd\n")


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "zh").glob("*.md")), ids=lambda p: p.stem)
def test_chinese_pages_have_the_code_of_the_english_ones(path: Path) -> None:
    assert blocks(path) == blocks(ROOT / "docs" / path.name)


def test_the_chinese_readme_has_code_of_the_english_one() -> None:
    ours, theirs = (
        [(language, text.split()) for language, text in blocks(ROOT / name)] for name in ("README.zh.md", "README.md")
    )
    assert len(ours) > 3
    assert not [block for block in ours if block not in theirs]


def blocks(path: Path) -> list[tuple[str, str]]:
    return [part for part in notebooks.parts(path.read_text(encoding="utf-8")) if part[0] != "markdown"]
