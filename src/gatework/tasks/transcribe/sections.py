"""What only a transcriber's report shows: kinds of errors, which unit is taken for which, the worst recordings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gatework.runtime.ctc import Path
from gatework.tasks.transcribe import measures
from gatework.tasks.transcribe.baselines import Baseline
from gatework.tasks.transcribe.examples import Examples
from gatework.tasks.transcribe.options import TranscribePredicting
from gatework.tasks.transcribe.search import Searching
from gatework.tasks.transcribe.shown import heard, played

MOST = 2_000  # clips that are looked at; of more, some spread over all of them
WORST, SHOWN = 6, 3  # clips that can be played or seen, and those whose frames are drawn
PAIRS, EXAMPLES = 12, 3  # confusions, and clips told of each
CELLS = 24  # units of which a whole matrix of confusions can be read
GROUPS = 5  # of like length, with about as many clips in each
SURE = (0.5, 0.8, 0.95, 1.0)  # upper ends of groups by confidence
TRIED = 60  # clips that other searches are tried on
SEARCHES = (
    TranscribePredicting(),
    TranscribePredicting(beam=16),
    *(TranscribePredicting(beam=16, lm_weight=weight) for weight in (0.2, 0.5, 1.0)),
)


class Told(NamedTuple):
    """What was found of n clips: log probabilities (T, V) and the best path of each, its text, what is true, and what
    the best baseline says; `sums` of both by their names, "model" first."""

    steps: list[np.ndarray]
    paths: list[Path]
    said: list[str]
    true: list[str]
    baseline: list[str]
    sums: dict[str, np.ndarray]


def sections(
    part: str,
    examples: Examples,
    hear: Callable[[Examples], Iterable[np.ndarray]],
    simpler: Sequence[Baseline],
    searching: Searching,
    metric: str,
) -> dict[str, Any]:
    """All of it, JSON-able.

    Args:
        part: "valid" or "test", the part that `examples` are; they have texts.
        hear: gives log probabilities (T, V) of each.
        simpler: baselines, with a text of each example.
        metric: of `measures.METRICS`.
    """
    rows = np.unique(np.linspace(0, len(examples) - 1, min(MOST, len(examples))).astype(np.int64))
    examples = examples.take(rows)
    simpler = [each._replace(said=[each.said[row] for row in rows.tolist()]) for each in simpler]
    told = _told(examples, hear(examples), simpler, searching, metric)
    by = searching.units.kind
    names = [name or examples.clips.where(row) for row, name in enumerate(examples.clips.names)]
    return {
        "part": part,
        "kind": examples.clips.kind,
        "units": by,
        "metric": metric,
        "clips": len(examples),
        "errors": {each: kinds_of_errors(told.sums, each) for each in measures.COLUMNS},
        "speakers": by_speaker(examples.clips.speakers, told.sums),
        "lengths": by_length([len(searching.units.split(text)) for text in told.true], told.sums, metric),
        "confusions": confusions(told.said, told.true, by, names),
        "matrix": matrix(told.said, told.true, by),
        "sure": by_confidence(np.exp([path.log_p for path in told.paths]), told.sums["model"]),
        "searches": _searches(told, searching, metric),
        "worst": _worst(examples, told, searching, metric),
    }


def _told(
    examples: Examples, heard: Iterable[np.ndarray], simpler: Sequence[Baseline], searching: Searching, metric: str
) -> Told:
    """Texts of the examples, and those of the baseline that is best at them."""
    true = [measures.tidy(text) for text in examples.clips.texts or []]
    steps = list(heard)
    paths = [searching.read(each).result() for each in steps]
    said = [searching.units.text(path.ids.tolist()) for path in paths]
    sums, baseline = {"model": measures.sums(said, true)}, [""] * len(true)
    if simpler:
        counted = {each.name: measures.sums(each.said, true) for each in simpler}
        values = {name: float(measures.score(each.sum(0), metric)) for name, each in counted.items()}
        chosen = min(simpler, key=lambda each: values[each.name])
        sums, baseline = {**sums, chosen.name: counted[chosen.name]}, chosen.said
    return Told(steps, paths, said, true, baseline, sums)


# -- errors ---------------------------------------------------------------------------------------------------


def kinds_of_errors(sums: Mapping[str, np.ndarray], by: str) -> list[dict[str, Any]]:
    """Of each method the edits of a kind, by "words" or "characters": {"method", "right", "substituted", "left_out",
    "put_in", "error"}."""
    metric = "word_error" if by == "words" else "character_error"
    rows = []
    for name, each in sums.items():
        total = each.sum(0)
        counts = dict(zip(measures.EDITS, total[measures.COLUMNS[by]].astype(int).tolist(), strict=True))
        rows.append({"method": name, **counts, "error": value(measures.score(total, metric))})
    return rows


def by_speaker(speakers: Sequence[str], sums: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """The metrics of each speaker, the worst first: {"speaker", "clips", "word_error", "character_error", "exact"}."""
    if not speakers:
        return []
    names, mine = np.unique(np.array(speakers, object).astype(str), return_inverse=True)
    rows = []
    for number, name in enumerate(names.tolist()):
        total = sums["model"][mine == number].sum(0)
        found = {metric: value(measures.score(total, metric)) for metric in measures.METRICS}
        rows.append({"speaker": name, "clips": int((mine == number).sum()), **found})
    return sorted(rows, key=lambda row: -(row["word_error"] or 0))


def by_length(lengths: Sequence[int], sums: Mapping[str, np.ndarray], metric: str) -> list[dict[str, Any]]:
    """The metric by units of the text: {"length": "3 to 5", "clips", "values"}, the short ones first."""
    edges = np.unique(np.quantile(lengths, np.arange(1, GROUPS) / GROUPS, method="higher")) if len(lengths) else []
    group = np.searchsorted(edges, lengths, side="right")
    rows = []
    for number in np.unique(group):
        mine = group == number
        low, high = int(np.min(np.array(lengths)[mine])), int(np.max(np.array(lengths)[mine]))
        values = {name: value(measures.score(each[mine].sum(0), metric)) for name, each in sums.items()}
        name = f"{low}" if low == high else f"{low} to {high}"
        rows.append({"length": name, "clips": int(mine.sum()), "values": values})
    return rows


def by_confidence(sure: np.ndarray, sums: np.ndarray) -> list[dict[str, Any]]:
    """How many of the texts of like confidence are right: {"sure": "50% to 80%", "clips", "right"}."""
    group, low, rows = np.searchsorted(SURE, np.minimum(sure, 1.0)), 0.0, []
    for number, high in enumerate(SURE):
        mine = group == number
        if mine.any():
            right = float(sums[mine, measures.EXACT].mean())
            rows.append({"sure": f"{low:.0%} to {high:.0%}", "clips": int(mine.sum()), "right": right})
        low = high
    return rows


def confusions(said: Sequence[str], true: Sequence[str], by: str, where: Sequence[str]) -> list[dict[str, Any]]:
    """What was said for what, the most frequent first: {"true", "said", "count", "examples"}; "" is nothing."""
    counts: Counter[tuple[str, str]] = Counter()
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row, one, other in measures.edits(said, true, by):
        counts[one, other] += 1
        if where[row] not in places[one, other][:EXAMPLES]:
            places[one, other].append(where[row])
    return [
        {"true": pair[0], "said": pair[1], "count": count, "examples": places[pair][:EXAMPLES]}
        for pair, count in counts.most_common(PAIRS)
    ]


def matrix(said: Sequence[str], true: Sequence[str], by: str) -> dict[str, Any] | None:
    """Counts of true units (rows) by what was said (columns), the last row and column for nothing; None where there are
    too many units for a table, or no error."""
    cut = str.split if by == "words" else list
    names = sorted({unit for text in (*said, *true) for unit in cut(text)})
    wrong = list(measures.edits(said, true, by))
    if not wrong or len(names) > CELLS:
        return None
    place = {name: number for number, name in enumerate([*names, ""])}
    counts = np.zeros((len(place), len(place)), np.int64)
    for unit, count in Counter(unit for text in true for unit in cut(text)).items():
        counts[place[unit], place[unit]] = count
    for _, one, other in wrong:
        counts[place[one], place[other]] += 1
        if one:
            counts[place[one], place[one]] -= 1
    return {"labels": list(place), "matrix": counts.tolist()}


# -- other searches -------------------------------------------------------------------------------------------


def _searches(told: Told, searching: Searching, metric: str) -> list[dict[str, Any]]:
    """The metric of other ways to search, on some of the clips: {"beam", "lm_weight", "clips", "value"}."""
    rows = np.unique(np.linspace(0, len(told.true) - 1, min(TRIED, len(told.true))).astype(np.int64)).tolist()
    true, found = [told.true[row] for row in rows], []
    for how in SEARCHES:
        other = Searching(searching.units, how, searching.texts, searching.second)
        said = [other.units.text(other.read(told.steps[row]).result().ids.tolist()) for row in rows]
        worth = value(measures.score(measures.sums(said, true).sum(0), metric))
        found.append({"beam": how.places, "lm_weight": how.lm_weight, "clips": len(rows), "value": worth})
    return found


# -- the worst ------------------------------------------------------------------------------------------------


def _worst(examples: Examples, told: Told, searching: Searching, metric: str) -> list[dict[str, Any]]:
    """The clips with the most errors for their length, of equal ones those that the model was surest of."""
    scores = np.nan_to_num(measures.score(told.sums["model"], metric), nan=1.0)
    sure = np.exp([path.log_p for path in told.paths])
    order = [row for row in np.lexsort((-sure, -scores)).tolist() if not told.sums["model"][row, measures.EXACT]]
    rows = []
    for number, row in enumerate(order[:WORST]):
        clips, kind = examples.clips, examples.clips.kind
        shown = {
            "where": clips.where(row),
            "true": told.true[row],
            "said": told.said[row],
            "baseline": told.baseline[row],
            "confidence": float(sure[row]),
            "error": float(scores[row]),
            "media": played(clips.items[row], clips.store[row], kind),
        }
        if number < SHOWN:
            shown |= heard(clips.store[row], told.steps[row], searching.words(told.paths[row]), searching, kind)
        rows.append(shown)
    return rows


def value(number: np.ndarray | float) -> float | None:
    """A number for JSON; None where there is none."""
    return float(number) if np.isfinite(number) else None
