"""Texts -> integer ids: words, characters or byte-pair units. Id 0 stands for a text without units, so that no encoded
text is empty, and id 1 for a unit outside the vocabulary."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from gatework.data.codecs.base import NOTHING, SPECIAL, UNKNOWN, Codec
from gatework.data.ragged import Ragged
from gatework.errors import DataError, OptionError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Texts = Iterable[str | None]  # also a column of a data frame; None is an empty text
Span = tuple[int, int]  # of a text: first character, and the one after the last

UNREADABLE = "\ufffd"  # written for an unknown unit; also what bytes that are no character decode to


class TextCodec(Codec[Texts, Ragged]):
    """Base of the three. `vocabulary[i]` is the unit with the id i; ids 0 and 1 are never written."""

    forbidden: ClassVar[tuple[int, ...]] = (NOTHING, UNKNOWN)
    vocabulary: list[str]

    def __post_init__(self) -> None:
        known = self.vocabulary
        if not isinstance(known, list) or not all(isinstance(unit, str) for unit in known):
            raise DataError(f"a vocabulary is a list of units; got {known!r:.60}")
        if known and known[: len(SPECIAL)] != list(SPECIAL):
            raise DataError(f"a vocabulary begins with {', '.join(SPECIAL)}; this one with {known[:2]!r:.60}")
        if self.kind == "characters" and any(len(unit) != 1 for unit in known[len(SPECIAL) :]):
            raise DataError("a vocabulary of characters has units of one character")

    def __len__(self) -> int:
        return len(self.vocabulary)

    def fit(self, values: Texts) -> Self:
        self.fit_encode(values)
        return self

    @abstractmethod
    def fit_encode(self, texts: Texts) -> Ragged:
        """Learns the vocabulary from training texts and encodes them, in one pass."""

    @abstractmethod
    def text(self, ids: Iterable[int]) -> str:
        """The text of ids, as far as the codec keeps it."""

    @abstractmethod
    def units(self, text: str) -> list[str]:
        """What a text is cut into, known or not."""

    @abstractmethod
    def located(self, text: str) -> tuple[list[str], list[Span]]:
        """The units that `encode` gives ids to, as the text writes them, and where each begins and ends in it."""

    def without_markup(self, text: str) -> str:
        """The text with a space for each letter of what the codec leaves out before it cuts."""
        return text

    def decode(self, codes: Ragged) -> list[str]:
        return [self.text(codes[row]) for row in range(len(codes))]

    def unseen(self, text: str) -> list[str]:
        """The units of a text that the vocabulary lacks, each once, the most frequent first."""
        known = set(self.vocabulary)
        return [unit for unit, _ in Counter(self.units(text)).most_common() if unit not in known]


def never_empty(ids: np.ndarray, lengths: np.ndarray) -> Ragged:
    """Ragged int32 in which a text without units holds the one id NOTHING."""
    if (lengths > 0).all():
        return Ragged.from_lengths(ids.astype(np.int32, copy=False), lengths)
    at = np.cumsum(lengths)[lengths == 0]
    return Ragged.from_lengths(np.insert(ids, at, NOTHING).astype(np.int32), np.maximum(lengths, 1))


@dataclass
class Characters(TextCodec):
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

    def settings(self) -> dict[str, Any]:
        return vars(self)

    def fit_encode(self, texts: Texts) -> Ragged:
        points, lengths = self._points(texts)
        different, counts = np.unique(points, return_counts=True)
        most = min(self.max_size, int((counts >= self.min_count).sum()))
        self.vocabulary = [*SPECIAL, *map(chr, different[np.argsort(-counts, kind="stable")][:most])]
        return self._number(points, lengths)

    def encode(self, values: Texts) -> Ragged:
        return self._number(*self._points(values))

    def _points(self, texts: Texts) -> tuple[np.ndarray, np.ndarray]:
        """The code points of all texts, and how many each has."""
        rows = [text or "" for text in texts]
        rows = [row.lower() for row in rows] if self.lower else rows
        data = "".join(rows).encode("utf-32-le", "replace")
        return np.frombuffer(data, np.uint32), np.array([len(row) for row in rows], np.int64)

    def _number(self, points: np.ndarray, lengths: np.ndarray) -> Ragged:
        known = np.array([ord(character) for character in self.vocabulary[len(SPECIAL) :]], np.uint32)
        table = np.full(int(max(known.max(initial=0), points.max(initial=0))) + 1, UNKNOWN, np.int32)
        table[known] = np.arange(len(SPECIAL), len(self.vocabulary))
        return never_empty(table[points], lengths)

    def text(self, ids: Iterable[int]) -> str:
        return "".join(UNREADABLE if i == UNKNOWN else self.vocabulary[i] for i in ids if i != NOTHING)

    def units(self, text: str) -> list[str]:
        return list(text.lower() if self.lower else text)

    def located(self, text: str) -> tuple[list[str], list[Span]]:
        lowered = [letter.lower() if self.lower else letter for letter in text]  # some become two: "İ"
        spans = [(i, i + 1) for i, letters in enumerate(lowered) for _ in letters]
        return [text[start] for start, _ in spans], spans


@dataclass
class BytePairs(TextCodec):
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
        if self.model and max(engine(self.model).get_vocab().values(), default=-1) >= len(self.vocabulary):
            raise DataError("the learned byte pairs have units that the vocabulary lacks")

    def settings(self) -> dict[str, Any]:
        return vars(self)

    def fit_encode(self, texts: Texts) -> Ragged:
        if self.max_size < 300:
            raise OptionError(
                f"a byte-pair vocabulary holds 256 bytes first: give at least 300 units, not {self.max_size}"
            )
        learned = learn_pairs([text or "" for text in texts], self.max_size, self.lower)
        self.model = learned.to_str()
        self.vocabulary = [learned.id_to_token(i) or "" for i in range(learned.get_vocab_size())]
        return self.encode(texts)

    def _engine(self) -> Tokenizer:
        if not self.model:
            raise DataError("these byte pairs have not been learned; call fit first")
        return engine(self.model)

    def encode(self, values: Texts) -> Ragged:
        texts = [text or "" for text in values]
        rows = [row.ids for row in self._engine().encode_batch_fast(texts, add_special_tokens=False)]
        lengths = np.array([len(row) for row in rows], np.int64)
        return never_empty(np.fromiter((i for row in rows for i in row), np.int32, int(lengths.sum())), lengths)

    def located(self, text: str) -> tuple[list[str], list[Span]]:
        spans = self._engine().encode(text, add_special_tokens=False).offsets
        return [text[start:stop] for start, stop in spans], spans

    def text(self, ids: Iterable[int]) -> str:
        return self._engine().decode([int(i) for i in ids])

    def units(self, text: str) -> list[str]:
        return [self.vocabulary[i] for i in self.encode([text])[0] if i != NOTHING]


def learn_pairs(texts: list[str], size: int, lower: bool) -> Tokenizer:
    """Byte pairs of texts, by the tokenizers library."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    learned = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
    learned.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learned.decoder = decoders.ByteLevel()
    if lower:
        learned.normalizer = normalizers.Lowercase()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    learned.train_from_iterator(texts, trainer)
    return learned


@lru_cache(maxsize=8)
def engine(model: str) -> Tokenizer:
    """The library's tokenizer, in which a text that reads "<unknown>" is text like any other."""
    from tokenizers import Tokenizer

    try:
        found = Tokenizer.from_str(model)
    except Exception as error:  # the library raises no narrower one
        raise DataError(f"the learned byte pairs cannot be read: {error}") from None
    found.encode_special_tokens = True
    return found
