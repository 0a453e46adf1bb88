"""Numbers as people read them, and what curves and results say in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from gatework.training.learner import NETWORK_LOSS, cut_short, learned_too, like_training, still_falling

NAMES = {"sha256": "SHA-256"}  # keys of results that are written otherwise than with spaces for underscores
HIGHER = {"loss": False}  # metrics whose direction is known, and whether more is better
SHARES = {"accuracy", "f1", "precision", "recall", "exact", "word_error", "symbol_error"}  # metrics told in percent
CLOSE = 0.05  # a gap of losses, as a part of the validation loss, that is not worth a word


def know(
    names: Mapping[str, str], *, higher: Iterable[str] = (), lower: Iterable[str] = (), shares: Iterable[str] = ()
) -> None:
    """Tells pages how a task's keys are written, which of its metrics are better when higher, or lower, and which are
    shares, told in percent.

    know({"bleu": "BLEU"}, higher=["bleu"])
    """
    SHARES.update(shares)
    NAMES.update(names)
    HIGHER.update(dict.fromkeys(higher, True) | dict.fromkeys(lower, False))


def named(key: str) -> str:
    """A key of the results as a heading: `nats_per_character` -> "nats per character"."""
    return NAMES.get(key, key.replace("_", " "))


def number(value: object) -> str:
    """At most four significant digits; thousands apart; a dash for none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "not a number")
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def measured(metric: str, value: object) -> str:
    """A metric's value, everywhere with the same digits: 0.8351 of accuracy -> "83.5%"."""
    if metric in SHARES and isinstance(value, int | float) and math.isfinite(value):
        return f"{100 * value:.1f}%"
    return number(value)


def apart(metric: str, value: float, unit: bool = True) -> str:
    """How far two values of a metric are apart: 0.0309 of accuracy -> "3.1 points"."""
    if metric not in SHARES:
        return f"{value:.3g}"
    points = f"{100 * value:.1f}" if abs(value) >= 0.01 or value == 0 else f"{100 * value:.2g}"
    return f"{points} points" if unit else points


def plain(value: object) -> str:
    """Any JSON value in one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{named(str(key))} {plain(each)}" for key, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(plain(each) for each in value) or "none"
    return number(value)


def duration(seconds: float) -> str:
    """`75` -> "1 min 15 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes)
    return " ".join([*parts, f"{rest} s"] if not hours else parts) if seconds >= 1 else f"{seconds:.1f} s"


def gap(history: Sequence[Mapping[str, float]], results: Mapping[str, Any] | None = None) -> list[str]:
    """How far training and validation are apart, and whether more training would help.

    Judged by the epochs that did not learn the validation part too.

    With `results` the distance is between what was measured on both in evaluation mode, else between the curves.
    """
    rows = [row for row in history if _finite(row.get("train_loss")) and _finite(like_training(row))]
    if learned := sum(map(learned_too, history)):
        return _before(rows, learned, len(history))
    if not rows:
        return ["No loss was recorded."]
    if results and results.get("train") and results.get("valid"):
        return [_measured_gap(results["train"], results["valid"], results["metric"]), *_course(rows, results)]
    return [_distance(rows[-1]), *_course(rows)]


def _before(rows: Sequence[Mapping[str, float]], learned: int, epochs: int) -> list[str]:
    """What the epochs say that came before those that learned the validation part too."""
    if not rows:
        return ["Every epoch learned the validation part too: the losses do not say whether more training would help."]
    told = f"The last {learned} of {epochs} epochs" if learned > 1 else f"The last of {epochs} epochs"
    return [f"{told} learned the validation part too and say nothing here.", _distance(rows[-1]), *_course(rows)]


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _measured_gap(train: Mapping[str, float], valid: Mapping[str, float], watched: Mapping[str, Any]) -> str:
    metric = watched["name"]
    opening = f"The model's loss is {number(train['loss'])} on training rows and {number(valid['loss'])} on validation"
    if metric != "loss" and _finite(train.get(metric)):
        opening += f" ({named(metric)} {measured(metric, train[metric])} and {measured(metric, valid[metric])})"
    opening += ", both with dropout off"
    if abs(valid["loss"] - train["loss"]) <= CLOSE * abs(valid["loss"]):
        return f"{opening}: no gap to speak of."
    if valid["loss"] < train["loss"]:
        if metric != "loss" and _finite(train.get(metric)) and _fell(train[metric], valid[metric], watched["higher"]):
            return (
                f"{opening}: the validation part is the easier one by the loss but the harder one by {named(metric)}, "
                "so they do not say whether the model overfits."
            )
        return f"{opening}: the validation part is the easier one. The model does not overfit."
    return (
        f"{opening}: a gap of {number(valid['loss'] - train['loss'])}; the model knows its training rows better than "
        "new ones."
    )


def _fell(train: float, valid: float, higher: bool) -> bool:
    """Whether a metric is worse on validation than in training by more than a trifle."""
    return (train - valid if higher else valid - train) > CLOSE * abs(valid)


def _distance(row: Mapping[str, float]) -> str:
    train, valid = row["train_loss"], like_training(row)
    losses = f"{number(train)} on the training part and {number(valid)} on validation"
    opening = f"In epoch {row['epoch']:.0f} the loss is {losses}"
    if abs(valid - train) <= CLOSE * abs(valid):
        return f"{opening}: no gap to speak of."
    if valid < train:
        return (
            f"{opening}: lower, as dropout is off in validation and the training loss is a mean over the epoch, or as "
            "the validation part is easier. The model does not overfit."
        )
    return f"{opening}: a gap of {number(valid - train)}; the model knows its training rows better than new ones."


def _course(rows: Sequence[Mapping[str, float]], results: Mapping[str, Any] | None = None) -> list[str]:
    if len(rows) < 2:
        return ["One validation is too few to tell whether more training would help."]
    losses = [like_training(row) for row in rows]
    whose = "network's " if any(f"valid_{NETWORK_LOSS}" in row for row in rows) else ""
    lowest = losses.index(min(losses))
    if still_falling(losses):
        return [
            f"The {whose}validation loss was still falling at the end: no overfitting yet, rather too little training "
            "(underfitting); more epochs may help."
        ]
    if cut_short(rows):
        return [
            f"The {whose}validation loss fell as long as the steps were large, and stood still only when the schedule "
            "had made them small: too little training (underfitting); more epochs may help."
        ]
    if lowest == len(rows) - 1:
        return [f"The {whose}validation loss hardly moved in the last epochs; more of them would bring little."]
    rise = losses[-1] - losses[lowest]
    wavering = max((after - before for before, after in pairwise(losses[: lowest + 1])), default=0.0)
    text = f"The {whose}validation loss was lowest in epoch {rows[lowest]['epoch']:.0f}"
    if rise <= max(CLOSE * abs(losses[lowest]), wavering):
        return [f"{text} and hardly moved after it: neither over- nor underfitting; more epochs would bring little."]
    if results and results["valid"]["loss"] <= results["train"]["loss"]:
        return [f"{text} and rose by {number(rise)} after it: more epochs would not help."]
    return [
        f"{text} and rose by {number(rise)} after it: the model began to learn its rows by heart (overfitting). More "
        "data or more dropout would help; more epochs would not."
    ]


def epochs(done: int, history: Sequence[Mapping[str, float]]) -> str:
    """How many epochs were trained, also where time ran out inside one."""
    whole = f"{number(done)} {'epoch' if done == 1 else 'epochs'}"
    begun = history[-1].get("epoch", done) if history else done
    return f"{whole} and a part of the next" if begun > done else whole


def best_of(name: str, values: Sequence[float | None]) -> float | None:
    """The best value of a metric whose direction is known; None for others, or where there is nothing to compare."""
    there = [value for value in values if value is not None and math.isfinite(value)]
    if len(there) < 2 or name not in HIGHER:
        return None
    return (max if HIGHER[name] else min)(there)
