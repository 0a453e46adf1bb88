"""How good translations are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatework.tasks.base import ratio


def kind_of(references: Sequence[str]) -> str:
    return "text"


def measures(translations: Sequence[str], references: Sequence[str], kind: str) -> dict[str, float]:
    """Share of translations that are the very reference."""
    return {"exact": float(np.mean([a == b for a, b in zip(translations, references, strict=True)]))}


def sums(translations: Sequence[str], references: Sequence[str], kind: str) -> np.ndarray:
    """[n, k]: what `score` computes metrics from, added up over examples."""
    right = [a == b for a, b in zip(translations, references, strict=True)]
    return np.array([right, np.ones(len(right))], np.float64).T


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    return ratio(sums[..., 0], sums[..., 1])
