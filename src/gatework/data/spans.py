"""Where the units of a text stand in it: what the network reads, found again in the letters."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from gatework.data.codecs import BytePairs, Characters, TextCodec
from gatework.data.codecs.words import TAG, Words
from gatework.data.ragged import Ragged

BLANK = "\ufffd"  # a sign that no vocabulary holds
Span = tuple[int, int]


@dataclass(frozen=True)
class Units:
    """The T units that the network reads, and their places in `text` (of which markup is blanked out)."""

    text: str
    tokens: list[str]
    spans: list[Span]
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.tokens)

    def blanked(self, start: int, stop: int) -> str:
        """The text with an unknown sign in the place of these units."""
        parts, at = [], 0
        for first, last in self.spans[start:stop]:
            parts += [self.text[at:first], BLANK]
            at = last
        return "".join([*parts, self.text[at:]])

    def tail(self, length: int) -> str:
        """The text from its last units on."""
        return self.text[self.spans[len(self.spans) - length][0] :]


def units_of(tokenizer: TextCodec, text: str, most: int) -> Units:
    """What a tokenizer makes of a text, cut as the task cuts it: three quarters from the start, one from the end."""
    plain = without_markup(text, tokenizer)
    tokens, spans = _found(tokenizer, text, plain)
    order = Ragged.of([np.arange(len(tokens))], np.int64).truncate(most - most // 4, most // 4).values
    chosen = [int(i) for i in order]
    return Units(plain, [tokens[i] for i in chosen], [spans[i] for i in chosen], len(tokens) - len(chosen))


def without_markup(text: str, tokenizer: TextCodec) -> str:
    """The text with a space for each letter of a tag, where the tokenizer leaves tags out."""
    if not isinstance(tokenizer, Words) or tokenizer.markup:
        return text
    return re.sub(TAG, lambda tag: " " * len(tag[0]), text)


def _found(tokenizer: TextCodec, text: str, plain: str) -> tuple[list[str], list[Span]]:
    if isinstance(tokenizer, Characters):
        return list(text), [(i, i + 1) for i in range(len(text))]
    if isinstance(tokenizer, BytePairs):
        spans = tokenizer.spans(text)
        return [text[start:stop] for start, stop in spans], spans
    assert isinstance(tokenizer, Words)
    tokens = tokenizer.split([text])[0].to_list()
    spans = places(tokens, plain)
    read = [form is not None for form in tokenizer.forms(tokens)]
    kept = [i for i, there in enumerate(read) if there]
    return [plain[slice(*spans[i])] or tokens[i] for i in kept], [spans[i] for i in kept]


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
