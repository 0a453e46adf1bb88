"""Build the site: `make site` writes build/site, which opens from a folder, without a server and without a network.

The pages are the files of docs/, the documents beside README.md and the programs of examples/, all as they are. What is
made for the site is their order and the reference (reference.py); LaTeX becomes MathML, which browsers show without a
script, and links to files that are no pages become plain text.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import reference
from latex2mathml.converter import convert

from gatework import tasks

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
BUILD = ROOT / "build"
PAGES = BUILD / "pages"

JOBS = "Jobs"  # takes the page of every task, and pages that no other part names
TUTORIALS = ("analyst", "text", "layer", "cell")
ORDER = {
    "Start": ["index.md", *(f"start-{name}.md" for name in TUTORIALS), "readme.md"],
    JOBS: ["jobs.md"],
    "Cells": ["cells-language.md", "cells.md", "lstm-forms.md"],
    "Layers": ["layers.md", "memory.md"],
    "Deploy": ["deploy.md", "serve.md", "serving.md", "export-c.md", "cluster.md"],
    "How it works": ["how.md", "gradients.md", "architecture.md"],
    "Compare": ["compare.md"],
    "Reference": [],
    "Help": ["faq.md", "glossary.md", "changelog.md", "contributing.md"],
    "中文": ["zh/index.md", *(f"zh/start-{name}.md" for name in TUTORIALS), "readme.zh.md"],
}
TITLES = {"readme.md": "Overview", "readme.zh.md": "概览"}  # where a page's own heading says too little
CHINESE = '<div lang="zh-Hans" markdown>\n\n{}\n</div>\n'  # browsers choose letters, and readers a voice, by it
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
MATH = re.compile(r"^```math\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def sources() -> dict[Path, str]:
    """Every file that becomes a page, and its place in the site."""
    documents = {p: p.relative_to(DOCS).as_posix() for p in sorted(DOCS.rglob("*.md"))}
    beside = {p: p.name.lower() for p in sorted(ROOT.glob("*.md"))}
    programs = {p: f"examples/{p.stem}.md" for p in sorted((ROOT / "examples").glob("*.py"))}
    return documents | beside | programs


def page(path: Path, places: dict[Path, str]) -> str:
    """The text of a page, with links as they are in the site."""
    text = program(path) if path.suffix == ".py" else path.read_text(encoding="utf-8")
    parts = FENCE.split(MATH.sub(lambda found: mathml(found[1]), text))
    shown = "".join(t if t.startswith("```") else LINK.sub(lambda m: link(m, path, places), t) for t in parts)
    return CHINESE.format(shown) if "zh" in places[path].replace(".", "/").split("/") else shown


def program(path: Path) -> str:
    """A program of examples/ as a page, under the first sentence of its docstring."""
    text = path.read_text(encoding="utf-8")
    title = (ast.get_docstring(ast.parse(text)) or path.stem).partition(":")[0].partition("\n")[0].rstrip(".")
    return f"# {title}\n\n`python examples/{path.name}`\n\n```python\n{text}```\n"


def mathml(latex: str) -> str:
    """LaTeX as browsers show it without a script. `split` is the name under which the converter knows `aligned`."""
    return f'<div class="math">{convert(latex.strip().replace("{aligned}", "{split}"), display="block")}</div>'


def link(found: re.Match[str], path: Path, places: dict[Path, str]) -> str:
    """A link to a page leads to its place; one to another file of the checkout becomes the text alone."""
    text, target, anchor = found[1], found[2], found[3] or ""
    file = (path.parent / target).resolve()
    if "://" in target or not target or not file.exists():
        return found[0]
    if file in places:
        return f"[{text}]({os.path.relpath(places[file], Path(places[path]).parent)}{anchor})"
    return found[0] if DOCS in file.parents and file.is_file() else text


def navigation(places: list[str]) -> list[dict[str, list[Any]]]:
    """The pages in their order. What ORDER does not name: folders go where they belong, the rest is a job."""
    named = {name for names in ORDER.values() for name in names}
    of_tasks = [f"{name}.md" for name in tasks.names() if f"{name}.md" in places]
    others = [p for p in places if "/" not in p and p not in named and p not in of_tasks]
    below = {
        JOBS: [*of_tasks, *others, {"Examples": inside(places, "examples")}, {"Commands": inside(places, "commands")}],
        "Reference": inside(places, "reference"),
    }
    known = {part: [titled(n) for n in names if n in places] for part, names in ORDER.items()}
    return [{part: pages + below.get(part, [])} for part, pages in known.items()]


def titled(place: str) -> str | dict[str, str]:
    return {TITLES[place]: place} if place in TITLES else place


def inside(places: list[str], folder: str) -> list[str]:
    return sorted(p for p in places if p.startswith(f"{folder}/"))


def stage() -> Path:
    """Write all pages and the settings into build/; returns the file of settings."""
    shutil.rmtree(BUILD / "pages", ignore_errors=True)
    places = sources()
    texts = {place: page(path, places) for path, place in places.items()} | reference.pages()
    for place, text in texts.items():
        write(PAGES / place, text)
    for path in [*DOCS.rglob("*.svg"), *DOCS.glob("assets/*")]:
        write(PAGES / path.relative_to(DOCS), path.read_text(encoding="utf-8"))
    settings = tomllib.loads((DOCS / "zensical.toml").read_text(encoding="utf-8"))["project"]
    write(BUILD / "mkdocs.yml", json.dumps({**settings, "nav": navigation(list(texts))}))
    return BUILD / "mkdocs.yml"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> int:
    """Zensical writes the site; a warning, such as of a link that leads nowhere, is an error."""
    settings = stage()
    shutil.rmtree(BUILD / "site", ignore_errors=True)
    line = [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "--config-file", str(settings)]
    return subprocess.run(line, cwd=BUILD, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
