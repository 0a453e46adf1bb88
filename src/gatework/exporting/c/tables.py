"""Arrays of numbers as C text: floats by their bits, in hexadecimal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from gatework.backends.c.words import hexadecimal, number

WIDTH = 116


def initialiser(values: np.ndarray, ctype: str, indent: str = "") -> str:
    """`{ 0x1p+0f, ... }` on lines of a fair length."""
    flat = np.asarray(values).reshape(-1).tolist()
    texts = map(_WRITERS.get(ctype, str), flat)
    return "\n".join([f"{indent}{{", *_lines(texts, indent + "    "), f"{indent}}}"])


def array(name: str, values: np.ndarray, ctype: str = "float") -> str:
    """A constant array of its own.

    >>> print(array("a", np.array([0.5, -2.0])))
    static const float a[] =
    {
        0x1p-1f, -0x1p+1f
    };
    """
    return f"static const {ctype} {name}[] =\n{initialiser(values, ctype)};"


def _lines(texts: Iterable[str], indent: str) -> Iterator[str]:
    line = indent
    for text in texts:
        if len(line) + len(text) + 2 > WIDTH and line != indent:
            yield line.rstrip()
            line = indent
        line += f"{text}, "
    yield line.rstrip(", ")


def _double(value: float) -> str:
    """A golden number: it may be infinite, not NaN."""
    return hexadecimal(value) if abs(value) < np.inf else "INFINITY" if value > 0 else "-INFINITY"


_WRITERS = {"float": number, "double": _double, "int8_t": str, "uint16_t": hex, "int32_t": str}
