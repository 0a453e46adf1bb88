"""Prefix beam search: the texts whose paths, all together, are likeliest, with a language model or a list of words.

Of a prefix two sums over paths are kept, those that end in a blank and those that end in its last symbol: after the
first that symbol can come again, after the second it goes on (Hannun et al. 2014, "First-pass large vocabulary
continuous speech recognition using bi-directional recurrent DNNs", algorithm 1). What the language says of a prefix
hangs on the prefix alone, so it is kept apart from these sums.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import numpy as np

from gatework.errors import OptionError
from gatework.runtime.ctc.language import Anything, Language, kept
from gatework.runtime.ctc.paths import BLANK, Path, align
from gatework.runtime.ctc.search import Search

Array = np.ndarray
LOST = -1  # the place of a prefix that is not in the beam


@dataclass(eq=False, slots=True, weakref_slot=True)
class Prefix:
    """A text as a symbol after another prefix; `row` (V,) is what each further symbol adds to `added`."""

    number: int
    parent: Prefix | None
    symbol: int
    state: Hashable
    row: Array
    added: float = 0.0

    def back(self) -> Iterator[Prefix]:
        """This prefix and those it goes on from, without the empty one."""
        prefix = self
        while prefix.parent is not None:
            yield prefix
            prefix = prefix.parent

    @property
    def ids(self) -> Array:
        return np.array([each.symbol for each in self.back()][::-1], np.int64)


@dataclass(slots=True)
class Places:
    """K prefixes, the best first: log sums of their paths that end in a blank and in a symbol, and the place of what
    each goes on from."""

    prefixes: list[Prefix]
    blank: Array  # (K,)
    symbol: Array  # (K,)
    parents: Array = field(default_factory=lambda: np.array([LOST]))  # (K,)


class Beam(Search):
    """The best of `width` texts.

        search = Beam(16, 30, Counted(tables), weight=0.5)
        search.next(log_p)                                    # (t, 30)
        search.result().ids, search.best(3)[2].score

    A text's score is log p(text | steps) + weight * log p(text by the language) + bonus * its symbols. With as many
    places as there are texts it is exact.

    Args:
        width: K, places.
        size: V, symbols, the blank among them.
        language: what texts are likely; what it forbids is never written, whatever the weight.
        weight: of the language, from 0.
        bonus: for each symbol; the language alone likes short texts.

    Raises: OptionError.
    """

    def __init__(
        self, width: int, size: int, language: Language | None = None, *, weight: float = 1.0, bonus: float = 0.0
    ):
        if width < 1 or weight < 0:
            raise OptionError(f"width={width}, weight={weight:g}: give at least one place, and a weight from 0")
        super().__init__(size)
        self.width, self.weight, self.bonus = width, weight, bonus
        self.language: Language = Anything(size) if language is None else language
        self._known: WeakValueDictionary[tuple[int, int], Prefix] = WeakValueDictionary()
        self._made, self._row = 0, kept(self._further)
        state = self.language.start()
        empty = Prefix(0, None, BLANK, state, self._row(state))
        self._places = Places([empty], np.zeros(1), np.full(1, -np.inf))

    def _read(self, steps: Array) -> None:
        for step in steps.astype(np.float64):
            self._step(step)

    def _step(self, now: Array) -> None:
        """One step (V,): every prefix stays or goes on by every symbol; the best K of these stay."""
        places = self._places
        last = np.array([each.symbol for each in places.prefixes])
        either = np.logaddexp(places.blank, places.symbol)
        blank, symbol = either + now[BLANK], places.symbol + np.where(last == BLANK, -np.inf, now[last])
        further = either[:, None] + now
        every = np.arange(len(last))
        further[every, last] = places.blank + now[last]  # the same symbol again: only after a blank
        further[:, BLANK] = -np.inf
        children = np.flatnonzero(places.parents != LOST)  # reached from a place of the beam, too
        ways = places.parents[children], last[children]
        symbol[children] = np.logaddexp(symbol[children], further[ways])
        further[ways] = -np.inf
        self._keep(blank, symbol, further)

    def _keep(self, blank: Array, symbol: Array, further: Array) -> None:
        prefixes = self._places.prefixes
        added = np.array([each.added for each in prefixes])
        rows = np.array([each.row for each in prefixes])
        scores = np.concatenate([np.logaddexp(blank, symbol) + added, (further + rows + added[:, None]).ravel()])
        best = _highest(scores, self.width)
        stay = best[best < len(prefixes)]
        parents, symbols = np.divmod(best[best >= len(prefixes)] - len(prefixes), self.size)
        new = [self._child(prefixes[i], c) for i, c in zip(parents.tolist(), symbols.tolist(), strict=True)]
        held = [prefixes[i] for i in stay.tolist()] + new
        place = {each: i for i, each in enumerate(held)}
        self._places = Places(
            held,
            np.append(blank[stay], np.full(len(new), -np.inf)),
            np.append(symbol[stay], further[parents, symbols]),
            np.array([LOST if each.parent is None else place.get(each.parent, LOST) for each in held]),
        )

    def _child(self, parent: Prefix, symbol: int) -> Prefix:
        """The prefix one symbol on: the one that still is in the beam's texts, or a new one."""
        known = self._known.get((parent.number, symbol))
        if known is not None:
            return known
        self._made += 1
        state = self.language.move(parent.state, symbol)
        child = Prefix(self._made, parent, symbol, state, self._row(state), parent.added + float(parent.row[symbol]))
        self._known[parent.number, symbol] = child
        return child

    def _further(self, state: Hashable) -> Array:
        """What each next symbol (V,) adds to a score."""
        return weighted(self.language.next(state), self.weight) + self.bonus

    def partial(self) -> Array:
        return self._ranked(ended=False)[0][1].ids

    def result(self) -> Path:
        return self.best(1)[0]

    def best(self, count: int) -> list[Path]:
        """At most `count` texts, the best first; changes nothing. What the language cannot end is left out; where that
        is all, the best text is cut where it can end."""
        found = [(score, prefix.ids) for score, prefix in self._ranked(ended=True)[:count]]
        if not found:
            score, prefix = self._ranked(ended=False)[0]
            found = [(score, self._cut(prefix).ids)]
        return [self._path(ids, *align(self.steps, ids), score) for score, ids in found]

    def _ranked(self, ended: bool) -> list[tuple[float, Prefix]]:
        """Scores and prefixes, the best first; `ended`: as whole texts."""
        places = self._places
        sums = np.logaddexp(places.blank, places.symbol).tolist()
        found = [
            (total + each.added + (self._end(each) if ended else 0.0), each)
            for total, each in zip(sums, places.prefixes, strict=True)
        ]
        return sorted((each for each in found if each[0] > -np.inf or not ended), key=lambda each: -each[0])

    def _end(self, prefix: Prefix) -> float:
        return float(weighted(np.array(self.language.end(prefix.state)), self.weight))

    def _cut(self, prefix: Prefix) -> Prefix:
        while prefix.parent is not None and self._end(prefix) == -np.inf:
            prefix = prefix.parent
        return prefix


def weighted(log_p: Array, weight: float) -> Array:
    """weight * log_p, where -inf stays -inf, whatever the weight."""
    return np.where(np.isneginf(log_p), -np.inf, weight * np.where(np.isneginf(log_p), 0.0, log_p))


def _highest(scores: Array, count: int) -> Array:
    """Places of at most `count` scores above -inf, the highest first, of equal ones the first; the first of none."""
    floor = np.partition(scores, -count)[-count] if len(scores) > count else -np.inf
    some = np.flatnonzero((scores >= floor) & (scores > -np.inf))
    return some[np.argsort(-scores[some], kind="stable")[:count]] if len(some) else np.zeros(1, np.int64)
