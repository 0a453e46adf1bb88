"""What is asked of arrays before machine code sees them: type, shape, memory layout and, if wanted, finite values.

`GATEWORK_CHECK=1`, or `check_finite(True)`, refuses NaN and infinities in inputs, starts, weights and gradients. That
reads every array once more, so it is off unless asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from gatework.errors import DataError, ShapeError
from gatework.runtime.quantised import Quantised
from gatework.runtime.settings import finite

REAL = "fiub"  # numpy's kinds of numbers that a kernel's type can hold


def array(cell: str, what: str, values: Any, shape: tuple[int, ...], dtype: np.dtype, rest: float = 0.0) -> np.ndarray:
    """`values` if it is an array of this shape and type, else ShapeError; `rest` is an infinity that is allowed."""
    if not isinstance(values, np.ndarray) or values.dtype != dtype or values.shape != shape:
        found = f"{getattr(values, 'dtype', type(values).__name__)} {tuple(np.shape(values))}"
        raise ShapeError(f"{cell}: {what} is {found}; it must be {dtype} {shape}")
    flags = values.flags
    if not (flags.aligned and (flags.c_contiguous or all(s % values.itemsize == 0 for s in values.strides))):
        values = np.array(values, order="C")
    if finite():
        _refuse_infinite(cell, what, values, rest)
    return values


def quantised(cell: str, what: str, values: Quantised, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuse quantised weights of another shape, and a program whose type they are not for."""
    if values.shape != shape or dtype != np.float32:
        found = f"{values.kind} {values.shape}"
        raise ShapeError(f"{cell}: {what} is {found}; it must be {dtype} {shape}, of which float32 may be quantised")
    if finite() and values.scales is not None:
        _refuse_infinite(cell, f"the scales of {what}", values.scales, 0.0)


def number(cell: str, what: str, value: Any) -> float:
    """`value` as a float, else ShapeError."""
    if isinstance(value, (str, bytes)) or np.ndim(value) != 0 or np.iscomplexobj(value):
        raise ShapeError(f"{cell}: {what} is {type(value).__name__} of shape {np.shape(value)}; it must be one number")
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{cell}: {what} is {value!r}; it must be one number") from error
    if finite() and not np.isfinite(found):
        raise DataError(f"{cell}: {what} is {found}; GATEWORK_CHECK asks for finite values")
    return found


def names(cell: str, what: str, given: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse what nothing would read."""
    for name in given:
        if name not in known:
            raise ShapeError(f"{cell} has no {what} {name!r}; it has {', '.join(sorted(known)) or 'none'}")


def _refuse_infinite(cell: str, what: str, values: np.ndarray, rest: float) -> None:
    bad = ~np.isfinite(values)
    if np.isinf(rest):
        bad &= values != rest
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"{cell}: {what} is {values[at]} at {list(at)}, and so are {int(bad.sum())} of its {values.size} values "
            f"(shape {values.shape}); find out why, or switch the check off (GATEWORK_CHECK, check_finite)"
        )
