"""What code points are, and lower case: as the libraries of the training have them, whatever Python's own Unicode is.

Regular expressions of polars and tokenizers follow the Unicode of their day, Python's `re` that of another, and with
other classes. So a text is read through *signs*: a string of the same length in which every character that is not ASCII
is replaced by one that says what it is, and patterns are made for signs. What lies at a place of the signs lies at the
same place of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import numpy as np

from gatework.runtime.texts.ranges import KINDS, RUNS, SMALL

COUNT = 0x110000  # code points
ASCII = 128
Is = frozenset[str]  # what a code point is: "word", "letter", ... (the words of `ranges.KINDS`)


def points(text: str) -> np.ndarray:
    """uint32 [n]: the code points of a text."""
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


def readable(text: str) -> str:
    """The text with "?" for each half of a character (a lone surrogate), which no file can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


@cache
def kinds() -> np.ndarray:
    """uint8 [0x110000]: the number of each code point's kind."""
    runs = re.findall("([A-Z])([0-9a-f]*)", RUNS)
    lengths = [int(length or "1", 16) for _, length in runs]
    return np.repeat(np.array([ord(kind) - ord("A") for kind, _ in runs], np.uint8), lengths)


def has(name: str) -> np.ndarray:
    """bool [0x110000]: which code points are "word", "space", "letter", ..."""
    return np.array([name in kind.split() for kind in KINDS])[kinds()]


@cache
def signs_of(sign: Callable[[Is], str], own: int = ASCII) -> np.ndarray:
    """uint8 [0x110000]: the sign of each code point by what it is; the first `own` stand for themselves."""
    table = np.array([ord(sign(frozenset(kind.split()))) for kind in KINDS], np.uint8)[kinds()]
    table[:own] = np.arange(own)
    return table


def signs(text: str, table: np.ndarray) -> str:
    """The signs of a text, as many as it has characters."""
    return table[points(text)].tobytes().decode("latin-1")


# -- lower case ---------------------------------------------------------------------------------------------


def lowered(text: str, final_sigma: bool = True) -> str:
    """Lower case. `final_sigma`: Σ at the end of a word becomes ς, as polars has it, and not tokenizers."""
    if text.isascii():
        return text.lower()
    text = _with_small_sigmas(text) if final_sigma and "Σ" in text else text
    codes = points(text.replace("İ", "i̇") if "İ" in text else text).astype(np.int32)
    return (codes + _shifts().take(codes, mode="clip")).tobytes().decode("utf-32-le")


def lowered_places(text: str) -> list[int]:
    """The place in a text of each character of the text in lower case: "İ" becomes two."""
    return [place for place, letter in enumerate(text) for _ in range(1 + (letter == "İ"))]


@cache
def _shifts() -> np.ndarray:
    """int32 [S + 1]: how far a code point is from its small letter; 0 at the end, for all beyond."""
    runs = [[int(number) for number in run.split(":")] for run in SMALL.split()]
    table = np.zeros(max(stop for _, stop, _, _ in runs) + 1, np.int32)
    for start, stop, step, shift in runs:
        table[start:stop:step] = shift
    return table


def _with_small_sigmas(text: str) -> str:
    """Final_Sigma of the Unicode Standard, section 3.13: behind a cased letter and not before one, whatever marks that
    count as nothing stand between."""
    read = signs(text, signs_of(_case, 0))
    past = _Skipped(read), _Skipped(read[::-1])
    return re.sub("Σ", lambda sigma: _small_sigma(past, sigma.start(), len(text)), text)


def _small_sigma(past: tuple[_Skipped, _Skipped], place: int, length: int) -> str:
    after, before = past
    return "ς" if before.cased(length - place) and not after.cased(place + 1) else "σ"


class _Skipped:
    """Signs of case, read in one direction."""

    def __init__(self, read: str):
        self.read, self.skip = read, re.compile("I*")

    def cased(self, place: int) -> bool:
        """Whether what follows from a place on, ignorable marks left out, is a cased letter."""
        match = self.skip.match(self.read, place)
        return match is not None and self.read[match.end() : match.end() + 1] == "C"


def _case(what: Is) -> str:
    return "I" if "ignorable" in what else "C" if "cased" in what else "o"
