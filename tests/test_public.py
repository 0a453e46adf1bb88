"""The public names: one sorted list, loaded when used, each shown in an example; a missing extra says what to type."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

import gatework
import gatework.layers
from gatework import errors
from gatework.errors import MissingExtraError
from gatework.extras import explained
from sources import PACKAGE, tree


def test_the_list_is_sorted() -> None:
    assert list(gatework._PUBLIC) == sorted(set(gatework._PUBLIC))


@pytest.mark.parametrize("name", gatework._PUBLIC)
def test_every_name_has_a_docstring_with_an_example(name: str) -> None:
    doc = inspect.getdoc(getattr(gatework, name)) or ""
    assert shown(name) in doc, f"gatework.{name}: the docstring shows no use of it, {shown(name)!r}:\n{doc}"


def shown(name: str) -> str:
    """How an example uses a name: functions and classes are called, `cell` decorates, the errors are a tree."""
    if inspect.ismodule(getattr(gatework, name)):
        return "GateworkError" if name == "errors" else f"{name}."
    return "@cell" if name == "cell" else f"{name}("


def test_dir_lists_the_names() -> None:
    assert set(gatework._PUBLIC) <= set(dir(gatework))


STAR = """
import sys
for package in {missing!r}:
    sys.modules[package] = None
max_before = max
from gatework import *
assert max is max_before and not sys.modules.get("keras") and "keras" not in globals()
print(*sorted(set(globals()) & set(sys.modules["gatework"]._PUBLIC)))
"""


@pytest.mark.paths
@pytest.mark.parametrize("missing", [(), ("torch", "polars", "sklearn", "keras"), ("polars", "sklearn", "pandas")])
def test_a_star_gives_what_is_installed_and_not_keras(missing: tuple[str, ...]) -> None:
    """In a fresh process, without some packages: no error, no builtin replaced, all names that need none of them."""
    run = subprocess.run([sys.executable, "-c", STAR.format(missing=missing)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    names = set(run.stdout.split())
    assert {"cell", "cells", "errors", "runtime", "sigmoid", "where"} <= names
    assert ("LSTM" in names and "explain" in names) == ("torch" not in missing)
    assert ("TextClassifier" in names and "tune" in names) == (not missing)


@pytest.mark.parametrize("part", [gatework.cells, gatework.keras, gatework.layers, gatework.runtime])
def test_dir_of_a_part_lists_its_names_alone(part: ModuleType) -> None:
    """So that completion in a notebook shows what is for use, and every name is there."""
    assert dir(part) == sorted(part.__all__)
    assert all(getattr(part, name, None) is not None for name in part.__all__)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'LSTMM'"):
        _ = gatework.LSTMM  # pyright: ignore[reportAttributeAccessIssue]


def test_type_checkers_see_the_same_names() -> None:
    """What stands under `if TYPE_CHECKING` is what `__getattr__` loads, from the same module."""
    block = next(n for n in tree(PACKAGE / "__init__.py").body if isinstance(n, ast.If))
    seen = {(a.name, n.module) for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names}
    homes = {(name, gatework._HOME.get(name, "gatework")) for name in gatework._PUBLIC}
    assert seen == homes - {("errors", "gatework")}


@pytest.mark.paths
def test_a_missing_extra_says_what_to_type() -> None:
    """A process in which torch cannot be imported, as after a plain `pip install gatework`."""
    code = "import sys; sys.modules['torch'] = None; import gatework; gatework.LSTM"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert "MissingExtraError: this needs torch" in run.stderr
    assert re.search(r"run: pip install .*\[train\]'", run.stderr)


def test_the_command_for_an_extra_is_that_of_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    for told, command in {
        '{"url": "file:///my%20code/gatework", "dir_info": {"editable": true}}': "-e '/my code/gatework[keras]'",
        '{"url": "file:///code/gatework.whl", "archive_info": {}}': "'/code/gatework.whl[keras]'",
        None: "'gatework[keras]'",
    }.items():
        found = SimpleNamespace(read_text=lambda _, told=told: told)
        monkeypatch.setattr("importlib.metadata.distribution", lambda name, found=found: found)
        assert str(errors.MissingExtraError("keras", "keras")).endswith(f"run: pip install {command}")


def test_only_missing_modules_of_extras_are_explained() -> None:
    named = explained(ModuleNotFoundError("No module named 'keras'", name="keras.layers"))
    assert isinstance(named, MissingExtraError)
    assert "[keras]'" in str(named)
    for error in (ModuleNotFoundError("x", name="numpi"), ImportError("cannot import name", name="torch")):
        assert explained(error) is error
