"""How good transcripts are: edits by words and by characters as jiwer aligns them, and whole texts that are right.

    measures(["seven to"], ["seven two"])          # word_error 0.5, character_error 0.111, exact 0.0
    list(edits(["seven to"], ["seven two"], "words"))                      # [Edit(0, "two", "to")]

What is counted of each recording is added up before a metric is computed; recordings are aligned one by one, never as
one long text. Spaces in a row count as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gatework.errors import ShapeError
from gatework.extras import explained
from gatework.tasks.base import Metric, ratio

__all__ = ["EDITS", "METRICS", "WATCHED", "Edit", "edits", "measures", "metrics", "score", "sums", "tidy"]

METRICS = ("word_error", "character_error", "exact")
WATCHED = {"words": Metric("word_error", higher=False), "characters": Metric("character_error", higher=False)}
EDITS = ("right", "substituted", "left_out", "put_in")  # of a true unit the first three
# Columns of the sums: EDITS of words, EDITS of characters, whole texts that are right, texts.
COLUMNS = {"words": slice(0, 4), "characters": slice(4, 8)}
EXACT, TEXTS = 8, 9


class Edit(NamedTuple):
    """A unit of text `row` that was said otherwise: the true one, "" where one was put in; the one said, "" where the
    true one was left out."""

    row: int
    true: str
    said: str


def measures(said: Sequence[str], true: Sequence[str]) -> dict[str, float]:
    """METRICS of n transcripts of n texts; NaN where there is nothing to count. A word error can be above 1."""
    return metrics(sums(said, true).sum(0))


def metrics(sums: np.ndarray) -> dict[str, float]:
    """The same of sums [10] that were added up over recordings."""
    return {name: float(score(sums, name)) for name in METRICS}


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """A metric [...] of sums [..., 10] that were added up over recordings; NaN where nothing was counted."""
    if metric == "exact":
        return ratio(sums[..., EXACT], sums[..., TEXTS])
    counts = sums[..., COLUMNS["words" if metric == "word_error" else "characters"]]
    right, substituted, left_out, put_in = np.moveaxis(counts, -1, 0)
    return ratio(substituted + left_out + put_in, right + substituted + left_out)


def sums(said: Sequence[str], true: Sequence[str]) -> np.ndarray:
    """[n, 10]: what is counted of each of n texts, for `score`.

    Raises: ShapeError where their numbers differ; MissingExtraError.
    """
    said, true = _paired(said, true)
    found = np.zeros((len(true), TEXTS + 1))
    for by, columns in COLUMNS.items():
        for row, chunks in enumerate(_aligned(said, true, by)):
            found[row, columns] = _counts(chunks)
    found[:, EXACT] = [one == other for one, other in zip(said, true, strict=True)]
    found[:, TEXTS] = 1
    return found


def edits(said: Sequence[str], true: Sequence[str], by: str) -> Iterator[Edit]:
    """Every edit of n transcripts of n texts, by "words" or by "characters"."""
    said, true = _paired(said, true)
    cut = str.split if by == "words" else list
    for row, chunks in enumerate(_aligned(said, true, by)):
        ours, theirs = cut(said[row]), cut(true[row])
        for chunk in chunks:
            ins, outs = ours[chunk.hypothesis], theirs[chunk.reference]
            if chunk.kind != "right":
                size = max(len(ins), len(outs))
                for one, other in zip(outs + [""] * (size - len(outs)), ins + [""] * (size - len(ins)), strict=True):
                    yield Edit(row, one, other)


def tidy(text: str) -> str:
    """A text as it is compared."""
    return " ".join(text.split())


# -- what jiwer aligns ----------------------------------------------------------------------------------------


class Chunk(NamedTuple):
    """Neighbours of one kind of EDITS: their places in what is true and in what was said."""

    kind: str
    reference: slice
    hypothesis: slice


KINDS = {"equal": "right", "substitute": "substituted", "delete": "left_out", "insert": "put_in"}


def _paired(said: Sequence[str], true: Sequence[str]) -> tuple[list[str], list[str]]:
    if len(said) != len(true):
        raise ShapeError(f"{len(said):,} transcripts of {len(true):,} texts: give one of each")
    return [tidy(text) for text in said], [tidy(text) for text in true]


def _aligned(said: list[str], true: list[str], by: str) -> list[list[Chunk]]:
    """The chunks of each text."""
    try:
        import jiwer
    except ImportError as error:
        raise explained(error) from error
    if not true:
        return []
    process = jiwer.process_words if by == "words" else jiwer.process_characters
    return [
        [
            Chunk(
                KINDS[each.type],
                slice(each.ref_start_idx, each.ref_end_idx),
                slice(each.hyp_start_idx, each.hyp_end_idx),
            )
            for each in chunks
        ]
        for chunks in process(true, said).alignments
    ]


def _counts(chunks: Iterable[Chunk]) -> list[int]:
    counts = [0] * len(EDITS)
    for kind, reference, hypothesis in chunks:
        counts[EDITS.index(kind)] += max(each.stop - each.start for each in (reference, hypothesis))
    return counts
