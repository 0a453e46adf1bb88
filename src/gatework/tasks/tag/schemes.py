"""How the tags of data write spans: found out, and faults."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import numpy as np

from gatework.data.finding import Finding
from gatework.data.suggest import setting
from gatework.runtime.tags.schemes import (
    FIVE,
    LETTERS,
    ODD,
    UNKNOWN,
    B,
    E,
    I,
    Parts,
    Tags,
    first_tokens,
    letter_before,
    parts,
    split_tag,
)

Where = Callable[[int], str]

OTHERWISE = re.compile("[BIESLUMWbieslumwo]|[BIESLUMWbieslumw][-_:/].+|.+[-_:/][BIESLUMWbieslumw]")
RULES = {
    "IOB1": "IOB1: B- stands only where a span of the same kind ends just before",
    "IOB2": "IOB2: a span begins with B-",
    **{
        name: f"{name}: {', '.join(f'{letter}-' for letter in letters[:3])} begin, go on with and end a span, "
        f"{letters[3]}- is one of a single token"
        for name, letters in LETTERS.items()
        if len(letters) == 4
    },
}


def find(tags: Tags, lengths: np.ndarray) -> str:
    """The scheme that the tags are written in.

    Example: `find(["I-PER", "O"], np.array([2]))` is "IOB1"; of ["NN", "B"] it is "plain".
    """
    counts = Counter(tag for tag in tags if tag is not None and tag != "O")
    split = {tag: split_tag(tag) for tag in counts}
    fits = sum(n for tag, n in counts.items() if split[tag][1])
    if fits and fits >= 0.9 * counts.total():
        letters = Counter[str]()
        for tag, n in counts.items():
            letters[split[tag][0]] += n
        return _of_letters(letters, tags, lengths)
    bare = next((name for name in ("IOB2", *FIVE) if set(counts) == set(LETTERS[name])), None)
    if bare is None or (bare != "BMES" and "O" not in tags):
        return "plain"
    # Names of one letter are often names of classes (the eight structures of a residue): they must also be in order.
    scheme = _of_letters(counts, tags, lengths)
    wrong = _wrong(parts(tags, scheme), lengths, scheme)
    return scheme if wrong.sum() <= 0.02 * len(wrong) else "plain"


def written_otherwise(tags: Tags) -> str | None:
    """A tag of those that look like spans, but do not begin with a letter of a scheme and a dash; None where there are
    none, or too few.

    Example: `written_otherwise(["PER-B", "PER-I", "O"])` is "PER-B"; so are "b-per" and "B_PER" such tags.
    """
    counts = Counter(tag for tag in tags if tag is not None and tag != "O")
    like = [tag for tag in counts if OTHERWISE.fullmatch(tag) and not split_tag(tag)[1]]
    many = sum(counts[tag] for tag in like) >= 0.9 * counts.total()
    return like[0] if like and many and ("O" in tags or "o" in tags) else None


def _of_letters(letters: Counter[str], tags: Tags, lengths: np.ndarray) -> str:
    """The scheme whose letters cover the most; IOB1 and IOB2 differ in how most spans begin."""
    if letters["B"] + letters["I"] >= 0.98 * letters.total():
        cut = parts(tags, "IOB2")
        begun = _wrong(cut, lengths, "IOB2").sum(), _wrong(cut, lengths, "IOB1").sum()
        return "IOB1" if begun[0] > begun[1] else "IOB2"
    return max(FIVE, key=lambda name: sum(letters[letter] for letter in LETTERS[name]))


# -- faults -------------------------------------------------------------------------------------------------


def faults(tags: Tags, lengths: np.ndarray, scheme: str, where: Where, level: str = "error") -> list[Finding]:
    """Tags that cannot follow their predecessor, and tags that the scheme does not have: one finding for each kind of
    fault, which names the first two places, both tags, and what to do."""
    if scheme == "plain" or not len(tags):
        return []
    cut = parts(tags, scheme)
    odd, wrong = cut.letters == ODD, _wrong(cut, lengths, scheme)
    firsts = first_tokens(lengths)
    ends = np.zeros(len(tags), bool)
    if scheme in FIVE:
        ends = np.roll(firsts, -1) & np.isin(cut.letters, (B, I))
    found = _odd(tags, np.flatnonzero(odd), scheme, where, level)
    found += _out_of_order(tags, np.flatnonzero(wrong & ~odd), firsts, scheme, where, level)
    return found + _unended(tags, np.flatnonzero(ends), scheme, where, level)


def _wrong(cut: Parts, lengths: np.ndarray, scheme: str) -> np.ndarray:
    """Whether each tag cannot follow the one before it, bool [N]; next to unknown ones, every tag can stand."""
    before, same = letter_before(cut, lengths)
    goes_on = same & ((before == B) | (before == I))
    if scheme == "IOB1":
        wrong = (cut.letters == B) & ~goes_on
    elif scheme == "IOB2":
        wrong = (cut.letters == I) & ~goes_on
    else:
        inside = (cut.letters == I) | (cut.letters == E)
        opened = (before == B) | (before == I)
        wrong = np.where(inside, ~goes_on, opened)
    return wrong & (before != UNKNOWN) & (before != ODD) & (cut.letters != UNKNOWN)


def _more(rows: np.ndarray, where: Where) -> str:
    return f" ({len(rows):,} such tags; the next: {where(int(rows[1]))})" if len(rows) > 1 else ""


def _odd(tags: Tags, rows: np.ndarray, scheme: str, where: Where, level: str) -> list[Finding]:
    if not len(rows):
        return []
    row = int(rows[0])
    known = ", ".join(f"{letter}-" for letter in LETTERS[scheme])
    text = f"{where(row)}: the tag {tags[row]!r} is none of {scheme} ({known} and O), as the other tags are"
    text += f"{_more(rows, where)}; write all tags in one scheme, or pass {setting('scheme', 'plain')}"
    return [Finding(level, text, row)]


def _out_of_order(
    tags: Tags, rows: np.ndarray, firsts: np.ndarray, scheme: str, where: Where, level: str
) -> list[Finding]:
    if not len(rows):
        return []
    row = int(rows[0])
    what = "begin a sentence" if firsts[row] else f"follow {tags[row - 1]!r}"
    other = {"IOB1": "IOB2", "IOB2": "IOB1"}.get(scheme)
    mixed = f"; if spans may begin so, pass {setting('scheme', other)}" if other else ""
    text = f"{where(row)}: the tag {tags[row]!r} cannot {what} ({RULES[scheme]}){_more(rows, where)}"
    skip = f"; correct it, or pass {setting('bad_spans', 'skip')} to let a span begin there"
    return [Finding(level, text + skip + mixed, row)]


def _unended(tags: Tags, rows: np.ndarray, scheme: str, where: Where, level: str) -> list[Finding]:
    if not len(rows):
        return []
    row = int(rows[0])
    text = f"{where(row)}: the sentence ends with the tag {tags[row]!r} ({RULES[scheme]}){_more(rows, where)}"
    return [Finding(level, f"{text}; correct it, or pass {setting('bad_spans', 'skip')} to end the span there", row)]
