"""What each operation of a net is in ONNX: a writer, the names of what it reads and its settings, to the name it gives.

The meaning is that of `gatework.runtime.net.ops`, whose names these are.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gatework.exporting.onnx.writer import Writer

LEAST, END = float("-inf"), (1 << 63) - 1


def there(w: Writer, lengths: str, steps: str) -> str:
    """(T, B) truth values: whether a step lies in its sequence. `steps` (1,) says how many there are."""
    return w.op("Less", expand(w, counted(w, steps), axis=1), expand(w, lengths, axis=0))


def counted(w: Writer, steps: str) -> str:
    """0, 1, ... as many as `steps` (1,) says."""
    return w.op("Range", w.constant(np.array(0)), squeeze(w, steps, axis=0), w.constant(np.array(1)))


def total(w: Writer, x: str, axis: int, keep: bool = False) -> str:
    return w.op("ReduceSum", x, w.integers([axis]), keepdims=int(keep))


# --- vectors and maps -------------------------------------------------------------------------------------------------


def gather(w: Writer, table: str, ids: str) -> str:
    return w.op("Gather", table, ids, axis=0)


def bag(w: Writer, table: str, ids: str, counts: str, kind: str = "mean") -> str:
    there_are = expand(w, counts, axis=-1)
    inside = w.floats(w.op("Less", counted(w, w.op("Shape", ids, start=-1)), there_are))
    found = total(w, w.op("Mul", gather(w, table, ids), expand(w, inside, axis=-1)), -2)
    return found if kind == "sum" else w.op("Div", found, w.floats(w.op("Max", there_are, w.integers([1]))))


def linear(w: Writer, x: str, weight: str, bias: str = "") -> str:
    made = w.op("MatMul", x, w.transpose(weight, [1, 0]))
    return w.op("Add", made, bias) if bias else made


def conv(w: Writer, x: str, weight: str, bias: str, lengths: str) -> str:
    inside = expand(w, there(w, lengths, w.length(x, 0)), axis=-1)
    x = w.transpose(w.op("Where", inside, x, w.scalar(0.0)), [1, 2, 0])
    return w.transpose(w.op("Conv", x, weight, bias, auto_pad="SAME_UPPER"), [2, 0, 1])


def conv2d(
    w: Writer, x: str, weight: str, bias: str, lengths: str = "", *, strides: list[int], before: list[int]
) -> str:
    if lengths:
        inside = expand(w, expand(w, there(w, lengths, w.length(x, 0)), axis=-1), axis=-1)
        x = w.op("Where", inside, x, w.scalar(0.0))
    x = w.transpose(x, [1, 3, 0, 2])
    behind = [size - 1 - front for size, front in zip(w.sizes(weight)[2:], before, strict=True)]
    return w.transpose(w.op("Conv", x, weight, bias, strides=strides, pads=[*before, *behind]), [2, 0, 3, 1])


def layer_norm(w: Writer, x: str, weight: str, bias: str, epsilon: float) -> str:
    return w.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=epsilon)


# --- over time --------------------------------------------------------------------------------------------------------


def pool(w: Writer, x: str, lengths: str, kind: str) -> str:
    inside = expand(w, there(w, lengths, w.length(x, 0)), axis=-1)
    if kind == "max":
        return w.op("ReduceMax", w.op("Where", inside, x, w.scalar(LEAST)), w.integers([0]), keepdims=0)
    counts = w.floats(expand(w, lengths, axis=-1))
    return w.op("Div", total(w, w.op("Where", inside, x, w.scalar(0.0)), 0), counts)


def time_softmax(w: Writer, scores: str, lengths: str) -> str:
    inside = there(w, lengths, w.length(scores, 0))
    return w.op("Softmax", w.op("Where", inside, scores, w.scalar(LEAST)), axis=0)


def weighed(w: Writer, x: str, weights: str) -> str:
    return total(w, w.op("Mul", x, expand(w, weights, axis=-1)), 0)


def time_since(w: Writer, mask: str) -> str:
    """gap(t + 1) = 1 + (1 - mask(t)) gap(t), from 0 on."""
    inner = w.inside()
    gap, seen = inner.input(w.new("gap"), None), inner.input(w.new("seen"), None)
    one = inner.scalar(1.0)
    inner.output(inner.op("Add", one, inner.op("Mul", inner.op("Sub", one, seen), gap)))
    inner.output(gap)
    start = w.op("Expand", w.scalar(0.0), w.op("Shape", mask, start=1))
    return w.ops("Scan", [start, mask], 2, w.new("gaps"), body=inner.graph("gap"), num_scan_inputs=1)[1]


def shortened(w: Writer, lengths: str, stride: int) -> str:
    return w.op("Div", w.op("Add", lengths, w.integers([stride - 1])), w.integers([stride]))


# --- elements and shapes ----------------------------------------------------------------------------------------------


def scale(w: Writer, x: str, by: float, plus: float = 0.0) -> str:
    factor, shift = (w.op("CastLike", w.scalar(value), x) for value in (by, plus))  # x may be whole numbers
    return w.op("Add", w.op("Mul", x, factor), shift)


def relu(w: Writer, x: str) -> str:
    return w.op("Max", x, w.scalar(0.0))


def gelu(w: Writer, x: str) -> str:
    share = w.op("Add", w.op("Erf", w.op("Mul", x, w.scalar(math.sqrt(0.5)))), w.scalar(1.0))
    return w.op("Mul", w.op("Mul", x, w.scalar(0.5)), share)


def softmax(w: Writer, x: str, axis: int = -1) -> str:
    return w.op("Softmax", x, axis=axis)


def log_softmax(w: Writer, x: str, axis: int = -1) -> str:
    return w.op("LogSoftmax", x, axis=axis)


def concat(w: Writer, *parts: str, axis: int = -1) -> str:
    return w.join(parts, axis)


def piece(w: Writer, x: str, start: int, stop: int | None, axis: int = -1) -> str:
    return w.op("Slice", x, *(w.integers([n]) for n in (start, END if stop is None else stop, axis)))


def pad(w: Writer, x: str, front: int, back: int, axis: int) -> str:
    return w.op("Pad", x, w.integers([front, back]), w.scalar(0.0), w.integers([axis]))


def reshape(w: Writer, x: str, shape: list[int]) -> str:
    return w.op("Reshape", x, w.integers(shape))


def repeat(w: Writer, x: str, count: int, axis: int = 0) -> str:
    times = w.integers([count])
    places = counted(w, w.op("Mul", w.length(x, axis), times))
    return w.op("Gather", x, w.op("Div", places, times), axis=axis)


def transpose(w: Writer, x: str, axes: list[int]) -> str:
    return w.transpose(x, axes)


def squeeze(w: Writer, x: str, axis: int) -> str:
    return w.op("Squeeze", x, w.integers([axis]))


def expand(w: Writer, x: str, axis: int) -> str:
    return w.op("Unsqueeze", x, w.integers([axis]))


# --- attention --------------------------------------------------------------------------------------------------------


def grouped(w: Writer, x: str, like: str) -> str:
    shape = w.join([w.length(like, 1), w.integers([-1]), w.length(x, -1)], 0)
    return w.op("Reshape", x, shape)


def softmax_inside(w: Writer, scores: str, lengths: str) -> str:
    inside = expand(w, w.transpose(there(w, lengths, w.length(scores, -1)), [1, 0]), axis=1)
    weights = w.op("Softmax", w.op("Where", inside, scores, w.scalar(LEAST)), axis=-1)
    return w.op("Where", inside, weights, w.scalar(0.0))


def attention(w: Writer, queries: str, keys: str, lengths: str) -> str:
    return softmax_inside(w, w.op("MatMul", queries, w.transpose(keys, [1, 2, 0])), lengths)


def attended(w: Writer, weights: str, values: str) -> str:
    return w.op("MatMul", weights, w.transpose(values, [1, 0, 2]))


_ALL = (
    *(gather, bag, linear, conv, conv2d, layer_norm, pool, time_softmax, weighed, time_since, shortened, scale, relu),
    *(gelu, softmax, log_softmax, concat, piece, pad, reshape, repeat, transpose, squeeze, expand, grouped),
    *(softmax_inside, attention, attended),
)
OPERATIONS: dict[str, Callable[..., str]] = {each.__name__: each for each in _ALL}
