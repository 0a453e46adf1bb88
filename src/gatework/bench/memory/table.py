"""What was reached, as a table to read and in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from gatework.bench.memory import tasks
from gatework.bench.memory.ladder import Reached
from gatework.bench.memory.training import MOST

PLAIN = "rnn"
SAME = 1.25  # steps that differ by less are said to cost the same
HEAD = ("test", "model", "right up to", "fails at", "score there", "us a step")


def lines(found: Sequence[Reached]) -> list[str]:
    """Lines of a table in Markdown: one for each test and model."""
    return aligned([HEAD, *(cells_of(each) for each in found)])


def sizes(steps: Mapping[str, Mapping[int, float]]) -> list[str]:
    """Lines of a table of microseconds: what a step of each model costs at each size."""
    units = next(iter(steps.values()), {})
    rows = [(model, *(f"{1e6 * each:.1f}" for each in found.values())) for model, found in steps.items()]
    return aligned([("us a step", *(f"{n} units" for n in units)), *rows])


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def cells_of(each: Reached) -> tuple[str, ...]:
    test = tasks.get(each.test)
    reached = str(each.longest) if each.longest else "-"
    score = f"{each.score:.4f}" if test.kind == "number" else f"{100 * each.score:.2f}%"
    score = "" if test.counts or math.isnan(each.score) else score
    return each.test, each.model, reached, ended(each), score, f"{1e6 * each.step:.1f}"


def ended(each: Reached) -> str:
    """The length that failed, or why there is none."""
    if each.fails:
        return str(each.fails)
    return f"> {MOST if tasks.get(each.test).counts else each.longest}" if each.in_time else "time up"


def words(found: Sequence[Reached]) -> list[str]:
    """What the table says: who remembers longest, and where the plain network is enough."""
    said = []
    for name in dict.fromkeys(each.test for each in found):
        own = [each for each in found if each.test == name]
        best = max(own, key=lambda each: each.longest)
        says = tasks.get(name).says
        if not best.longest:
            said.append(f"{name} ({says}): nobody passes at the shortest length.")
            continue
        equal = [each for each in own if each.longest == best.longest]
        more = "" if all(each.fails for each in equal) else " or more"
        said.append(
            f"{name} ({says}): {listed(each.model for each in equal)} longest, {best.longest}{more}{latency(own)}"
        )
    return said


def listed(names: Iterable[str]) -> str:
    """In words: a, b and c."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def latency(own: Sequence[Reached]) -> str:
    """Whether the plain network is the answer where every microsecond counts."""
    plain = next((each for each in own if each.model == PLAIN), None)
    if plain is None:
        return "."
    if not plain.longest:
        return ". The plain RNN fails at the shortest length: where latency counts it is no answer."
    others = [each for each in own if each.model != PLAIN and each.longest]
    dear = [each for each in others if each.step > SAME * plain.step]
    same = [each.model for each in others if each not in dear]
    costs = [f"{each.step / plain.step:.1f} times as much for {each.model}" for each in dear]
    costs = [f"about the same for {listed(same)}", *costs] if same else costs
    counts = f" Where latency counts: a step costs {', '.join(costs)}." if costs else ""
    return f". Up to {plain.longest} the plain RNN is enough.{counts}"
