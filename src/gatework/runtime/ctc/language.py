"""What a text is likely to say, one symbol after another: counted n-grams of its symbols, or of the words of a list.

Texts begin and end; the blank, which no text has, stands for both ends in what is counted. So a language gives each
text a probability, and those of all texts add up to 1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Hashable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from gatework.errors import DataError
from gatework.runtime.counts import Tables, tables_of
from gatework.runtime.ctc.paths import BLANK

Array = np.ndarray
kept = lru_cache(1 << 14)  # remembers what it gave last; for functions of states, which come again and again
S = TypeVar("S", bound=Hashable)


class Language(Protocol[S]):
    """The probability of texts, one symbol after another; what it keeps of a text is its own."""

    def start(self) -> S:
        """The state of the empty text."""
        ...

    def next(self, state: S) -> Array:
        """Log probabilities (V,) of the next symbol; that of the blank is -inf."""
        ...

    def move(self, state: S, symbol: int) -> S:
        """The state one symbol later."""
        ...

    def end(self, state: S) -> float:
        """The log probability that the text ends here."""
        ...


class Anything:
    """Every text is as good as another."""

    def __init__(self, size: int):
        self._row = np.zeros(size)

    def start(self) -> None:
        return None

    def next(self, state: None) -> Array:
        return self._row

    def move(self, state: None, symbol: int) -> None:
        return None

    def end(self, state: None) -> float:
        return 0.0


def counted(texts: Sequence[Array], orders: int, size: int) -> Tables:
    """Counts of texts, each an array of symbols from 1 below `size`: of what follows the last ones, and of ends.

    tables = counted([np.array([1, 2]), np.array([1])], 2, 3)
    tables.next(tables.place(np.array([BLANK])))                      # (1, 3): how texts begin
    """
    ends = [piece for text in texts for piece in (np.asarray(text, np.int64), np.array([BLANK]))]
    return tables_of(np.concatenate([np.array([BLANK]), *ends]), orders, size)


class Counted:
    """N-grams of symbols. `only`: no other symbols are written (the words of a list, where symbols are words).

    Counted(counted(texts, 4, V))
    """

    def __init__(self, tables: Tables, only: Collection[int] | None = None):
        self.tables, self._moved, self._rows = tables, kept(self._after), kept(self._both)
        self._never = np.zeros(tables.size, bool)
        if only is not None:
            self._never[:] = True
            self._never[list(only)] = False
        self._never[BLANK] = True

    def start(self) -> bytes:
        return self.tables.place(np.array([BLANK])).tobytes()

    def next(self, state: bytes) -> Array:
        return self._rows(state)[0]

    def end(self, state: bytes) -> float:
        return self._rows(state)[1]

    def move(self, state: bytes, symbol: int) -> bytes:
        return self._moved(state, symbol)

    def _after(self, state: bytes, symbol: int) -> bytes:
        return self.tables.moved(_contexts(state), np.array([symbol])).tobytes()

    def _both(self, state: bytes) -> tuple[Array, float]:
        row = np.log(self.tables.next(_contexts(state))[0])
        return np.where(self._never, -np.inf, row), float(row[BLANK])


def _contexts(state: bytes) -> Array:
    return np.frombuffer(state, np.int64)[None]


class Spelled(NamedTuple):
    """Where a text stands: contexts of the words before, and the words [low, high) of the list that begin with the
    `length` symbols since then. At `length` 0 behind a space a word must come."""

    contexts: bytes
    low: int
    high: int
    length: int
    begun: bool


class Listed:
    """Words of a list, spelled in symbols, with a space between; no other text is written.

        Listed([[3, 1], [3, 2, 1]], size=4, space=None)               # one of two words
        Listed(spelled, size=30, space=1, tables=counted(texts, 3, len(spelled) + 1))

    What begins a word is as likely as all words together that begin so (a range, as the list is sorted).

    Args:
        words: the symbols of each, none of them the space; equal ones count once.
        size: V, symbols.
        space: the symbol between words; None: a text is one word.
        tables: counts of words, numbered from 1 in the order of `sorted(words)`; None: each is as likely.

    Raises: DataError where there is no word, or a word is empty or has a space or blank.
    """

    def __init__(
        self, words: Sequence[Sequence[int]], size: int, space: int | None = None, tables: Tables | None = None
    ):
        self.words = sorted({tuple(int(symbol) for symbol in word) for word in words})
        if not self.words or any(not word or space in word or BLANK in word for word in self.words):
            raise DataError("a list of words needs at least one word, none of them empty or with a space or blank")
        self.tables = Tables(len(self.words) + 1, []) if tables is None else tables
        if self.tables.size != len(self.words) + 1:
            raise DataError(f"the counts are of {self.tables.size - 1:,} words, the list has {len(self.words):,}")
        self.size, self.space = size, space
        self._after, self._likely, self._branches = kept(self._moved), kept(self._counted), kept(self._cut)

    def start(self) -> Spelled:
        return Spelled(self.tables.place(np.array([BLANK])).tobytes(), 0, len(self.words), 0, False)

    def next(self, state: Spelled) -> Array:
        row, before = np.full(self.size, -np.inf), self._open(state)
        for symbol, (low, high) in self._followers(state).items():
            row[symbol] = self._words(state, low, high) - before
        if self.space is not None and self._whole(state):
            after, _ = self._likely(self._after(state.contexts, state.low))
            row[self.space] = self._words(state, state.low, state.low + 1) + np.log(after[-1]) - before
        return row

    def move(self, state: Spelled, symbol: int) -> Spelled:
        if symbol == self.space:
            return Spelled(self._after(state.contexts, state.low), 0, len(self.words), 0, True)
        low, high = self._followers(state)[symbol]
        return state._replace(low=low, high=high, length=state.length + 1)

    def end(self, state: Spelled) -> float:
        if not state.length:
            return -np.inf if state.begun else float(np.log(self._likely(state.contexts)[1]))
        if not self._whole(state):
            return -np.inf
        stop = 1.0 if self.space is None else self._likely(self._after(state.contexts, state.low))[1]
        return self._words(state, state.low, state.low + 1) + float(np.log(stop)) - self._open(state)

    def _open(self, state: Spelled) -> float:
        """The log probability of all that can still come: words that begin so; of no text also its end."""
        return self._words(state, state.low, state.high) if state.length or state.begun else 0.0

    def _words(self, state: Spelled, low: int, high: int) -> float:
        """The log probability that the next word is one of [low, high)."""
        sums, _ = self._likely(state.contexts)
        return float(np.log(sums[high] - sums[low]))

    def _whole(self, state: Spelled) -> bool:
        return state.length > 0 and len(self.words[state.low]) == state.length

    def _moved(self, contexts: bytes, word: int) -> bytes:
        """The contexts behind a word of the list."""
        return self.tables.moved(_contexts(contexts), np.array([word + 1])).tobytes()

    def _counted(self, contexts: bytes) -> tuple[Array, float]:
        """Sums (W + 1,) of the probabilities of the words before each word, and the probability of the text's end."""
        likely = self.tables.next(_contexts(contexts))[0]
        return np.append(0.0, np.cumsum(likely[1:])), float(likely[0])

    def _followers(self, state: Spelled) -> dict[int, tuple[int, int]]:
        """The next symbols of the words [low, high), and the words that go on with each."""
        return self._branches(state.low + self._whole(state), state.high, state.length)

    def _cut(self, low: int, high: int, length: int) -> dict[int, tuple[int, int]]:
        found = {}
        while low < high:
            symbol = self.words[low][length]
            end = bisect_right(self.words, symbol, low, high, key=lambda word: word[length])
            found[symbol] = low, end
            low = end
        return found
