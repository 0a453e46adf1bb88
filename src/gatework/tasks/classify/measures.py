"""How good predictions are: overall, class by class, by confidence, and the worst of them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from gatework.tasks.base import ratio
from gatework.tasks.classify.examples import Examples

BINS = 10
BLOCKS = 1_000  # groups of rows whose sums are kept
SHOWN = 8  # errors of which a page holds the sound or the picture
MISSED, FEWEST = 0.1, 5  # a recall below which a class counts as missed, where it has so many rows


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def measures(probabilities: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """accuracy, macro_f1, mcc (Matthews), loss (cross-entropy, nats) and calibration_error of [n, K] probabilities."""
    from sklearn.metrics import matthews_corrcoef

    right = probabilities[np.arange(len(labels)), labels]
    with warnings.catch_warnings():  # of a single class, whose coefficient is 0
        warnings.simplefilter("ignore", UserWarning)
        mcc = float(matthews_corrcoef(labels, predicted))
    return {
        "accuracy": float((predicted == labels).mean()),
        "macro_f1": float(np.mean([row["f1"] for row in class_table(predicted, labels, _names(probabilities))])),
        "mcc": mcc,
        "loss": float(-np.log(np.maximum(right, 1e-12)).mean()),
        "calibration_error": calibration(probabilities, predicted, labels)["error"],
    }


def hard_measures(predicted: np.ndarray, labels: np.ndarray, classes: int) -> dict[str, float]:
    """The measures that need no probabilities."""
    whole = measures(np.eye(classes)[predicted], predicted, labels)
    return {name: whole[name] for name in ("accuracy", "macro_f1", "mcc")}


def sums(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """[G, 3 K]: rows that are right, predicted and true of each class, in each of up to BLOCKS groups of rows."""
    groups = min(len(labels), BLOCKS)
    group = np.arange(len(labels)) * groups // max(len(labels), 1)

    def counted(kinds: np.ndarray, which: np.ndarray) -> np.ndarray:
        places = (group * classes + kinds)[which]
        return np.bincount(places, minlength=groups * classes).reshape(groups, classes)

    everywhere, right = np.ones(len(labels), bool), predicted == labels
    return np.hstack([counted(labels, right), counted(predicted, everywhere), counted(labels, everywhere)]).astype(
        float
    )


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """accuracy or macro_f1 [...] of sums [..., 3 K]."""
    right, said, there = np.split(sums, 3, axis=-1)
    if metric == "accuracy":
        return ratio(right.sum(-1), there.sum(-1))
    return ratio((2 * right / np.maximum(said + there, 1)).sum(-1), (said + there > 0).sum(-1))


def _names(probabilities: np.ndarray) -> list[str]:
    return [str(k) for k in range(probabilities.shape[1])]


def confusion(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """[K, K] counts: row is the true class, column the predicted one."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def class_table(predicted: np.ndarray, labels: np.ndarray, names: list[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and number of rows of each class that has rows or predictions."""
    matrix = confusion(predicted, labels, len(names))
    rows = []
    for k, name in enumerate(names):
        right, said, there = int(matrix[k, k]), int(matrix[:, k].sum()), int(matrix[k].sum())
        if said or there:
            scores = {
                "precision": right / max(said, 1),
                "recall": right / max(there, 1),
                "f1": 2 * right / (said + there),
            }
            rows.append({"label": name, **scores, "rows": there})
    return rows


def missed(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a class table of classes that are hardly ever found."""
    return [row for row in table if row["rows"] >= FEWEST and row["recall"] < MISSED]


def missed_hint(table: list[dict[str, Any]], weighed: bool) -> list[dict[str, str]]:
    """What to do where classes are hardly found, as `Task.sections` gives hints; `weighed`: rare ones already count
    more."""
    rows = missed(table)
    if not rows:
        return []
    shown = "; ".join(f"{row['label']!r} {row['recall']:.1%} of {row['rows']:,} rows" for row in rows[:5])
    more = f" and {len(rows) - 5} more classes" if len(rows) > 5 else ""
    cure = ("give more rows of these classes, or join them with others", "") if weighed else WEIGH
    return [{"what": f"Hardly found (recall): {shown}{more}", "advice": cure[0], "setting": cure[1]}]


WEIGH = ("weigh rare classes up, or choose decision thresholds (tune_threshold)", "--set class_weights=balanced")


def calibration(probabilities: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Accuracy beside confidence in ten bins; "error" is their mean distance, by rows (ECE, Guo et al. 2017)."""
    confidence = probabilities[np.arange(len(labels)), predicted]
    bin = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = []
    for each in range(BINS):
        mine = bin == each
        if mine.any():
            accuracy = float((predicted == labels)[mine].mean())
            bins.append({"confidence": float(confidence[mine].mean()), "accuracy": accuracy, "rows": int(mine.sum())})
    error = sum(row["rows"] * abs(row["accuracy"] - row["confidence"]) for row in bins) / len(labels)
    return {"bins": bins, "error": float(error)}


def worst(
    examples: Examples, probabilities: np.ndarray, predicted: np.ndarray, names: list[str], count: int = 20
) -> list[dict[str, Any]]:
    """The most confident errors; of media the first can be heard or seen."""
    confidence = probabilities[np.arange(len(predicted)), predicted]
    wrong = np.flatnonzero((predicted != examples.labels) & (examples.labels >= 0))
    return [
        {
            "where": examples.where(int(i)),
            "text": examples.describe(int(i)),
            "label": names[examples.labels[i]],
            "predicted": names[predicted[i]],
            "confidence": float(confidence[i]),
            **(examples.media.shown(int(i)) if examples.media is not None and number < SHOWN else {}),
        }
        for number, i in enumerate(wrong[np.argsort(-confidence[wrong], kind="stable")][:count])
    ]


def most_confused(matrix: np.ndarray, names: list[str], count: int = 10) -> list[dict[str, Any]]:
    """The pairs of classes that are taken for each other most often."""
    off = matrix - np.diag(np.diag(matrix))
    pairs = np.argwhere(off > 0)
    pairs = pairs[np.argsort(-off[pairs[:, 0], pairs[:, 1]], kind="stable")][:count]
    return [{"label": names[i], "predicted": names[j], "rows": int(off[i, j])} for i, j in pairs]
