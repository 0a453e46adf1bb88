"""Weights in few bytes: bfloat16, or int8 with one scale for each output unit. What they stand for are float32 numbers.

    bf16:  dense = the upper half of a float32's bits      |dense - W| <= |W| / 256    (8 bits of significand)
    int8:  dense = scale[unit] * whole number              |dense - W| <= scale[unit] / 2,  scale = max |W[unit]| / 127

Rounding is to the nearest number, ties to the even one. The bounds hold but for the rounding of float32 itself, and of
bf16 down to its smallest normal number, 1.2e-38. Sums, states, biases, peepholes and norms stay float32. What a cell
with such weights means is what the reference interpreter computes from the dense numbers.

Sources: Intel, BFLOAT16 - Hardware Numerics Definition, 2018; Jacob et al., Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference, 2018 (symmetric, for each row).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gatework.backends.arrays import bf16_bits
from gatework.errors import DataError, OptionError, ShapeError
from gatework.runtime.lazy import lazy

KINDS = ("bf16", "int8")
LARGEST = 3.38e38  # what bfloat16 can hold, short of its last step
MOST = 127  # -128 is left out: every weight has its negative


class Quantised:
    """A matrix, or one for each head, in few bytes: uint16 holds the bits of bfloat16, int8 needs `scales`.

    Args:
        values: uint16 or int8, (out, in) or (heads, out, in).
        scales: float32, the shape of `values` without its last axis; for int8 alone.

    Raises ShapeError where these do not fit together.
    """

    def __init__(self, values: np.ndarray, scales: np.ndarray | None = None):
        known = {np.dtype(np.uint16): "bf16", np.dtype(np.int8): "int8"}
        if values.dtype not in known or values.ndim < 2:
            raise ShapeError(
                f"quantised weights are {values.dtype} {values.shape}; uint16 or int8 matrices are possible"
            )
        self.kind = known[values.dtype]
        wanted = values.shape[:-1] if self.kind == "int8" else None
        if wanted != (None if scales is None else scales.shape) or (scales is not None and scales.dtype != np.float32):
            got = "none" if scales is None else f"{scales.dtype} {scales.shape}"
            raise ShapeError(f"{self.kind} weights {values.shape} need scales {wanted or 'none'}; got {got}")
        self.values, self.scales, self.shape, self.size = values, scales, values.shape, values.size

    @lazy
    def dense(self) -> np.ndarray:
        """The float32 numbers that these weights stand for; made when first asked for, and kept."""
        if self.scales is None:
            return (self.values.astype(np.uint32) << 16).view(np.float32)
        return self.values * self.scales[..., None]

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: without the dense numbers."""
        return {name: value for name, value in vars(self).items() if name != "dense"}


Weights = Mapping[str, Any]  # by key: float32 arrays, and Quantised


def quantise(values: np.ndarray, kind: str) -> Quantised:
    """Float32 weights (out, in), or (heads, out, in), as the nearest numbers of a kind, "bf16" or "int8".

    >>> quantise(np.array([[1.0, -0.5]], np.float32), "int8").dense
    array([[ 1.      , -0.503937]], dtype=float32)

    Raises OptionError for another kind, DataError where a weight is not finite or becomes infinite.
    """
    check_kind(kind)
    values = np.ascontiguousarray(values, np.float32)
    largest = np.abs(values).max(initial=0.0)
    if not largest < LARGEST:
        raise DataError(
            f"weights {values.shape} hold NaN, infinity or {largest:.3g}, too large for {kind}; keep float32"
        )
    return _bf16(values) if kind == "bf16" else _int8(values)


def check_kind(kind: object, *more: str) -> None:
    if kind not in (*more, *KINDS):
        raise OptionError(f"weights={kind!r}: choose one of {', '.join((*more, *KINDS))}")


def _bf16(values: np.ndarray) -> Quantised:
    return Quantised(bf16_bits(values))


def _int8(values: np.ndarray) -> Quantised:
    """A row of zeros has the scale one; no scale is so small that its products would lose bits."""
    largest = np.abs(values).max(-1, initial=0.0)
    scales = np.maximum(largest / np.float32(MOST), np.finfo(np.float32).tiny)
    scales = np.where(largest > 0, scales, np.float32(1)).astype(np.float32)
    whole = np.rint(values / scales[..., None])
    return Quantised(np.clip(whole, -MOST, MOST).astype(np.int8), scales)


def narrowed(weights: Weights, kind: str) -> dict[str, Any]:
    """A cell's weights with all matrices of a kind, "float32" too; biases and vectors are float32 always. Raises
    OptionError for bf16 that would become int8, or the reverse."""
    have = kind_of(weights)
    if kind == "float32" or have == kind:
        return dense(weights) if kind == "float32" else dict(weights)
    if have is not None:
        raise OptionError(f"the weights are {have}; made {kind} they would be rounded twice: begin with float32")
    return {key: quantise(a, kind) if getattr(a, "ndim", 0) > 1 else a for key, a in weights.items()}


def dense(weights: Weights) -> dict[str, Any]:
    """A cell's weights as arrays."""
    return {key: a.dense if isinstance(a, Quantised) else a for key, a in weights.items()}


def arrays_of(weights: Weights) -> dict[str, np.ndarray]:
    """A cell's weights as plain arrays for a file: values, and scales under "KEY.scales"."""
    found: dict[str, np.ndarray] = {}
    for key, weight in weights.items():
        if not isinstance(weight, Quantised):
            found[key] = weight
            continue
        found[key] = weight.values
        if weight.scales is not None:
            found[f"{key}.scales"] = weight.scales
    return found


def kind_of(weights: Weights) -> str | None:
    """Which kind a cell's matrices are, None if they are arrays. Raises ShapeError for a mixture."""
    matrices = [a for a in weights.values() if isinstance(a, Quantised) or getattr(a, "ndim", 0) > 1]
    kinds = {a.kind if isinstance(a, Quantised) else None for a in matrices}
    if len(kinds) > 1:
        raise ShapeError("the matrices of a layer must all be float32, bf16 or int8; these are mixed")
    return kinds.pop() if kinds else None
