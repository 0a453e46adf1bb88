"""Media in memory as rows: arrays, pairs of arrays and texts, lists of dicts, mappings of columns, frames.

rows([a, b])                                    two sounds, their rate to be given by whoever reads them
rows([(a, 8000), (b, 16000)])                   with their rates
rows(([a, b], ["one", "two"]))                  with their texts
rows([{"audio": a, "rate": 8000, "text": "one"}])
rows({"image": images, "caption": captions})    images: an array (n, H, W[, C]) or a list
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import polars as pl

from gatework.data.given import is_absent
from gatework.data.media.items import Item
from gatework.data.media.kinds import MEDIA, Kind
from gatework.data.media.rows import Rows
from gatework.data.table import Table
from gatework.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

AXES = {"sound": 1, "picture": 2, "film": 3, "vectors": 2}  # of one item, without its colours
COLOURS = (1, 3, 4)


def rows(source: object, kind: Kind, column: str | None = None) -> Rows:
    """Rows of a source in memory; items without a column of their own stand in `column` or the kind's usual one."""
    own = column or MEDIA[kind].columns[0]
    if isinstance(source, Table):
        return Rows({name: source.frame[name].to_list() for name in source.columns}, source.source, source.where)
    if isinstance(source, pl.DataFrame):
        return _rows({name: source[name].to_list() for name in source.columns}, "the polars frame")
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        return _of_pandas(cast("pd.DataFrame", source))
    if isinstance(source, Mapping):
        return _rows(_columns(source, kind), "the given columns")
    if isinstance(source, tuple) and _is_pair(source):
        found, texts = source
        return _rows({own: items(found, kind), "text": list(texts)}, f"the given {MEDIA[kind].plural}", own)
    found = items(source, kind)
    if found and all(isinstance(each, Mapping) for each in found):
        return _rows(_of_records(found), "the given rows")
    return _rows({own: found}, f"the given {MEDIA[kind].plural}", own)


def _columns(source: Mapping, kind: Kind) -> dict[str, list]:
    """A mapping's columns; an array as long as the others is one of labels or rates, not a single item."""
    found = {str(name): items(values, kind) for name, values in source.items()}
    count = max((len(values) for values in found.values()), default=0)
    flat = {str(name): each for name, each in source.items() if isinstance(each, np.ndarray) and each.shape == (count,)}
    return found if count == 1 else {**found, **{name: values.tolist() for name, values in flat.items()}}


def item(value: object, rate: object, place: str, kind: Kind) -> Item:
    """A value of a column of arrays as an item: an array, a pair with its rate, or a dict of both."""
    if isinstance(value, Mapping):
        value, rate = value.get("array", value.get("path")), value.get("sampling_rate", rate)
        if isinstance(value, str):
            return Path(value)
    if isinstance(value, tuple) and len(value) == 2 and _is_number(value[1]):
        value, rate = value
    if not is_array(value):
        raise DataError(f"{place}: {value!r:.60} is neither the name of a file nor an array")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{place}: is no array ({error})") from None
    return (array, int(rate)) if kind == "sound" and _is_number(rate) else array  # pyright: ignore[reportArgumentType] (a number)


def is_array(value: object) -> bool:
    """Whether a value is an array of numbers, or becomes one; a pair with its rate and a dict that holds one too."""
    if isinstance(value, Mapping):
        return "array" in value or "path" in value
    if isinstance(value, tuple) and len(value) == 2 and _is_number(value[1]):
        return is_array(value[0])
    return hasattr(value, "__array__") or (isinstance(value, list) and bool(value) and not isinstance(value[0], str))


def items(values: object, kind: Kind) -> list:
    """A list of values; an array of one axis more than one item has is cut along its first."""
    if isinstance(values, pl.Series):
        return values.to_list()
    array = np.asarray(values) if hasattr(values, "__array__") else None
    if array is not None and array.dtype.kind in "iufb":
        return [array] if _is_one(array, kind) else list(array)
    if isinstance(values, str | Path) or (isinstance(values, tuple) and len(values) == 2 and _is_number(values[1])):
        return [values]
    return list(values) if isinstance(values, Iterable) else _refused(values, kind)


def _refused(values: object, kind: Kind) -> list:
    what = f"cannot read {MEDIA[kind].plural} from {type(values).__name__}"
    raise DataError(f"{what}: give a path, arrays, (arrays, texts), a list of dicts, a mapping of columns or a frame")


def _is_one(array: np.ndarray, kind: Kind) -> bool:
    """Whether an array is one item. (n, H, W) are n grey pictures, (H, W, 3) is one in colour; (T, H, W, 3) is one
    film; samples (n,) are one recording, (n, samples) are n of equal length."""
    if array.ndim <= AXES[kind]:
        return True
    return kind in ("picture", "film") and array.ndim == AXES[kind] + 1 and array.shape[-1] in COLOURS


def _is_pair(source: tuple) -> bool:
    """Whether a tuple is (items, their texts)."""
    if len(source) != 2:
        return False
    texts = source[1]
    listed = texts.tolist() if hasattr(texts, "tolist") else texts
    return (
        isinstance(listed, Sequence)
        and not isinstance(listed, str)
        and all(text is None or isinstance(text, str) for text in listed)
        and not isinstance(source[0], str | Path)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _of_records(records: list[Mapping]) -> dict[str, list]:
    names = dict.fromkeys(str(name) for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}


def _of_pandas(frame: pd.DataFrame) -> Rows:
    columns = {str(name): [None if is_absent(value) else value for value in frame[name]] for name in frame.columns}
    index = [str(label) for label in frame.index]
    return Rows(columns, "the pandas frame", lambda row: f"the pandas frame, row {row + 1} (index {index[row]})")


def _rows(columns: dict[str, list], source: str, column: str | None = None) -> Rows:
    sizes = {name: len(values) for name, values in columns.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DataError(f"{source}: the columns have different lengths ({told}); give each row all of them")
    if not sizes or not max(sizes.values()):
        raise DataError(f"{source}: hold no rows; give at least one")
    return Rows(columns, source, lambda row: f"{source}, row {row + 1}", column=column)
