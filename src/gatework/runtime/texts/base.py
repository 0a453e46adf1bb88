"""What every text codec can with one text: ids, units, their places, and the text again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import Field
from typing import ClassVar, TypeVar

import numpy as np

from gatework.errors import DataError

NOTHING, UNKNOWN = 0, 1  # ids in every vocabulary: no unit at all, and a unit that the vocabulary lacks
SPECIAL = ("<nothing>", "<unknown>")
UNREADABLE = "\ufffd"  # written for an unknown unit; also what bytes that are no character decode to
T = TypeVar("T")
Span = tuple[int, int]  # of a text: first character, and the one after the last


class Codec(ABC):
    """Base of the three. `vocabulary[i]` is the unit with the id i; ids 0 and 1 are never written.

    A codec is a dataclass whose fields are JSON; its constructor refuses fields that are not what they should be.
    """

    kind: ClassVar[str]
    forbidden: ClassVar[tuple[int, ...]] = (NOTHING, UNKNOWN)
    vocabulary: list[str]
    __dataclass_fields__: ClassVar[dict[str, Field]]

    def __post_init__(self) -> None:
        known = self.vocabulary
        if not isinstance(known, list) or not all(isinstance(unit, str) for unit in known):
            raise DataError(f"a vocabulary is a list of units; got {known!r:.60}")
        if known and known[: len(SPECIAL)] != list(SPECIAL):
            raise DataError(f"a vocabulary begins with {', '.join(SPECIAL)}; this one with {known[:2]!r:.60}")

    def __len__(self) -> int:
        return len(self.vocabulary)

    @property
    def number(self) -> dict[str, int]:
        """The id of each unit."""
        return self._made("number", self.vocabulary, lambda units: {unit: i for i, unit in enumerate(units)})

    def _made(self, name: str, source: list[str], make: Callable[[list[str]], T]) -> T:
        """What is made of a field, kept for as long as the field is the same list: learning sets another."""
        made_of, made = vars(self).get(f"_made_{name}", (None, None))
        if made_of is source:
            return made
        vars(self)[f"_made_{name}"] = source, (made := make(source))
        return made

    def ids(self, text: str) -> np.ndarray:
        """int32 [T], never empty: the ids of a text's units, NOTHING of a text without any."""
        return self.numbers(self.units(text) or [SPECIAL[NOTHING]])

    def numbers(self, units: Iterable[str]) -> np.ndarray:
        """int32 [n]: the ids of single units."""
        number = self.number
        return np.array([number.get(unit, UNKNOWN) for unit in units], np.int32)

    @abstractmethod
    def text(self, ids: Iterable[int]) -> str:
        """The text of ids, as far as the codec keeps it."""

    @abstractmethod
    def units(self, text: str) -> list[str]:
        """What a text is cut into, known or not."""

    @abstractmethod
    def located(self, text: str) -> tuple[list[str], list[Span]]:
        """The units that `ids` numbers, as the text writes them, and where each begins and ends in it."""

    def without_markup(self, text: str) -> str:
        """The text with a space for each letter of what the codec leaves out before it cuts."""
        return text

    def unseen(self, text: str) -> list[str]:
        """The units of a text that the vocabulary lacks, each once, the most frequent first."""
        return [unit for unit, _ in Counter(self.units(text)).most_common() if unit not in self.number]
