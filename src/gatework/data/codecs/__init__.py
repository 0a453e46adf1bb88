"""Values of files to numbers and back: text (words, characters, byte pairs), numbers, labels; each is kept as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gatework.data.codecs.base import Codec
from gatework.data.codecs.labels import Labels
from gatework.data.codecs.numbers import Scaler
from gatework.data.codecs.text import BytePairs, Characters, TextCodec
from gatework.data.stored import conform
from gatework.errors import DataError, FileFormatError, OptionError
from gatework.runtime.texts import NOTHING, UNKNOWN

if TYPE_CHECKING:
    from gatework.data.codecs.words import Words

__all__ = [
    "NOTHING",
    "UNKNOWN",
    "BytePairs",
    "Characters",
    "Codec",
    "Labels",
    "Scaler",
    "TextCodec",
    "Words",
    "from_json",
]

KINDS = ("words", "characters", "bpe", "scaler", "labels")


def __getattr__(name: str) -> type[Words]:
    """`Words` when it is asked for: it loads polars, which other texts do without."""
    if name != "Words":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gatework.data.codecs.words import Words

    return Words


def codec(kind: object) -> type[Codec]:
    """The codec of a kind."""
    if kind == "words":
        return __getattr__("Words")
    for known in (Characters, BytePairs, Scaler, Labels):
        if kind == known.kind:
            return known
    raise FileFormatError(f"there is no codec of kind {kind!r}; this gatework knows {', '.join(KINDS)}")


def from_json(text: str) -> Codec:
    """The codec whose `to_json` this is.

    Raises: FileFormatError for JSON of anything else, or of a codec that this gatework does not know.
    """
    try:
        state = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"a codec is JSON, but {text[:40]!r} is not: {error}") from None
    kind = state.pop("kind", None) if isinstance(state, dict) else None
    known = codec(kind)
    conform(state, known, f"this is no codec of kind {kind!r}")
    try:
        return known(**state)
    except (DataError, OptionError) as error:
        raise FileFormatError(f"this is no codec of kind {kind!r}: {error}") from None
