"""Words and punctuation marks as units of a text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from gatework.errors import OptionError
from gatework.runtime.texts.base import NOTHING, UNKNOWN, UNREADABLE, Codec, Span
from gatework.runtime.texts.language import stems, stop_words
from gatework.runtime.texts.points import Is, lowered, lowered_places, readable, signs, signs_of

TAG = r"</?[a-zA-Z][^<>]{0,100}>"

# Patterns for signs (see `points`) and re.ASCII. They say what those of the columns say (`gatework.data.codecs.words`):
# scripts without spaces between words are cut into characters.
ALONE = "\x80"  # the sign of a letter of such a script
WORD = rf"{ALONE}|\w+(?:'\w+)*|'(?:s|re|ve|ll|d|m|t)(?![\w{ALONE}])|[^\w\s{ALONE}]"
LOSSLESS = rf" ?(?:<[\w{ALONE}]+>|{WORD})|\s"  # marks such as <unk> stay whole
SPACED = r" ?\S+|\s"


@dataclass
class Words(Codec):
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
        left_out: the stop words of `stop`, once learned.
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
    left_out: list[str] = field(default_factory=list)
    kind = "words"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stop = tuple(self.stop)
        if self.lossless and (self.lower or not self.markup or self.stop or self.stem):
            raise OptionError("lossless words need lower=False, markup=True and neither stop nor stem")

    def tokens(self, text: str) -> list[str]:
        """All tokens of a text."""
        compared = self._compared(readable(text))
        if compared.isascii():
            return self._pattern.findall(compared)
        return [compared[start:stop] for start, stop in self._spans(compared)]

    def placed(self, text: str) -> tuple[list[str], list[Span]]:
        """All tokens of a text, and where each begins and ends in it."""
        compared = self._compared(readable(text))
        spans = self._spans(compared)
        tokens = [compared[start:stop] for start, stop in spans]
        if self.lower and "İ" in text:
            places = lowered_places(text)
            spans = [(places[start], places[stop - 1] + 1) for start, stop in spans]
        return tokens, spans

    def _compared(self, text: str) -> str:
        """The text as it is cut: in lower case, and with spaces for tags, if so."""
        text = lowered(text) if self.lower else text
        return text if self.markup else _blanked(text)

    def _spans(self, compared: str) -> list[Span]:
        read = compared if compared.isascii() else signs(compared, _table())
        return [match.span() for match in self._pattern.finditer(read)]

    @property
    def _pattern(self) -> re.Pattern[str]:
        if self.spaces:
            return _compiled(SPACED if self.lossless else r"\S+")
        return _compiled(LOSSLESS if self.lossless else WORD)

    def forms(self, words: Sequence[str]) -> list[str | None]:
        """What each word counts as: its stem, or None for a stop word."""
        if not self.stop and not self.stem:
            return list(words)
        forms = stems(words, self.stem) if self.stem else words
        left_out = self._left_out
        return [None if word in left_out else form for word, form in zip(words, forms, strict=True)]

    @property
    def _left_out(self) -> frozenset[str]:
        if self.stop and not self.left_out:
            return stop_words(tuple(self.stop))
        return self._made("stops", self.left_out, frozenset)

    def text(self, ids: Iterable[int]) -> str:
        words = [UNREADABLE if i == UNKNOWN else self.vocabulary[i] for i in ids if i != NOTHING]
        return ("" if self.lossless else " ").join(words)

    def units(self, text: str) -> list[str]:
        return [form for form in self.forms(self.tokens(text)) if form is not None]

    def located(self, text: str) -> tuple[list[str], list[Span]]:
        tokens, spans = self.placed(text)
        kept = [span for span, form in zip(spans, self.forms(tokens), strict=True) if form is not None]
        return [text[start:stop] for start, stop in kept], kept

    def without_markup(self, text: str) -> str:
        return text if self.markup else _blanked(text)


def _blanked(text: str) -> str:
    return re.sub(TAG, lambda tag: " " * len(tag[0]), text) if "<" in text else text


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


@cache
def _table() -> np.ndarray:
    table = signs_of(_sign).copy()
    table[ord("’")] = ord("'")
    return table


def _sign(what: Is) -> str:
    if "word" in what:
        return ALONE if "syllabic" in what else "_"
    return "\t" if "space" in what else "!"
