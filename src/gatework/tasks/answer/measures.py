"""Measures of answers: how many are right as a whole, by kind of question; nats and perplexity of the true ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gatework.tasks.answer.decoding import Forced


def measures(found: Forced, kinds: Sequence[str] | None = None) -> dict[str, float]:
    """accuracy; mean_accuracy over kinds, where there are several; loss, nats of an answer; perplexity of its words.

    An answer is right where it is the true one as a whole: of the list "milk,apple" both, in this order.
    """
    nats = {
        "loss": float(found.nats.mean()),
        "perplexity": math.exp(min(float(found.nats.sum() / found.words.sum()), 700.0)),
    }
    return nats | accuracies(found.right, kinds)


def accuracies(right: np.ndarray, kinds: Sequence[str] | None = None) -> dict[str, float]:
    """accuracy, and mean_accuracy over kinds where there are several."""
    result = {"accuracy": float(right.mean())}
    if kinds is not None and len(set(kinds)) > 1:
        result["mean_accuracy"] = float(np.mean([row["accuracy"] for row in by_kind(right, kinds)]))
    return result


def sums(right: np.ndarray) -> np.ndarray:
    """[n, 2]: whether each question is answered rightly, and 1, from which accuracy is computed."""
    return np.stack([right, np.ones(len(right))], 1).astype(float)


def by_kind(right: np.ndarray, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """{"kind", "count", "right", "accuracy"} of each kind of question, in the order in which they come."""
    names = list(dict.fromkeys(kinds))
    number = {name: k for k, name in enumerate(names)}
    which = np.array([number[kind] for kind in kinds])
    count = np.bincount(which, minlength=len(names))
    hits = np.bincount(which[right], minlength=len(names))
    return [
        {"kind": name, "count": int(n), "right": int(k), "accuracy": float(k / n)}
        for name, n, k in zip(names, count, hits, strict=True)
    ]
