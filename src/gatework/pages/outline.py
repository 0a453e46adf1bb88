"""What every page has for those who look for something or cannot see it: contents, heads of tables and their captions.

Templates write headings and tables plainly; this adds to the finished text what screen readers and links need. It reads
our own templates alone, whose texts are escaped, so that every "<" begins a tag.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from markupsafe import Markup

HEADING = re.compile(r"<h([23])>(.*?)</h\1>", re.DOTALL)
PARTS = re.compile(r"<h[23][ >].*?</h[23]>|<summary>.*?</summary>|<table[ >].*?</table>", re.DOTALL)
HEAD = re.compile(r"(<table[^>]*>)(\s*<caption.*?</caption>)?\s*(?:<thead>)?\s*(<tr>.*?</tr>)(?:</thead>)?", re.DOTALL)
TAG = re.compile(r"<[^>]*>")
FEWEST = 4  # headings that make a list of contents worth its place


class Outlined(NamedTuple):
    """The sections of a page, and (anchor, heading) of each where they are worth a list."""

    body: Markup
    contents: list[tuple[str, Markup]]


def outlined(body: str) -> Outlined:
    """Sections with anchors at their headings, and tables with captions and marked heads.

    outlined("<h2>The data</h2>").body        # <h2 id="the-data">The data</h2>
    """
    anchors: dict[str, Markup] = {}

    def anchored(match: re.Match[str]) -> str:
        if match[1] == "3":
            return match[0]
        plain = re.sub(r"\W+", "-", text_of(match[2]).lower()).strip("-") or "part"
        anchor = next(name for name in (plain, *(f"{plain}-{n}" for n in range(2, 99))) if name not in anchors)
        anchors[anchor] = Markup(match[2])
        return f'<h2 id="{anchor}">{match[2]}</h2>'

    whole = HEADING.sub(anchored, body)
    contents = list(anchors.items()) if len(anchors) >= FEWEST else []
    return Outlined(Markup(tables(whole)), contents)


def text_of(html: str) -> str:
    return " ".join(TAG.sub(" ", html).split())


def tables(body: str) -> str:
    """Each table with a caption, by default the heading or summary above it, for those who hear the page; what can be
    scrolled can be reached by keys."""
    above, body = "", body.replace('<div class="scroll">', '<div class="scroll" tabindex="0">')

    def part(match: re.Match[str]) -> str:
        nonlocal above
        if not match[0].startswith("<table"):
            above = text_of(match[0])
            return match[0]
        return headed(match[0], above)

    return PARTS.sub(part, body)


def headed(table: str, caption: str) -> str:
    """A table whose first row, if it is one of names, is its head; other names are those of their rows."""
    found = HEAD.match(table)
    if found is None:
        return table
    opening, own, first = found.groups()
    rest = scoped(table[found.end() :], "row")
    titled = own or f'<caption class="unseen">{caption}</caption>'
    if first.count("<th") < 2 and "<td" in first:  # a row like the others
        return f"{opening}{titled}\n{scoped(first, 'row')}{rest}"
    return f"{opening}{titled}\n<thead>{scoped(first.replace('<th></th>', '<td></td>'), 'col')}</thead>{rest}"


def scoped(rows: str, scope: str) -> str:
    return re.sub(r"<th(?=[ >])", f'<th scope="{scope}"', rows)
