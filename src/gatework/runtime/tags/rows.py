"""Answers as objects: tokens with their tags, and spans of characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gatework.errors import DataError
from gatework.runtime.tags import schemes

Row = dict[str, Any]


def of_tokens(
    tokens: Sequence[str], tags: Sequence[str], label: str | None = None, confidence: np.ndarray | None = None
) -> Row:
    """{"tokens", "tags"} of a sentence, with "label" and "confidence" where they are given."""
    row: Row = {"tokens": list(tokens), "tags": list(tags)}
    if label is not None:
        row["label"] = label
    if confidence is not None:
        row["confidence"] = [round(float(each), 4) for each in confidence]
    return row


def of_spans(
    tags: Sequence[str | None], scheme: str, text: str, places: list[list[int]], sure: np.ndarray | None
) -> Iterator[Row]:
    """The spans of a sentence; of plain tags, each token. A span is as sure as its least sure token."""
    single = [(i, i + 1, tag) for i, tag in enumerate(tags) if tag is not None]
    for first, past, label in single if scheme == "plain" else schemes.spans(tags):
        start, end = places[first][0], places[past - 1][1]
        row: Row = {"start": start, "end": end, "label": label, "text": text[start:end]}
        if sure is not None:
            row["confidence"] = round(float(sure[first:past].min()), 4)
        yield row


def token_of(token: object, number: int, where: str) -> str:
    """A token as text, checked; `where` is its sentence. Raises DataError for one that is empty or of many lines."""
    text = token if isinstance(token, str) else "" if token is None else str(token)
    if not text.strip() or "\n" in text:
        raise DataError(f"{where}, token {number}: {text!r} is no token; correct it, or delete it and its tag")
    return text
