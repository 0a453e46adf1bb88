"""What a translator's report shows beside results: translations, tables, several translations of a few, attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from gatework.runtime.answers.asked import Asked
from gatework.tasks.translate import measures, tables
from gatework.tasks.translate.baselines import Baseline, cut
from gatework.tasks.translate.codecs import Codecs
from gatework.tasks.translate.decoding import PREDICTING, Decoding
from gatework.tasks.translate.examples import Examples
from gatework.tasks.translate.model import EncoderDecoder

MOST = 2_000  # pairs that are looked at, spread over all
EACH = 4  # translations shown of the best, the median, the worst
FEW, SEVERAL = 3, 5  # texts whose n best translations and attention are shown, and this n
FITTING = 25  # units of a source whose attention is a picture that can be read
LINE = {"text": "chrf", "symbols": "symbol_error", "letters": "symbol_error"}  # by which single lines are ranked


class Told(NamedTuple):
    """What was said of n pairs: translations by the model, whether each came to an end, and those by the best baseline;
    `sums` of both by their names, "model" first."""

    said: list[str]
    ended: list[bool]
    baseline: list[str]
    sums: dict[str, np.ndarray]


def sections(
    part: str,
    examples: Examples,
    known: Sequence[str] | None,
    simpler: Sequence[Baseline],
    model: EncoderDecoder,
    codecs: Codecs,
    lower: bool,
) -> dict[str, Any]:
    """All of it, JSON-able.

    Args:
        part: "valid" or "test", the part that `examples` are; they have targets.
        known: sources of the training part; None: not at hand.
        simpler: baselines, with a translation of each example.
        lower: compare in lower case.
    """
    rows = np.unique(np.linspace(0, len(examples) - 1, min(MOST, len(examples))).astype(np.int64))
    examples = examples.take(rows)
    simpler = [each._replace(translations=[each.translations[i] for i in rows.tolist()]) for each in simpler]
    told = _told(examples, simpler, model, codecs, lower)
    kind, metric, pairs = codecs.kind, measures.WATCHED[codecs.kind].name, examples.pairs
    reads = measures.kind_of(pairs.sources, codecs.options.source_tokenizer)
    words = cut(pairs.sources, reads)
    lengths = np.array([len(each) for each in words], np.int64)
    return {
        "part": part,
        "kind": kind,
        "metric": metric,
        "pairs": len(pairs),
        "translations": _translations(examples, told, kind),
        "lengths": tables.by_length(lengths, told.sums, metric),
        "rare": _rare(known, words, reads, told, metric),
        "outputs": _outputs(examples, told, kind),
        "size": _size(told.said, pairs.targets or [], kind),
        "few": _few(examples, model, codecs),
    }


def _told(examples: Examples, simpler: Sequence[Baseline], model: EncoderDecoder, codecs: Codecs, lower: bool) -> Told:
    """Translations of the examples, and those of the baseline that is best at them."""
    found = list(Decoding(model, Asked(codecs, PREDICTING))(examples))
    said = [codecs.text(own[0].ids) if own else "" for own in found]
    true, metric = examples.pairs.targets or [], measures.WATCHED[codecs.kind]
    counted = {each.name: measures.sums(each.translations, true, codecs.kind, lower=lower) for each in simpler}
    values = {name: float(measures.score(sums.sum(0), metric.name)) for name, sums in counted.items()}
    chosen = max(simpler, key=lambda each: values[each.name] if metric.higher else -values[each.name])
    sums = {"model": measures.sums(said, true, codecs.kind, lower=lower), chosen.name: counted[chosen.name]}
    return Told(said, [bool(own) and own[0].ended for own in found], chosen.translations, sums)


def _translations(examples: Examples, told: Told, kind: str) -> list[dict[str, Any]]:
    """The best, the median and the worst, beside reference and best baseline; single lines are ranked by LINE[kind]."""
    ours, theirs = (measures.score(sums, LINE[kind]) for sums in told.sums.values())
    pairs, sign = examples.pairs, 1 if kind == "text" else -1
    chosen = tables.spread(np.nan_to_num(sign * ours), examples.written, EACH)
    return [
        {
            "group": group,
            "where": pairs.where(row),
            "source": pairs.sources[row],
            "reference": (pairs.targets or [])[row],
            "translation": told.said[row],
            "baseline": told.baseline[row],
            "scores": [round(float(each[row]), 3) for each in (ours, theirs)],
        }
        for group, rows in chosen.items()
        for row in rows
    ]


def _rare(
    known: Sequence[str] | None, words: Sequence[Sequence[str]], kind: str, told: Told, metric: str
) -> list[dict[str, Any]]:
    """By the rarest word of the source; nothing where sources are letters, or training is not at hand."""
    if known is None or kind == "letters":
        return []
    return tables.by_rarity(tables.rarest(cut(known, kind), words), told.sums, metric)


def _outputs(examples: Examples, told: Told, kind: str) -> list[dict[str, Any]]:
    """Oddities with a few examples of each."""
    pairs, true = examples.pairs, examples.pairs.targets or []
    found = tables.outputs(pairs.sources, told.said, true, told.ended, kind)
    for row in found:
        row["examples"] = [
            {
                "where": pairs.where(place),
                "source": pairs.sources[place],
                "reference": true[place],
                "translation": told.said[place],
            }
            for place in row.pop("places")
        ]
    return found


def _size(said: Sequence[str], true: Sequence[str], kind: str) -> dict[str, float]:
    """Mean units of translations and of references."""
    means = (float(np.mean([len(tables.units(text, kind)) for text in side] or [0])) for side in (said, true))
    return dict(zip(("said", "true"), means, strict=True))


def _few(examples: Examples, model: EncoderDecoder, codecs: Codecs) -> list[dict[str, Any]]:
    """A few texts of usual length with their n best translations, each with its attention: see `writing.rows`."""
    lengths = np.minimum(examples.sources.lengths, FITTING + 1)
    usual = np.median(lengths[lengths <= FITTING]) if (lengths <= FITTING).any() else FITTING
    rows = np.sort(np.argsort(np.abs(lengths - usual), kind="stable")[:FEW])
    how, mine = replace(PREDICTING, n_best=SEVERAL, attention=True), examples.take(rows)
    found = Decoding(model, Asked(codecs, how)).rows(mine)
    places = zip(rows.tolist(), mine.pairs.targets or [], strict=True)
    return [
        {"where": examples.pairs.where(row), "reference": target} | told
        for (row, target), told in zip(places, found, strict=True)
    ]
