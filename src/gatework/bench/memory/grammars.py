"""Strings of formal languages: at every step, which symbols may come next?

A string counts as right when the set of legal symbols is predicted at every step (Gers & Schmidhuber, "LSTM recurrent
networks learn simple context-free and context-sensitive languages", IEEE TNN 12(6), 2001, section IV).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from random import Random

import numpy as np
import torch

from gatework.bench.memory.sequences import Batch, one_hot

REBER = "BTPSXVE"
# state -> symbol -> next state; the grammar of A. S. Reber, 1967, as drawn in Hochreiter & Schmidhuber 1997, figure 3
ARCS: tuple[dict[str, int], ...] = (
    {"B": 1},
    {"T": 2, "P": 3},
    {"S": 2, "X": 4},
    {"T": 3, "V": 5},
    {"X": 3, "S": 6},
    {"P": 4, "V": 6},
    {"E": 7},
)
END = 7
AROUND = tuple({s: k for s, k in arcs.items() if k < 6} or arcs for arcs in ARCS)  # without the ways to the end
TEST, WATCHED = 0, 1  # of eight parts of all strings: one for the test, one to see when training is done
PARTS = 8

String = tuple[str, list[str]]  # the symbols that are read, and after each the symbols that may come next


def reber(random: Random, shortest: int = 0) -> String:
    """A string of the Reber grammar; until it has `shortest` symbols it goes round rather than on."""
    state, read, legal = 0, "", []
    while state != END:
        arcs = (AROUND if len(read) < shortest else ARCS)[state]
        symbol = random.choice([*arcs])
        state, read = arcs[symbol], read + symbol
        legal.append("".join(ARCS[state]) if state != END else "")
    return read, legal


def embedded_reber(random: Random, shortest: int = 0) -> String:
    """B, then T or P, a Reber string, the same T or P again, E: the second symbol must be kept to the end.

    Smith & Zipser 1989; Hochreiter & Schmidhuber 1997, section 5.1. The last E is read by nobody, so it is left out.
    """
    inner, legal = reber(random, shortest)
    kept = random.choice("TP")
    return "B" + kept + inner + kept, ["TP", "B", *legal[:-1], kept, "E"]


def part(text: str) -> int:
    """Which of the parts a string belongs to, so that training never sees a string of the test."""
    return zlib.crc32(text.encode()) % PARTS


def reber_strings(shortest: int, rows: int, random: np.random.Generator, only: int | None = None) -> Batch:
    """Random strings of the embedded Reber grammar, inner strings of at least `shortest` symbols: inputs (T, B, 7).

    For training, or of the part TEST or WATCHED alone.
    """
    found: list[String] = []
    quick = Random(int(random.integers(2**62)))
    while len(found) < rows:
        string = embedded_reber(quick, shortest)
        own = part(string[0])
        if own == only if only is not None else own not in (TEST, WATCHED):
            found.append(string)
    return strings(found, REBER)


def counted(letters: str, count: int) -> String:
    """S a^n b^n (or S a^n b^n c^n) with what may follow each symbol; T ends a string.

    >>> counted("ab", 2)
    ('Saabb', ['a', 'ab', 'ab', 'b', 'T'])
    """
    read, legal = "S" + letters[0] * count, [letters[0]] + [letters[:2]] * count
    for letter, following in zip(letters[1:], letters[2:] + "T", strict=True):
        read += letter * count
        legal += [letter] * (count - 1) + [following]
    return read, legal


def counting(letters: str, counts: Iterable[int]) -> Batch:
    """The strings of a^n b^n (letters "ab") or a^n b^n c^n ("abc") for every n given: inputs (T, B, letters + 2)."""
    return strings([counted(letters, n) for n in counts], f"S{letters}T")


def strings(found: Sequence[String], alphabet: str) -> Batch:
    """Strings of any length as one batch; the steps behind a string's end are not judged."""
    steps, rows = max(len(read) for read, _ in found), len(found)
    shown = np.zeros((steps, rows), np.int64)
    targets = np.zeros((steps, rows, len(alphabet)), np.float32)
    counts = np.zeros((steps, rows), np.float32)
    at = {symbol: k for k, symbol in enumerate(alphabet)}
    for row, (read, legal) in enumerate(found):
        shown[: len(read), row] = [at[s] for s in read]
        counts[: len(read), row] = 1
        for step, symbols in enumerate(legal):
            targets[step, row, [at[s] for s in symbols]] = 1
    return Batch(one_hot(shown, len(alphabet)), torch.from_numpy(targets), torch.from_numpy(counts))
