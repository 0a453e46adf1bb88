"""Whole columns of texts -> integer ids: words, characters or byte-pair units. Id 0 stands for a text without units, so
that no encoded text is empty, and id 1 for a unit outside the vocabulary.

What a codec makes of one text stands in `gatework.runtime.texts`, which needs no library of the training; here is what
learns from columns and encodes them fast. Both give the same ids.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np

from gatework.data.codecs.base import Codec
from gatework.data.ragged import Ragged
from gatework.errors import DataError, OptionError
from gatework.runtime import texts
from gatework.runtime.texts import NOTHING, SPECIAL, UNKNOWN

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Texts = Iterable[str | None]  # also a column of a data frame; None is an empty text


class TextCodec(Codec[Texts, Ragged], texts.Codec):
    """Base of the three: what they do with columns."""

    def fit(self, values: Texts) -> Self:
        self.fit_encode(values)
        return self

    @abstractmethod
    def fit_encode(self, texts: Texts) -> Ragged:
        """Learns the vocabulary from training texts and encodes them, in one pass."""

    def decode(self, codes: Ragged) -> list[str]:
        return [self.text(codes[row]) for row in range(len(codes))]


def never_empty(ids: np.ndarray, lengths: np.ndarray) -> Ragged:
    """Ragged int32 in which a text without units holds the one id NOTHING."""
    if (lengths > 0).all():
        return Ragged.from_lengths(ids.astype(np.int32, copy=False), lengths)
    at = np.cumsum(lengths)[lengths == 0]
    return Ragged.from_lengths(np.insert(ids, at, NOTHING).astype(np.int32), np.maximum(lengths, 1))


@dataclass
class Characters(texts.Characters, TextCodec):
    __doc__ = texts.Characters.__doc__

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


@dataclass
class BytePairs(texts.BytePairs, TextCodec):
    __doc__ = texts.BytePairs.__doc__

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model:
            engine(self.model)  # which refuses what the library cannot read

    def fit_encode(self, texts: Texts) -> Ragged:
        if self.max_size < 300:
            raise OptionError(
                f"a byte-pair vocabulary holds 256 bytes first: give at least 300 units, not {self.max_size}"
            )
        learned = learn_pairs([text or "" for text in texts], self.max_size, self.lower)
        self.model = learned.to_str()
        self.vocabulary = [learned.id_to_token(i) or "" for i in range(learned.get_vocab_size())]
        return self.encode(texts)

    def encode(self, values: Texts) -> Ragged:
        if not self.model:
            raise DataError("these byte pairs have not been learned; call fit first")
        rows = engine(self.model).encode_batch_fast([text or "" for text in values], add_special_tokens=False)
        rows = [row.ids for row in rows]
        lengths = np.array([len(row) for row in rows], np.int64)
        return never_empty(np.fromiter((i for row in rows for i in row), np.int32, int(lengths.sum())), lengths)


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
