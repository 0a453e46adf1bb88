"""The look that all pages share: one way to their templates, with one set of filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatework.pages import words

if TYPE_CHECKING:
    from jinja2 import Template

WON = {True: "won", False: "lost", None: "none"}  # the colour of a verdict


def template(name: str, package: str = "gatework.pages", folder: str = "templates") -> Template:
    """A page's template out of a folder of a package ("": the package's own); it extends base.html, as all pages do.

    template("tune.html", "gatework.tuning").render(verdict="...", judged="won")
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader(package, folder), PackageLoader("gatework.pages", "templates")])
    jinja = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    jinja.filters |= {"number": words.number, "named": words.named, "plain": words.plain, "signed": signed}
    jinja.filters |= {"percent": percent, "percent0": lambda value: f"{value:.0%}"}
    return jinja.get_template(name)


def percent(value: float) -> str:
    return f"{value:.1%}"


def signed(value: float) -> str:
    return f"{value:+.3g}" if value else "0"
