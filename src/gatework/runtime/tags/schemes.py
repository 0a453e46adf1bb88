"""How tags write spans: to BIOES and back, and which tags may follow which.

IOB1 (Ramshaw & Marcus 1995): I- is in a span; B- begins one right after another of its kind.
IOB2 (Ratnaparkhi 1998): B- begins each span, I- goes on.
BIOES: B- begins, I- goes on, E- ends, S- is a span of one token. BILOU, BMES and BMEWO write the same with other
letters. Tags without a kind ("B", "I", "O") write spans of one kind. Whatever comes is learned as BIOES, and answers
are written as they came.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Tags = Sequence[str | None]

LETTERS = {"IOB1": "BI", "IOB2": "BI", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES", "BMEWO": "BMEW"}
SCHEMES = ("plain", *LETTERS)
FIVE = ("BIOES", "BILOU", "BMES", "BMEWO")  # those that mark the end too
O, B, I, E, S, UNKNOWN, ODD = range(7)


class Parts(NamedTuple):
    """Tags in numbers: `letters` int8 [N] of O to ODD, `kinds` int32 [N], and the names of the kinds."""

    letters: np.ndarray
    kinds: np.ndarray
    names: list[str]


def split_tag(tag: str) -> tuple[str, str]:
    """ "B-PER" -> ("B", "PER"); a tag that begins otherwise has the kind ""."""
    return (tag[0], tag[2:]) if tag[1:2] == "-" and tag[0] in "BIESLUMW" else (tag, "")


def parts(tags: Tags, scheme: str) -> Parts:
    """Letter and kind of each tag; a tag without a kind has the kind ""."""
    letters: dict[str | None, int] = {None: UNKNOWN, "O": O}
    kinds: dict[str | None, int] = {None: 0, "O": 0}
    names = {"": 0}
    known = LETTERS[scheme]
    for tag in dict.fromkeys(tags):
        if tag is not None and tag != "O":
            letter, kind = split_tag(tag)
            letters[tag] = known.index(letter) + 1 if len(letter) == 1 and letter in known else ODD
            kinds[tag] = names.setdefault(kind, len(names))
    return Parts(
        np.array([letters[tag] for tag in tags], np.int8),
        np.array([kinds[tag] for tag in tags], np.int32),
        list(names),
    )


def first_tokens(lengths: np.ndarray) -> np.ndarray:
    """Whether each token is the first of its sentence, bool [N]."""
    firsts = np.zeros(int(np.sum(lengths)), bool)
    firsts[np.cumsum(lengths) - lengths] = True
    return firsts


def letter_before(cut: Parts, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The letter before each token (O before the first of a sentence), and whether its kind is the same."""
    before = np.where(first_tokens(lengths), O, np.roll(cut.letters, 1))
    return before, np.roll(cut.kinds, 1) == cut.kinds


def to_bioes(tags: Tags, lengths: np.ndarray, scheme: str) -> list[str | None]:
    """The same spans in BIOES; plain tags as they are. Where tags are out of order, a span begins with the tag
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
    before, same = letter_before(cut, lengths)
    goes_on = same & ((before == B) | (before == I)) | (before == UNKNOWN) & (scheme != "IOB1")
    begins = (cut.letters == B) | (cut.letters == S) | ~goes_on
    lasts = np.roll(first_tokens(lengths), -1)
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
        before, same = letter_before(cut, lengths)
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
        letter, kind = ("O", "") if tag is None else split_tag(tag)
        if letter == "S":
            found.append((place, place + 1, kind))
        elif letter == "E" and kind == open_kind:
            found.append((start, place + 1, kind))
        if letter == "B":
            start, open_kind = place, kind
        elif letter != "I" or kind != open_kind:
            open_kind = None
    return found
