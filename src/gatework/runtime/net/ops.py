"""What each operation of a net means, on numpy arrays; the keywords are its settings.

Sequences are (T, B, C), `lengths` (B,). What lies beyond a sequence's end has no part in what is pooled or weighed.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

from gatework.errors import FileFormatError

Array = np.ndarray
MOST = 1 << 31  # elements of any value: a stranger's net cannot ask for more
FAR = 6.0  # beyond this erfc is less than the last digit of 1
STRETCH = 1 << 14  # numbers that are worked on together


def bounded(shape: tuple[int, ...]) -> None:
    if int(np.prod(shape, dtype=np.float64)) > MOST:
        raise FileFormatError(f"the net asks for an array of shape {shape}, which is more than {MOST:,} numbers")


def positive(stride: int) -> int:
    if type(stride) is not int or stride < 1:
        raise FileFormatError(f"the net has a stride {stride!r:.40}; it must be a whole number from 1")
    return stride


def inside(lengths: Array, steps: int) -> Array:
    """(T, B): whether a step lies in its sequence."""
    return np.arange(steps)[:, None] < lengths


# -- vectors and maps -----------------------------------------------------------------------------------------


def gather(table: Array, ids: Array) -> Array:
    """Rows of a table (V, C) by ids (...): (..., C)."""
    return table[ids]


def bag(table: Array, ids: Array, counts: Array, *, kind: str = "mean") -> Array:
    """The mean or sum of rows of a table by the first `counts` (...) of ids (..., P); 0 where there is none."""
    there = (np.arange(ids.shape[-1]) < counts[..., None]).astype(table.dtype)
    total = np.einsum("...pc,...p->...c", table[ids], there)
    return total / np.maximum(counts, 1)[..., None].astype(table.dtype) if kind == "mean" else total


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """x (..., I) times weight (O, I), plus bias (O,). Rows (B, I) are multiplied one by one: a product of many has
    other bits than one of few, and a stream's answer must not depend on who else is there."""
    y = (x[:, None] @ weight.T)[:, 0] if x.ndim == 2 else x @ weight.T
    return y if bias is None else y + bias


def conv(x: Array, weight: Array, bias: Array, lengths: Array) -> Array:
    """Convolution over time (T, B, C) with weight (O, C, K): K odd, zeros beyond both ends."""
    width = weight.shape[2]
    x = np.where(inside(lengths, len(x))[..., None], x, 0)
    padded = np.pad(x, [(width // 2, width // 2), (0, 0), (0, 0)])
    found = sum(padded[k : k + len(x)] @ weight[:, :, k].T for k in range(width))
    return found + bias


def conv2d(
    x: Array, weight: Array, bias: Array, lengths: Array | None = None, *, strides: list[int], before: list[int]
) -> Array:
    """Convolution over time and across it, x (T, B, A, C) with weight (O, C, K, L): (T / s, B, A / r, O), rounded up,
    for strides [s, r]. An output begins to read so many places `before` its own; what lies outside, and
    beyond `lengths`, is zero."""
    (steps, _, across, channels), (out, _, tall, wide) = x.shape, weight.shape
    (s, r), (above, left) = map(positive, strides), before
    if not (0 <= above < tall and 0 <= left < wide):
        raise FileFormatError(f"a kernel of {tall} by {wide} places cannot begin {above} and {left} before its own")
    bounded((steps + tall, x.shape[1], across + wide, channels))
    bounded((-(-steps // s), x.shape[1], -(-across // r), max(channels * wide, out)))
    x = x if lengths is None else np.where(inside(lengths, steps)[..., None, None], x, 0)
    x = np.pad(x, [(above, tall - 1 - above), (0, 0), (left, wide - 1 - left), (0, 0)])
    rows = np.lib.stride_tricks.sliding_window_view(x, wide, 2)[:, :, ::r]  # (T + K - 1, B, A / r, C, L)
    taps = weight.transpose(2, 1, 3, 0).reshape(tall, -1, out)
    found = sum(rows[k : k + steps : s].reshape(-(-steps // s), *rows.shape[1:3], -1) @ taps[k] for k in range(tall))
    return found + bias


def layer_norm(x: Array, weight: Array, bias: Array, *, epsilon: float) -> Array:
    """Each vector (C,) of x moved to mean 0 and scaled to variance 1, then times weight (C,), plus bias (C,)."""
    apart = x - x.mean(-1, keepdims=True)
    return apart / np.sqrt(np.square(apart).mean(-1, keepdims=True) + x.dtype.type(epsilon)) * weight + bias


# -- over time ------------------------------------------------------------------------------------------------


def pool(x: Array, lengths: Array, *, kind: str) -> Array:
    """Mean or maximum over the steps of each sequence: (T, B, C) to (B, C)."""
    there = inside(lengths, len(x))[..., None]
    if kind == "max":
        return np.where(there, x, -np.inf).max(0).astype(x.dtype)
    return (np.where(there, x, 0).sum(0) / lengths[:, None]).astype(x.dtype)


def time_softmax(scores: Array, lengths: Array) -> Array:
    """Softmax of scores (T, B) over the steps of each sequence; 0 beyond its end."""
    there = inside(lengths, len(scores))
    top = np.where(there, scores, -np.inf).max(0)
    weights = np.where(there, np.exp(scores - top), 0)
    return (weights / weights.sum(0)).astype(scores.dtype)


def weighed(x: Array, weights: Array) -> Array:
    """The sum of x (T, B, C) over time, each step by its weight (T, B)."""
    return np.einsum("tbc,tb->bc", x, weights)


def time_since(mask: Array) -> Array:
    """Steps since the last observation before each step of a mask (T, B, C), 0 at the first step."""
    gaps = [np.zeros_like(mask[0])]
    for seen in mask[:-1]:
        gaps.append(1 + (1 - seen) * gaps[-1])
    return np.stack(gaps)


def shortened(lengths: Array, *, stride: int) -> Array:
    """Lengths where every so many steps have become one, rounded up."""
    return -(-lengths // positive(stride))


# -- elements and shapes --------------------------------------------------------------------------------------


def add(a: Array, b: Array) -> Array:
    bounded(np.broadcast_shapes(a.shape, b.shape))
    return a + b


def sub(a: Array, b: Array) -> Array:
    bounded(np.broadcast_shapes(a.shape, b.shape))
    return a - b


def mul(a: Array, b: Array) -> Array:
    bounded(np.broadcast_shapes(a.shape, b.shape))
    return a * b


def div(a: Array, b: Array) -> Array:
    bounded(np.broadcast_shapes(a.shape, b.shape))
    return a / b


def maximum(a: Array, b: Array) -> Array:
    bounded(np.broadcast_shapes(a.shape, b.shape))
    return np.maximum(a, b)


def scale(x: Array, *, by: float, plus: float = 0.0) -> Array:
    return x * x.dtype.type(by) + x.dtype.type(plus)


def tanh(x: Array) -> Array:
    return np.tanh(x)


def sigmoid(x: Array) -> Array:
    """In the form that overflows nowhere."""
    return (0.5 * (1 + np.tanh(0.5 * x))).astype(x.dtype)


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def gelu(x: Array) -> Array:
    """x by the share of a normal distribution that lies below it, exactly (Hendrycks & Gimpel 2016)."""
    flat = x.reshape(-1)
    parts = [_gelu(flat[at : at + STRETCH]) for at in range(0, flat.size, STRETCH)]  # what is in between stays in cache
    return np.concatenate(parts).reshape(x.shape) if parts else x


def _gelu(x: Array) -> Array:
    z = np.abs(x) * x.dtype.type(math.sqrt(0.5))
    far = np.minimum(z, FAR)
    erfc = np.exp(-far * far) * chebyshev.chebval((2 * far - 3) / (far + 3), _scaled_erfc(x.dtype))
    return np.maximum(x, 0) - np.where(z < FAR, x.dtype.type(0.5) * np.abs(x) * erfc, 0)


@cache
def _scaled_erfc(dtype: np.dtype) -> Array:
    """erfc(z) exp(z^2) for z from 0 to FAR as a Chebyshev series in (2z - 3) / (z + 3), to the type's last digits:
    numpy has no erf."""
    u = chebyshev.chebpts1(17)
    series = chebyshev.chebfit(u, [math.erfc(z) * math.exp(z * z) for z in 3 * (1 + u) / (2 - u)], 16)
    return series[np.abs(series) > np.finfo(dtype).eps / 32].astype(dtype)


def exp(x: Array) -> Array:
    return np.exp(x)


def softmax(x: Array, *, axis: int = -1) -> Array:
    weights = np.exp(x - x.max(axis, keepdims=True))
    return weights / weights.sum(axis, keepdims=True)


def log_softmax(x: Array, *, axis: int = -1) -> Array:
    shifted = x - x.max(axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))


def concat(*parts: Array, axis: int = -1) -> Array:
    bounded((sum(part.size for part in parts),))
    return np.concatenate(parts, axis)


def piece(x: Array, *, start: int, stop: int | None, axis: int = -1) -> Array:
    """x[start:stop] along an axis; to its end where there is no stop."""
    return x[(*[slice(None)] * (axis % x.ndim), slice(start, stop))]


def transpose(x: Array, *, axes: list[int]) -> Array:
    return x.transpose(axes)


def pad(x: Array, *, front: int, back: int, axis: int) -> Array:
    """x with zeros before and after it along an axis."""
    widths = [(0, 0)] * x.ndim
    widths[axis] = (front, back)
    bounded(tuple(size + sum(each) for size, each in zip(x.shape, widths, strict=True)))
    return np.pad(x, widths)


def reshape(x: Array, *, shape: list[int]) -> Array:
    """The same numbers in another shape; -1 is the axis that follows from the others."""
    return x.reshape(shape)


def repeat(x: Array, *, count: int, axis: int = 0) -> Array:
    """Each part along an axis so many times, one after another."""
    bounded((x.size, count))
    return np.repeat(x, count, axis)


def squeeze(x: Array, *, axis: int) -> Array:
    """x without an axis of length 1."""
    return np.squeeze(x, axis)


def expand(x: Array, *, axis: int) -> Array:
    """x with a further axis of length 1."""
    return np.expand_dims(x, axis)


# -- attention ------------------------------------------------------------------------------------------------


def grouped(x: Array, like: Array) -> Array:
    """Rows (B * P, C) as (B, P, C), where B is the second axis of `like` (S, B, ...)."""
    return x.reshape(like.shape[1], -1, x.shape[-1])


def softmax_inside(scores: Array, lengths: Array) -> Array:
    """Softmax of scores (B, U, S), of which only the first `lengths` (B,) count; the others, and all of 0, become 0."""
    there = inside(lengths, scores.shape[-1]).T[:, None]
    return softmax(np.where(there, scores, np.finfo(scores.dtype).min)) * there


def attention(queries: Array, keys: Array, lengths: Array) -> Array:
    """Softmax weights (B, U, S) of queries (B, U, A) on keys (S, B, A), of which only the first `lengths` count."""
    return softmax_inside(queries @ keys.transpose(1, 2, 0), lengths)


def attended(weights: Array, values: Array) -> Array:
    """The values (S, B, M) by weights (B, U, S): (B, U, M)."""
    return weights @ values.transpose(1, 0, 2)


ALL = (
    *(gather, bag, linear, conv, conv2d, layer_norm, pool, time_softmax, weighed, time_since, shortened, add, sub),
    *(mul, div, maximum, scale, tanh, sigmoid, relu, gelu, exp, softmax, log_softmax, concat, piece, pad, reshape),
    *(repeat, transpose, squeeze, expand, grouped, softmax_inside, attention, attended),
)
OPS: dict[str, Callable[..., Array]] = {each.__name__: each for each in ALL}


def settings_of(op: str, inputs: int, given: Mapping[str, Any]) -> None:
    """Refuses an operation that is not there, too few or many inputs, and settings that it does not have."""
    if op not in OPS:
        raise FileFormatError(f"there is no operation {op!r:.40} in this gatework: update it, or the file is damaged")
    try:
        bound = inspect.signature(OPS[op]).bind(*[None] * inputs, **given)
    except TypeError as error:
        raise FileFormatError(f"the operation {op!r}: {error}") from None
    for name, value in bound.arguments.items():
        numbers = isinstance(value, list) and all(type(each) is int for each in value) and len(value) < 6
        if name in given and not (value is None or isinstance(value, int | float | str) or numbers):
            raise FileFormatError(f"the operation {op!r} has a setting {name} = {value!r:.40}")
