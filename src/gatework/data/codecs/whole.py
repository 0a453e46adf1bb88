"""Codecs that give the very text back, by how it is cut: for what a decoder writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatework.data.codecs.text import BytePairs, Characters, TextCodec
from gatework.data.codecs.words import Words
from gatework.data.ragged import Ragged
from gatework.runtime.texts import NOTHING


def whole(tokenizer: str | None, *, size: int, rare: int) -> TextCodec:
    """A codec that is still to learn: of "words" with the white space before them, "characters", symbols with "spaces"
    between them, or byte pairs. It has at most `size` units; those rarer than `rare` are unknown."""
    if tokenizer == "characters":
        return Characters(min_count=rare, max_size=size)
    if tokenizer == "words":
        return Words(lower=False, markup=True, lossless=True, min_count=rare, max_size=size)
    if tokenizer == "spaces":
        return Words(lower=False, markup=True, spaces=True, min_count=rare, max_size=size)
    return BytePairs(max_size=size)


def units_of(codec: TextCodec, texts: Sequence[str]) -> Ragged:
    """Ids of texts; of an empty text none at all."""
    ids = codec.encode(texts)
    real = ids.values != NOTHING
    return Ragged.from_lengths(ids.values[real], np.bincount(ids.owners[real], minlength=len(ids)))
