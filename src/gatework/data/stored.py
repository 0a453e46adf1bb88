"""What was stored is checked as it is read: JSON against a type, one way for configs, codecs and what tasks keep.

A file may come from a stranger, so nothing in it is believed: `stored(text, Kept, "kept.json")` gives a value in which
every key is there and every value has its type, or raises a FileFormatError that names the place. What the types do not
say (numbers that must fit each other) is checked where it is used, and `restoring` stands around all of it.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gatework.errors import FileFormatError, GateworkError

NUMBERS = {int: (int,), float: (int, float)}  # of JSON, by what they become; True is none of them


def stored(text: str | bytes, kind: object, what: str) -> Any:
    """JSON as the value of a type: a TypedDict, a dataclass (as a dict of its fields), list, dict, a union, a scalar.

    Example: `stored('{"a": [1]}', dict[str, list[int]], "x.json")` is `{"a": [1]}`; of '{"a": [true]}' it says
    "x.json: a.0 is True, not int".
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{what} is damaged: no JSON that can be read ({error})") from None
    return conform(value, kind, what)


def conform(value: object, kind: object, what: str) -> Any:
    """The value, if it is of the type; else a FileFormatError."""
    try:
        fault = _fault(value, kind, "")
    except RecursionError:
        fault = " is nested too deeply"
    if fault:
        raise FileFormatError(f"{what}: {fault.removeprefix('.')}")
    return value


def _fault(value: object, kind: Any, place: str) -> str | None:
    """What is wrong with a value, and where; None for nothing."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return None
    if dataclasses.is_dataclass(kind) or typing.is_typeddict(kind):
        return _fields_fault(value, kind, place)
    if origin in (types.UnionType, typing.Union):
        return None if any(_fault(value, each, place) is None for each in inner) else _wrong(value, kind, place)
    if origin in (list, tuple, Sequence) and isinstance(value, list):
        return _first(_fault(each, inner[0], f"{place}.{k}") for k, each in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return _first(
            _unwritable(key, place) or _fault(part, inner[1], f"{place}.{key}") for key, part in value.items()
        )
    if kind is str and isinstance(value, str):
        return _unwritable(value, place)
    if kind in NUMBERS:
        return None if type(value) in NUMBERS[kind] else _wrong(value, kind, place)
    if origin is None and isinstance(value, kind):
        return None
    return _wrong(value, kind, place)


def _fields_fault(value: object, kind: Any, place: str) -> str | None:
    """Of a dict with the fields of a dataclass or TypedDict; others may stand beside those of a TypedDict."""
    if not isinstance(value, dict):
        return _wrong(value, dict, place)
    hints = {name: hint for name, hint in typing.get_type_hints(kind).items() if not _of_class(hint)}
    needed = kind.__required_keys__ if typing.is_typeddict(kind) else _without_default(kind)
    missing = sorted(needed - value.keys())
    if missing:
        return f"{place or 'it'} lacks {missing[0]!r}"
    if dataclasses.is_dataclass(kind) and value.keys() - hints.keys():
        return f"{place or 'it'} has {min(value.keys() - hints.keys())!r:.60}, which it should not"
    return _first(_fault(value[name], hint, f"{place}.{name}") for name, hint in hints.items() if name in value)


def _of_class(hint: object) -> bool:
    return hint is typing.ClassVar or typing.get_origin(hint) is typing.ClassVar


def _without_default(kind: Any) -> set[str]:
    nothing = dataclasses.MISSING
    return {f.name for f in dataclasses.fields(kind) if f.default is nothing and f.default_factory is nothing}


def _first(faults: Iterator[str | None]) -> str | None:
    return next((fault for fault in faults if fault), None)


def _unwritable(text: str, place: str) -> str | None:
    """Half a character, which JSON can hold and no file."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"{place} holds half a character, {text[error.start]!r}"
    return None


def _wrong(value: object, kind: Any, place: str) -> str:
    return f"{place} is {value!r:.60}, not {getattr(kind, '__name__', kind)}"


@contextmanager
def restoring(what: str) -> Iterator[None]:
    """Around all that makes something of a stranger's file: whatever cannot be made of it is a FileFormatError."""
    try:
        yield
    except GateworkError:
        raise
    except (
        ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError,
    ) as error:  # fmt: skip
        said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise FileFormatError(f"{what} does not hold what it should ({said}); fetch it anew, or train again") from error
