"""What validation rows decide beside the weights: the n-grams' share of the logits, and how sure the model may be.

With few rows a search over shares finds chance. So the usual share stays until rows speak against it: by log loss
beyond two standard errors of the paired difference, or by right answers beyond one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

USUAL = 0.6  # a share that served well on data of many kinds
SHARES = np.arange(11) / 10  # 0: the network alone; 1: the n-grams alone
FEWEST = 50  # rows below which nothing speaks
WIDEST = 1.5  # temperatures are between exp(-WIDEST) and exp(WIDEST)


def best_share(network: np.ndarray, grams: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The n-grams' share when their logits [n, K] and the network's are averaged.

    Of all shares about as good as the best by right answers (half a standard error), the one of the least log loss,
    each at its own temperature; `weights` [n] are what the rows count.
    """
    counted = np.ones(len(labels)) if weights is None else weights / weights.mean()
    mixed = [(1 - share) * network + share * grams for share in SHARES]
    right = np.stack([(each.argmax(axis=1) == labels) * counted for each in mixed])
    losses = np.stack([log_losses(each / temperature(each, labels, counted), labels) * counted for each in mixed])
    best, usual = int(right.mean(1).argmax()), int(np.abs(SHARES - USUAL).argmin())
    near = [k for k in range(len(SHARES)) if not _beyond(right[best] - right[k], 0.5)]
    chosen = min(near, key=lambda k: losses[k].mean())
    speaks = _beyond(right[chosen] - right[usual], 1) or _beyond(losses[usual] - losses[chosen], 2)
    return float(SHARES[chosen] if speaks else SHARES[usual])


def helpful_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """What to divide logits by (Guo et al. 2017, section 4.2); 1 where no gain in log loss beyond chance is seen."""
    found = temperature(logits, labels)
    gain = log_losses(logits, labels) - log_losses(logits / found, labels)
    return found if _beyond(gain, 2) else 1.0


def temperature(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The temperature of the least log loss."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return float(np.average(log_losses(logits / np.exp(log_temperature), labels), weights=weights))

    found: Any = minimize_scalar(loss, bounds=(-WIDEST, WIDEST), method="bounded", options={"xatol": 0.02})
    return float(np.exp(found.x))


def log_losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy [n] of each row, in nats."""
    raised = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(raised).sum(axis=1)) - raised[np.arange(len(labels)), labels]


def _beyond(gains: np.ndarray, errors: float) -> bool:
    """Whether the mean of paired gains, of enough rows, lies above 0 by more than so many of its standard errors."""
    return len(gains) >= FEWEST and bool(gains.mean() > errors * gains.std() / np.sqrt(len(gains)))
