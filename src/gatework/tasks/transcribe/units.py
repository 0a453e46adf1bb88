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

FEW, OFTEN = 60, 10  # different words, each so often in the mean, are units themselves


class Kept(TypedDict):
    """units.json."""

    kind: str
    symbols: list[str]


@dataclass(frozen=True)
class Units:
    """The units of a language: `Units.of(["no yes", "yes"], "words").symbols` is ("", "no", "yes").

    `symbols[0]` is the blank. Spaces in a row count as one, and those at the ends as none.
    """

    kind: str
    symbols: tuple[str, ...]

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
        units = words if kind == "words" else {unit for line in lines for unit in " ".join(line)}
        return cls(kind, ("", *sorted(units)))

    def __len__(self) -> int:
        return len(self.symbols)

    def count(self, number: int) -> str:
        """So many units in words: "1 word", "3 characters"."""
        return f"1 {self.kind[:-1]}" if number == 1 else f"{number:,} {self.kind}"

    def split(self, text: str) -> list[str]:
        """A text's units: "no  yes" has the words "no", "yes"; the characters "n", "o", " ", "y", "e", "s"."""
        return text.split() if self.kind == "words" else list(" ".join(text.split()))

    def encode(self, texts: Sequence[str]) -> tuple[Ragged, list[str]]:
        """The ids of each text, without those of unknown units; and the unknown units."""
        ids = {symbol: number for number, symbol in enumerate(self.symbols) if number}
        lines = [self.split(text) for text in texts]
        unknown = sorted({unit for line in lines for unit in line if unit not in ids})
        return Ragged.of([[ids[unit] for unit in line if unit in ids] for line in lines], np.int64), unknown

    def text(self, ids: Iterable[int]) -> str:
        """What ids read as."""
        joint = " " if self.kind == "words" else ""
        return " ".join(joint.join(self.symbols[number] for number in ids).split())

    def to_json(self) -> str:
        return json.dumps(Kept(kind=self.kind, symbols=list(self.symbols)), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Units:
        """Raises: FileFormatError for anything but what `to_json` gives."""
        kept: Kept = stored(text, Kept, "units.json")
        symbols = tuple(kept["symbols"])
        if kept["kind"] not in ("words", "characters") or symbols[:1] != ("",) or len(set(symbols)) != len(symbols):
            raise FileFormatError("units.json: it names no blank and different units after it")
        return cls(kept["kind"], symbols)
