"""Texts to numbers and back without the libraries of the training: numpy and Python alone.

    from gatework.runtime import texts

    words = texts.codec(json_of_a_codec)       # what the `to_json` of a codec of `gatework.data.codecs` gave
    words.ids("It's here")                     # int32 [3], never empty: NOTHING (0) of a text without units
    words.text([7, 9])                         # the text of ids, as far as the codec keeps it
    words.units("It's here")                   # ["it's", "here"], known or not
    words.located("It's here")                 # the units that `ids` numbers, and their places [(0, 4), (5, 9)]

    grams = texts.Grams.restored(settings, arrays)     # of a fitted Bag of `gatework.data.ngrams`
    columns, values = grams.features("It's here")      # a row of its matrix: `values @ coefficients[columns]`
    texts.character_buckets(["cat"], 1000, 3, 5)       # of each word the buckets of its character n-grams

Three kinds: `Words`, `Characters`, `BytePairs`. Each is one class: the codecs of the training inherit what is here for
one text, and add learning and whole columns, which polars and tokenizers cut. Both ways are equal for every text; the
tests hold them against each other, code point by code point. Stems need the package snowballstemmer.
"""

from __future__ import annotations

import json
from dataclasses import fields

from gatework.errors import DataError, FileFormatError, OptionError
from gatework.runtime.texts.base import NOTHING, SPECIAL, UNKNOWN, UNREADABLE, Codec, Span
from gatework.runtime.texts.characters import Characters
from gatework.runtime.texts.grams import Grams, character_buckets
from gatework.runtime.texts.pairs import BytePairs
from gatework.runtime.texts.words import Words

__all__ = [
    "NOTHING",
    "SPECIAL",
    "UNKNOWN",
    "UNREADABLE",
    "BytePairs",
    "Characters",
    "Codec",
    "Grams",
    "Span",
    "Words",
    "character_buckets",
    "codec",
]

KINDS: dict[object, type[Codec]] = {known.kind: known for known in (Words, Characters, BytePairs)}


def codec(text: str) -> Codec:
    """The text codec whose `to_json` this is.

    Raises: FileFormatError for JSON of anything else.
    """
    try:
        state = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"a codec is JSON, but {text[:40]!r} is not: {error}") from None
    kind = state.pop("kind", None) if isinstance(state, dict) else None
    known = KINDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise FileFormatError(f"there is no codec of texts of kind {kind!r:.60}; known are words, characters, bpe")
    if fault := _fault(state, known):
        raise FileFormatError(f"this is no codec of kind {kind!r}: {fault}")
    try:
        return known(**state)
    except (DataError, OptionError) as error:
        raise FileFormatError(f"this is no codec of kind {kind!r}: {error}") from None


def _fault(state: dict[str, object], known: type[Codec]) -> str:
    """What is wrong with the fields of a codec; "" where nothing is."""
    types = {field.name: str(field.type) for field in fields(known)}
    for name, value in state.items():
        if name not in types:
            return f"it has {name!r:.60}, which it should not"
        if not _fits(value, types[name]):
            return f"{name} is {value!r:.60}, not {types[name]}"
    return ""


def _fits(value: object, wanted: str) -> bool:
    """Whether a value of JSON has the type of a field; half characters, which no file can hold, fit none."""
    if wanted in ("bool", "int"):
        return type(value).__name__ == wanted
    if wanted in ("str", "str | None"):
        return _whole(value) if isinstance(value, str) else value is None and wanted != "str"
    return isinstance(value, list) and all(isinstance(each, str) and _whole(each) for each in value)


def _whole(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= letter < "\ue000" for letter in text)
