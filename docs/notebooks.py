"""The four tutorials as executed notebooks: `make notebooks` writes them to build/notebooks.

A page is cut where its blocks begin and end: text becomes cells of text, `python` and `sh` cells of code. There is no
second copy of a tutorial, so page and notebook cannot drift apart.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

DOCS = Path(__file__).resolve().parent
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}


def tutorials() -> list[Path]:
    return sorted(DOCS.glob("start-*.md"))


def parts(text: str) -> Iterator[tuple[str, str]]:
    """Language and content of each block of a page, in order; the language of the text between them is "markdown"."""
    end = 0
    for block in BLOCK.finditer(text):
        yield "markdown", text[end : block.start()].strip()
        yield block[1], block[2]
        end = block.end()
    yield "markdown", text[end:].strip()


def notebook(text: str) -> dict[str, Any]:
    """The notebook of a page, not executed."""
    cells = [cell(number, *part) for number, part in enumerate(parts(text)) if part[1]]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": KERNEL, "cells": cells}


def cell(number: int, language: str, text: str) -> dict[str, Any]:
    if language in ("python", "sh"):
        source = text.rstrip() if language == "python" else f"%%bash\n{text.rstrip()}"
        return {**common(number, "code", source), "execution_count": None, "outputs": []}
    return common(number, "markdown", text if language == "markdown" else f"```{language}\n{text}```")


def common(number: int, kind: str, source: str) -> dict[str, Any]:
    return {"id": f"cell-{number}", "cell_type": kind, "metadata": {}, "source": source}


def executed(made: dict[str, Any]) -> str:
    """With the output of each cell; a cell that fails ends the program."""
    import nbformat
    from nbclient import NotebookClient

    found = nbformat.from_dict(made)
    with TemporaryDirectory() as folder:
        NotebookClient(found, timeout=600, startup_timeout=300, resources={"metadata": {"path": folder}}).execute()
    return nbformat.writes(found)


def main() -> None:
    """Commands in cells are those of the environment that runs this."""
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    folder = DOCS.parent / "build" / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    for page in tutorials():
        made = notebook(page.read_text(encoding="utf-8"))
        (folder / f"{page.stem}.ipynb").write_text(executed(made), encoding="utf-8")
        print(folder / f"{page.stem}.ipynb")


if __name__ == "__main__":
    main()
