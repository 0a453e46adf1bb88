"""Translations as rows for programs, and as lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from gatework.runtime.answers.asked import Row
from gatework.tasks.translate.pairs import Pairs

BETWEEN = " ||| "  # what stands between the parts of a line of n-best translations, as other translators write it


def scored(pairs: Pairs, log_p: np.ndarray, penalties: Sequence[float]) -> Iterator[Row]:
    """{"source", "target", "score", "log_p"} of each given pair; the penalty is that of its length."""
    for source, target, total, penalty in zip(pairs.sources, pairs.targets or [], log_p, penalties, strict=True):
        score = round(float(total) / penalty, 4)
        yield {"source": source, "target": target, "score": score, "log_p": round(float(total), 4)}


def line(row: Row, number: int) -> str:
    """A row's translation, or of several "number ||| translation ||| score" each; of a scored pair its score."""
    if "n_best" in row:
        several = row["n_best"] or [row]
        return "".join(f"{number}{BETWEEN}{_flat(each)}{BETWEEN}{_number(each)}\n" for each in several)
    return f"{_flat(row) if 'translation' in row else _number(row)}\n"


def _flat(row: Row) -> str:
    """A translation in one line."""
    return " ".join(row["translation"].splitlines())


def _number(row: Row) -> str:
    return "" if row["score"] is None else f"{row['score']:.4f}"


def written(rows: Iterable[Row]) -> Iterator[str]:
    """The lines of rows, as they come."""
    return (line(row, number) for number, row in enumerate(rows, 1))
