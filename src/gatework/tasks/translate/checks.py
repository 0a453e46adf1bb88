"""What is wrong with pairs, told by line before any training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl

from gatework.data import scripts
from gatework.data.checks import LOST
from gatework.data.finding import Finding
from gatework.data.suggest import setting
from gatework.tasks.translate.pairs import Pairs

SHOWN = 3  # places that a finding names
LONG = 1_000  # words of a text in which ends of lines may be missing
FEW = 20  # pairs below which nothing is compared with the rest
APART = 4.0  # how many times the usual ratio of lengths is suspicious, at least
SPREADS = 6.0  # and how many standard deviations off (of the log ratio, by the median of deviations: 1.4826 MAD)
LETTERS = 20  # a side must differ by so many from what the ratio lets expect
SINGLE = 0.3  # share of all words that stand once, from which a vocabulary of words is of little use
WORDS = 1_000  # words below which that says nothing


def check(pairs: Pairs) -> list[Finding]:
    """What is wrong with pairs that are to be learned from or measured on; "error" stops a training."""
    if pairs.targets is None:
        return [Finding("error", f"{pairs.source} has no translations; give a second column, or --target FILE")]
    sources, targets = pairs.sources, pairs.targets
    found = _empty(pairs, sources, "source") + _empty(pairs, targets, "target")
    found += _long(pairs, sources, "source") + _long(pairs, targets, "target")
    found += _lost(pairs, sources, "source") + _lost(pairs, targets, "target")
    found += _unlike(pairs, sources, targets)
    found += _foreign(pairs, sources, "source") + _foreign(pairs, targets, "target")
    found += _one(pairs, sources, "source") + _one(pairs, targets, "target")
    found += _equal(pairs, sources, targets) + _repeated(pairs)
    return found + _singles(pairs, sources, "source") + _singles(pairs, targets, "target")


def overlap(train: Pairs, other: Pairs, name: str) -> list[Finding]:
    """Sources of another part (`name`: "test") that are learned, too."""
    known = set(train.sources)
    rows = np.array([row for row, source in enumerate(other.sources) if source in known], np.int64)
    advice = f"the {name} result will flatter: take them out of one of the two"
    return _listed("warning", pairs=other, rows=rows, what="the source is in the training data, too", advice=advice)


def _listed(level: str, pairs: Pairs, rows: np.ndarray, what: str, advice: str) -> list[Finding]:
    """One finding for all rows: the places of the first, how many there are, what to do."""
    if not len(rows):
        return []
    places = [pairs.where(int(row)) for row in rows[:SHOWN]]
    more = f" ({len(rows):,} such pairs{'; also ' + '; '.join(places[1:]) if places[1:] else ''})"
    text = f"{places[0]}: {what}{more if len(rows) > 1 else ''}; {advice}"
    return [Finding(level, text, int(rows[0]))]


def _empty(pairs: Pairs, texts: Sequence[str], side: str) -> list[Finding]:
    rows = np.array([row for row, text in enumerate(texts) if not text.strip()], np.int64)
    advice = f"complete the pair, or to leave such pairs out pass {setting('bad_pairs', 'skip')}"
    return _listed("error", pairs, rows, f"the {side} is empty", advice)


def _long(pairs: Pairs, texts: Sequence[str], side: str) -> list[Finding]:
    sizes = np.array([len(text.split()) for text in texts], np.int64)
    rows = np.flatnonzero(sizes > LONG)
    what = f"the {side} has {sizes[rows[0]]:,} words" if len(rows) else ""
    return _listed("warning", pairs, rows, what, "are ends of lines missing? Only its beginning counts (max_length)")


def _lost(pairs: Pairs, texts: Sequence[str], side: str) -> list[Finding]:
    rows = pl.Series(texts, dtype=pl.String).str.contains(LOST).arg_true().to_numpy()
    what = f"the {side} holds characters lost in a conversion (like 'Ã©')"
    return _listed("warning", pairs, rows, what, "read the original with its encoding")


def _unlike(pairs: Pairs, sources: Sequence[str], targets: Sequence[str]) -> list[Finding]:
    """Lengths that can hardly be those of one text and its translation, by the ratio that the others have."""
    sizes = np.array([[len(text) for text in sources], [len(text) for text in targets]], np.float64)
    full = sizes.min(0) > 0
    if full.sum() < FEW:
        return []
    ratios = np.log((sizes[1] + 1) / (sizes[0] + 1))
    usual = np.median(ratios[full])
    spread = 1.4826 * np.median(np.abs(ratios[full] - usual))
    beyond = np.abs(ratios - usual) > max(SPREADS * spread, np.log(APART))
    apart = np.abs(sizes[1] - sizes[0] * np.exp(usual)) > LETTERS * max(1.0, np.exp(usual))
    rows = np.flatnonzero(full & beyond & apart)
    what = f"{sizes[0, rows[0]]:.0f} letters beside {sizes[1, rows[0]]:.0f}" if len(rows) else ""
    advice = f"a target is usually {np.exp(usual):.2g} times as long: do the two belong together?"
    return _listed("warning", pairs, rows, what, advice)


def _foreign(pairs: Pairs, texts: Sequence[str], side: str) -> list[Finding]:
    if len(texts) < FEW:
        return []
    known = scripts.usual(texts)
    rows = scripts.foreign(texts, known)
    usual = " and ".join(sorted(name.lower() for name in known)) or "no letters"
    start = texts[rows[0]][:30] if len(rows) else ""
    what = f"the {side} ({start!r}) is not written as the other {side}s are ({usual})"
    return _listed("warning", pairs, rows, what, "is it another language, or are the sides swapped?")


def _one(pairs: Pairs, texts: Sequence[str], side: str) -> list[Finding]:
    """A side on which all texts are the same."""
    if len(texts) < 2 or len(set(texts)) > 1:
        return []
    text = f"{pairs.source}: every {side} is {texts[0][:30]!r}; nothing can be learned"
    return [Finding("warning", f"{text}: is this the right column or file?")]


def _equal(pairs: Pairs, sources: Sequence[str], targets: Sequence[str]) -> list[Finding]:
    same = [source == target != "" for source, target in zip(sources, targets, strict=True)]
    rows = np.flatnonzero(same)
    if len(rows) == len(pairs):
        return [Finding("warning", f"{pairs.source}: each source is its own target; are these the right columns?")]
    what = f"source and target are the same ({sources[rows[0]][:30]!r})" if len(rows) else ""
    return _listed("warning", pairs, rows, what, "was it not translated? Copying is learned there")


def _repeated(pairs: Pairs) -> list[Finding]:
    """Pairs that stand twice, and sources with several targets."""
    wholes, sources = pl.Series(pairs.wholes()), pl.Series(pairs.sources)
    twice = (~wholes.is_first_distinct()).arg_true().to_numpy()
    again = (~sources.is_first_distinct() & wholes.is_first_distinct()).arg_true().to_numpy()
    kept = "they stay in one part"
    return [
        *_listed("note", pairs, twice, "the pair stands further up, too", kept),
        *_listed("note", pairs, again, "the source stands further up with another target", kept),
    ]


def _singles(pairs: Pairs, texts: Sequence[str], side: str) -> list[Finding]:
    """A vocabulary full of words that stand once."""
    counts = Counter(word for text in texts for word in text.split())
    total, single = counts.total(), sum(count == 1 for count in counts.values())
    if total < max(WORDS, 2 * len(texts)) or single < SINGLE * total:
        return []
    text = f"{pairs.source}: {single / total:.0%} of the {total:,} words of the {side}s stand there once"
    advice = f"keep to byte pairs or characters ({side}_tokenizer), or add pairs"
    return [Finding("warning", f"{text}; nothing can be learned of them as words: {advice}")]
