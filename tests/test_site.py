"""The site holds every page and name, asks no network for anything, and is written in plain words without slips."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import notebooks
import pages
import pytest
import reference

import gatework
from gatework import tasks
from sources import ROOT

START = [ROOT / "docs" / "index.md", *notebooks.tutorials()]


@pytest.fixture(scope="module")
def site() -> Path:
    """The built site; a warning, such as of a link that leads nowhere, would have failed the build."""
    assert pages.main() == 0
    return pages.BUILD / "site"


def test_every_page_of_the_site_is_in_its_navigation(site: Path) -> None:
    places = [p.relative_to(pages.PAGES).as_posix() for p in pages.PAGES.rglob("*.md")]
    assert len(places) > 40
    listed = list(leaves(pages.navigation(places)))
    assert sorted(listed) == sorted(places)
    assert all((site / page).with_suffix(".html").exists() for page in places)


def leaves(part: object) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    else:
        for each in part.values() if isinstance(part, dict) else part:  # pyright: ignore[reportGeneralTypeIssues]
            yield from leaves(each)


def test_every_job_has_a_page() -> None:
    """classify, generate and forecast share jobs.md."""
    text = (ROOT / "docs" / "jobs.md").read_text(encoding="utf-8")
    without = [n for n in tasks.names() if not (ROOT / "docs" / f"{n}.md").exists() and f"## {n.title()}" not in text]
    assert not without


def test_no_page_asks_the_network_for_anything(site: Path) -> None:
    wanted = re.compile(
        r"<(?:script|img|iframe)[^>]*src=\"https?:|<link[^>]*rel=\"?(?:stylesheet|preconnect)[^>]*https?:"
    )
    assert not [p for p in site.rglob("*.html") if wanted.search(p.read_text(encoding="utf-8"))]
    assert wanted.search('<link rel="stylesheet" href="https://fonts.example/css">')


def test_a_search_without_a_server_has_its_index(site: Path) -> None:
    assert "lstm_peephole" in (site / "search.js").read_text(encoding="utf-8")
    assert "assets/iframe-worker.js" in (site / "index.html").read_text(encoding="utf-8")


def test_equations_need_no_script(site: Path) -> None:
    page = (site / "cells.html").read_text(encoding="utf-8")
    assert page.count("<math") == len(gatework.cells.names())
    assert "\\begin" not in page


def test_chinese_pages_say_their_language(site: Path) -> None:
    chinese = [*site.glob("zh/*.html"), site / "readme.zh.html"]
    assert len(chinese) > 5
    assert all('<div lang="zh-Hans">' in page.read_text(encoding="utf-8") for page in chinese)


def test_every_public_name_is_in_the_reference() -> None:
    shown = {name for _, names in reference.PARTS.values() for name in names}
    assert set(gatework._PUBLIC) | set(tasks.estimators()) == shown


def test_a_docstring_becomes_paragraphs_code_and_tables() -> None:
    arguments = "Arguments\n    x       what\n            it is\n    y, z    a | b\n\n"
    assert reference.markdown(f"Does it.\n\n    run(x)      # (B,)\n\n{arguments}Raises OptionError.") == (
        "Does it.\n\n```python\nrun(x)      # (B,)\n```\n\nArguments\n\n"
        "| name | what it is |\n|---|---|\n| `x` | what it is |\n| `y, z` | a \\| b |\n\nRaises OptionError.\n"
    )


def test_links_become_those_of_the_site() -> None:
    places = pages.sources()
    for path, text, made in (
        (ROOT / "README.md", "[a](docs/tag.md#x)", "[a](tag.md#x)"),
        (ROOT / "docs" / "commands" / "train.md", "[a](../../ARCHITECTURE.md)", "[a](../architecture.md)"),
        (ROOT / "README.md", "[raw](benchmarks/results)", "raw"),
        (ROOT / "README.md", "[no](docs/not_there.md)", "[no](docs/not_there.md)"),
    ):
        assert pages.LINK.sub(lambda found, path=path: pages.link(found, path, places), text) == made


def test_notebooks_hold_the_whole_page() -> None:
    page = notebooks.tutorials()[0].read_text(encoding="utf-8")
    cells = notebooks.notebook(page)["cells"]
    code = [c["source"] for c in cells if c["cell_type"] == "code"]
    assert [c.removeprefix("%%bash\n") for c in code] == [
        text.rstrip() for language, text in notebooks.parts(page) if language in ("python", "sh")
    ]
    fence = re.compile(r"^(?:```\w*|%%bash)$", re.MULTILINE)
    assert fence.sub("", "\n".join(c["source"] for c in cells)).split() == fence.sub("", page).split()


def test_words_are_spelled_right() -> None:
    folders = ["docs", "src", *map(str, ROOT.glob("*.md")), "--skip=*.js,*.svg,*.csv,*.pyi"]
    line = [sys.executable, "-m", "codespell_lib", *folders]
    found = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("path", START, ids=lambda p: p.name)
def test_pages_to_start_with_read_easily(path: Path) -> None:
    """Flesch's reading ease (1948): 60 to 70 is plain English, a technical text has some 40."""
    assert ease(prose(path.read_text(encoding="utf-8"))) > 60


def test_reading_ease_can_tell() -> None:
    assert ease("The cat sat on the mat. It was a good cat.") > 100
    assert ease("Notwithstanding terminological heterogeneity, architectures necessitate regularisation.") < 0


def prose(page: str) -> str:
    """Sentences alone: no blocks, tables, headings, addresses; a word of code counts as one short word."""
    text = "\n".join(t for language, t in notebooks.parts(page) if language == "markdown")
    text = re.sub(r"^(#|\|).*$", "", re.sub(r"`[^`]+`", "it", text), flags=re.MULTILINE)
    return re.sub(r"\]\([^)]*\)", "]", text)


def ease(text: str) -> float:
    words = re.findall(r"[A-Za-z']+", text)
    sentences = len(re.findall(r"[.!?:](?:\s|$)", text)) or 1
    return 206.835 - 1.015 * len(words) / sentences - 84.6 * sum(map(syllables, words)) / len(words)


def syllables(word: str) -> int:
    """Groups of vowels, without a silent e at the end."""
    return max(1, len(re.findall("[aeiouy]+", re.sub(r"(?<=[^laeiouy])e$", "", word.lower()))))


def test_the_citation_names_the_version() -> None:
    assert f"\nversion: {gatework.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
