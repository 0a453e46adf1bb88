"""What sacrebleu counts of each line for BLEU, chrF and TER; imported late, as it brings sacrebleu and rapidfuzz.

sacrebleu adds up these numbers over lines and computes its metrics from them, but gives them only through methods of
its own; tests compare what is made of them with its public results.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein
from sacrebleu.metrics import lib_ter
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

SIZES = {"bleu": 10, "chrf": 18, "ter": 2}


def counters(lower: bool) -> dict[str, BLEU | CHRF | TER]:
    """The metrics as sacrebleu computes them unless told otherwise; TER never minds the case."""
    return {"bleu": BLEU(lowercase=lower, force=True), "chrf": CHRF(lowercase=lower), "ter": Edits()}


def counts(said: Sequence[str], true: Sequence[str]) -> np.ndarray:
    """[n, 30]: of each line what BLEU counts, then chrF, then TER."""
    parts = []
    for name, counter in counters(False).items():
        found = counter._extract_corpus_statistics(said, [true])
        parts.append(np.array(found, float).reshape(-1, SIZES[name]))
    return np.hstack(parts)


def distances(said: Sequence[Sequence[str]], true: Sequence[Sequence[str]]) -> np.ndarray:
    """[n]: the fewest insertions, deletions and substitutions of symbols that make each `said` its `true`."""
    return np.array([Levenshtein.distance(*pair) for pair in zip(said, true, strict=True)], float)


class Edits(TER):
    """TER with sacrebleu's search for moves of blocks, twenty times faster on lines of 40 words.

    The search tries up to a thousand moves for each line. sacrebleu writes out the edits that follow each of them, in
    Python, though it compares the moves by the number of edits alone. That comes from rapidfuzz here; the edits are
    written out for the moves that are made. sacrebleu's edits stay within 25 words of the diagonal: of longer lines,
    which differ much, it may count one more.
    """

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: dict[str, list[list[str]]]) -> list[float]:
        (true,) = ref_kwargs["ref_words"]
        return [edits(hypothesis.split(), true), len(true)]


def edits(said: list[str], true: list[str]) -> int:
    """Edits and moves that make `said` the `true` words: the loop of `lib_ter.translation_edit_rate`."""
    if not true:
        return len(said)
    distance, moves, tried = Distance(true), 0, 0
    while True:
        gain, moved, tried = lib_ter._shift(said, true, distance, tried)
        if tried >= lib_ter._MAX_SHIFT_CANDIDATES or gain <= 0:
            return moves + distance(said)[0]
        said, moves = moved, moves + 1


class Distance:
    """The distance of words to the true ones, as `lib_ter._shift` asks for it: `distance(words)[0]` is a number,
    `number, edits = distance(words)` has the edits, too."""

    def __init__(self, true: list[str]):
        self.true, self.written_out = true, lib_ter.BeamEditDistance(true)

    def __call__(self, words: list[str]) -> Answer:
        return Answer(self, words)


class Answer:
    """Works out what it is asked for."""

    def __init__(self, distance: Distance, words: list[str]):
        self.distance, self.words = distance, words

    def __getitem__(self, place: int) -> int:
        return Levenshtein.distance(self.words, self.distance.true)

    def __iter__(self) -> Iterator[int | str]:
        yield self[0]
        yield self.distance.written_out(self.words)[1]
