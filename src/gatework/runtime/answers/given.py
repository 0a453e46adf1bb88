"""What callers hand over in rows, and what files say in settings: checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gatework.errors import DataError, FileFormatError


def rows_of(rows: object, wanted: str) -> Sequence[Any]:
    """Rows as a list; a lone row in its place is refused."""
    if isinstance(rows, str | bytes | Mapping) or not hasattr(rows, "__len__") or not hasattr(rows, "__getitem__"):
        raise DataError(f"predict takes a list of rows, each {wanted}; got {rows!r:.60}")
    found: Any = rows
    return found


def whole_text(value: object, number: int, wanted: str) -> str:
    """The text of row `number`; what is `wanted` is told where it is none."""
    if not isinstance(value, str):
        raise DataError(f"row {number} is {value!r:.60}; it must be {wanted}")
    if not value.isascii() and any("\ud800" <= letter < "\ue000" for letter in value):
        raise DataError(f"row {number} holds half a character; write it anew")
    return value


def text_schema(*names: str) -> dict[str, Any]:
    """The JSON schema of a text, or of a dict with one under one of these names."""
    text = {"type": "string"}
    named = [{"type": "object", "properties": {name: text}, "required": [name]} for name in names]
    return {"anyOf": [text, *named]}


def count(said: Mapping[str, Any], name: str, most: int) -> int:
    """A setting that is a whole number from 1 to `most`."""
    value = said[name]
    if type(value) is not int or not 0 < value <= most:
        raise FileFormatError(f"the setting {name} is {value!r:.40}, no whole number from 1 to {most:,}")
    return value
