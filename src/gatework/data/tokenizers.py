"""Texts -> integer ids: words, characters or byte-pair pieces. A tokenizer is data: it is saved as JSON.

Id 0 stands for a text without tokens and id 1 for a token outside the vocabulary, so an encoded text is never empty.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from gatework.data.ragged import Ragged
from gatework.data.words import stems, stop_words
from gatework.errors import DataError, OptionError

SPECIAL = ("<empty>", "<unknown>")
EMPTY, UNKNOWN = 0, 1
SYLLABIC = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
WORD = rf"{SYLLABIC}|[\w--{SYLLABIC}]+(?:['’][\w--{SYLLABIC}]+)*|['’](?:s|re|ve|ll|d|m|t)\b|[^\w\s]"
TAG = r"</?[a-zA-Z][^<>]{0,100}>"


class Tokenizer(ABC):
    """Base of the three: `fit_encode(texts)` learns the vocabulary, `encode(texts)` uses it.

    Example: `Words().fit_encode(["a b", "b"])` is Ragged with lengths [2, 1]; "b", the more frequent, has id 2.
    """

    kind: str
    vocabulary: list[str]

    @abstractmethod
    def fit_encode(self, texts: Sequence[str] | pl.Series) -> Ragged:
        """Learns the vocabulary from training texts and encodes them."""

    @abstractmethod
    def encode(self, texts: Sequence[str] | pl.Series) -> Ragged:
        """Ids int32 of each text."""

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, as far as the tokenizer kept it."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What `from_json` needs beside the vocabulary."""

    def __len__(self) -> int:
        return len(self.vocabulary)

    def to_json(self) -> str:
        return json.dumps({"kind": self.kind, "vocabulary": self.vocabulary, **self.settings()}, ensure_ascii=False)


def from_json(text: str) -> Tokenizer:
    """A tokenizer back from `to_json`."""
    state = json.loads(text)
    kinds = {cls.kind: cls for cls in (Words, Characters, Pieces)}
    return kinds[state.pop("kind")](**state)


def _series(texts: Sequence[str] | pl.Series) -> pl.Series:
    series = texts if isinstance(texts, pl.Series) else pl.Series(list(texts), dtype=pl.String)
    return series.fill_null("")


def _never_empty(ids: np.ndarray, lengths: np.ndarray) -> Ragged:
    """Ragged int32 in which a text without tokens holds the one id EMPTY."""
    if (lengths > 0).all():
        return Ragged.from_lengths(ids.astype(np.int32, copy=False), lengths)
    at = np.cumsum(lengths)[lengths == 0]
    return Ragged.from_lengths(np.insert(ids, at, EMPTY).astype(np.int32), np.maximum(lengths, 1))


@dataclass
class Words(Tokenizer):
    """Words and punctuation marks; scripts without spaces are taken character by character.

    Args:
        lower: compare words in lower case.
        spaces: split at white space alone, for texts that were tokenized before.
        markup: keep tags like "<br />", which are left out otherwise.
        stop: ISO codes of languages whose stop words are left out.
        stem: name of the Snowball stemmer ("english", "german", ...), or None.
        min_count, max_size: words rarer than this, or beyond this many, are unknown.
    """

    lower: bool = True
    spaces: bool = False
    markup: bool = False
    stop: Sequence[str] = ()
    stem: str | None = None
    min_count: int = 1
    max_size: int = 50_000
    vocabulary: list[str] = field(default_factory=list)
    kind = "words"

    def settings(self) -> dict[str, Any]:
        names = ("lower", "spaces", "markup", "stop", "stem", "min_count", "max_size")
        return {name: list(self.stop) if name == "stop" else getattr(self, name) for name in names}

    def split(self, texts: Sequence[str] | pl.Series) -> tuple[pl.Series, np.ndarray]:
        """All tokens of all texts, and how many each text has."""
        series = _series(texts).str.to_lowercase() if self.lower else _series(texts)
        series = series if self.markup else series.str.replace_all(TAG, " ")
        lists = series.str.extract_all(r"\S+" if self.spaces else WORD)
        lengths = lists.list.len().cast(pl.Int64).to_numpy()
        return lists.filter(pl.Series(lengths > 0)).explode(), lengths

    def fit_encode(self, texts: Sequence[str] | pl.Series) -> Ragged:
        tokens, lengths = self.split(texts)
        return self._number(tokens, lengths, self._learn(tokens))

    def fit_distinct(self, texts: Sequence[str] | pl.Series) -> tuple[Ragged, list[str]]:
        """Learns the vocabulary from training texts and gives what `distinct` does."""
        tokens, lengths = self.split(texts)
        return self._distinct(tokens, lengths, self._learn(tokens))

    def _learn(self, tokens: pl.Series) -> pl.Series:
        """Makes the vocabulary of the training texts' tokens; gives the different ones."""
        counts = tokens.value_counts(name="count")
        forms = pl.DataFrame({"form": self.forms(counts[:, 0]), "count": counts["count"]}).drop_nulls()
        ranked = forms.group_by("form").agg(pl.col("count").sum()).sort(["count", "form"], descending=[True, False])
        kept = ranked.filter(pl.col("count") >= self.min_count)["form"].head(self.max_size)
        self.vocabulary = [*SPECIAL, *kept.to_list()]
        return counts[:, 0]

    def encode(self, texts: Sequence[str] | pl.Series) -> Ragged:
        tokens, lengths = self.split(texts)
        return self._number(tokens, lengths, tokens.unique())

    def distinct(self, texts: Sequence[str] | pl.Series) -> tuple[Ragged, list[str]]:
        """Each text's words as numbers into a list of the different ones, known or not; number 0 is EMPTY."""
        tokens, lengths = self.split(texts)
        return self._distinct(tokens, lengths, tokens.unique())

    def _distinct(self, tokens: pl.Series, lengths: np.ndarray, different: pl.Series) -> tuple[Ragged, list[str]]:
        forms = self.forms(different)
        words = [SPECIAL[EMPTY], *forms.drop_nulls().unique().sort().to_list()]
        number = {word: i for i, word in enumerate(words)}
        return self._numbered(
            tokens, lengths, different, [-1 if form is None else number[form] for form in forms]
        ), words

    def numbers(self, words: Iterable[str]) -> np.ndarray:
        """Ids of single words that `distinct` gave."""
        number = {word: i for i, word in enumerate(self.vocabulary)}
        return np.array([number.get(word, UNKNOWN) for word in words], np.int32)

    def forms(self, words: Sequence[str] | pl.Series) -> pl.Series:
        """What each different word counts as: its stem, or null for a stop word."""
        texts = list(words)
        left_out = stop_words(self.stop) if self.stop else frozenset()
        forms = stems(texts, self.stem) if self.stem else texts
        kept = [None if text in left_out else form for text, form in zip(texts, forms, strict=True)]
        return pl.Series(kept, dtype=pl.String)

    def _number(self, tokens: pl.Series, lengths: np.ndarray, different: pl.Series) -> Ragged:
        number = {word: i for i, word in enumerate(self.vocabulary)}
        ids = [-1 if form is None else number.get(form, UNKNOWN) for form in self.forms(different).to_list()]
        return self._numbered(tokens, lengths, different, ids)

    def _numbered(self, tokens: pl.Series, lengths: np.ndarray, different: pl.Series, ids: list[int]) -> Ragged:
        """Every token's id; tokens of id -1, stop words, are left out."""
        if not len(tokens):
            return _never_empty(np.zeros(0, np.int32), lengths)
        numbers = tokens.replace_strict(different, pl.Series(ids, dtype=pl.Int32), return_dtype=pl.Int32).to_numpy()
        if self.stop:
            owners = np.repeat(np.arange(len(lengths)), lengths)
            lengths = np.bincount(owners[numbers >= 0], minlength=len(lengths))
            numbers = numbers[numbers >= 0]
        return _never_empty(numbers, lengths)

    def decode(self, ids: Iterable[int]) -> str:
        return " ".join(self.vocabulary[i] for i in ids if i != EMPTY)


@dataclass
class Characters(Tokenizer):
    """Single characters (Unicode code points).

    Args:
        lower: compare characters in lower case.
        min_count, max_size: as for words.
    """

    lower: bool = False
    min_count: int = 1
    max_size: int = 10_000
    vocabulary: list[str] = field(default_factory=list)
    kind = "characters"

    def settings(self) -> dict[str, Any]:
        return {"lower": self.lower, "min_count": self.min_count, "max_size": self.max_size}

    def _points(self, texts: Sequence[str] | pl.Series) -> tuple[np.ndarray, np.ndarray]:
        series = _series(texts).str.to_lowercase() if self.lower else _series(texts)
        data = "".join(series.to_list()).encode("utf-32-le", "replace")
        return np.frombuffer(data, np.uint32), series.str.len_chars().to_numpy()

    def fit_encode(self, texts: Sequence[str] | pl.Series) -> Ragged:
        points, lengths = self._points(texts)
        different, counts = np.unique(points, return_counts=True)
        ranked = different[np.argsort(-counts, kind="stable")][
            : min(self.max_size, int((counts >= self.min_count).sum()))
        ]
        self.vocabulary = [*SPECIAL, *map(chr, ranked)]
        return self._number(points, lengths)

    def encode(self, texts: Sequence[str] | pl.Series) -> Ragged:
        return self._number(*self._points(texts))

    def _number(self, points: np.ndarray, lengths: np.ndarray) -> Ragged:
        known = np.array([ord(character) for character in self.vocabulary[len(SPECIAL) :]], np.uint32)
        table = np.full(int(max(known.max(initial=0), points.max(initial=0))) + 1, UNKNOWN, np.int32)
        table[known] = np.arange(len(SPECIAL), len(self.vocabulary))
        return _never_empty(table[points], lengths)

    def decode(self, ids: Iterable[int]) -> str:
        return "".join("\ufffd" if i == UNKNOWN else self.vocabulary[i] for i in ids if i != EMPTY)


@dataclass
class Pieces(Tokenizer):
    """Byte-pair encoding over bytes (Sennrich et al. 2016; no text is outside it), learned on the training texts.

    Args:
        max_size: number of pieces.
        lower: compare in lower case.
        model: the learned merges, as JSON of the `tokenizers` library.
    """

    lower: bool = False
    max_size: int = 8_000
    model: str = ""
    vocabulary: list[str] = field(default_factory=list)
    kind = "bpe"

    def settings(self) -> dict[str, Any]:
        return {"lower": self.lower, "max_size": self.max_size, "model": self.model}

    def fit_encode(self, texts: Sequence[str] | pl.Series) -> Ragged:
        from tokenizers import Tokenizer as Engine
        from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

        if self.max_size < 300:
            raise OptionError(
                f"a byte-pair vocabulary holds 256 bytes first: give at least 300 pieces, not {self.max_size}"
            )
        engine = Engine(models.BPE(unk_token=SPECIAL[UNKNOWN]))
        engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
        engine.decoder = decoders.ByteLevel()  # type: ignore[assignment]
        if self.lower:
            engine.normalizer = normalizers.Lowercase()  # type: ignore[assignment]
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=self.max_size, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
        )
        engine.train_from_iterator(_series(texts).to_list(), trainer)
        self.model = engine.to_str()
        self.vocabulary = [engine.id_to_token(i) or "" for i in range(engine.get_vocab_size())]
        return self.encode(texts)

    def _engine(self) -> Any:
        from tokenizers import Tokenizer as Engine

        if not self.model:
            raise DataError("this tokenizer has not learned its pieces; call fit_encode first")
        return Engine.from_str(self.model)

    def encode(self, texts: Sequence[str] | pl.Series) -> Ragged:
        rows = [row.ids for row in self._engine().encode_batch_fast(_series(texts).to_list(), add_special_tokens=False)]
        lengths = np.array([len(row) for row in rows], np.int64)
        ids = np.fromiter((i for row in rows for i in row), np.int32, int(lengths.sum()))
        return _never_empty(ids, lengths)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where each piece of a text begins and ends, in characters."""
        return self._engine().encode(text, add_special_tokens=False).offsets

    def decode(self, ids: Iterable[int]) -> str:
        return self._engine().decode([i for i in ids if i != EMPTY])
