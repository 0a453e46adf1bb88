"""Raw text -> tokens with the characters they stand at, cut as those of a training were, and sentences of tokens."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

Place = tuple[int, int]

GLUE, MENTIONS, ADDRESSES = "-'’_./&*+:", "@#", "/"
NEGATIONS = ("n't", "n’t")
ADDRESS = re.compile(r"(?:https?://|www\.)\S")
ENDS, CLOSERS = ".!?…。！？", "\"'”’)]»"
# Scripts without blanks between words: each character is a token.
ALONE = (
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
)
SHORT = frozenset(("Mr.", "Mrs.", "Ms.", "Dr.", "Prof.", "St.", "No.", "vs.", "e.g.", "i.e.", "Fig.", "al.", "Jr."))


class Style(NamedTuple):
    """How tokens are cut: what training's own tokens show, so that new text is cut like them.

    `glue`: characters that tokens hold between letters ("-" in "well-known"); "@" and "#": they begin names, "/": web
    addresses stay whole. `mixed`: digits and letters share a token ("5th"). `negations`: "n't" is a token.
    `short`: tokens that end with a dot ("Mr."). The default cuts at all of these, so that spans cut few tokens.
    """

    glue: str = ""
    mixed: bool = False
    negations: bool = False
    short: tuple[str, ...] = ()

    @classmethod
    def of(cls, tokens: Sequence[str]) -> Style:
        """The style of given tokens: `Style.of(["well-known", "Mr.", "do", "n't"] * 3)` has the glue "-"."""
        counts = Counter(tokens)
        inside: Counter[str] = Counter()
        for token, count in counts.items():
            if ADDRESS.match(token):
                inside[ADDRESSES] += count
            elif len(token) > 1 and token[0] in MENTIONS:
                inside[token[0]] += count
            elif token not in NEGATIONS:
                for mark in set(re.findall(r"(?<=[^\W\d_])[^\w\s](?=\w)|(?<=[^\W\d_])_(?=\w)", token)):
                    inside[mark] += count
        glue = (mark for mark in GLUE + MENTIONS if inside[mark] >= max(3, counts[mark] / 50))
        mixed = sum(count for token, count in counts.items() if re.fullmatch(r"\d+[^\W\d_]+", token))
        short = (token for token, count in counts.items() if count > 1 and re.fullmatch(r"[^\W\d_][\w.]*\.", token))
        return cls(
            "".join(dict.fromkeys(glue)), mixed > 2, sum(counts[token] for token in NEGATIONS) > 2, tuple(sorted(short))
        )


PLAIN = Style()


def cut(text: str, style: Style = PLAIN) -> list[Place]:
    """Where each token begins and ends: words, numbers, marks; no white space.

    Example: `cut("Go, now!")` is [(0, 2), (2, 3), (4, 7), (7, 8)].
    """
    places = [match.span() for match in _pattern(style._replace(short=()), bool(style.short)).finditer(text)]
    return _without_dots(places, text, frozenset(style.short)) if style.short else places


def _without_dots(places: list[Place], text: str, short: frozenset[str]) -> list[Place]:
    """The dot after a word is a token of its own, unless training has the word with it."""
    found: list[Place] = []
    for start, stop in places:
        if text[stop - 1] == "." and text[start].isalnum() and text[start:stop] not in short:
            found += [(start, stop - 1), (stop - 1, stop)]
        else:
            found.append((start, stop))
    return found


@cache
def _pattern(style: Style, dots: bool) -> re.Pattern[str]:
    """The regular expression of a style's tokens; `dots`: words keep a dot that follows them."""
    letter = f"[^\\W_{ALONE}{_marks()}]"
    more = f"(?:{letter}|[{_marks()}])"
    between = "".join(re.escape(mark) for mark in style.glue if mark not in MENTIONS)
    word = f"{letter}{more}*" + (f"(?:[{between}]{letter}{more}*)*" if between else "")
    begins = "".join(mark for mark in style.glue if mark in MENTIONS)
    parts = [r"(?:https?://|www\.)\S*[\w/]"] if ADDRESSES in style.glue else []
    parts += [f"[{ALONE}][{_marks()}]*", f"[{begins}][\\w]+" if begins else "", r"(?<=\w)['’][^\W\d_]{1,2}(?!\w)"]
    parts += [f"{letter}{more}*?(?=n['’]t\\b)|(?<=\\w)n['’]t\\b"] if style.negations else []
    parts += [r"\d+(?:[.,:]\d+)*" + (f"(?!{more})" if style.mixed else ""), word + (r"(?:\.(?!\.))?" if dots else "")]
    parts += [r"(?P<mark>[!-/:-@\[-`{-~])(?P=mark)*", "[^\\s\u200b\ufeff](?:[\ufe0f\U0001f3fb-\U0001f3ff]|\u200d\\S)*"]
    return re.compile("|".join(part for part in parts if part))


@cache
def _marks() -> str:
    """Marks that stand on letters (accents, vowel signs), which regular expressions do not count among these."""
    return "".join(letter for letter in map(chr, range(0x300, 0x3100)) if unicodedata.category(letter)[0] == "M")


def sentences(text: str, places: Sequence[Place], style: Style = PLAIN) -> list[int]:
    """How many tokens each sentence of a text has: one ends after ".", "!" or "?" before a capital or a digit.

    Example: of "Stop. Go!" the four tokens are two sentences: [2, 2]. Initials and words such as "Mr." end none.
    """
    lengths, first, count = [], 0, len(places)
    known = SHORT.union(style.short)
    for i, (start, stop) in enumerate(places):
        short = text[start:stop] in known or (i > 0 and _is_short(text, places[i - 1], stop, known))
        if text[stop - 1] not in ENDS or short:
            continue
        after = i + 1
        while after < count and text[slice(*places[after])] in CLOSERS and places[after][0] == places[after - 1][1]:
            after += 1
        if after < count and _begins(text, places[after], places[after - 1][1], text[stop - 1]):
            lengths.append(after - first)
            first = after
    return [*lengths, count - first]


def _is_short(text: str, word: Place, stop: int, known: frozenset[str]) -> bool:
    """Whether a dot belongs to the word before it: an initial, or one of the `known`."""
    start, end = word
    return text[stop - 1] == "." and stop - end == 1 and (end - start == 1 or text[start:stop] in known)


def _begins(text: str, token: Place, before: int, mark: str) -> bool:
    """Whether a sentence can begin with a token that follows an ending `mark`."""
    letter = text[token[0]]
    return (token[0] > before and not letter.islower()) or mark in "。！？"
