"""One comparison for all tests. It can fail: NaN fails, a missing key fails, a shape that broadcasts fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

# Largest accepted error of one step, relative to the largest value of the expected array.
BASE = {"float16": 1e-2, "bfloat16": 5e-2, "float32": 1e-5, "float64": 1e-12, "complex128": 1e-12}


def tolerance(dtype: str, length: int = 1) -> float:
    """Rounding errors of `length` steps add up like a random walk."""
    return BASE[dtype] * max(1, length) ** 0.5


def assert_close(got: Any, want: Any, length: int = 1, what: str = "array", loosen: float = 1.0) -> None:
    """Fail unless `got` is `want` up to the rounding of got's dtype over `length` steps.

    The error is measured against the largest finite |want| (1 if all are zero); infinities must be the same ones.
    `loosen` multiplies the tolerance, for a reason that the caller states.
    """
    dtype = str(getattr(got, "dtype", "float64")).removeprefix("torch.")
    got, want = plain(got), plain(want)
    if got.shape != want.shape:
        raise AssertionError(f"{what}: shape {got.shape}, expected {want.shape}")
    if not got.size:
        return
    for name, array in (("got", got), ("wanted", want)):
        if np.isnan(array).any():
            raise AssertionError(f"{what}: {np.isnan(array).sum()} of {array.size} {name} values are NaN")
    infinite = np.isinf(want) | np.isinf(got)
    if (got[infinite] != want[infinite]).any():
        raise AssertionError(f"{what}: infinities differ at {np.argwhere(infinite & (got != want))[0]}")
    difference = np.where(infinite, 0.0, np.abs(np.where(infinite, 0, got) - np.where(infinite, 0, want)))
    scale = np.abs(want[~infinite]).max(initial=0.0) or 1.0
    allowed = tolerance(dtype, length) * loosen * scale
    if not difference.max() <= allowed:
        at = tuple(int(i) for i in np.unravel_index(difference.argmax(), difference.shape))
        raise AssertionError(
            f"{what}: differs by {difference.max():.3g} at {at} ({got[at]!r}, expected {want[at]!r}); "
            f"allowed {allowed:.3g} for {dtype} over {length} steps"
        )


def assert_all_close(
    got: Mapping[str, Any], want: Mapping[str, Any], length: int = 1, what: str = "", loosen: float = 1.0
) -> None:
    """The same for dicts of arrays: the same keys, each close."""
    if set(got) != set(want):
        raise AssertionError(f"{what}: keys {sorted(got)}, expected {sorted(want)}")
    for key in want:
        assert_close(got[key], want[key], length, f"{what}[{key}]", loosen)


def plain(array: Any) -> np.ndarray:
    """numpy, in a precision in which the comparison itself loses nothing."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        array = array.float() if str(array.dtype) == "torch.bfloat16" else array
    array = np.asarray(array)
    return array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)
