"""Numeric sequences in memory as matrices [steps, channels]: lists, panels in either order, frames of nested series."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from gatework.errors import DataError

ORDERS = ("first", "last")  # where the channels stand in the shape of an array
OTHER_ORDER = "if they are [channels, steps], as aeon and sktime have them, pass channels='first'"


def matrices(arrays: Sequence | np.ndarray, channels: str | None = None) -> list[np.ndarray]:
    """Each sequence as float32 [T, C], from arrays [T, C] (`channels` "last" or None), [C, T] ("first") or [T].

    Example: `matrices(np.zeros((5, 1, 60)), "first")` are five matrices [60, 1].

    Warns where the order is not said and there are more channels than steps.

    Raises: DataError that names the first sequence of another shape.
    """
    refuse_kinds(arrays)
    rows = [_matrix(array, number) for number, array in enumerate(arrays, 1)]
    if not rows:
        raise DataError("there are no sequences; give a list of arrays [steps, channels]")
    if channels == "first":
        rows = [row.T if np.ndim(array) == 2 else row for row, array in zip(rows, arrays, strict=True)]
    odd = next((i for i, row in enumerate(rows) if row.shape[1] != rows[0].shape[1]), None)
    if odd is not None:
        other = f"; {OTHER_ORDER}" if channels is None and len({len(row) for row in rows}) == 1 else ""
        raise DataError(
            f"sequence {odd + 1} has {rows[odd].shape[1]} channels, sequence 1 has {rows[0].shape[1]}: "
            f"all need the same number; sequences are arrays [steps, channels]{other}"
        )
    longest = max(len(row) for row in rows)
    if channels is None and rows[0].shape[1] > longest > 0:
        warnings.warn(
            f"{described(rows)}, more channels than steps; {OTHER_ORDER}; channels='last' says that they are right",
            stacklevel=2,
        )
    return rows


def described(rows: Sequence[np.ndarray]) -> str:
    """What was understood: "read as 40 sequences of 12 to 30 steps and 2 channel(s)"."""
    lengths = [len(row) for row in rows]
    steps = f"{min(lengths)} to {max(lengths)}" if min(lengths) < max(lengths) else f"{lengths[0]}"
    return f"read as {len(rows):,} sequences of {steps} step(s) and {rows[0].shape[1]} channel(s)"


def refuse_kinds(values: object) -> None:
    """Raises a DataError for arrays that no sequences can be read from, with what to pass in their place."""
    if hasattr(values, "toarray"):
        raise DataError(f"a sparse matrix ({type(values).__name__}) cannot be read here: pass X.toarray()")
    if isinstance(values, np.ndarray) and values.ndim not in (1, 2, 3):
        raise DataError(
            f"an array of shape {values.shape} is given; pass sequences [n, steps], [n, steps, channels], or a list of "
            "arrays. Reshape your data"
        )
    if isinstance(values, np.ndarray) and 0 in values.shape[1:]:
        raise DataError(f"0 feature(s) (shape={values.shape}) while a minimum of 1 is required: sequences have steps")


def _matrix(array: Any, number: int) -> np.ndarray:
    if np.iscomplexobj(array):
        raise DataError(
            f"Complex data not supported: sequence {number} has complex numbers; pass real and imaginary parts as two "
            "channels"
        )
    try:
        values = np.asarray(array, np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"sequence {number} is not an array of numbers ({error}); sequences are [steps, channels]"
        ) from None
    if values.ndim == 0:
        raise DataError(f"sequence {number} is a number, {array}: pass a list of sequences, for a single one [X]")
    if values.ndim not in (1, 2):
        raise DataError(f"sequence {number} has shape {values.shape}; sequences are [steps, channels] or [steps]")
    width = values.shape[-1] if values.ndim == 2 else 1
    return values.reshape(len(values), -1) if values.size else np.zeros((0, width), np.float32)


def nested(frame: Any) -> list[np.ndarray] | None:
    """Matrices [T, C] of a frame whose cells are series (sktime's nested frames; polars' columns of lists): a column is
    a channel. None for any other frame."""
    if isinstance(frame, pl.DataFrame):
        columns = {name: frame[name].to_list() for name in frame.columns if frame[name].dtype.is_nested()}
    elif hasattr(frame, "iloc") and hasattr(frame, "columns"):
        columns = {name: frame[name].tolist() for name in frame.columns if frame[name].map(_is_series).all()}
    else:
        return None
    if not columns or not len(frame) or len(columns) < len(frame.columns):
        return None
    for number, cells in enumerate(zip(*columns.values(), strict=True), 1):
        if len({len(cell) for cell in cells}) > 1:
            raise DataError(f"sequence {number}: its channels have different numbers of steps; make them equal")
    rows = zip(*columns.values(), strict=True)
    return [np.stack([np.asarray(cell, np.float32) for cell in row], axis=1) for row in rows]


def _is_series(cell: object) -> bool:
    return isinstance(cell, np.ndarray | list | tuple) or hasattr(cell, "iloc")


def unstacked(frame: Any) -> Any:
    """A pandas frame with an index of two levels, as sktime's panels, as a frame with columns "id" and "time"; anything
    else as it is."""
    if getattr(getattr(frame, "index", None), "nlevels", 1) != 2:
        return frame
    return frame.rename_axis(["id", "time"]).reset_index()
