"""What is recognised: words or characters by their numbers, of which 0 is the blank."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gatework.errors import FileFormatError
from gatework.runtime.lazy import lazy

KINDS = ("words", "characters")


@dataclass(frozen=True)
class Units:
    """The units of a language: `Units("words", ("", "no", "yes")).ids("yes no")` is [2, 1].

    `symbols[0]` is the blank. Spaces in a row count as one, and those at the ends as none.

    Raises: FileFormatError for symbols that are not a blank and different units after it.
    """

    kind: str
    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        texts = all(isinstance(symbol, str) for symbol in self.symbols)
        if self.kind not in KINDS or not texts or self.symbols[:1] != ("",) or len(self.number) != len(self):
            raise FileFormatError("the units are not a blank and different words or characters after it")

    def __len__(self) -> int:
        return len(self.symbols)

    @lazy
    def number(self) -> dict[str, int]:
        """The number of each unit, the blank among them."""
        return {symbol: number for number, symbol in enumerate(self.symbols)}

    def split(self, text: str) -> list[str]:
        """A text's units: "no  yes" has the words "no", "yes"; the characters "n", "o", " ", "y", "e", "s"."""
        return text.split() if self.kind == "words" else list(" ".join(text.split()))

    def ids(self, text: str) -> list[int]:
        """The numbers of a text's units, without those of unknown ones."""
        return [self.number[unit] for unit in self.split(text) if unit in self.number]

    def text(self, ids: Iterable[int]) -> str:
        """What numbers read as."""
        joint = " " if self.kind == "words" else ""
        return " ".join(joint.join(self.symbols[number] for number in ids).split())
