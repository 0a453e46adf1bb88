"""Words and punctuation marks as units of a text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from gatework.data.codecs.base import NOTHING, SPECIAL, UNKNOWN
from gatework.data.codecs.text import UNREADABLE, Span, TextCodec, Texts, never_empty
from gatework.data.ragged import Ragged
from gatework.data.words import stems, stop_words
from gatework.errors import OptionError

# Scripts without spaces between words are cut into characters.
SYLLABIC = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
WORD = rf"{SYLLABIC}|[\w--{SYLLABIC}]+(?:['’][\w--{SYLLABIC}]+)*|['’](?:s|re|ve|ll|d|m|t)\b|[^\w\s]"
LOSSLESS = rf" ?(?:<\w+>|{WORD})|\s"  # marks such as <unk> stay whole
SPACED = r" ?\S+|\s"
TAG = r"</?[a-zA-Z][^<>]{0,100}>"


@dataclass
class Words(TextCodec):
    """Words and punctuation marks; scripts without spaces are taken character by character.

    Args:
        lower: compare words in lower case.
        spaces: split at white space alone, for texts that were tokenized before.
        markup: keep tags like "<br />", which are left out otherwise.
        lossless: keep white space, a space as part of the word after it: `text(ids)` gives the very text back, but
            for words that are unknown. Needs lower=False, markup=True and neither stop nor stem.
        stop: ISO codes of languages whose stop words are left out.
        stem: name of the Snowball stemmer ("english", "german", ...), or None.
        min_count, max_size: words rarer than this, or beyond this many, are unknown.
    """

    lower: bool = True
    spaces: bool = False
    markup: bool = False
    lossless: bool = False
    stop: Sequence[str] = ()
    stem: str | None = None
    min_count: int = 1
    max_size: int = 50_000
    vocabulary: list[str] = field(default_factory=list)
    kind = "words"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stop = tuple(self.stop)
        if self.lossless and (self.lower or not self.markup or self.stop or self.stem):
            raise OptionError("lossless words need lower=False, markup=True and neither stop nor stem")

    def settings(self) -> dict[str, Any]:
        return vars(self)

    @property
    def _pattern(self) -> str:
        if self.spaces:
            return SPACED if self.lossless else r"\S+"
        return LOSSLESS if self.lossless else WORD

    def split(self, texts: Texts) -> tuple[pl.Series, np.ndarray]:
        """All tokens of all texts, and how many each text has."""
        column = _column(texts, self.lower)
        column = column if self.markup else column.str.replace_all(TAG, " ")
        lists = column.str.extract_all(self._pattern)
        lengths = lists.list.len().cast(pl.Int64).to_numpy()
        return lists.filter(pl.Series(lengths > 0)).explode(), lengths

    def fit_encode(self, texts: Texts) -> Ragged:
        tokens, lengths = self.split(texts)
        return self._number(tokens, lengths, self.learn(tokens))

    def fit_distinct(self, texts: Texts) -> tuple[Ragged, list[str]]:
        """Learns the vocabulary from training texts and gives what `distinct` does."""
        tokens, lengths = self.split(texts)
        return self._distinct(tokens, lengths, self.learn(tokens))

    def learn(self, tokens: pl.Series) -> pl.Series:
        """Makes the vocabulary of the training texts' tokens; gives the different ones."""
        counts = tokens.value_counts(name="count")
        forms = pl.DataFrame({"form": self.forms(counts[:, 0]), "count": counts["count"]}).drop_nulls()
        ranked = forms.group_by("form").agg(pl.col("count").sum()).sort(["count", "form"], descending=[True, False])
        kept = ranked.filter(pl.col("count") >= self.min_count)["form"].head(self.max_size)
        self.vocabulary = [*SPECIAL, *kept.to_list()]
        return counts[:, 0]

    def encode(self, values: Texts) -> Ragged:
        tokens, lengths = self.split(values)
        return self._number(tokens, lengths, tokens.unique())

    def distinct(self, texts: Texts) -> tuple[Ragged, list[str]]:
        """Each text's words as numbers into a list of the different ones, known or not; number 0 is NOTHING."""
        tokens, lengths = self.split(texts)
        return self._distinct(tokens, lengths, tokens.unique())

    def _distinct(self, tokens: pl.Series, lengths: np.ndarray, different: pl.Series) -> tuple[Ragged, list[str]]:
        forms = self.forms(different)
        words = [SPECIAL[NOTHING], *forms.drop_nulls().unique().sort().to_list()]
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
            return never_empty(np.zeros(0, np.int32), lengths)
        numbers = tokens.replace_strict(different, pl.Series(ids, dtype=pl.Int32), return_dtype=pl.Int32).to_numpy()
        if self.stop:
            owners = np.repeat(np.arange(len(lengths)), lengths)
            lengths = np.bincount(owners[numbers >= 0], minlength=len(lengths))
            numbers = numbers[numbers >= 0]
        return never_empty(numbers, lengths)

    def text(self, ids: Iterable[int]) -> str:
        words = [UNREADABLE if i == UNKNOWN else self.vocabulary[i] for i in ids if i != NOTHING]
        return ("" if self.lossless else " ").join(words)

    def units(self, text: str) -> list[str]:
        return self.forms(self.split([text])[0]).drop_nulls().to_list()

    def located(self, text: str) -> tuple[list[str], list[Span]]:
        tokens, plain = self.split([text])[0].to_list(), self.without_markup(text)
        spans = places(tokens, plain)
        kept = [i for i, form in enumerate(self.forms(tokens)) if form is not None]
        return [plain[slice(*spans[i])] or tokens[i] for i in kept], [spans[i] for i in kept]

    def without_markup(self, text: str) -> str:
        return text if self.markup else re.sub(TAG, lambda tag: " " * len(tag[0]), text)


def places(tokens: list[str], text: str) -> list[Span]:
    """Where tokens stand in a text, one after another, in whatever case; an empty span where one is not found."""
    low = "".join(each.lower() if len(each.lower()) == 1 else each for each in text)
    spans, at = [], 0
    for token in tokens:
        found = low.find(token, at)
        found = low.find(token.lower(), at) if found < 0 else found
        spans.append((found, found + len(token)) if found >= 0 else (at, at))
        at = spans[-1][1]
    return spans


def _column(texts: Texts, lower: bool) -> pl.Series:
    """Texts as a column, "" for those that are missing."""
    column = texts if isinstance(texts, pl.Series) else pl.Series(list(texts), dtype=pl.String)
    column = column.fill_null("")
    return column.str.to_lowercase() if lower else column
