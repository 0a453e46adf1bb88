"""Types say what a value is: few parameters are Any, few lines are kept from the formatter or from the type checker."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from sources import PACKAGE, files, tree

# What may stand in the package. The numbers may only fall.
MOST = {"parameters typed Any": 99, "fmt: skip": 12, "type: ignore": 22}
# A guard says why, in parentheses after it or as the rule that it names.
MARKS = {"fmt: skip": re.compile(r"# fmt: skip\b"), "type: ignore": re.compile(r"# (?:type|pyright): ignore\b")}


def parameters(node: ast.AST) -> Iterator[ast.arg]:
    for function in ast.walk(node):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            of = function.args
            yield from (*of.posonlyargs, *of.args, *of.kwonlyargs, *filter(None, (of.vararg, of.kwarg)))


def is_any(parameter: ast.arg) -> bool:
    return parameter.annotation is not None and ast.unparse(parameter.annotation) in ("Any", "typing.Any")


def counted() -> dict[str, Counter[str]]:
    """How often each thing stands in each file."""
    found = {what: Counter[str]() for what in MOST}
    for path in files():
        name, text = path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")
        found["parameters typed Any"][name] = sum(map(is_any, parameters(tree(path))))
        for what, mark in MARKS.items():
            found[what][name] = len(mark.findall(text))
    return found


@pytest.mark.parametrize("what", MOST)
def test_few_values_are_anything(what: str) -> None:
    places = counted()[what]
    assert places.total() <= MOST[what], f"{what}: {places.total()}, at most {MOST[what]}; {places.most_common(10)}"


def test_what_is_counted() -> None:
    source = "def f(a: Any, b: list[Any], *c: Any, d: int = 0, **e: Any) -> Any: ...\nasync def g(h: Any, /): ..."
    assert [p.arg for p in parameters(ast.parse(source)) if is_any(p)] == ["a", "c", "e", "h"]
    assert MARKS["type: ignore"].findall("x  # type: ignore[a]\ny  # pyright: ignore") and counted()
