"""What people hand over in memory, as plain columns: labels and texts as arrays, series or frames of one column."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from gatework.errors import DataError

TRUTHS = {"true": "1", "false": "0"}


def given_labels(labels: object) -> tuple[pl.Series, str]:
    """Labels as text (null where there is none), and what they were: "int", "float", "bool" or "str".

    Example: `given_labels([2, None, 3])` is the column "2", null, "3", and "int".

    A list, an array [n] or [n, 1], a pandas or polars series or frame of one column; None, NaN, NaT and pandas' NA say
    that there is no label.
    """
    values = [None if is_absent(value) else value for value in flat(labels, "label")]
    kinds = {type(value) for value in values if value is not None}
    kind = _kind(kinds)
    whole = kind == "float" and all(value is None or float(value).is_integer() for value in values)
    names = [None if value is None else str(int(value) if whole else value) for value in values]
    return pl.Series("label", names, pl.String), kind


def given_texts(texts: object) -> pl.Series:
    """Texts as a column, null where there is none."""
    values = [None if is_absent(value) else value for value in flat(texts, "text")]
    if not values:
        raise DataError("there are no texts; give at least one")
    number = next((i for i, value in enumerate(values) if isinstance(value, np.ndarray | list | float | complex)), None)
    if number is not None:
        raise DataError(
            f"text {number + 1} is {str(values[number])[:40]!r}, which is no text; for numeric sequences take "
            "SequenceClassifier (kind=sequences)"
        )
    written = [None if value is None else str(value) for value in values]
    try:
        return pl.Series("text", written, pl.String)
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        number = next(number for number, text in enumerate(written, 1) if text and half in text)
        raise DataError(f"text {number} holds half a character ({half!r}); write it anew") from None


def flat(values: Any, what: str) -> list[Any]:
    """The n values of a list, a series, an iterator, or of an array or frame [n, 1]."""
    if isinstance(values, pl.DataFrame) and values.width == 1:
        values = values.to_series()
    if isinstance(values, pl.Series):
        return values.to_list()
    values = values.to_numpy() if hasattr(values, "to_numpy") else array_of(values)
    if not isinstance(values, np.ndarray):
        values = list(values)
        if not any(isinstance(value, np.ndarray | list | tuple) and len(value) == 1 for value in values):
            return values
        values = np.array(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        cure = ": of one column for each class, y.argmax(axis=1) gives the numbers" if what == "label" else ""
        raise DataError(f"the {what}s have the shape {values.shape}; give one {what} a row, as an array [n]{cure}")
    return values.tolist()


def array_of(values: object) -> Any:
    """An array of what says how to become one (a tensor, an xarray); frames, series and anything else as they are."""
    framed = isinstance(values, pl.Series) or hasattr(values, "columns") or hasattr(values, "iloc")
    return np.asarray(values) if hasattr(values, "__array__") and not framed else values


def is_absent(value: object) -> bool:
    """None, NaN, NaT or pandas' NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating | np.datetime64) and value != value


def column_of(values: object) -> Any:
    """A column that was given as a list or an array of objects with null for what is absent; anything else as it is."""
    if isinstance(values, np.ndarray) and values.dtype == object:
        values = values.tolist()
    return [None if is_absent(value) else value for value in values] if isinstance(values, list | tuple) else values


def _kind(kinds: set[type]) -> str:
    for kind in (bool, int, float):
        if kinds and all(issubclass(each, kind) for each in kinds):
            return kind.__name__
    return "float" if kinds and kinds <= {int, float} else "str"


def kind_of_names(names: Iterable[str]) -> str:
    """What labels of a file that holds text alone stand for: "int", "float", "bool", or "str" where not all are
    written as Python writes such a value."""
    names = set(names)
    for kind, reads in (("int", int), ("float", float)):
        if names and all(_is_written(name, reads) for name in names):
            return kind
    return "bool" if len(names) == 2 and {name.lower() for name in names} == set(TRUTHS) else "str"


def _is_written(name: str, reads: type) -> bool:
    try:
        return str(reads(name)) == name
    except ValueError:
        return False


def aligned(labels: pl.Series, known: Iterable[str]) -> pl.Series:
    """Labels under the names that are `known`, where these write the same value otherwise: "0.0" is "0", and "True" is
    "true" or "1"."""
    known = list(known)
    by_value: dict[str, list[str]] = {}
    for name in known:
        by_value.setdefault(value_of(name), []).append(name)
    others = [name for name in labels.drop_nulls().unique().to_list() if name not in set(known)]
    renamed = {name: by_value[value_of(name)][0] for name in others if len(by_value.get(value_of(name), ())) == 1}
    return labels.replace(renamed) if renamed else labels


def value_of(name: str) -> str:
    """The same text for names of the same value, such as "1", "1.0" and "True"."""
    folded = name.strip().lower()
    try:
        return f"{float(TRUTHS.get(folded, folded)):.17g}"
    except ValueError:
        return name
