"""Text to numbers and back: characters, words, or byte-pair units. Each is a JSON text in the run folder.

Id 0 is the unknown unit of characters and words; byte-pair units know every text.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from gatework.errors import DataError, FileFormatError

UNKNOWN = "\ufffd"
WORD = re.compile(r"\w+|[^\w\s]|\s", re.UNICODE)


class Tokens(ABC):
    """A vocabulary of units: `decode(encode(text)) == text` but for units it never saw."""

    kind: str
    size: int

    @classmethod
    @abstractmethod
    def fit(cls, text: str, limit: int) -> Self:
        """The vocabulary of a text."""

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """(N,) ids."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""

    @abstractmethod
    def to_json(self) -> str: ...

    @abstractmethod
    def unseen(self, text: str) -> list[str]:
        """The units of the text that the vocabulary lacks, each once, the most frequent first."""

    @property
    def forbidden(self) -> list[int]:
        """Ids that are never written."""
        return [0]


class Listed(Tokens):
    """Units from a list, found by cutting the text without looking at the list."""

    def __init__(self, units: list[str]):
        self.units = [UNKNOWN, *(unit for unit in units if unit != UNKNOWN)]
        self.size = len(self.units)
        self.ids = {unit: number for number, unit in enumerate(self.units)}

    @staticmethod
    def cut(text: str) -> Sequence[str]:
        """The text in units."""
        raise NotImplementedError

    def encode(self, text: str) -> np.ndarray:
        return np.array([self.ids.get(unit, 0) for unit in self.cut(text)], dtype=np.int64)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.units[number] for number in ids)

    def to_json(self) -> str:
        return json.dumps({"kind": self.kind, "units": self.units[1:]}, ensure_ascii=False)

    def unseen(self, text: str) -> list[str]:
        return [unit for unit, _ in Counter(unit for unit in self.cut(text) if unit not in self.ids).most_common()]


class Characters(Listed):
    """Every character of the training text, in the order of their codes."""

    kind = "characters"

    @classmethod
    def fit(cls, text: str, limit: int) -> Self:
        return cls(sorted(set(text)))

    @staticmethod
    def cut(text: str) -> Sequence[str]:
        return text


class Words(Listed):
    """The most frequent words, signs and single spaces; rarer words are the unknown unit."""

    kind = "words"

    @classmethod
    def fit(cls, text: str, limit: int) -> Self:
        counts = Counter(cls.cut(text))
        frequent = sorted(counts, key=lambda unit: (-counts[unit], unit))
        return cls(frequent[: limit - 1])

    @staticmethod
    def cut(text: str) -> Sequence[str]:
        return WORD.findall(text)


class BytePairs(Tokens):
    """Byte-level byte-pair units (Sennrich et al. 2016) of the tokenizers library."""

    kind = "bpe"

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer
        self.size = tokenizer.get_vocab_size()

    @classmethod
    def fit(cls, text: str, limit: int) -> Self:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=limit, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
        return cls(tokenizer)

    def encode(self, text: str) -> np.ndarray:
        return np.array(self.tokenizer.encode(text).ids, dtype=np.int64)

    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(list(ids))

    def to_json(self) -> str:
        return json.dumps({"kind": self.kind, "tokenizer": json.loads(self.tokenizer.to_str())}, ensure_ascii=False)

    def unseen(self, text: str) -> list[str]:
        return []

    @property
    def forbidden(self) -> list[int]:
        return []


KINDS: dict[str, type[Tokens]] = {kind.kind: kind for kind in (Characters, Words, BytePairs)}


def fit(kind: str, text: str, limit: int) -> Tokens:
    """The vocabulary of a kind for a text."""
    tokens = KINDS[kind].fit(text, limit)
    if tokens.size - len(tokens.forbidden) < 2:
        raise DataError(f"the text holds {tokens.size - 1} different {kind}; a generator needs at least 2")
    return tokens


def from_json(text: str) -> Tokens:
    """The vocabulary that `to_json` wrote."""
    value = json.loads(text)
    if value["kind"] == BytePairs.kind:
        from tokenizers import Tokenizer

        return BytePairs(Tokenizer.from_str(json.dumps(value["tokenizer"])))
    if value["kind"] not in KINDS:
        raise FileFormatError(f"tokens.json holds units of kind {value['kind']!r}; this gatework knows {list(KINDS)}")
    return KINDS[value["kind"]](value["units"])  # pyright: ignore[reportCallIssue]
