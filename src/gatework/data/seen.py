"""Which texts a model learned, as numbers that its run keeps: measured on some of them, it is told so.

A number is 32 bits of a hash, so that among n learned texts a new one is taken for known with a chance of n / 2^32.
"""

from __future__ import annotations

import base64
import json
from hashlib import blake2b
from typing import TypedDict

import numpy as np
import polars as pl

from gatework.data.stored import stored
from gatework.errors import FileFormatError

BYTES = 4


class Seen(TypedDict):
    """seen.json: sorted numbers uint32, little-endian, as base 64."""

    texts: str


def numbers(texts: pl.Series) -> np.ndarray:
    """A number uint32 [n] of each text; 0 for an empty one."""
    written = (text.strip() for text in texts.fill_null("").to_list())
    digests = (blake2b(text.encode(), digest_size=BYTES).digest() if text else bytes(BYTES) for text in written)
    return np.frombuffer(b"".join(digests), "<u4")


def learned(texts: pl.Series) -> np.ndarray:
    """The sorted numbers of training texts, each once."""
    found = np.unique(numbers(texts))
    return found[found > 0]


def to_json(known: np.ndarray) -> str:
    return json.dumps({"texts": base64.b64encode(known.astype("<u4").tobytes()).decode()})


def from_json(text: str) -> np.ndarray:
    """Raises: FileFormatError for anything but what `to_json` gives."""
    seen: Seen = stored(text, Seen, "seen.json")
    try:
        return np.frombuffer(base64.b64decode(seen["texts"], validate=True), "<u4")
    except ValueError as error:
        raise FileFormatError(f"seen.json: its texts are no list of numbers ({error})") from None


def overlap(texts: pl.Series, known: np.ndarray, what: str = "text") -> str:
    """How many of some texts (or of what else texts stand for, such as digests) were learned, in a sentence; "" where
    none was."""
    count = int(np.isin(numbers(texts), known).sum())
    if not count:
        return ""
    share = f"{count:,} of {len(texts):,} rows ({count / len(texts):.0%}) hold a {what} that the model learned from"
    return f"{share}: the figures flatter; leave these rows out"
