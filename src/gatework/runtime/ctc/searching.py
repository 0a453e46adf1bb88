"""Which search is asked for, and what it finds as rows."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gatework.errors import DataError, OptionError
from gatework.runtime.counts import Tables
from gatework.runtime.ctc.beam import Beam
from gatework.runtime.ctc.language import Counted, Language, Listed, counted
from gatework.runtime.ctc.paths import Path
from gatework.runtime.ctc.search import Greedy, Search
from gatework.runtime.ctc.units import Units
from gatework.runtime.lazy import lazy

WIDTH = 16  # texts that a search follows where nobody says how many
ORDERS = {"words": 3, "characters": 5}  # units whose order is counted
WEIGH = ("n_best", "lm_weight", "unit_bonus", "word_list")


class Asked:
    """What a search is asked; the options are those of classes that have them as fields.

    beam: texts that are followed; None: 1, the likeliest unit of each step, or WIDTH where something weighs texts.
    n_best: texts told of each row, with their scores.
    lm_weight: of how likely a text is beside the training texts (counted units).
    unit_bonus: added to the score for each unit.
    word_list: the only words that are written.
    timestamps: when each word begins and ends.
    """

    beam: int | None
    n_best: int
    lm_weight: float
    unit_bonus: float
    word_list: Any
    timestamps: bool

    @property
    def weighs(self) -> list[str]:
        """The options that only a beam can follow."""
        return [name for name in WEIGH if getattr(self, name) != getattr(type(self), name)]

    @property
    def places(self) -> int:
        """Texts that the search follows."""
        return max(self.beam or (WIDTH if self.weighs else 1), self.n_best)

    def must_follow(self) -> None:
        """Raises: OptionError where one text alone is followed and several are weighed."""
        if self.beam == 1 and self.weighs:
            raise OptionError(f"beam=1 follows one text; {self.weighs[0]} needs several: give beam=16, or leave it out")


@dataclass(frozen=True, kw_only=True)
class How(Asked):
    """The options by themselves, for those who read no files: the words of a list are given as such.

    Raises: OptionError for what is out of range or does not go together.
    """

    timestamps: bool = False
    beam: int | None = None
    n_best: int = 1
    lm_weight: float = 0.0
    unit_bonus: float = 0.0
    word_list: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise OptionError(f"{name} must lie between {low} and {high}, not {value}")
        self.must_follow()


BOUNDS = {"beam": (1, 1_000), "n_best": (1, 100), "lm_weight": (0, 10), "unit_bonus": (-10, 10)}


@dataclass(frozen=True)
class Searching:
    """How steps become texts.

        searching = Searching(units, How(beam=8, lm_weight=0.5), {"seven two": 3})
        searching.row(searching.read(log_p))                          # {"text": "seven two", "confidence": 0.98}
        searching.new()                                               # a search for a stream

    Args:
        units: that are recognised.
        how: what is asked.
        texts: training texts and how often each was there.
        second: seconds of a step; of pictures points.

    Raises: DataError for a list of words that no text can be made of.
    """

    units: Units
    how: Asked = field(default_factory=How)
    texts: Mapping[str, int] | None = None
    second: float = 1.0

    def new(self) -> Search:
        """A search that has heard nothing."""
        width = self.how.places
        if width == 1:
            return Greedy(len(self.units))
        return Beam(width, len(self.units), self.language, weight=self.how.lm_weight, bonus=self.how.unit_bonus)

    def read(self, log_p: np.ndarray) -> Search:
        """A search that has heard all steps (T, V)."""
        search = self.new()
        search.next(log_p)
        return search

    # -- languages ------------------------------------------------------------------------------------------

    @lazy
    def language(self) -> Language | None:
        """What is counted of the training texts, or the words of the list, or both."""
        if "word_list" not in self.how.weighs:
            return Counted(self._units_counted()) if self.how.lm_weight else None
        spelled = self._spelled(*self.listed())
        if self.units.kind == "words":
            tables = self._units_counted() if self.how.lm_weight else Tables(len(self.units), [])
            return Counted(tables, only=[unit for (unit,) in spelled])
        tables = self._words_counted(list(spelled.values())) if self.how.lm_weight else None
        return Listed(list(spelled), len(self.units), self.units.number.get(" "), tables)

    def listed(self) -> tuple[str, list[str]]:
        """What the list of words is called, and its words, equal ones once."""
        return "word_list", one_word_each("word_list", self.how.word_list)

    def _spelled(self, name: str, words: Sequence[str]) -> dict[tuple[int, ...], str]:
        """Those of the words that are made of known units, by these units and in their order."""
        spelled = {tuple(self.units.ids(word)): word for word in words}
        whole = {units: word for units, word in spelled.items() if len(units) == len(self.units.split(word))}
        odd = [word for word in words if word not in set(whole.values())]
        if odd:
            what = f"{name}: {len(odd):,} of {len(words):,} words, such as {odd[0]!r}"
            told = f"{what}, {'were' if self.units.kind == 'words' else 'have characters that were'} never learned"
            if not whole:
                raise DataError(f"{told}; give words that training has")
            warnings.warn(f"{told}: they are never written", stacklevel=3)
        return dict(sorted(whole.items()))

    def _units_counted(self) -> Tables:
        said = [ids for text, often in self._said() for ids in [np.array(self.units.ids(text), np.int64)] * often]
        return counted(said, ORDERS[self.units.kind], len(self.units))

    def _words_counted(self, words: Sequence[str]) -> Tables:
        """Counts of the listed words; one that is not listed parts a text."""
        number, parts = {word: place for place, word in enumerate(words, 1)}, []
        for text, often in self._said():
            ids = np.array([number.get(word, 0) for word in text.split()], np.int64)
            parts += [part[part > 0] for part in np.split(ids, np.flatnonzero(ids == 0))] * often
        return counted(parts, ORDERS["words"], len(words) + 1)

    def _said(self) -> Sequence[tuple[str, int]]:
        return list((self.texts or {}).items())

    # -- rows -----------------------------------------------------------------------------------------------

    def row(self, search: Search) -> dict[str, Any]:
        """{"text", "confidence"}: what was found, and its probability, all paths together; as the options ask,
        "words" with their times, and "n_best" texts with their scores."""
        paths = search.best(self.how.n_best) if isinstance(search, Beam) else [search.result()]
        found: dict[str, Any] = self._text(paths[0])
        if self.how.timestamps:
            found["words"] = self.words(paths[0])
        if self.how.n_best > 1:
            found["n_best"] = [self._text(path) | {"score": path.score} for path in paths]
        return found

    def _text(self, path: Path) -> dict[str, Any]:
        return {"text": self.units.text(path.ids.tolist()), "confidence": float(np.exp(path.log_p))}

    def words(self, path: Path) -> list[dict[str, Any]]:
        """[{"word", "start", "end", "confidence"}]: from the step of the first unit to that of the last one; its
        confidence is that of all its units together."""
        names = [self.units.symbols[unit] for unit in path.ids.tolist()]
        cuts = [place for place, name in enumerate(names) if place and (name == " " or self.units.kind == "words")]
        groups = ([place for place in part if names[place] != " "] for part in np.split(np.arange(len(names)), cuts))
        return [
            {
                "word": "".join(names[place] for place in group),
                "start": float(path.starts[group[0]] * self.second),
                "end": float(path.ends[group[-1]] * self.second),
                "confidence": float(np.prod(path.sure[group])),
            }
            for group in groups
            if group
        ]


def one_word_each(name: str, words: Sequence[str], advice: str = "give each by itself") -> list[str]:
    """The words, equal ones once. Raises: DataError where there is none, or one is several words."""
    found = list(filter(None, dict.fromkeys(word.strip() for word in words)))
    several = next((word for word in found if len(word.split()) > 1), None)
    if several is not None:
        raise DataError(f"{name}: {several!r} has several words; {advice}")
    if not found:
        raise DataError(f"{name} has no word; give at least one")
    return found
