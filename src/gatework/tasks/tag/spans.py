"""Spans of characters <-> tags of tokens."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gatework.runtime.texts.tokens import Place


class Span(NamedTuple):
    """Characters `start` to `stop` of a text, and what they are called."""

    start: int
    stop: int
    label: str


def trimmed(span: Span, text: str) -> Span:
    """The span without white space at its ends; one of white space alone as it is."""
    inside = text[span.start : span.stop]
    if inside.isspace():
        return span
    return Span(span.start + len(inside) - len(inside.lstrip()), span.start + len(inside.rstrip()), span.label)


def tags_of(spans: Iterable[Span], places: Sequence[Place], text: str) -> tuple[list[str | None], list[str]]:
    """IOB2 tags of tokens from spans of characters, and what is wrong with spans, in words.

    Example: the span (0, 3, "PER") of "Ada slept" gives ["B-PER", "O"], []. Tokens of a faulty span have no tag (None),
    unless a span before it holds them.
    """
    starts, stops = [start for start, _ in places], [stop for _, stop in places]
    tags: list[str | None] = ["O"] * len(places)
    faults, last = [], None
    for span in sorted(set(spans)):
        inside = trimmed(span, text) if 0 <= span.start < span.stop <= len(text) else span
        fault = _fault(inside, text, last, starts, stops)
        first, past = bisect_right(stops, inside.start), bisect_left(starts, inside.stop)
        if fault:
            faults.append(fault)
            tags[first:past] = [None if tag == "O" else tag for tag in tags[first:past]]
        else:
            tags[first:past] = [f"B-{span.label}", *[f"I-{span.label}"] * (past - first - 1)]
            last = inside
    return tags, faults


def _fault(span: Span, text: str, last: Span | None, starts: list[int], stops: list[int]) -> str:
    """What is wrong with a span; "" where nothing is. `last` is the one before it."""
    told = f"the span [{span.start}, {span.stop}] {span.label}"
    if span.start < 0 or span.stop > len(text):
        return f"{told} lies beyond the text, which has {len(text):,} characters"
    if span.start >= span.stop:
        return f"{told} is empty"
    told += f" {_short(text[span.start : span.stop])}"
    if last is not None and span.start < last.stop:
        other = f"[{last.start}, {last.stop}] {last.label} {_short(text[last.start : last.stop])}"
        return f"{told} overlaps {other}; a tagger gives each token one tag: keep one of the two"
    first, past = bisect_right(stops, span.start), bisect_left(starts, span.stop)
    if first >= past:
        return f"{told} holds no token"
    if starts[first] != span.start or stops[past - 1] != span.stop:
        start, stop = starts[first], stops[past - 1]
        return f"{told} cuts a token; the nearest that does not is [{start}, {stop}] {_short(text[start:stop])}"
    return ""


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
