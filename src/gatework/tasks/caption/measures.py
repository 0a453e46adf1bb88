"""How good captions are: right as a whole, BLEU of up to 1, 2, 3 and 4 words, errors by words; of one reference or
several.

    measures(["a red dog"], [["a red dog", "one dog"]])     # exact 1.0, bleu1 to bleu4 100.0, word_error 0.0

What is counted of each picture is added up before a metric is computed, so that `score` serves single pictures, whole
parts and the draws of a bootstrap. BLEU is on sacrebleu's scale of 0 to 100 (its bleu4 is sacrebleu's own figure); the
other metrics are shares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import ModuleType

import numpy as np

from gatework.errors import ShapeError
from gatework.extras import explained
from gatework.tasks.base import Metric, ratio
from gatework.tasks.bleu import bleu, counts

EXACT, BLEU = Metric("exact", higher=True), Metric("bleu4", higher=True)
SHORT = 6  # words that half of all captions have at most: they are names, which are right or wrong as a whole

# Columns of the sums: ten of BLEU, edits and true words, pictures that are right as a whole, pictures.
EDITS, WORDS, RIGHT, PICTURES = range(10, 14)


def measures(captions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Metric -> value, NaN where there is no picture: see `sums` and `SCORES`."""
    return metrics(sums(captions, references).sum(0))


def metrics(sums: np.ndarray) -> dict[str, float]:
    """The same of sums [k] that were added up over pictures."""
    return {name: float(score(sums, name)) for name in SCORES}


def sums(captions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """[n, k]: what is counted of each picture, for `score`.

    Args:
        captions: one of each picture.
        references: one or more of each picture; a caption is right where one of them is the same, and its edits are
            those to the nearest.

    Raises: ShapeError; MissingExtraError.
    """
    if len(captions) != len(references):
        raise ShapeError(f"{len(captions):,} captions of {len(references):,} pictures: give one of each")
    needed()
    said, true = [tidy(text) for text in captions], [[tidy(text) for text in own] for own in references]
    exact = [one in own for one, own in zip(said, true, strict=True)]
    edits = np.array([_edits(*pair) for pair in zip(said, true, strict=True)], float).reshape(-1, 2)
    return np.column_stack([counts(said, true), edits, exact, np.ones(len(said))])


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """A metric [...] of sums [..., k] that were added up over pictures; NaN where there is none."""
    return SCORES[metric](np.asarray(sums, float))


def watched(captions: Sequence[str]) -> Metric:
    """What training captions are judged by: names by whole ones, sentences by BLEU."""
    return EXACT if np.median([len(text.split()) for text in captions] or [0]) <= SHORT else BLEU


def tidy(text: str) -> str:
    """A caption as it is compared: single spaces, none at its ends."""
    return " ".join(text.split())


def needed() -> ModuleType:
    """What counts edits, an extra that is missed now, not after a training.

    Raises: MissingExtraError.
    """
    try:
        import sacrebleu  # noqa: F401
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise explained(error) from error
    return Levenshtein


def _edits(said: str, references: Sequence[str]) -> tuple[int, int]:
    """Fewest words to change, to leave out and to put in, and the words of the reference that needs so few."""
    words = said.split()
    return min((needed().distance(words, one.split()), len(one.split())) for one in references)


def _of_pictures(metric: Callable[[np.ndarray], np.ndarray], sums: np.ndarray) -> np.ndarray:
    return np.where(sums[..., PICTURES] > 0, metric(sums), np.nan)


SCORES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "exact": lambda sums: ratio(sums[..., RIGHT], sums[..., PICTURES]),
    **{f"bleu{n}": partial(_of_pictures, partial(bleu, orders=n)) for n in (1, 2, 3, 4)},
    "word_error": lambda sums: ratio(sums[..., EDITS], sums[..., WORDS]),
}
