"""Translations as rows for programs, and as lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from gatework.runtime.search import Hypothesis
from gatework.tasks.translate.codecs import Codecs
from gatework.tasks.translate.decoding import copied
from gatework.tasks.translate.options import TranslatePredicting
from gatework.tasks.translate.pairs import Pairs

Row = dict[str, Any]
BETWEEN = " ||| "  # what stands between the parts of a line of n-best translations, as other translators write it


def rows(
    texts: Sequence[str],
    found: Iterable[list[Hypothesis]],
    codecs: Codecs,
    how: TranslatePredicting,
) -> Iterator[Row]:
    """{"source", "translation", "score", "log_p"} of each text, with "n_best" a list of the same without a source where
    several are asked for; the score is log_p divided by the length's penalty, by which translations are ranked.

    With how.attention also "source_units" [S], "target_units" [t] and "attention" [t][S]; the end is the unit "".
    A blank text has a blank translation.
    """
    for text, own in zip(texts, found, strict=True):
        several = [_row(text, each, codecs, how) for each in own if text.strip()]
        best = several[0] if several else {"translation": "", "score": None, "log_p": None}
        yield {"source": text, **best, **({"n_best": several} if how.n_best > 1 else {})}


def _row(text: str, hypothesis: Hypothesis, codecs: Codecs, how: TranslatePredicting) -> Row:
    units = [*codecs.source_units(text), ""] if how.attention or how.copy_unknown else []
    said = codecs.text(hypothesis.ids, copied(hypothesis, units) if how.copy_unknown else ())
    found = {"translation": said, "score": round(hypothesis.normalised, 4), "log_p": round(hypothesis.score, 4)}
    if not how.attention or hypothesis.attention is None:
        return found
    weights = [[round(weight, 4) for weight in row[: len(units)]] for row in hypothesis.attention.tolist()]
    return found | {
        "source_units": units,
        "target_units": codecs.target_units(hypothesis.ids),
        "attention": weights,
    }


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
