"""BLEU (Papineni et al. 2002) from what sacrebleu counts of each line, so that lines can be added up, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

LENGTHS, RIGHT, SAID = slice(0, 2), slice(2, 6), slice(6, 10)  # said and true words; n-grams of 1 to 4 words


def counts(said: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """[n, 10]: of each line its length, that of the nearest reference, right n-grams and all n-grams of 1 to 4 words.

    Args:
        said: n lines.
        references: one or more of each line.
    """
    from sacrebleu.metrics.bleu import BLEU

    most = max(map(len, references), default=1)
    streams: Any = [[own[number] if number < len(own) else None for own in references] for number in range(most)]
    found = BLEU(force=True)._extract_corpus_statistics(said, streams)
    return np.array(found, float).reshape(-1, 10)


def bleu(sums: np.ndarray, orders: int = 4) -> np.ndarray:
    """BLEU [...] of sums [..., 10 or more] of n-grams of up to `orders` words, from 0 to 100; smoothed as sacrebleu
    does ("exp"): of the orders of n-grams without a match, the first counts as half a match, the next as a quarter, ...
    (Chen & Cherry 2014, method 3)."""
    right, total = (sums[..., each][..., :orders] for each in (RIGHT, SAID))
    some = right.any(-1) & total.all(-1)
    said, true = np.where(some, np.moveaxis(sums[..., LENGTHS], -1, 0), 1)
    counted = np.where(right == 0, 0.5 ** np.cumsum(right == 0, -1), right)
    precision = np.exp(np.log(counted / np.maximum(total, 1)).mean(-1))
    short = np.exp(np.minimum(1 - true / said, 0))
    return np.where(some, 100 * short * precision, 0)
