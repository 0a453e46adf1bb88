"""Texts as callers hand them over in rows."""

from __future__ import annotations

from gatework.errors import DataError


def whole_text(value: object, number: int, wanted: str) -> str:
    """The text of row `number`; what is `wanted` is told where it is none."""
    if not isinstance(value, str):
        raise DataError(f"row {number} is {value!r:.60}; it must be {wanted}")
    if not value.isascii() and any("\ud800" <= letter < "\ue000" for letter in value):
        raise DataError(f"row {number} holds half a character; write it anew")
    return value
