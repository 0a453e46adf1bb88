"""Features of a pretrained network as .npy files or arrays: (S, M), or a map (h, w, M) -> S vectors of M numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gatework.data.files import in_memory
from gatework.data.media.items import Item, Tell, file_of, name_of, untold
from gatework.data.media.kinds import sniffed
from gatework.errors import DataError


def load(item: Item, tell: Tell = untold) -> np.ndarray:
    """Vectors float32 (S, M) of a file or an array.

    Example: of an array (7, 7, 512) they have the shape (49, 512), of an array (512,) the shape (1, 512).

    Raises: DataError for what is no array of numbers, holds NaN or infinity, or has another number of axes.
    """
    if isinstance(item, tuple):
        raise DataError("vectors are a file or an array (S, M) or (h, w, M), not a pair")
    name = name_of(item)
    with in_memory(name):
        array = mapped(file_of(item)) if isinstance(item, Path) else item
        if array.ndim not in (1, 2, 3) or 0 in array.shape:
            raise DataError(f"{name}: vectors are an array (S, M) or (h, w, M), not one of shape {array.shape}")
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as such
            values = np.asarray(array, np.float32).reshape(-1, array.shape[-1])
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        first = f"vector {bad[0][0] + 1}, number {bad[0][1] + 1}"
        raise DataError(f"{name}: {len(bad):,} values are no numbers (first: {first}); compute them again")
    return values


def mapped(path: Path) -> np.ndarray:
    """The array of a .npy file, left on disk; never one of Python's objects, which could run code."""
    what = sniffed(path)
    if not what.startswith("an array"):
        is_what = f": it is {what}" if what else ""
        raise DataError(f"{path}: not a .npy file{is_what}; save an array of numbers with numpy.save")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a stranger's header is read as Python text, which raises whatever it pleases
        said = str(error).partition("\n")[0][:100] or type(error).__name__
        raise DataError(f"{path}: not a whole .npy file ({said}); save it anew with numpy.save") from None
    if array.dtype.kind not in "iufb":
        raise DataError(f"{path}: holds {array.dtype}, not numbers; save an array of numbers with numpy.save")
    return array
