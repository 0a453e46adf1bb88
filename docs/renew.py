"""Write into the documents what the code says of itself: `make docs`. tests/test_docs.py compares.

- docs/commands/NAME.md: a title, words of its own (kept as they are), and between two marks the help of the command and
  of its subcommands, as `gatework NAME --help` prints it on a line of 100 characters.
- docs/cells.md: every cell with its source, its equations and its states.
- ARCHITECTURE.md: between the marks of a part, one line for every file in it: the first sentence of its docstring.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from typer.main import get_command

from gatework import cells
from gatework.cli import app
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
    """("gatework train", help), and the same for every subcommand."""
    context = command.context_class(command, info_name=words, terminal_width=100)
    names = command.list_commands(context) if hasattr(command, "list_commands") else []
    below = {name: command.get_command(context, name) for name in names}
    return [(words, command.get_help(context))] + [t for n, c in below.items() for t in help_texts(c, f"{words} {n}")]


def help_block(name: str) -> str:
    """The part of a command's page between the marks."""
    texts = help_texts(commands()[name], f"gatework {name}")
    shown = "\n\n".join(f"```text\n$ {words} --help\n{text.strip()}\n```" for words, text in texts)
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


def main() -> None:
    for name in commands():
        path = COMMANDS / f"{name}.md"
        path.write_text(command_page(name, path.read_text(encoding="utf-8") if path.exists() else ""), encoding="utf-8")
    CELLS.write_text(cells_page(), encoding="utf-8")
    ARCHITECTURE.write_text(architecture(ARCHITECTURE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
