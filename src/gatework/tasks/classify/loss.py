"""Cross-entropy with smoothed labels, class weights and focus on hard examples; thresholds for rare classes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def class_weights(labels: np.ndarray, classes: int) -> Tensor:
    """n / (K n_k): each class weighs the same in sum."""
    counts = np.bincount(labels, minlength=classes)
    return torch.from_numpy((len(labels) / (classes * np.maximum(counts, 1))).astype(np.float32))


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float, gamma: float) -> Tensor:
    """Mean loss of a batch; gamma > 0 scales each example's by (1 - p)^gamma (Lin et al. 2017, equation 4)."""
    losses = functional.cross_entropy(logits, labels, weight=weights, label_smoothing=smoothing, reduction="none")
    if gamma:
        right = torch.softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
        losses = losses * (1 - right) ** gamma
    return losses.mean()


def tuned_decision(logits: np.ndarray, labels: np.ndarray, rounds: int = 2) -> np.ndarray:
    """What to add to each class' logit before the largest decides, so that macro-F1 is best: for two classes a
    threshold, for more one class after the other. Ties keep the smallest change."""
    decision = np.zeros(logits.shape[1])
    for _ in range(rounds if logits.shape[1] > 2 else 1):
        for k in range(1 if logits.shape[1] == 2 else 0, logits.shape[1]):
            others = np.delete(logits + decision, k, axis=1).max(axis=1)
            gaps = np.unique(others - logits[:, k])
            middles = np.quantile((gaps[1:] + gaps[:-1]) / 2, np.linspace(0, 1, 101)) if len(gaps) > 1 else gaps
            steps = sorted([decision[k], *middles], key=lambda step: abs(step - decision[k]))
            scores = [_macro_f1(_shifted(logits + decision, k, step - decision[k]), labels) for step in steps]
            decision[k] = steps[int(np.argmax(scores))]
    return decision


def _shifted(logits: np.ndarray, k: int, step: float) -> np.ndarray:
    moved = logits.copy()
    moved[:, k] += step
    return moved.argmax(axis=1)


def _macro_f1(predicted: np.ndarray, labels: np.ndarray) -> float:
    classes = int(max(predicted.max(), labels.max())) + 1
    both = np.bincount(labels[predicted == labels], minlength=classes)
    total = np.bincount(labels, minlength=classes) + np.bincount(predicted, minlength=classes)
    return float((2 * both / np.maximum(total, 1)).mean())
