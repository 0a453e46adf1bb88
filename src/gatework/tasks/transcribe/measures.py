"""How good transcripts are: errors by words and by characters, and whole lines that are right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatework.tasks.base import Metric, ratio

WATCHED = {"words": Metric("word_error", higher=False), "characters": Metric("character_error", higher=False)}


def sums(said: Sequence[str], true: Sequence[str]) -> np.ndarray:
    """[n, 6]: edits of words, words; edits of characters, characters; right as a whole, lines."""
    import jiwer

    rows = []
    for one, other in zip(said, true, strict=True):
        words, letters = other.split(), " ".join(other.split())
        if not words:
            rows.append([len(one.split()), 0, len(one), 0, not one, 1])
            continue
        by_word, by_letter = jiwer.process_words(other, one), jiwer.process_characters(letters, one)
        edits = [each.substitutions + each.deletions + each.insertions for each in (by_word, by_letter)]
        rows.append([edits[0], len(words), edits[1], len(letters), one == letters, 1])
    return np.array(rows, float).reshape(-1, 6)


def metrics(sums: np.ndarray) -> dict[str, float]:
    """The metrics of sums [6] that were added up over clips."""
    return {name: float(score(sums, name)) for name in ("word_error", "character_error", "exact")}


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """A metric [...] of sums [..., 6]; NaN where nothing was counted."""
    first = {"word_error": 0, "character_error": 2, "exact": 4}[metric]
    return ratio(sums[..., first], sums[..., first + 1])
