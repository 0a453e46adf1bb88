"""Products of matrices with vectors: how weights lie in tables, and the functions that read them.

The rows of a matrix are cut into panels of 64, 32, 8 and single rows, whatever fits first. In a panel the weights of a
column stand side by side, so a compiler keeps the sums of a panel in vector registers and reads the table once, in its
order, for any instruction set. A sum is one chain of multiply-adds in ascending order.

A table holds float32, bfloat16 (the upper half of a float32) or int8 with a scale for each row; sums are float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

PANELS = (64, 32, 8, 1)


@dataclass(frozen=True)
class Storage:
    """A type of weights: how C calls it, and how it reads one."""

    name: str
    ctype: str
    read: str
    scaled: bool = False

    @property
    def multiply(self) -> str:
        """The function that multiplies with tables of this type."""
        return "@multiply" + ("" if self.name == "float32" else f"_{self.name}")

    def panel(self, height: int) -> str:
        return self.multiply.replace("multiply", f"panel{height}")


STORAGES = {
    s.name: s
    for s in (
        Storage("float32", "float", "w[j]"),
        Storage("bf16", "uint16_t", "@wide(w[j])"),
        Storage("int8", "int8_t", "(float)w[j]", scaled=True),
    )
}
WIDE = """/* A bfloat16 is the upper half of a float. */
typedef union { uint32_t bits; float number; } @half;
static inline float @wide(uint16_t upper)
{
    @half whole;
    whole.bits = (uint32_t)upper << 16;
    return whole.number;
}
"""


class Narrow(Protocol):
    """Weights in few bytes: (rows, columns) or (heads, rows, columns), and where they are int8 a scale for each row."""

    values: np.ndarray
    scales: np.ndarray | None


def cuts(rows: int) -> Iterator[tuple[int, int]]:
    """First row and height of each panel of a matrix.

    >>> list(cuts(105))
    [(0, 64), (64, 32), (96, 8), (104, 1)]
    """
    first = 0
    for height in PANELS:
        while rows - first >= height:
            yield first, height
            first += height


def laid_out(matrix: np.ndarray) -> np.ndarray:
    """A matrix (rows, columns), or blocks (heads, rows, columns), in the order of its table: one dimension."""
    blocks = matrix if matrix.ndim == 3 else matrix[None]
    parts = [block[first : first + n].T for block in blocks for first, n in cuts(block.shape[0])]
    return np.concatenate([part.reshape(-1) for part in parts])


def functions(storage: Storage, rows: Iterable[int]) -> str:
    """`@multiply(w, [scale,] x, y, in, out)`: y += W x, for matrices of these numbers of rows; `@multiply_int8` and
    `@multiply_bf16` for tables of those types."""
    heights = sorted({n for count in rows for _, n in cuts(count)}, reverse=True)
    if not heights:
        return ""
    parts = [WIDE] if storage.name == "bf16" else []
    return "\n".join([*parts, *(_panel(storage, n) for n in heights), _multiply(storage, heights)])


def _panel(storage: Storage, height: int) -> str:
    begin, end = ("0.0f", "y[j] += scale[j] * sums[j]") if storage.scaled else ("y[j]", "y[j] = sums[j]")
    return f"""static void {storage.panel(height)}({_parameters(storage)}, size_t in)
{{
    float sums[{height}];
    for (size_t j = 0; j < {height}; j++) sums[j] = {begin};
    for (size_t k = 0; k < in; k++, w += {height})
        for (size_t j = 0; j < {height}; j++) sums[j] += {storage.read} * x[k];
    for (size_t j = 0; j < {height}; j++) {end};
}}
"""


def _multiply(storage: Storage, heights: list[int]) -> str:
    scale, forward = (", scale", ", scale += {0}") if storage.scaled else ("", "")
    loops = [
        f"    for (; out >= {n}; out -= {n}, w += {n} * in, y += {n}{forward.format(n)})\n"
        f"        {storage.panel(n)}(w{scale}, x, y, in);"
        for n in heights
    ]
    text = "\n".join(loops)
    return f"""/* y += W x for a table W of `out` rows in panels, and `in` columns. */
static void {storage.multiply}({_parameters(storage)}, size_t in, size_t out)
{{
{text}
}}
"""


def _parameters(storage: Storage) -> str:
    scale = ", const float *restrict scale" if storage.scaled else ""
    return f"const {storage.ctype} *restrict w{scale}, const float *restrict x, float *restrict y"
