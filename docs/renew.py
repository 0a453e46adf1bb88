"""Write into the documents what the code says of itself: `make docs`. tests/test_docs.py compares.

- docs/commands/NAME.md: a title, words of its own (kept as they are), and between two marks the help of the command and
  of its subcommands, as `gatework NAME --help` (or --help-all) prints it on a line of 100 characters.
- docs/cells.md: every cell with its source, its equations and its states.
- ARCHITECTURE.md: between the marks of a part, one line for every file in it: the first sentence of its docstring.
- tasks/NAME/estimator.pyi and tasks/__init__.pyi: what editors and type checkers read of the estimators, whose
  parameters are made from the options when the program runs.
"""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from typer.main import get_command

from gatework import cells, tasks
from gatework.cli import app
from gatework.commands.flags import ALL
from gatework.compiler.latex import latex

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "gatework"
COMMANDS = ROOT / "docs" / "commands"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
CELLS = ROOT / "docs" / "cells.md"

START, END = "<!-- written by make docs -->", "<!-- end -->"
CELLS_OPENING = """# The cells

Written by `make docs` from the equations in `src/gatework/cells`. W and b are the parameters, ⊙ is a product unit by
unit, σ the logistic function. `gatework cells NAME` adds parameters and cost; `gatework.Recurrent("NAME", ...)` is the
layer.
"""
PART = re.compile(r"(<!-- files of ([\w./]+), written by make docs -->\n).*?(<!-- end -->)", re.DOTALL)


def commands() -> dict[str, Any]:
    """The top-level commands by name, in the order of `gatework --help`."""
    return dict(get_command(app).commands)  # pyright: ignore[reportAttributeAccessIssue]


def help_texts(command: Any, words: str) -> list[tuple[str, str]]:
    """("gatework train --help", the text), and the same for every subcommand; of one with a short help the whole."""
    context = command.context_class(command, info_name=words, terminal_width=100)
    context.meta[ALL] = True
    names = command.list_commands(context) if hasattr(command, "list_commands") else []
    below = {name: command.get_command(context, name) for name in names}
    flag = "--help-all" if getattr(command, "more", ()) else "--help"
    own = (f"{words} {flag}", command.get_help(context))
    return [own] + [text for name, each in below.items() for text in help_texts(each, f"{words} {name}")]


def help_block(name: str) -> str:
    """The part of a command's page between the marks."""
    texts = help_texts(commands()[name], f"gatework {name}")
    shown = "\n\n".join(f"```text\n$ {words}\n{text.strip()}\n```" for words, text in texts)
    return "\n".join(line.rstrip() for line in f"{START}\n{shown}\n{END}".splitlines())


def command_page(name: str, page: str) -> str:
    """The page with its help text made new; an empty page gets a title."""
    before, _, rest = (page or f"# gatework {name}\n\n{START}{END}\n").partition(START)
    return before + help_block(name) + rest.partition(END)[2]


def cells_page() -> str:
    """The page of all cells."""
    known = [cells.get(name) for name in cells.names()]
    return "\n".join([CELLS_OPENING, *(cell_section(cell) for cell in known)])


def cell_section(cell: Any) -> str:
    states = ", ".join(f"{s.name}" + (f" (from {s.start:g})" if s.start else "") for s in cell.graph.states)
    return f"## {cell.name}\n\n{cell.doc}\n\n```math\n{latex(cell.graph)}\n```\n\nStates: {states}.\n"


def architecture(text: str) -> str:
    """ARCHITECTURE.md with the tables of files made new."""
    return PART.sub(lambda found: found[1] + file_table(found[2]) + found[3], text)


def file_table(part: str) -> str:
    rows = [f"| `{p.relative_to(PACKAGE).as_posix()}` | {first_sentence(p)} |\n" for p in part_files(part)]
    return "\n| file | what it is for |\n|---|---|\n" + "".join(rows) + "\n"


def part_files(part: str) -> list[Path]:
    """The files of a folder and the folders below it; of "." only those that lie there. Empty files have no line."""
    found = PACKAGE.glob("*.py") if part == "." else (PACKAGE / part).rglob("*.py")
    return sorted(p for p in found if p.stat().st_size)


def first_sentence(path: Path) -> str:
    """What a file says it is for."""
    opening = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    return re.split(r"(?<=[.:])\s+(?=[A-Z])", " ".join(opening.split()))[0].rstrip(".:").replace("|", "\\|")


def stubs() -> dict[Path, str]:
    """The stub of each estimator module, and that of `gatework.tasks`, where the estimators are found."""
    homes = {name: home for name, home in tasks.estimators().items() if home.startswith("gatework.")}
    public = [f"from {home} import {name} as {name}" for name, home in sorted(homes.items())]
    found = {stub_path(home): stub(home) for home in sorted(set(homes.values()))}
    return found | {stub_path("gatework.tasks.__init__"): stub("gatework.tasks.__init__", public)}


def stub_path(module: str) -> Path:
    return PACKAGE.parent / f"{module.replace('.', '/')}.pyi"


def stub(module: str, further: list[str] | None = None) -> str:
    """A module's imports, and its functions and classes without their bodies."""
    loaded = import_module(module.removesuffix(".__init__"))
    body = ast.parse(stub_path(module).with_suffix(".py").read_text(encoding="utf-8")).body
    wanted = ast.Import | ast.ImportFrom | ast.If | ast.ClassDef | ast.FunctionDef
    kept = [bare(node, loaded) for node in body if isinstance(node, wanted) and shown(node)]
    text = ast.unparse(ast.Module([node for node in kept if getattr(node, "module", "") != "__future__"], []))
    return formatted("\n".join(["# Written by `make docs`.", *(further or []), text]))


def shown(node: ast.AST) -> bool:
    """Whether a stub has it: all but what is private, yet every class, as others may derive from it."""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return not node.targets[0].id.startswith("_")
    if isinstance(node, ast.Expr):
        return False  # a docstring
    return isinstance(node, ast.ClassDef) or not getattr(node, "name", "").startswith("_")


def bare(node: Any, holder: Any) -> Any:
    """A function or class without bodies; an estimator with the `__init__` that it has when the program runs."""
    if isinstance(node, ast.FunctionDef):
        node.body = [ast.Expr(ast.Constant(...))]
    if isinstance(node, ast.ClassDef):
        own = getattr(holder, node.name)
        signature = inspect.signature(own.__init__)
        made = [] if node.name.startswith("_") else ast.parse(f"def __init__{signature} -> None: ...").body
        members = [bare(each, own) for each in node.body if shown(each)]
        node.body = [*made, *members] or [ast.Expr(ast.Constant(...))]
    return node


def formatted(text: str) -> str:
    """As ruff writes it, without imports that are not used."""
    for command in (["check", "--fix", "--quiet", "--select=F401,I"], ["format", "--quiet"]):
        line = [sys.executable, "-m", "ruff", *command, "--stdin-filename", "stub.pyi", "-"]
        text = subprocess.run(line, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return text


def main() -> None:
    for name in commands():
        path = COMMANDS / f"{name}.md"
        path.write_text(command_page(name, path.read_text(encoding="utf-8") if path.exists() else ""), encoding="utf-8")
    for path, text in stubs().items():
        path.write_text(text, encoding="utf-8")
    CELLS.write_text(cells_page(), encoding="utf-8")
    ARCHITECTURE.write_text(architecture(ARCHITECTURE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
