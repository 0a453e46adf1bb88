"""Whole columns of texts -> ids of words and punctuation marks, cut by polars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from gatework.data.codecs.text import TextCodec, Texts, never_empty
from gatework.data.ragged import Ragged
from gatework.data.words import stems, stop_words
from gatework.runtime import texts
from gatework.runtime.texts import NOTHING, SPECIAL, UNKNOWN
from gatework.runtime.texts.words import SPACED, TAG

# The patterns of `gatework.runtime.texts.words`, as polars reads them.
SYLLABIC = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
WORD = rf"{SYLLABIC}|[\w--{SYLLABIC}]+(?:['’][\w--{SYLLABIC}]+)*|['’](?:s|re|ve|ll|d|m|t)\b|[^\w\s]"
LOSSLESS = rf" ?(?:<\w+>|{WORD})|\s"


@dataclass
class Words(texts.Words, TextCodec):
    __doc__ = texts.Words.__doc__

    @property
    def _of_columns(self) -> str:
        if self.spaces:
            return SPACED if self.lossless else r"\S+"
        return LOSSLESS if self.lossless else WORD

    def split(self, texts: Texts) -> tuple[pl.Series, np.ndarray]:
        """All tokens of all texts, and how many each text has."""
        column = _column(texts, self.lower)
        column = column if self.markup else column.str.replace_all(TAG, " ")
        lists = column.str.extract_all(self._of_columns)
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
        self.left_out = sorted(stop_words(self.stop))
        if self.stem:
            stems([], self.stem)  # refuses a language that there is not
        counts = tokens.value_counts(name="count")
        forms = pl.DataFrame({"form": self._forms(counts[:, 0]), "count": counts["count"]}).drop_nulls()
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
        forms = self._forms(different)
        words = [SPECIAL[NOTHING], *forms.drop_nulls().unique().sort().to_list()]
        number = {word: i for i, word in enumerate(words)}
        return self._numbered(
            tokens, lengths, different, [-1 if form is None else number[form] for form in forms]
        ), words

    def _forms(self, words: pl.Series) -> pl.Series:
        """What each different word counts as: its stem, or null for a stop word."""
        return pl.Series(self.forms(words.to_list()), dtype=pl.String)

    def _number(self, tokens: pl.Series, lengths: np.ndarray, different: pl.Series) -> Ragged:
        number = self.number
        ids = [-1 if form is None else number.get(form, UNKNOWN) for form in self.forms(different.to_list())]
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


def _column(texts: Texts, lower: bool) -> pl.Series:
    """Texts as a column, "" for those that are missing."""
    column = texts if isinstance(texts, pl.Series) else pl.Series(list(texts), dtype=pl.String)
    column = column.fill_null("")
    return column.str.to_lowercase() if lower else column
