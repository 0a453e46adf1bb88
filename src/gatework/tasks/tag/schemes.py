"""How tags write spans: found out, faults, to BIOES and back.

IOB1 (Ramshaw & Marcus 1995): I- is in a span; B- begins one right after another of its kind.
IOB2 (Ratnaparkhi 1998): B- begins each span, I- goes on.
BIOES: B- begins, I- goes on, E- ends, S- is a span of one token. BILOU, BMES and BMEWO write the same with other
letters. Tags without a kind ("B", "I", "O") write spans of one kind. Whatever comes is learned as BIOES, and answers
are written as they came.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from gatework.data.finding import Finding
from gatework.data.suggest import setting

Tags = Sequence[str | None]
Where = Callable[[int], str]

LETTERS = {"IOB1": "BI", "IOB2": "BI", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES", "BMEWO": "BMEW"}
SCHEMES = ("plain", *LETTERS)
FIVE = ("BIOES", "BILOU", "BMES", "BMEWO")  # those that mark the end too
O, B, I, E, S, UNKNOWN, ODD = range(7)
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


class Parts(NamedTuple):
    """Tags in numbers: `letters` int8 [N] of O to ODD, `kinds` int32 [N], and the names of the kinds."""

    letters: np.ndarray
    kinds: np.ndarray
    names: list[str]


def find(tags: Tags, lengths: np.ndarray) -> str:
    """The scheme that the tags are written in.

    Example: `find(["I-PER", "O"], np.array([2]))` is "IOB1"; of ["NN", "B"] it is "plain".
    """
    counts = Counter(tag for tag in tags if tag is not None and tag != "O")
    split = {tag: _split(tag) for tag in counts}
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
    like = [tag for tag in counts if OTHERWISE.fullmatch(tag) and not _split(tag)[1]]
    many = sum(counts[tag] for tag in like) >= 0.9 * counts.total()
    return like[0] if like and many and ("O" in tags or "o" in tags) else None


def _split(tag: str) -> tuple[str, str]:
    """ "B-PER" -> ("B", "PER"); a tag that begins otherwise has the kind ""."""
    return (tag[0], tag[2:]) if tag[1:2] == "-" and tag[0] in "BIESLUMW" else (tag, "")


def _of_letters(letters: Counter[str], tags: Tags, lengths: np.ndarray) -> str:
    """The scheme whose letters cover the most; IOB1 and IOB2 differ in how most spans begin."""
    if letters["B"] + letters["I"] >= 0.98 * letters.total():
        cut = parts(tags, "IOB2")
        begun = _wrong(cut, lengths, "IOB2").sum(), _wrong(cut, lengths, "IOB1").sum()
        return "IOB1" if begun[0] > begun[1] else "IOB2"
    return max(FIVE, key=lambda name: sum(letters[letter] for letter in LETTERS[name]))


def parts(tags: Tags, scheme: str) -> Parts:
    """Letter and kind of each tag; a tag without a kind has the kind ""."""
    letters: dict[str | None, int] = {None: UNKNOWN, "O": O}
    kinds: dict[str | None, int] = {None: 0, "O": 0}
    names = {"": 0}
    known = LETTERS[scheme]
    for tag in dict.fromkeys(tags):
        if tag is not None and tag != "O":
            letter, kind = _split(tag)
            letters[tag] = known.index(letter) + 1 if len(letter) == 1 and letter in known else ODD
            kinds[tag] = names.setdefault(kind, len(names))
    return Parts(
        np.array([letters[tag] for tag in tags], np.int8),
        np.array([kinds[tag] for tag in tags], np.int32),
        list(names),
    )


# -- faults -------------------------------------------------------------------------------------------------


def faults(tags: Tags, lengths: np.ndarray, scheme: str, where: Where, level: str = "error") -> list[Finding]:
    """Tags that cannot follow their predecessor, and tags that the scheme does not have: one finding for each kind of
    fault, which names the first two places, both tags, and what to do."""
    if scheme == "plain" or not len(tags):
        return []
    cut = parts(tags, scheme)
    odd, wrong = cut.letters == ODD, _wrong(cut, lengths, scheme)
    firsts = _firsts(lengths)
    ends = np.zeros(len(tags), bool)
    if scheme in FIVE:
        ends = np.roll(firsts, -1) & np.isin(cut.letters, (B, I))
    found = _odd(tags, np.flatnonzero(odd), scheme, where, level)
    found += _out_of_order(tags, np.flatnonzero(wrong & ~odd), firsts, scheme, where, level)
    return found + _unended(tags, np.flatnonzero(ends), scheme, where, level)


def _firsts(lengths: np.ndarray) -> np.ndarray:
    """Whether each token is the first of its sentence, bool [N]."""
    firsts = np.zeros(int(np.sum(lengths)), bool)
    firsts[np.cumsum(lengths) - lengths] = True
    return firsts


def _before(cut: Parts, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The letter before each token (O before the first of a sentence), and whether its kind is the same."""
    before = np.where(_firsts(lengths), O, np.roll(cut.letters, 1))
    return before, np.roll(cut.kinds, 1) == cut.kinds


def _wrong(cut: Parts, lengths: np.ndarray, scheme: str) -> np.ndarray:
    """Whether each tag cannot follow the one before it, bool [N]; next to unknown ones, every tag can stand."""
    before, same = _before(cut, lengths)
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


# -- to BIOES and back --------------------------------------------------------------------------------------


def to_bioes(tags: Tags, lengths: np.ndarray, scheme: str) -> list[str | None]:
    """The same spans in BIOES; plain tags as they are. Where `faults` has something to say, a span begins with the tag
    that cannot follow, and ends with the one before it.

    Example: `to_bioes(["I-PER", "I-PER", "O"], np.array([3]), "IOB1")` is ["B-PER", "E-PER", "O"].
    """
    if scheme == "plain" or not len(tags):
        return list(tags)
    cut = parts(tags, scheme)
    begins, ends = _borders(cut, lengths, scheme)
    inside = (cut.letters != O) & (cut.letters != UNKNOWN) & (cut.letters != ODD)
    letters = np.select([~inside, begins & ends, begins, ends], [O, S, B, E], I)
    written = [[_join(letter, kind) for kind in cut.names] for letter in ("O", "B", "I", "E", "S")]
    new: list[str | None] = [written[letter][kind] for letter, kind in zip(letters.tolist(), cut.kinds, strict=True)]
    for row in np.flatnonzero((cut.letters == UNKNOWN) | (cut.letters == ODD)):
        new[row] = None if cut.letters[row] == UNKNOWN else "O"
    return new


def _borders(cut: Parts, lengths: np.ndarray, scheme: str) -> tuple[np.ndarray, np.ndarray]:
    """Whether a span begins, and ends, with each token. Beside an unknown tag, the letter alone decides."""
    before, same = _before(cut, lengths)
    goes_on = same & ((before == B) | (before == I)) | (before == UNKNOWN) & (scheme != "IOB1")
    begins = (cut.letters == B) | (cut.letters == S) | ~goes_on
    lasts = np.roll(_firsts(lengths), -1)
    after = np.where(lasts, O, np.roll(cut.letters, -1))
    ends = (after == O) | (after == ODD) | np.roll(begins, -1) & (after != UNKNOWN) | (cut.letters >= E)
    return begins, ends | (after == UNKNOWN) & (scheme not in FIVE)


def _join(letter: str, kind: str) -> str:
    return f"{letter}-{kind}" if kind and letter != "O" else letter


def from_bioes(tags: Tags, lengths: np.ndarray, scheme: str) -> list[str | None]:
    """Tags that are in order in BIOES, written in another scheme; the inverse of `to_bioes`."""
    if scheme in ("plain", "BIOES") or not len(tags):
        return list(tags)
    cut = parts(tags, "BIOES")
    code = cut.letters if scheme in FIVE else np.select([cut.letters == S, cut.letters == E], [B, I], cut.letters)
    if scheme == "IOB1":
        before, same = _before(cut, lengths)
        code = np.where((code == B) & ~(same & ((before == E) | (before == S))), I, code)
    written = [[_join(letter, kind) for kind in cut.names] for letter in ("O", *LETTERS[scheme])]
    pairs = zip(tags, code.tolist(), cut.kinds.tolist(), strict=True)
    return [None if tag is None else written[letter][kind] for tag, letter, kind in pairs]


def allowed(names: Sequence[str], scheme: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of the K learned tags may begin a sentence [K], follow another [K from, K to], and end a sentence [K].

    A tag that opens a span whose kind has no ending among the names may be followed by anything.
    """
    count = len(names)
    if scheme == "plain":
        return np.ones(count, bool), np.ones((count, count), bool), np.ones(count, bool)
    cut = parts(names, "BIOES")
    ended = np.isin(cut.kinds, cut.kinds[cut.letters == E])
    opens = ((cut.letters == B) | (cut.letters == I)) & ended
    inside = (cut.letters == I) | (cut.letters == E)
    same = cut.kinds[:, None] == cut.kinds
    follow = np.where(opens[:, None], inside & same, ~inside)
    return ~inside, follow, ~opens


def spans(tags: Tags) -> list[tuple[int, int, str]]:
    """(first, past the last, kind) of each whole span of one sentence's BIOES tags; what is out of order is none.

    Example: `spans(["O", "B-PER", "E-PER", "S-LOC"])` is [(1, 3, "PER"), (3, 4, "LOC")].
    """
    found, start, open_kind = [], 0, None
    for place, tag in enumerate(tags):
        letter, kind = ("O", "") if tag is None else _split(tag)
        if letter == "S":
            found.append((place, place + 1, kind))
        elif letter == "E" and kind == open_kind:
            found.append((start, place + 1, kind))
        if letter == "B":
            start, open_kind = place, kind
        elif letter != "I" or kind != open_kind:
            open_kind = None
    return found
