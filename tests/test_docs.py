"""The documents tell the truth: examples run; commands, options, files and names exist, and none is left out."""

from __future__ import annotations

import ast
import builtins
import doctest
import importlib
import importlib.util
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

import gatework
from gatework import cells
from sources import PACKAGE, ROOT, files, module, tree

DOCUMENTS = [p for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")] if p.name != "CHANGELOG.md"]
SERVING = ROOT / "docs" / "serving.md"
RUNNING = [
    ROOT / "README.md",
    SERVING,
    ROOT / "docs" / "serve.md",
    ROOT / "docs" / "deploy.md",
    ROOT / "docs" / "jobs.md",
    ROOT / "docs" / "tag.md",
    ROOT / "docs" / "answer.md",
    ROOT / "docs" / "translate.md",
    ROOT / "docs" / "media.md",
    ROOT / "docs" / "speak.md",
    ROOT / "docs" / "caption.md",
    ROOT / "docs" / "transcribe.md",
    ROOT / "docs" / "export-c.md",
]

_spec = importlib.util.spec_from_file_location("renew", ROOT / "docs" / "renew.py")
assert _spec is not None
assert _spec.loader is not None
renew = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(renew)


def blocks(path: Path, *languages: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


@pytest.mark.parametrize("path", RUNNING, ids=lambda p: p.name)
def test_python_blocks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": path.stem}
    code = blocks(path, "python")
    assert code, f"{path.name} has no example"
    for number, text in enumerate(code):
        source = tmp_path / f"{path.stem}_{number}.py"  # a file, because cells read their own source
        source.write_text(text, encoding="utf-8")
        exec(compile(text, str(source), "exec"), names)


@pytest.mark.parametrize("path", [p for p in files() if ">>> " in p.read_text(encoding="utf-8")], ids=module)
def test_examples_in_docstrings_run(path: Path) -> None:
    found = importlib.import_module(module(path))
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(found, optionflags=flags, extraglobs=usual_names())
    assert result.attempted > 0, f"{module(path)}: doctest finds none of its examples"
    assert result.failed == 0


@cache
def usual_names() -> dict[str, Any]:
    """What examples use without importing it: the package, its language, numpy, torch, and the cells by name."""
    language = {n: getattr(gatework, n) for n in gatework._HOMES["gatework.compiler.lang"]}
    known = {n: cells.get(n) for n in cells.names()}
    return {"gatework": gatework, "cells": cells, "np": numpy, "torch": torch, **language, **known}


@pytest.mark.parametrize("name", renew.commands())
def test_every_command_has_a_page_with_its_real_help(name: str) -> None:
    page = renew.COMMANDS / f"{name}.md"
    assert page.exists(), f"{page} is missing: run `make docs`"
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# gatework {name}\n")
    assert renew.help_block(name) in text, f"{page} is not what `gatework {name} --help` prints: run `make docs`"
    assert text.count(f"$ gatework {name} --help") == 1, f"{page} has an old help beside the new one"


def test_the_page_of_cells_is_what_the_cells_say() -> None:
    assert renew.CELLS.read_text(encoding="utf-8") == renew.cells_page(), "docs/cells.md is old: run `make docs`"


def test_stubs_are_what_the_estimators_take() -> None:
    made = renew.stubs()
    assert set(PACKAGE.rglob("*.pyi")) == set(made)
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, f"{path} is old: run `make docs`"


def test_every_page_has_a_command() -> None:
    assert {p.stem for p in renew.COMMANDS.glob("*.md")} == set(renew.commands())


def every_command(command: Any, words: str = "gatework") -> list[tuple[str, Any]]:
    return [(words, command)] + [
        c for n, b in getattr(command, "commands", {}).items() for c in every_command(b, f"{words} {n}")
    ]


@pytest.mark.parametrize(
    ("words", "command"), every_command(renew.get_command(renew.app))[1:], ids=lambda v: str(v)[:40]
)
def test_every_command_and_option_has_help(words: str, command: Any) -> None:
    assert command.help, f"{words}: a docstring is its help"
    silent = [p.name for p in params(command) if not getattr(p, "help", None)]
    assert not silent, f"{words}: no help for {silent}"


def command_lines() -> list[tuple[str, str]]:
    """Every line `gatework ...` in a shell block of a document."""
    lines = [
        (p.relative_to(ROOT).as_posix(), b)
        for p in DOCUMENTS
        for t in blocks(p, "sh", "bash", "console")
        for b in t.splitlines()
    ]
    return [
        (where, line.removeprefix("$ ")) for where, line in lines if line.removeprefix("$ ").startswith("gatework ")
    ]


@pytest.mark.parametrize(("where", "line"), command_lines() or [("-", "gatework --help")])
def test_command_lines_in_documents_exist(where: str, line: str) -> None:
    command, words = renew.get_command(renew.app), shlex.split(line, comments=True)[1:]
    options = {"--help", "-h"}
    for word in words:
        if word in below(command):
            command = command.get_command(None, word)
        options |= {o for p in params(command) for o in (*p.opts, *p.secondary_opts)}
        assert not word.startswith("--") or word.partition("=")[0] in options, f"{where}: {line}: there is no {word}"
    assert not below(command) or set(words) & options, f"{where}: {line}: there is no such command"


def params(command: Any) -> list[Any]:
    """All parameters; some flags are read off the tasks when they are asked for."""
    return command.get_params(command.context_class(command))


def below(command) -> list[str]:
    """The names of a group's commands; those of jobs are made when they are asked for."""
    return command.list_commands(None) if hasattr(command, "list_commands") else []


def ticked(path: Path) -> set[str]:
    """What stands between single backticks."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`([^`\n]+)`", text))


def test_architecture_has_one_line_for_every_file() -> None:
    text = renew.ARCHITECTURE.read_text(encoding="utf-8")
    named = re.findall(r"^\| `([\w/]+\.py)` \|", text, re.MULTILINE)
    missing = {p.relative_to(PACKAGE).as_posix() for p in files() if p.stat().st_size} - set(named)
    assert not missing, (
        f"ARCHITECTURE.md has no line for {sorted(missing)}: run `make docs` (a new folder needs its two marks)"
    )
    assert len(named) == len(set(named)), "ARCHITECTURE.md names a file twice"
    assert text == renew.architecture(text), "the tables of ARCHITECTURE.md are not what the files say: run `make docs`"


def test_every_file_says_what_it_is_for() -> None:
    silent = [module(p) for p in files() if p.stat().st_size and not 15 <= len(renew.first_sentence(p)) <= 200]
    assert not silent, f"the first sentence of the docstring must say what the file is for: {silent}"


def test_every_environment_variable_is_told() -> None:
    read = {name for path in files() for name in re.findall(r"\bGATEWORK_[A-Z]+\b", path.read_text(encoding="utf-8"))}
    told = {name.partition("=")[0] for name in ticked(SERVING)}
    assert read == {name for name in told if name.startswith("GATEWORK_")}


@cache
def known_names() -> set[str]:
    """Every name that the package defines or uses."""
    found = set(dir(builtins)) | {part for path in files() for part in module(path).split(".")}
    for path in files():
        for node in ast.walk(tree(path)):
            for field in ("name", "id", "attr", "arg", "asname"):
                value = getattr(node, field, None)
                found |= set(value.split(".")) if isinstance(value, str) else set()
            if isinstance(node, ast.ImportFrom | ast.Import):
                found |= {p for a in node.names for p in a.name.split(".")} | set(
                    (getattr(node, "module", "") or "").split(".")
                )
    return found


@pytest.mark.parametrize("path", [renew.ARCHITECTURE, ROOT / "CONTRIBUTING.md"], ids=lambda p: p.name)
def test_names_in_documents_exist(path: Path) -> None:
    wrong = [token for token in sorted(ticked(path)) if not exists(token)]
    assert not wrong, f"{path.name} names what is not there: {wrong}"


def exists(token: str) -> bool:
    if "/" in token or token.endswith((".py", ".md", ".toml", ".txt")):
        in_a_task = "/" not in token and any((PACKAGE / "tasks").glob(f"*/{token}"))  # what each task's folder may hold
        return in_a_task or any((root / token.rstrip("/")).exists() for root in (PACKAGE, ROOT))
    if token.startswith("make "):
        return f"\n{token.split()[1]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
    if token.startswith("gatework "):
        words = token.split()[1:]
        return words[0].startswith("-") or words[0] in renew.commands()
    if re.fullmatch(r"[A-Z][A-Z0-9_]*_[A-Z0-9_]+", token):
        return any(token in p.read_text(encoding="utf-8") for p in files())
    if re.fullmatch(r"@?[A-Za-z_][\w.]*(\(.*\))?", token):
        return set(token.lstrip("@").partition("(")[0].split(".")) <= known_names()
    return True
