"""What a describer's report shows beside results: captions, by the words in them, and where a few looked."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gatework.data.media import pictures
from gatework.tasks.base import Metric
from gatework.tasks.caption import measures
from gatework.tasks.caption.baselines import Baseline
from gatework.tasks.caption.decoding import PREDICTING, Decoding
from gatework.tasks.caption.examples import Examples

EACH = 6  # pictures shown of those that are right, and of those that are wrong
FEW, SEVERAL = 3, 5  # pictures whose n best captions and attention are shown, and this n
RARE, OFTEN, KINDS = 0.05, 0.7, 8  # shares of the captions that hold a word which makes a kind; most such kinds
STRIP = 4  # frames of a film that are shown


def sections(
    part: str, examples: Examples, simpler: Sequence[Baseline], decoding: Decoding, metric: Metric
) -> dict[str, Any]:
    """All of it, JSON-able.

    Args:
        part: "valid" or "test", the part that `examples` are.
        simpler: baselines, with a caption of each different picture.
        metric: the watched one, by which the best baseline is chosen.
    """
    once, references = examples.once, examples.references
    said = decoding.best(once)
    sums = {"model": measures.sums(said, references)}
    others = {each.name: measures.sums(each.captions, references) for each in simpler}
    values = {name: float(measures.score(each.sum(0), metric.name)) for name, each in others.items()}
    best = max(values, key=lambda name: values[name]) if values else None
    if best is not None:
        sums[best] = others[best]
    beside = next((each.captions for each in simpler if each.name == best), [""] * len(said))
    return {
        "part": part,
        "medium": examples.medium,
        "metric": metric.name,
        "pictures": len(once),
        "methods": list(sums),
        "shown": _shown(once, references, said, beside, sums["model"]),
        "kinds": by_kind(references, sums, metric.name),
        "few": _few(once, references, decoding),
    }


def _shown(
    once: Examples, references: Sequence[Sequence[str]], said: Sequence[str], beside: Sequence[str], sums: np.ndarray
) -> list[dict[str, Any]]:
    """Some that are right and some that are wrong, spread over all."""
    right = sums[:, measures.RIGHT] > 0
    rows = []
    for group, those in (("right", np.flatnonzero(right)), ("wrong", np.flatnonzero(~right))):
        chosen = those[np.unique(np.linspace(0, len(those) - 1, EACH).astype(np.int64))] if len(those) else those
        for row in chosen.tolist():
            rows.append(
                {
                    "group": group,
                    "where": once.listing.where(row),
                    "picture": thumbnail(once, row),
                    "caption": said[row],
                    "references": list(references[row]),
                    "baseline": beside[row],
                }
            )
    return rows


def by_kind(references: Sequence[Sequence[str]], sums: dict[str, np.ndarray], metric: str) -> list[dict[str, Any]]:
    """The metric of each method on the pictures whose captions hold a word, of words that neither few nor most hold,
    and on those with none of these: {"word", "pictures", "values"}."""
    words = [{word.strip(".,:;!?\"'()").lower() for text in own for word in text.split()} - {""} for own in references]
    often = Counter(word for own in words for word in own)
    low, high = RARE * len(words), OFTEN * len(words)
    chosen = [word for word, count in often.most_common() if max(low, 2) <= count <= high][:KINDS]
    masks = {word: np.array([word in own for own in words], bool) for word in chosen}
    if chosen:
        masks["none of these"] = ~np.any(list(masks.values()), 0)
    return [
        {"word": word, "pictures": int(mine.sum()), "values": _values(sums, mine, metric)}
        for word, mine in masks.items()
        if mine.any()
    ]


def _values(sums: dict[str, np.ndarray], mine: np.ndarray, metric: str) -> dict[str, float | None]:
    """The metric of each method on some pictures; None where it has no value."""
    found = {name: float(measures.score(each[mine].sum(0), metric)) for name, each in sums.items()}
    return {name: value if np.isfinite(value) else None for name, value in found.items()}


def _few(once: Examples, references: Sequence[Sequence[str]], decoding: Decoding) -> list[dict[str, Any]]:
    """A few with their n best captions, and what the best looked at."""
    rows = np.unique(np.linspace(0, len(once) - 1, FEW + 2).astype(np.int64))[1:-1] if len(once) > FEW else np.arange(1)
    mine = once.take(rows)
    several = replace(decoding, how=replace(PREDICTING, n_best=SEVERAL, attention=True))
    found = []
    for row, told in zip(rows.tolist(), several.rows(mine), strict=True):
        for each in told["n_best"][1:]:
            del each["attention"], each["units"]
        told |= {"where": once.listing.where(row), "references": list(references[row])}
        if once.medium == "image":
            told["scene"] = once.array(row).tolist()
        found.append(told)
    return found


def thumbnail(examples: Examples, row: int) -> str | None:
    """What a row shows as the source of an <img>: the picture, or some frames of a film beside each other."""
    if examples.medium == "vectors":
        return None
    shown = examples.array(row)
    if examples.medium == "video":
        frames = shown[np.linspace(0, len(shown) - 1, min(STRIP, len(shown))).astype(np.int64)]
        shown = np.concatenate(list(frames), 1)
    file = io.BytesIO()
    pictures.image_of(shown).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
