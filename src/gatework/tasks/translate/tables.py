"""Which translations are good and which are not: by length, by rare words, by what is odd about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from gatework.tasks.translate import measures

GROUPS = 5  # of like length, with about as many pairs in each
SEEN = {"never": 1, "once": 2, "2 to 9 times": 10, "10 times and more": np.inf}  # below so many times
SHOWN = 3  # pairs told of each oddity
MOST_PIECE, TIMES = 4, 3  # a piece of so many units, so many times in a row, is a repetition
LONGER, MORE = 1.5, 3  # longer than the reference by this factor and by so many units: too long; shorter: too short

Values = dict[str, float | None]


def by_length(lengths: np.ndarray, sums: Mapping[str, np.ndarray], metric: str) -> list[dict[str, Any]]:
    """A metric by the length of the source: {"length": "6 to 9", "pairs", "values"}, the short ones first.

    Args:
        lengths: [n], in units.
        sums: [n, k] of each method; see `measures.sums`.
    """
    edges = np.unique(np.quantile(lengths, np.arange(1, GROUPS) / GROUPS, method="higher")) if len(lengths) else []
    group = np.searchsorted(edges, lengths, side="right")
    rows = []
    for number in np.unique(group):
        mine = group == number
        low, high = int(lengths[mine].min()), int(lengths[mine].max())
        name = f"{low}" if low == high else f"{low} to {high}"
        rows.append({"length": name, "pairs": int(mine.sum()), "values": _values(sums, mine, metric)})
    return rows


def by_rarity(seen: np.ndarray, sums: Mapping[str, np.ndarray], metric: str) -> list[dict[str, Any]]:
    """A metric by how often training saw the rarest word of the source, `seen` [n]: {"seen", "pairs", "values"}."""
    group = np.searchsorted(list(SEEN.values()), seen, side="right")
    rows = []
    for number, name in enumerate(SEEN):
        if (group == number).any():
            mine = group == number
            rows.append({"seen": name, "pairs": int(mine.sum()), "values": _values(sums, mine, metric)})
    return rows


def _values(sums: Mapping[str, np.ndarray], mine: np.ndarray, metric: str) -> Values:
    """The metric of each method on some pairs; None where it has no value."""
    found = {name: float(measures.score(each[mine].sum(0), metric)) for name, each in sums.items()}
    return {name: value if np.isfinite(value) else None for name, value in found.items()}


def rarest(known: Iterable[Sequence[str]], asked: Sequence[Sequence[str]]) -> np.ndarray:
    """[n]: how often the rarest word of each sentence stands in the known ones; of one without words, as the commonest.

    rarest([["a", "b"], ["a"]], [["a"], ["a", "b"], ["c"]])             # [2, 1, 0]
    """
    counts = Counter(chain.from_iterable(known))
    most = max(counts.values(), default=0)
    return np.array([min((counts[word] for word in words), default=most) for words in asked], np.int64)


# -- what is odd --------------------------------------------------------------------------------------------


def outputs(
    sources: Sequence[str], said: Sequence[str], true: Sequence[str], ended: Sequence[bool], kind: str
) -> list[dict[str, Any]]:
    """What translations of n pairs are: {"what", "count", "share", "places"}; places are numbers of the first pairs.

    "right": the very reference. "empty": nothing, of something. "cut": at the limit of length, before an end.
    "repeating": a piece stands three times in a row, as it does not in the reference. "too long", "too short":
    by half and by three units. "copied": the source as it stands, wrongly.
    """
    lines = [[measures.tidy(text) for text in side] for side in (sources, said, true)]
    sizes = [np.array([len(units(text, kind)) for text in side], np.int64) for side in lines[1:]]
    right = np.array([one == other for one, other in zip(*lines[1:], strict=True)], bool)
    copies = np.array([one == other for one, other in zip(*lines[:2], strict=True)], bool)
    again = [repeats(units(one, kind)) > repeats(units(other, kind)) for one, other in zip(*lines[1:], strict=True)]
    found = {
        "right": right,
        "empty": (sizes[0] == 0) & (sizes[1] > 0),
        "cut": ~np.array(ended, bool),
        "repeating": np.array(again, bool),
        "too long": _longer(sizes[0], sizes[1]),
        "too short": _longer(sizes[1], sizes[0]),
        "copied": copies & ~right & (sizes[0] > 0),
    }
    return [_told(what, those) for what, those in found.items()]


def _told(what: str, those: np.ndarray) -> dict[str, Any]:
    """How many of the pairs are so, and which are the first of them."""
    share = float(those.mean()) if len(those) else None
    return {"what": what, "count": int(those.sum()), "share": share, "places": np.flatnonzero(those)[:SHOWN].tolist()}


def _longer(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one > LONGER * other) & (one >= other + MORE)


def units(text: str, kind: str) -> Sequence[str]:
    """What the length of a text is counted in: its letters, or its words or symbols."""
    return text if kind == "letters" else text.split()


def repeats(units: Sequence[str]) -> bool:
    """Whether a piece of up to MOST_PIECE units stands TIMES times in a row.

    repeats("a b a b a b".split())              # True
    """
    for size in range(1, MOST_PIECE + 1):
        run = 0
        for one, other in zip(units, units[size:], strict=False):
            run = run + 1 if one == other else 0
            if run == (TIMES - 1) * size:
                return True
    return False


# -- the best, those in the middle, the worst ---------------------------------------------------------------


def spread(scores: np.ndarray, lengths: np.ndarray, each: int) -> dict[str, list[int]]:
    """Numbers of the best pairs, of those in the middle, and of the worst, `each` of them; fewer of less than 3 * each.

    Of equally good ones the longest come first: scores [n], higher is better, and lengths [n].
    """
    order = np.lexsort((-lengths, -scores))
    each = min(each, len(order) // 3)
    if not each:
        return {"best": order[:1].tolist(), "median": [], "worst": order[1:][::-1].tolist()}
    middle = (len(order) - each) // 2
    chosen = {"best": order[:each], "median": order[middle : middle + each], "worst": order[::-1][:each]}
    return {name: rows.tolist() for name, rows in chosen.items()}
