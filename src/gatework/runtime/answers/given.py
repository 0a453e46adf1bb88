"""What callers hand over in rows, and what files say in settings: checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from gatework.errors import DataError, FileFormatError, OptionError

T = TypeVar("T")


def rows_of(rows: object, wanted: str) -> Sequence[Any]:
    """Rows as a list; a lone row in its place is refused."""
    if isinstance(rows, str | bytes | Mapping) or not hasattr(rows, "__len__") or not hasattr(rows, "__getitem__"):
        raise DataError(f"predict takes a list of rows, each {wanted}; got {rows!r:.60}")
    found: Any = rows
    return found


def numbers_of(row: object, name: str, wanted: str) -> np.ndarray:
    """A row's numbers (n, ...); those of lists, which have no type, as floats."""
    try:
        found = np.asarray(row)
    except ValueError:
        found = np.zeros(())
    if found.dtype.kind not in "iuf" or not found.ndim:
        raise DataError(f"{name} is {row!r:.60}; it must be {wanted}")
    return found if isinstance(row, np.ndarray) else found.astype(np.float64, copy=False)


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


def options_of(kind: type[T], given: Mapping[str, object]) -> T:
    """A dataclass of options from values by name, as a caller or JSON gives them; each is like its default.

    Raises: OptionError for a name that is none, and for a value of another type.
    """
    known = {each.name: each.default for each in fields(kind)}  # pyright: ignore[reportArgumentType]
    for name, value in given.items():
        if name not in known:
            raise OptionError(f"there is no option {name!r:.40}: there are {', '.join(known)}")
        if not _fits(value, known[name]):
            raise OptionError(f"{name}={value!r:.40} is no value like {known[name]!r}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


def _fits(value: object, default: object) -> bool:
    """Whether a value has the type of a default; None is that of a number that may be left out."""
    if isinstance(default, tuple):
        return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if default is None:
        return value is None or isinstance(value, int)
    return isinstance(value, int) or (isinstance(value, float) and isinstance(default, float))
