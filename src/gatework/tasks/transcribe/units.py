"""Texts as numbers of their units, words or characters; number 0 is the blank of CTC, which says nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from gatework.data.ragged import Ragged
from gatework.data.stored import stored
from gatework.errors import DataError, FileFormatError
from gatework.runtime.ctc import units

FEW, OFTEN = 60, 10  # different words, each so often in the mean, are units themselves


class Kept(TypedDict):
    """units.json."""

    kind: str
    symbols: list[str]


@dataclass(frozen=True)
class Units(units.Units):
    """The units of a language: `Units.of(["no yes", "yes"], "words").symbols` is ("", "no", "yes")."""

    @classmethod
    def of(cls, texts: Iterable[str], kind: str | None = None) -> Units:
        """The units of training texts; without a kind words, where few different ones come often, else characters.

        Raises: DataError where there is no unit.
        """
        lines = [text.split() for text in texts]
        words = Counter(word for line in lines for word in line)
        if not words:
            raise DataError("every text is empty; give what is said in the recordings")
        few = len(words) <= FEW and words.total() >= OFTEN * len(words)
        kind = kind or ("words" if few else "characters")
        found = words if kind == "words" else {unit for line in lines for unit in " ".join(line)}
        return cls(kind, ("", *sorted(found)))

    def count(self, number: int) -> str:
        """So many units in words: "1 word", "3 characters"."""
        return f"1 {self.kind[:-1]}" if number == 1 else f"{number:,} {self.kind}"

    def encode(self, texts: Sequence[str]) -> tuple[Ragged, list[str]]:
        """The ids of each text, without those of unknown units; and the unknown units."""
        unknown = sorted({unit for text in texts for unit in self.split(text) if unit not in self.number})
        return Ragged.of([self.ids(text) for text in texts], np.int64), unknown

    def to_json(self) -> str:
        return json.dumps(Kept(kind=self.kind, symbols=list(self.symbols)), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Units:
        """Raises: FileFormatError for anything but what `to_json` gives."""
        kept: Kept = stored(text, Kept, "units.json")
        try:
            return cls(kept["kind"], tuple(kept["symbols"]))
        except FileFormatError as error:
            raise FileFormatError(f"units.json: {error}") from None
