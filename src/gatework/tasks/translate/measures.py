"""How good translations are: BLEU, chrF and TER of texts as sacrebleu counts them, errors by symbols of spellings.

    measures(["a man walks"], ["a man runs"], "text")                   # bleu 0.0, chrf 58.1, ter 33.3, exact 0.0
    measures(["K AE T"], ["K AH T"], "symbols")                         # word_error 1.0, symbol_error 0.333

What is counted of each line is added up before a metric is computed, so that `score` serves single lines, whole parts
and the draws of a bootstrap. BLEU, chrF and TER are on sacrebleu's scale of 0 to 100; the other metrics are shares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType

import numpy as np
import polars as pl

from gatework.errors import ShapeError
from gatework.extras import explained
from gatework.tasks.base import Metric, ratio
from gatework.tasks.bleu import bleu

__all__ = ["KINDS", "WATCHED", "kind_of", "measures", "metrics", "needed", "score", "signature", "sums", "tidy"]

KINDS = {
    "text": "texts: BLEU, chrF and TER",
    "symbols": "symbols with spaces between them: errors by whole lines and by symbols",
    "letters": "texts without spaces: errors by whole lines and by letters",
}
WATCHED = {
    "text": Metric("bleu", higher=True),
    "symbols": Metric("symbol_error", higher=False),
    "letters": Metric("symbol_error", higher=False),
}
SINGLE = 0.9  # share of lines without a space from which on they are single words
FEW_SYMBOLS = 1_000  # different ones; more of them are words

# Columns of the sums. Of texts: the ten of `gatework.tasks.bleu`, what chrF and TER count, whole lines that are right,
# lines.
CHRF_SAID, CHRF_TRUE, CHRF_RIGHT = (slice(10 + i, 28, 3) for i in range(3))  # n-grams of 1 to 6 characters
TER_EDITS, TER_WORDS = 28, 29
# Of spellings: edits, true symbols, whole lines that are right, lines. The last two are the same in both.
EDITS, SYMBOLS = 0, 1
EXACT, LINES = -2, -1
BETA = 2  # recall weighs so much more than precision in chrF


def kind_of(texts: Sequence[str], tokenizer: str | None = None) -> str:
    """Which of KINDS texts are, by themselves and by how they are cut into units.

    kind_of(["cat", "dog"])                          # "letters"
    kind_of(["K AE T", "D AO G"], "spaces")          # "symbols"
    """
    column = pl.Series(texts, dtype=pl.String).str.strip_chars()
    if column.str.contains(r"\s").sum() <= (1 - SINGLE) * len(column):
        return "letters"
    if tokenizer == "spaces" and column.str.extract_all(r"\S+").explode().n_unique() <= FEW_SYMBOLS:
        return "symbols"
    return "text"


def measures(
    translations: Sequence[str], references: Sequence[str], kind: str, *, lower: bool = False
) -> dict[str, float]:
    """Metric -> value; NaN where there is no line, or no symbol. Arguments as those of `sums`.

    Of "text": bleu, chrf, ter (0 to 100), exact; else word_error (whole lines that are not right), symbol_error
    (edits a true symbol).
    """
    return metrics(sums(translations, references, kind, lower=lower).sum(0), kind)


def metrics(sums: np.ndarray, kind: str) -> dict[str, float]:
    """The same of sums [k] that were added up over lines."""
    names = ("bleu", "chrf", "ter", "exact") if kind == "text" else ("word_error", "symbol_error")
    return {name: float(score(sums, name)) for name in names}


def sums(translations: Sequence[str], references: Sequence[str], kind: str, *, lower: bool = False) -> np.ndarray:
    """[n, k]: what is counted of each line, for `score`.

    Args:
        translations, references: n lines each.
        kind: of KINDS.
        lower: compare in lower case.

    Raises: ShapeError.
    """
    if len(translations) != len(references):
        raise ShapeError(f"{len(translations):,} translations of {len(references):,} references: give one of each")
    said, true = ([tidy(text, lower) for text in texts] for texts in (translations, references))
    exact = [one == other for one, other in zip(said, true, strict=True)]
    return np.column_stack([_counts(said, true, kind), exact, np.ones(len(said))])


def tidy(text: str, lower: bool = False) -> str:
    """A line as it is compared: single spaces, none at its ends."""
    return " ".join((text.lower() if lower else text).split())


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """A metric [...] of sums [..., k] that were added up over lines; NaN where there is no line, or no symbol."""
    return SCORES[metric](np.asarray(sums, float))


def signature(*, lower: bool = False) -> dict[str, str]:
    """How sacrebleu counted: its own signature of each metric, for papers."""
    found = {}
    for name, counter in needed().counters(lower).items():
        counter.corpus_score([""], [[""]])  # from now on it knows that there is one reference
        found[name] = counter.get_signature().format()
    return found


def needed() -> ModuleType:
    """`counting`, whose libraries are an extra.

    Raises: MissingExtraError.
    """
    try:
        from gatework.tasks.translate import counting
    except ImportError as error:
        raise explained(error) from error
    return counting


def _counts(said: Sequence[str], true: Sequence[str], kind: str) -> np.ndarray:
    """[n, 30] of texts, else [n, 2]."""
    counting = needed()
    if kind == "text":
        return counting.counts(said, true)
    cut = str.split if kind == "symbols" else list
    said_symbols, true_symbols = ([cut(text) for text in texts] for texts in (said, true))
    return np.column_stack([counting.distances(said_symbols, true_symbols), [len(each) for each in true_symbols]])


# -- metrics of sums ----------------------------------------------------------------------------------------


def chrf(sums: np.ndarray) -> np.ndarray:
    """Popović 2015: F of mean precision and mean recall over n-grams of 1 to 6 characters that both sides have."""
    said, true, right = (sums[..., each] for each in (CHRF_SAID, CHRF_TRUE, CHRF_RIGHT))
    both = (said > 0) & (true > 0)
    count = np.maximum(both.sum(-1), 1)
    precision, recall = (np.where(both, right / np.maximum(each, 1), 0).sum(-1) / count for each in (said, true))
    found = (1 + BETA**2) * precision * recall / np.where(precision + recall > 0, BETA**2 * precision + recall, 1)
    return _of_lines(sums, 100 * found)


def ter(sums: np.ndarray) -> np.ndarray:
    """Snover et al. 2006: edits and moves of blocks of words, for each true word."""
    edits, words = sums[..., TER_EDITS], sums[..., TER_WORDS]
    return _of_lines(sums, 100 * np.where(words > 0, edits / np.where(words > 0, words, 1), edits > 0))


def _of_lines(sums: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.where(sums[..., LINES] > 0, values, np.nan)


SCORES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "bleu": lambda sums: _of_lines(sums, bleu(sums)),
    "chrf": chrf,
    "ter": ter,
    "exact": lambda sums: ratio(sums[..., EXACT], sums[..., LINES]),
    "word_error": lambda sums: ratio(sums[..., LINES] - sums[..., EXACT], sums[..., LINES]),
    "symbol_error": lambda sums: ratio(sums[..., EDITS], sums[..., SYMBOLS]),
}
