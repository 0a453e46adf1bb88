"""Writing systems of texts: Latin, Cyrillic, Arabic, ... by the names that Unicode gives letters."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

import numpy as np

USUAL = 0.1  # share of the texts that a script stands in, from which it is usual
FEWEST = 3  # letters below which a text is not judged: names, symbols


def script(letter: str) -> str:
    """The first word of a letter's name: `script("д")` is "CYRILLIC"; "" of what is no letter."""
    return unicodedata.name(letter, "").partition(" ")[0] if letter.isalpha() else ""


def usual(texts: Sequence[str]) -> frozenset[str]:
    """The scripts that stand in a tenth of the texts and more."""
    counts, names = _counts(texts)
    return frozenset(name for name, share in zip(names, (counts > 0).mean(0), strict=True) if share >= USUAL)


def foreign(texts: Sequence[str], known: Collection[str]) -> np.ndarray:
    """The numbers of the texts that are written in other scripts by more than half of their letters.

    Example: `foreign(["ja gut", "да, да"], {"LATIN"})` is [1].
    """
    counts, names = _counts(texts)
    other = counts[:, [name not in known for name in names]].sum(1)
    return np.flatnonzero((other > counts.sum(1) / 2) & (other >= FEWEST))


def _counts(texts: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """int64 [n, S]: letters of each text in each script; and the names [S] of the scripts."""
    of = {letter: script(letter) for letter in set().union(*texts)}
    names = sorted(set(of.values()) - {""})
    place = {name: number for number, name in enumerate(names)}
    table = np.full(max(map(ord, of), default=0) + 1, len(names), np.int64)
    for letter, name in of.items():
        table[ord(letter)] = place.get(name, len(names))
    codes = table[np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)]
    rows = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    counts = np.bincount(rows * (len(names) + 1) + codes, minlength=len(texts) * (len(names) + 1))
    return counts.reshape(len(texts), len(names) + 1)[:, : len(names)], names
