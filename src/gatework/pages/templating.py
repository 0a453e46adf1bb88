"""The look that all pages share: one way to their templates, with one set of filters."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gatework.pages import parts, words
from gatework.pages.outline import outlined

if TYPE_CHECKING:
    from jinja2 import Template

WON = {True: "won", False: "lost", None: "none"}  # the colour of a verdict


def template(name: str, place: str | Path) -> Template:
    """A page's template, out of a package's folder `templates` or any other folder; it extends base.html, as all do.

    template("tune.html", "gatework.tuning").render(verdict="...", judged="won")
    """
    from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined

    own = FileSystemLoader(place) if isinstance(place, Path) else PackageLoader(place, "templates")
    loader = ChoiceLoader([own, PackageLoader("gatework.pages", "templates")])
    jinja = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    jinja.filters |= {
        "number": words.number,
        "named": words.named,
        "plain": words.plain,
        "signed": signed,
        "measured": measured,
        "outlined": outlined,
        "part": parts.part,
        "spoken": parts.spoken,
        "percent": percent,
        "percent0": lambda value: f"{value:.0%}",
    }
    return jinja.get_template(name)


def framed(page: str) -> str:
    """A whole page inside another, as notebooks show it."""
    return f'<iframe style="width:100%;height:640px;border:0" srcdoc="{html.escape(page)}"></iframe>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A small table for a notebook: names at the top and at the left."""
    top = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in head)
    lines = ""
    for first, *rest in rows:
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in rest)
        lines += f'<tr><th scope="row">{html.escape(first)}</th>{cells}</tr>'
    return f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"


def percent(value: float) -> str:
    return f"{value:.1%}"


def measured(value: object, metric: str) -> str:
    """For templates, in which the value comes first."""
    return words.measured(metric, value)


def signed(value: float) -> str:
    return f"{value:+.3g}" if value else "0"
