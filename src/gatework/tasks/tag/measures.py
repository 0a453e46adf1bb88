"""How good predicted tags are: by tokens, by spans as conlleval counts them, by labels of whole sentences.

    measures(["B-PER", "I-PER", "O"], ["B-PER", "O", "O"], np.array([3]))        # accuracy 0.667, f1 0.0, ...

What a span is: `gatework.tasks.tag.chunks`. It is right where start, end and kind are. n sentences have N tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatework.errors import ShapeError
from gatework.tasks.base import ratio
from gatework.tasks.tag.chunks import Compared, Spans, Tags, spans

Labels = tuple[Sequence[str | None], Sequence[str | None]]

__all__ = ["by_frequency", "by_kind", "confusions", "measures", "reasons", "score", "spans", "sums"]

SHOWN = 20  # places of a confusion
SEEN = {"never": 1, "once": 2, "2 to 9 times": 10, "10 times and more": np.inf}  # below so many times
COUNTS = (
    *("right spans", "said spans", "true spans", "right tokens", "tokens", "right unseen tokens", "unseen tokens"),
    *("right labels", "labels", "both right"),
)
# A metric is the first over the mean of the others: F1, the harmonic mean of precision and recall, is 2 c / (s + t).
METRICS = {
    "accuracy": ("right tokens", "tokens"),
    "precision": ("right spans", "said spans"),
    "recall": ("right spans", "true spans"),
    "f1": ("right spans", "said spans", "true spans"),
    "accuracy_unseen": ("right unseen tokens", "unseen tokens"),
    "label_accuracy": ("right labels", "labels"),
    "both_right": ("both right", "labels"),
}
REASONS = {
    "accuracy": "no token has a known tag",
    "precision": "no span was predicted",
    "recall": "there is no true span",
    "f1": "there is no span, neither true nor predicted",
    "accuracy_unseen": "training saw every word",
    "label_accuracy": "no sentence has a known label",
    "both_right": "no sentence has a known label",
}


def measures(
    true: Tags,
    said: Tags,
    lengths: np.ndarray,
    *,
    plain: bool = False,
    known: np.ndarray | None = None,
    labels: Labels | None = None,
) -> dict[str, float]:
    """Metric -> value; NaN where nothing was counted (REASONS says why).

    Args:
        true, said: tags of N tokens, as they are written.
        lengths: [n].
        plain: tags write no spans: no precision, recall, f1.
        known: bool [N], whether training saw the word; gives accuracy_unseen.
        labels: true and predicted labels of the sentences; give label_accuracy and both_right (label and all tags).

    Raises: ShapeError.
    """
    counts = sums(true, said, lengths, plain=plain, known=known, labels=labels).sum(0)
    left_out = ("precision", "recall", "f1") if plain else ()
    left_out += ("accuracy_unseen",) if known is None else ()
    left_out += ("label_accuracy", "both_right") if labels is None else ()
    return {metric: float(score(counts, metric)) for metric in METRICS if metric not in left_out}


def sums(
    true: Tags,
    said: Tags,
    lengths: np.ndarray,
    *,
    plain: bool = False,
    known: np.ndarray | None = None,
    labels: Labels | None = None,
) -> np.ndarray:
    """[n, 10]: COUNTS of each sentence, from which `score` computes any metric; arguments as those of `measures`."""
    pair = Compared.of(true, said, lengths, plain)
    unseen = np.zeros(len(true), bool) if known is None else ~np.asarray(known, bool)
    spans = (pair.true_spans.first[pair.right_spans], pair.said_spans.first, pair.true_spans.first)
    tokens = (pair.right, pair.counted, pair.right & unseen, pair.counted & unseen)
    counts = [np.bincount(pair.sentence[those], minlength=len(lengths)) for those in (*spans, *tokens)]
    named, agree = _labels(labels, len(lengths))
    whole = counts[3] == counts[4]
    return np.stack([*counts, agree, named, agree & whole], 1).astype(float)


def _labels(labels: Labels | None, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether each sentence has a label, and whether the predicted one is that."""
    if labels is None:
        return np.zeros(count, bool), np.zeros(count, bool)
    if not len(labels[0]) == len(labels[1]) == count:
        raise ShapeError(
            f"{len(labels[0])} true and {len(labels[1])} predicted labels for {count} sentences: give two each"
        )
    named = np.array([label is not None for label in labels[0]], bool)
    return named, named & np.array([one == other for one, other in zip(*labels, strict=True)], bool)


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """A metric [...] of sums [..., 10] added up over sentences; NaN where nothing was counted."""
    top, *bottom = (sums[..., COUNTS.index(name)] for name in METRICS[metric])
    return ratio(top, np.mean(bottom, 0))


# -- tables -------------------------------------------------------------------------------------------------


def by_kind(true: Tags, said: Tags, lengths: np.ndarray, *, plain: bool = False) -> list[dict[str, Any]]:
    """Precision, recall and f1 of each kind of span (of each tag, where these are plain), the most frequent first.

    `count` is the number of true ones, `predicted` of predicted ones, `right` of both; None where it cannot be said.
    """
    pair = Compared.of(true, said, lengths, plain)
    kinds = (pair.true_spans.kind[pair.right_spans], pair.said_spans.kind, pair.true_spans.kind)
    table = np.stack([np.bincount(kind, minlength=len(pair.names.kinds)) for kind in kinds], 1)
    rows = []
    for number in np.argsort(-table[:, 2], kind="stable"):
        if table[number, 1:].any():
            values = {metric: float(score(table[number], metric)) for metric in ("precision", "recall", "f1")}
            told = {metric: None if np.isnan(value) else value for metric, value in values.items()}
            counts = dict(zip(("right", "predicted", "count"), table[number].tolist(), strict=True))
            rows.append({"kind": pair.names.kinds[number], **told, **counts})
    return rows


def confusions(true: Tags, said: Tags, lengths: np.ndarray, *, plain: bool = False) -> list[dict[str, Any]]:
    """What was taken for what, the most frequent first: {"true", "predicted", "how", "count", "places"}.

    Each true span that was not found goes with the predicted span that covers most of it: "kind" (same tokens),
    "start", "end", "start and end" (same kind), "kind and borders"; "missed" where there is none ("predicted" is None).
    A predicted span that touches no true one is "invented" ("true" is None). `places` are the first of them: their
    true and predicted tokens, [first, past the last] or None.
    """
    pair = Compared.of(true, said, lengths, plain)
    rows: dict[tuple[str | None, str | None, str], list[tuple[list[int] | None, list[int] | None]]] = {}
    for one, other in _faults(pair):
        own, predicted = _named(pair, pair.true_spans, one), _named(pair, pair.said_spans, other)
        rows.setdefault((own[0], predicted[0], _how(own, predicted)), []).append((own[1], predicted[1]))
    return [
        {"true": fault[0], "predicted": fault[1], "how": fault[2], "count": len(places), "places": places[:SHOWN]}
        for fault, places in sorted(rows.items(), key=lambda row: -len(row[1]))
    ]


def _named(pair: Compared, spans: Spans, number: int) -> tuple[str | None, list[int] | None]:
    """Kind and tokens of a span; None and None of none."""
    if number < 0:
        return None, None
    return pair.names.kinds[spans.kind[number]], [int(spans.first[number]), int(spans.past[number])]


def _how(true: tuple[str | None, list[int] | None], said: tuple[str | None, list[int] | None]) -> str:
    if true[1] is None or said[1] is None:
        return "invented" if true[1] is None else "missed"
    if true[1] == said[1]:
        return "kind"
    if true[0] != said[0]:
        return "kind and borders"
    sides = zip(("start", "end"), true[1], said[1], strict=True)
    return " and ".join(side for side, one, other in sides if one != other)


def _faults(pair: Compared) -> list[tuple[int, int]]:
    """Numbers of a true span that was not found and of the predicted span that covers most of it (the first of these);
    then of predicted spans that touch no true one; -1: none."""
    true, said = (each.owners(len(pair.true)) for each in (pair.true_spans, pair.said_spans))
    both = (true >= 0) & (said >= 0)
    meetings, shared = np.unique(np.stack([true[both], said[both]]), axis=1, return_counts=True)
    order = np.lexsort((-meetings[1], shared))  # of equal indices, numpy keeps the value that comes last
    chosen = np.full(len(pair.true_spans.first), -1)
    chosen[meetings[0, order]] = meetings[1, order]
    missed = np.flatnonzero(~pair.right_spans)
    invented = np.setdiff1d(np.arange(len(pair.said_spans.first)), meetings[1])
    return [
        *zip(missed.tolist(), chosen[missed].tolist(), strict=True),
        *((-1, number) for number in invented.tolist()),
    ]


def by_frequency(true: Tags, said: Tags, seen: np.ndarray) -> list[dict[str, Any]]:
    """Errors by how often training saw the word, `seen` [N]: {"seen", "tokens", "wrong", "rate"}; empty groups are left
    out."""
    pair = Compared.of(true, said, np.array([len(true)]), plain=True)
    group = np.searchsorted(list(SEEN.values()), np.asarray(seen), side="right")
    which = (pair.counted, pair.counted & ~pair.right)
    tokens, wrong = (np.bincount(group[those], minlength=len(SEEN)) for those in which)
    return [
        {"seen": name, "tokens": int(t), "wrong": int(w), "rate": float(w / t)}
        for name, t, w in zip(SEEN, tokens, wrong, strict=True)
        if t
    ]


def reasons(values: Mapping[str, float]) -> dict[str, str]:
    """Why metrics have no value."""
    return {metric: REASONS[metric] for metric, value in values.items() if np.isnan(value)}
