"""Rows as they are given, a text or tokens, as sentences of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gatework.errors import DataError
from gatework.runtime.tags.rows import token_of
from gatework.runtime.texts.tokens import Place, Style, cut, sentences

UNSPECIFIED = "_"  # of a further column, where a token has none


class Sentence(NamedTuple):
    """Tokens of one row, their further columns, and where they stand in the row's text, if it is one; the name of a
    chain of letters."""

    row: int
    tokens: list[str]
    columns: dict[str, list[str]]
    text: str | None = None
    places: tuple[Place, ...] = ()
    name: str | None = None


class Reader:
    """`Reader(settings).read(row, 3)` gives the sentences of the third row: one of tokens, maybe several of a text.

    The settings: "fields", names under which tokens or a text may stand in a dict; "columns", which are read beside the
    tokens; "style", how texts are cut; "whole", whether a text is one sentence; "chains", of a model of residues or
    bases the letters that are read as others, as ["U.", "T-"], else None.
    """

    def __init__(self, said: Mapping[str, Any]):
        self.fields, self.columns, self.whole = list(said["fields"]), list(said["columns"]), bool(said["whole"])
        self.chains: tuple[str, str] | None = None if said["chains"] is None else tuple(said["chains"])
        glue, mixed, negations, short = said["style"]
        self.style = Style(str(glue), bool(mixed), bool(negations), tuple(map(str, short)))

    @property
    def inputs(self) -> str:
        """What a row is, in words."""
        if self.columns:
            beside = ", ".join(f'"{name}": of each' for name in self.columns)
            return f'{{"{self.fields[0]}": a list of tokens, {beside}}}'
        return f'a list of tokens or a text, or {{"{self.fields[0]}": tokens}} or {{"text": a text}}'

    @property
    def schema(self) -> dict[str, Any]:
        """What a row is, as JSON schema."""
        text, tokens = {"type": "string"}, {"type": "array", "items": {}}
        if self.columns:
            named = dict.fromkeys((self.fields[0], *self.columns), tokens)
            return {"type": "object", "properties": named, "required": [*self.columns]}
        either = {"anyOf": [text, tokens]}
        named = [{"type": "object", "properties": {name: either}, "required": [name]} for name in self.fields]
        return {"anyOf": [text, tokens, *named]}

    @property
    def example(self) -> object:
        """A row."""
        return {name: ["a"] for name in (self.fields[0], *self.columns)} if self.columns else "a fine film"

    def read(self, row: object, number: int) -> list[Sentence]:
        where = f"row {number}"
        given: object = row
        if isinstance(row, Mapping):
            named = next((name for name in self.fields if row.get(name) is not None), None)
            if named is None:
                raise DataError(f"{where} has none of the fields {', '.join(self.fields)}; a row is {self.inputs}")
            given = row[named]
        if isinstance(given, str) and self.chains is not None:
            return [self._of_letters(given.strip(), number, *self.chains)]
        if isinstance(given, str) and not self.columns:
            return self._of_text(given.rstrip("\r"), number, self.whole or isinstance(row, Mapping))
        if isinstance(given, str | bytes) or not isinstance(given, Sequence | np.ndarray):
            raise DataError(f"{where} is {row!r:.60}; it must be {self.inputs}")
        tokens = [token_of(token, place, where) for place, token in enumerate(given, 1)]
        found = Sentence(number, tokens, {name: _column(row, name, tokens, where) for name in self.columns})
        _must_be_whole(found, where)
        return [found]

    def _of_letters(self, given: str, number: int, odd: str, read: str) -> Sentence:
        """A chain of residues or bases, in one alphabet."""
        for place, letter in enumerate(given, 1):
            if not (letter.isascii() and letter.isalpha()) and letter not in "-.*":
                told = f"row {number}, letter {place}: {letter!r} is neither a letter nor a gap (- or .) nor a stop (*)"
                raise DataError(f"{told}; correct it")
        return Sentence(number, list(given.upper().translate(str.maketrans(odd, read))), {}, name=f"line {number}")

    def _of_text(self, text: str, number: int, whole: bool) -> list[Sentence]:
        places, found = cut(text, self.style), []
        for size in [len(places)] if whole or not places else sentences(text, places, self.style):
            own, places = places[:size], places[size:]
            found.append(Sentence(number, [text[start:stop] for start, stop in own], {}, text, tuple(own)))
            _must_be_whole(found[-1], f"row {number}")
        return found


def _column(row: object, name: str, tokens: list[str], where: str) -> list[str]:
    values = row.get(name) if isinstance(row, Mapping) else None
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        raise DataError(f"{where} has no list {name!r}, which the model reads beside the tokens; give each token one")
    if len(values) != len(tokens):
        raise DataError(f"{where}: {len(tokens)} tokens, but {len(values)} {name}; give each token one")
    return [UNSPECIFIED if value is None else str(value) for value in values]


def _must_be_whole(sentence: Sentence, where: str) -> None:
    """Refuses half a character, which JSON can hold and no file of text."""
    for values in (sentence.tokens, *sentence.columns.values()):
        try:
            "".join(values).encode()
        except UnicodeEncodeError as error:
            half = error.object[error.start]
            raise DataError(f"{where}: holds half a character ({half!r}); write it anew") from None
