"""What a listing lists: a file, an array, or an array of samples with its rate; and how readers say what they mend."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gatework.errors import DataError
from gatework.runtime.sounds.samples import Tell, untold

__all__ = ["ARRAY", "Item", "Tell", "distinct", "file_of", "name_of", "untold"]

Item = Path | np.ndarray | tuple[np.ndarray, int]
ARRAY = "an array"  # what messages call an item without a file


def name_of(item: Item) -> str:
    """What messages about an item begin with."""
    return str(item) if isinstance(item, Path) else ARRAY


def distinct(items: list[Item]) -> tuple[list[int], np.ndarray]:
    """The rows of items that are not files named before, and for each row its place among these."""
    places: dict[object, int] = {}
    rows: list[int] = []
    which = np.zeros(len(items), np.int64)
    for row, item in enumerate(items):
        key = item if isinstance(item, Path) else id(item)
        if key not in places:
            places[key] = len(rows)
            rows.append(row)
        which[row] = places[key]
    return rows, which


def must_be_there(path: Path) -> None:
    """Raises a DataError where there is neither file nor folder. Of thousands of files no nearest names are sought."""
    try:
        missing = "" if path.exists() else "no such file"
    except (OSError, ValueError) as error:
        path, missing = Path(str(path)[:60] + "…"), f"not the name of a file ({getattr(error, 'strerror', error)})"
    if missing:
        raise DataError(f"{path}: {missing}" + ("" if path.parent.is_dir() else f" (nor a folder {path.parent})"))


def file_of(path: str | Path) -> Path:
    """A path that is a file with something in it.

    Raises: DataError where it is missing, a folder, a device, unreadable or empty.
    """
    path = Path(path)
    must_be_there(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file")
    if not path.is_file():
        raise DataError(f"{path} is a pipe or a device; write it to a file first")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    if empty:
        raise DataError(f"{path} is empty (0 bytes); record or fetch it again")
    return path
