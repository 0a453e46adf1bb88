"""The pages of the reference: every public name with its signature and its docstring, as the package itself says them.

Names are looked up in the running package and not in its text, because many are found late (`gatework.LSTM` imports
torch when it is used) and the parameters of estimators are made from the options of their tasks.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
from collections.abc import Iterator
from textwrap import dedent
from types import ModuleType
from typing import Any

import gatework
from gatework import tasks

LANGUAGE = (*gatework._HOMES["gatework.compiler.lang"], "verify", "reference")
PARTS = {
    "layers": ("Layers for PyTorch", ("LSTM", "GRU", "RNN", "Recurrent", "LSTMCell", "GRUCell", "RNNCell", "layers")),
    "keras": ("Layers for Keras", ("keras",)),
    "cells": ("The language of cells", ("cell", *(n for n in LANGUAGE if n != "cell"), "cells")),
    "jobs": ("Jobs", tuple(tasks.estimators())),
    "verbs": ("Commands in Python", ("train", "resume", "check", "evaluate", "predict", "runs", "compare")),
    "insight": ("Look inside and choose", ("explain", "diagnose", "cross_validate", "validate", "tune")),
    "leave": ("Save, export, run without torch", ("export", "save", "from_onnx", "runtime")),
    "errors": ("Errors", ("errors",)),
}
OF_LAYERS = ("forward", "step", "describe", "weights", "layer_sizes", "reset_parameters")  # the rest serves the house
WIDE = 100
os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is first imported
ENTRY = re.compile(r"(\S+(?:, \S+)*)(?:\s{2,}|:\s+)(\S.*)")


def pages() -> dict[str, str]:
    """Place in the site: text, for every part."""
    return {f"reference/{part}.md": part_page(title, names) for part, (title, names) in PARTS.items()}


def part_page(title: str, names: tuple[str, ...]) -> str:
    return f"# {title}\n\n" + "\n".join(section(f"gatework.{name}", getattr(gatework, name)) for name in names)


def section(name: str, value: Any, level: int = 2) -> str:
    """Heading, signature, docstring; then the methods of a class, or the names of a module."""
    head = f"{'#' * level} {name}\n\n{signature(name, value)}{markdown(inspect.getdoc(value) or '')}\n"
    return head + "\n".join(section(f"{name}.{n}", v, level + 1) for n, v in below(value))


def below(value: Any) -> Iterator[tuple[str, Any]]:
    """What a module calls public and the package does not; the methods of a class, but not those of a public base."""
    if isinstance(value, ModuleType):
        own = ((name, getattr(value, name)) for name in getattr(value, "__all__", ()))
        yield from ((name, member) for name, member in own if getattr(gatework, name, None) is not member)
    elif inspect.isclass(value):
        elsewhere = {n for base in value.__mro__[1:] if base.__name__ in dir(gatework) for n in vars(base)}
        for name, member in inspect.getmembers(value, inspect.isroutine):
            ours = (getattr(member, "__module__", None) or "").startswith("gatework")
            wanted = name in OF_LAYERS if hasattr(value, "forward") else not name.startswith("_")
            if ours and wanted and (name in vars(value) or name not in elsewhere):
                yield name, member


def signature(name: str, value: Any) -> str:
    """On one line, or with a line for each parameter."""
    if isinstance(value, ModuleType) or not callable(value):
        return ""
    found = inspect.signature(value, eval_str=False)
    parameters = [str(p).replace("'", "") for p in found.parameters.values()]
    stars = keyword_only(found)
    parameters[stars:stars] = ["*"] * (stars < len(parameters))
    line = f"{name.rpartition('.')[2]}({', '.join(parameters)})"
    if len(line) > WIDE:
        line = line.partition("(")[0] + "(\n" + "".join(f"    {p},\n" for p in parameters) + ")"
    return f"```python\n{line}\n```\n\n"


def keyword_only(found: inspect.Signature) -> int:
    """Where the star stands that begins parameters given by name alone; behind the last where there is none."""
    kinds = [p.kind for p in found.parameters.values()]
    first = kinds.index(inspect.Parameter.KEYWORD_ONLY) if inspect.Parameter.KEYWORD_ONLY in kinds else len(kinds)
    return len(kinds) if inspect.Parameter.VAR_POSITIONAL in kinds[:first] else first


def markdown(text: str) -> str:
    """A docstring of this house: paragraphs, examples, and lists of names that are indented."""
    return "\n\n".join(shown(lines) for lines in blocks(text)) + "\n"


def blocks(text: str) -> Iterator[list[str]]:
    """Paragraphs; what is indented is one block, up to the next line that is not."""
    held: list[str] = []
    for line in text.splitlines():
        inside = bool(held) and held[0].startswith(" ")
        ends = line.startswith(" ") != inside if line.strip() else not inside
        if held and ends:
            yield held
            held = []
        if line.strip() or held:
            held.append(line)
    if held:
        yield held


def shown(lines: list[str]) -> str:
    """A paragraph as it is, a list as a table; code and drawings in a block."""
    text = dedent("\n".join(lines)).rstrip()
    language = "pycon" if text.startswith(">>>") else "python" if is_code(text) else ""
    if not language and not lines[0].startswith(" "):
        return text
    if not language and all(ENTRY.match(line) for line in text.splitlines() if line and not line.startswith(" ")):
        return listed(text)
    return f"```{language or 'text'}\n{text}\n```"


def is_code(text: str) -> bool:
    """Prose is no Python; a single name could be either and is prose."""
    try:
        return any(c in text for c in "(=") and bool(ast.parse(text).body)
    except SyntaxError:
        return False


def listed(text: str) -> str:
    """Names and what they mean, as a table; a line that is indented further goes on with the one before."""
    rows: list[list[str]] = []
    for line in text.replace("|", "\\|").splitlines():
        found = None if line.startswith(" ") else ENTRY.match(line)
        if found:
            rows.append([found[1], found[2]])
        elif rows:
            rows[-1][1] += f" {line.strip()}"
    return "| name | what it is |\n|---|---|\n" + "\n".join(f"| `{name}` | {meaning} |" for name, meaning in rows)
