"""Which search the options of predicting ask for, and what it finds as rows."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from gatework.data.files import read_text
from gatework.errors import DataError
from gatework.runtime.counts import Tables
from gatework.runtime.ctc import Beam, Counted, Greedy, Language, Listed, Path, Search, counted
from gatework.tasks.transcribe.options import TranscribePredicting
from gatework.tasks.transcribe.units import Units

ORDERS = {"words": 3, "characters": 5}  # units whose order is counted
MOST_CHARACTERS = 4_000_000  # of training texts that are kept for counting


@dataclass(frozen=True)
class Searching:
    """How steps become texts.

        searching = Searching(units, TranscribePredicting(beam=8, lm_weight=0.5), kept(texts))
        searching.row(searching.read(log_p))                          # {"text": "seven two", "confidence": 0.98}
        searching.new()                                               # a search for a stream

    Args:
        units: of the run.
        how: options of predicting.
        texts: training texts and how often each was there: see `kept`.
        second: seconds of a step; of pictures points.

    Raises: DataError for a list of words that no text can be made of.
    """

    units: Units
    how: TranscribePredicting = field(default_factory=TranscribePredicting)
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

    @cached_property
    def language(self) -> Language | None:
        """What is counted of the training texts, or the words of the list, or both."""
        if self.how.word_list is None:
            return Counted(self._units_counted()) if self.how.lm_weight else None
        spelled = self._spelled(listed(self.how.word_list))
        if self.units.kind == "words":
            tables = self._units_counted() if self.how.lm_weight else Tables(len(self.units), [])
            return Counted(tables, only=[unit for (unit,) in spelled])
        tables = self._words_counted(list(spelled.values())) if self.how.lm_weight else None
        return Listed(list(spelled), len(self.units), self._space, tables)

    @property
    def _space(self) -> int | None:
        return self.units.symbols.index(" ") if " " in self.units.symbols else None

    def _spelled(self, words: Sequence[str]) -> dict[tuple[int, ...], str]:
        """Those of the words that are made of known units, by these units and in their order."""
        ids, _ = self.units.encode(words)
        spelled = {tuple(ids[row].tolist()): word for row, word in enumerate(words)}
        whole = {units: word for units, word in spelled.items() if len(units) == len(self.units.split(word))}
        odd = [word for word in words if word not in set(whole.values())]
        if odd:
            what = f"{self.how.word_list}: {len(odd):,} of {len(words):,} words, such as {odd[0]!r}"
            told = f"{what}, {'were' if self.units.kind == 'words' else 'have characters that were'} never learned"
            if not whole:
                raise DataError(f"{told}; give words that training has")
            warnings.warn(f"{told}: they are never written", stacklevel=3)
        return dict(sorted(whole.items()))

    def _units_counted(self) -> Tables:
        ids, _ = self.units.encode(self._said())
        return counted([ids[row] for row in range(len(ids))], ORDERS[self.units.kind], len(self.units))

    def _words_counted(self, words: Sequence[str]) -> Tables:
        """Counts of the listed words; one that is not listed parts a text."""
        number, parts = {word: place for place, word in enumerate(words, 1)}, []
        for text in self._said():
            ids = np.array([number.get(word, 0) for word in text.split()], np.int64)
            parts += [part[part > 0] for part in np.split(ids, np.flatnonzero(ids == 0))]
        return counted(parts, ORDERS["words"], len(words) + 1)

    def _said(self) -> list[str]:
        return [text for text, often in (self.texts or {}).items() for _ in range(often)]

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


def listed(path: str) -> list[str]:
    """The words of a file, one a line; equal ones once.

    Raises: DataError where it is missing or empty, or a line has several words.
    """
    words = list(filter(None, dict.fromkeys(line.strip() for line in read_text(path).splitlines())))
    several = next((word for word in words if len(word.split()) > 1), None)
    if several is not None:
        raise DataError(f"{path}: {several!r} has several words; write one a line")
    return words


def kept(texts: Sequence[str]) -> dict[str, int]:
    """How often each text is there; of very many the most frequent ones."""
    counts, held, found = Counter(" ".join(text.split()) for text in texts), 0, {}
    for text, often in counts.most_common():
        held += len(text)
        if held > MOST_CHARACTERS:
            break
        found[text] = often
    return found
