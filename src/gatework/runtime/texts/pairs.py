"""Byte pairs as units of a text: what the `tokenizers` library learned, applied without it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from heapq import heapify, heappop, heappush
from itertools import pairwise

import numpy as np

from gatework.errors import DataError
from gatework.runtime.texts.base import NOTHING, UNKNOWN, Codec, Span
from gatework.runtime.texts.points import Is, lowered, lowered_places, readable, signs, signs_of

# The pattern of GPT-2 (Radford et al. 2019) for signs: A for letters, 0 for numbers.
PIECE = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", re.ASCII)
REMEMBERED, SHORT = 20_000, 64  # pieces whose units are kept, and characters of the longest of them
OFF = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges")
FORM: dict[str, Mapping[str, object]] = {
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
    "model": {"type": "BPE"} | dict.fromkeys(OFF, None),
}


@dataclass
class BytePairs(Codec):
    """Byte-pair encoding over bytes (Sennrich et al. 2016): no text is outside it, and none is lost.

    Args:
        lower: compare in lower case.
        max_size: number of units.
        model: the learned merges, as JSON of the `tokenizers` library.
    """

    lower: bool = False
    max_size: int = 8_000
    model: str = ""
    vocabulary: list[str] = field(default_factory=list)
    kind = "bpe"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model and max(merges(self.model).units, default=-1) >= len(self.vocabulary):
            raise DataError("the learned byte pairs have units that the vocabulary lacks")

    @property
    def _merges(self) -> Merges:
        if not self.model:
            raise DataError("these byte pairs have not been learned; call fit first")
        return merges(self.model)

    def ids(self, text: str) -> np.ndarray:
        learned = self._merges
        pieces = learned.pieces(readable(text))
        return np.array([i for piece in pieces for i in learned.of_piece(piece)] or [NOTHING], np.int32)

    def units(self, text: str) -> list[str]:
        return [self.vocabulary[i] for i in self.ids(text).tolist() if i != NOTHING]

    def text(self, ids: Iterable[int]) -> str:
        return self._merges.text(ids)

    def located(self, text: str) -> tuple[list[str], list[Span]]:
        spans = self._merges.spans(readable(text))
        return [text[start:stop] for start, stop in spans], spans


class Merges:
    """Learned merges: `ranks` gives the pairs of ids that become one, the earlier learned the lower, and that one."""

    def __init__(self, vocabulary: dict[str, int], pairs: list[list[str]], lower: bool):
        self.lower, self.numbers = lower, vocabulary
        self.units = {number: _bytes(unit) for unit, number in vocabulary.items()}
        self.ranks = {
            (vocabulary[left], vocabulary[right]): (rank, vocabulary[left + right])
            for rank, (left, right) in enumerate(pairs)
        }
        self._short = lru_cache(REMEMBERED)(lambda piece: self.merged(piece)[0])

    def pieces(self, text: str) -> list[str]:
        """What is encoded by itself: words with the space before them, numbers, marks, white space."""
        text = lowered(text, final_sigma=False) if self.lower else text
        if text.isascii():
            return PIECE.findall(text)
        return [text[match.start() : match.end()] for match in PIECE.finditer(signs(text, signs_of(_sign)))]

    def of_piece(self, piece: str) -> list[int]:
        """The ids of a piece."""
        return self._short(piece) if len(piece) <= SHORT else self.merged(piece)[0]

    def merged(self, piece: str) -> tuple[list[int], list[int]]:
        """The ids of a piece, and at which of its bytes each begins; one past the last at the end.

        The pair of the lowest rank is merged, the leftmost of equals; then those that it makes with its neighbours
        are among the others.
        """
        ids = [self.numbers.get(letter, UNKNOWN) for letter in map(_letters().__getitem__, piece.encode())]
        after, before = [*range(1, len(ids) + 1)], [*range(-1, len(ids))]
        waiting = [found for place in range(len(ids) - 1) if (found := self._found(ids, place, place + 1))]
        heapify(waiting)
        while waiting:
            _, place, whole = heappop(waiting)
            right = after[place]
            found = self._found(ids, place, right)
            if found is None or found[2] != whole:  # one of the two is part of another unit by now
                continue
            ids[place], ids[right], after[place] = whole, -1, after[right]
            before[after[place]] = place
            for new in (self._found(ids, before[place], place), self._found(ids, place, after[place])):
                if new is not None:
                    heappush(waiting, new)
        starts = [place for place, number in enumerate(ids) if number >= 0]
        return [ids[place] for place in starts], [*starts, len(ids)]

    def _found(self, ids: list[int], left: int, right: int) -> tuple[int, int, int] | None:
        """Rank, place and result of the merge of two neighbours; None where there is none."""
        if left < 0 or right >= len(ids):
            return None
        found = self.ranks.get((ids[left], ids[right]))
        return found and (found[0], left, found[1])

    def spans(self, text: str) -> list[Span]:
        """Which characters each unit of a text holds, be it a part of one."""
        return [*self._spans(text)]

    def _spans(self, text: str) -> Iterator[Span]:
        places, first = lowered_places(text) if self.lower else range(len(text)), 0
        for piece in self.pieces(text):
            owners = [first + i for i, letter in enumerate(piece) for _ in letter.encode()]
            for start, stop in pairwise(self.merged(piece)[1]):
                yield places[owners[start]], places[owners[stop - 1]] + 1
            first += len(piece)

    def text(self, ids: Iterable[int]) -> str:
        """The text of ids; bytes that are no character are written as U+FFFD."""
        found = (self.units.get(int(i), b"") for i in ids if i not in (NOTHING, UNKNOWN))
        return b"".join(found).decode("utf-8", "replace")


@lru_cache(maxsize=8)
def merges(model: str) -> Merges:
    """The merges of a model of the `tokenizers` library, in which a text that reads "<unknown>" is text like any other.

    Raises: DataError for other JSON, and for models that cut or merge otherwise.
    """
    try:
        kept = json.loads(model)
        learned, normal = kept["model"], kept["normalizer"]
        for part, settings in FORM.items():
            _same(kept[part], settings, part)
        if normal not in (None, {"type": "Lowercase"}):
            raise DataError(f"the learned byte pairs cannot be read: normalizer {normal!r:.60} is not known")
        return Merges(learned["vocab"], learned["merges"], normal is not None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"the learned byte pairs cannot be read: {type(error).__name__} {error!s:.80}") from None


def _same(kept: Mapping[str, object], settings: Mapping[str, object], part: str) -> None:
    """Refuses what would be cut or merged otherwise; what is off is false or null."""
    for name, value in settings.items():
        if (given := kept.get(name, value)) != value and (given or value):
            raise DataError(f"the learned byte pairs cannot be read: {part} has {name} {given!r:.60}, not {value!r}")


@cache
def _letters() -> list[str]:
    """The letter that stands for each byte in units: itself where it can be seen (GPT-2)."""
    seen = {*range(33, 127), *range(161, 173), *range(174, 256)}
    further = iter(range(256, 512))
    return [chr(byte) if byte in seen else chr(next(further)) for byte in range(256)]


@cache
def _bytes_of() -> dict[str, int]:
    return {letter: byte for byte, letter in enumerate(_letters())}


def _bytes(unit: str) -> bytes:
    """The bytes that a unit stands for; those of its own text where it has other letters."""
    table = _bytes_of()
    return bytes(table[letter] for letter in unit) if all(letter in table for letter in unit) else unit.encode()


def _sign(what: Is) -> str:
    if "letter" in what:
        return "A"
    return "0" if "number" in what else "\t" if "space" in what else "!"
