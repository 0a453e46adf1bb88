"""What was reached, as a table to read and in words."""

from __future__ import annotations

from collections.abc import Sequence

from gatework.bench.memory import tasks
from gatework.bench.memory.ladder import Reached
from gatework.bench.memory.training import MOST

PLAIN = "rnn"
HEAD = ("test", "model", "right up to", "fails at", "score there", "us a step")


def lines(found: Sequence[Reached]) -> list[str]:
    """Lines of a table in Markdown: one for each test and model."""
    rows = [HEAD, *(cells_of(each) for each in found)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEAD))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def cells_of(each: Reached) -> tuple[str, ...]:
    test = tasks.get(each.test)
    reached = str(each.longest) if each.longest else "-"
    more = f"> {MOST if test.counts else each.longest}"
    score = "" if test.counts else f"{each.score:.4f}" if test.kind == "number" else f"{100 * each.score:.1f}%"
    return each.test, each.model, reached, str(each.fails) if each.fails else more, score, f"{1e6 * each.step:.1f}"


def words(found: Sequence[Reached]) -> list[str]:
    """What the table says: who remembers longest, and where the plain network is enough."""
    said = []
    for name in dict.fromkeys(each.test for each in found):
        own = [each for each in found if each.test == name]
        best = max(own, key=lambda each: (each.longest, -each.step))
        says = tasks.get(name).says
        if not best.longest:
            said.append(f"{name} ({says}): nobody passes at the shortest length.")
            continue
        equal = " and ".join(each.model for each in own if each.longest == best.longest)
        more = "" if best.fails else " or more"
        said.append(f"{name} ({says}): {equal} longest, {best.longest}{more}.{latency(own)}")
    return said


def latency(own: Sequence[Reached]) -> str:
    """Whether the plain network is the answer where every microsecond counts."""
    plain = next((each for each in own if each.model == PLAIN), None)
    others = [each for each in own if each.model != PLAIN and each.longest]
    if plain is None:
        return ""
    if not plain.longest:
        return " The plain RNN fails at once, so its cheaper step buys nothing."
    slower = [f"{each.step / plain.step:.1f} times for {each.model}" for each in others if each.step > plain.step]
    cheaper = f", whose step costs {', '.join(slower)}" if slower else ""
    return f" Up to {plain.longest} the plain RNN is enough: where latency counts, take it before the others{cheaper}."
