"""Characters as units of a text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gatework.errors import DataError
from gatework.runtime.texts.base import NOTHING, SPECIAL, UNKNOWN, UNREADABLE, Codec, Span
from gatework.runtime.texts.points import readable


@dataclass
class Characters(Codec):
    """Single characters (Unicode code points), the most frequent first.

    Args:
        lower: compare characters in lower case.
        min_count, max_size: rarer characters, or beyond this many, are unknown.
    """

    lower: bool = False
    min_count: int = 1
    max_size: int = 10_000
    vocabulary: list[str] = field(default_factory=list)
    kind = "characters"

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(len(unit) != 1 for unit in self.vocabulary[len(SPECIAL) :]):
            raise DataError("a vocabulary of characters has units of one character")

    def text(self, ids: Iterable[int]) -> str:
        return "".join(UNREADABLE if i == UNKNOWN else self.vocabulary[i] for i in ids if i != NOTHING)

    def units(self, text: str) -> list[str]:
        return list(readable(text).lower() if self.lower else readable(text))

    def located(self, text: str) -> tuple[list[str], list[Span]]:
        lowered = [letter.lower() if self.lower else letter for letter in text]  # some become two: "İ"
        spans = [(i, i + 1) for i, letters in enumerate(lowered) for _ in letters]
        return [text[start] for start, _ in spans], spans
