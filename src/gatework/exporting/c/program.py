"""A program in C: header and source around a stack."""

from __future__ import annotations

from collections.abc import Iterable

from gatework.backends.c import mathlib, products
from gatework.exporting.c.stack import Stack

ALIGNED = """#if defined(__GNUC__)
#define @ALIGNED __attribute__((aligned(64)))
#else
#define @ALIGNED
#endif
"""
NO_FAST_MATH = """#if defined(__FAST_MATH__)
#error "compile without -ffast-math: it may reorder what the exponential function is made of, and loses NaN"
#endif
"""
HEADER = """/* {title}

{words} */
#ifndef @H
#define @H

#include <stddef.h>

{constants}

#ifdef __cplusplus
extern "C" {{
#endif

{struct}

{declarations}

#ifdef __cplusplus
}}
#endif

#endif
"""


def header(stack: Stack, name: str) -> str:
    """What a caller includes."""
    title = f"{name}: {' under '.join(x.graph.name for x in stack.layers)}, written by gatework."
    constants = {"INPUTS": stack.inputs, "OUTPUTS": stack.outputs}
    if stack.both_ways:
        constants["MOST_STEPS"] = stack.most_steps
    constants |= {f"INPUTS_{i.name.upper()}": width for i, width in stack.more if i.per != "call"}
    lines = "\n".join(f"#define @{name} {value}" for name, value in constants.items())
    return HEADER.format(
        title=title, words=words(stack), constants=lines, struct=stack.struct(), declarations=stack.declarations()
    )


def words(stack: Stack) -> str:
    """How the functions are called."""
    more = [
        f"in_{i.name}: " + ("a number" if i.per == "call" else f"{width} numbers of each {i.per}")
        for i, width in stack.more
    ]
    if stack.both_ways:
        text = [
            "@run reads a sequence of T steps in both directions: x[T * @INPUTS] to y[T * @OUTPUTS].",
            "It gives 0, or -1 if T is more than @MOST_STEPS. *s is room to work in; it need not be set.",
        ]
    else:
        text = [
            "@reset begins a stream; @step reads x[@INPUTS] and writes y[@OUTPUTS];",
            "@run does T steps, x[T * @INPUTS] to y[T * @OUTPUTS], and goes on from where the stream is.",
        ]
    return "\n".join(
        f"   {line}"
        for line in [
            *text,
            "Nothing is allocated, and all that changes is in *s: every stream has one of its own.",
            *more,
        ]
    )


def source(stack: Stack, name: str) -> str:
    """The implementation."""
    cells = stack.cells
    ops = {op for step in cells.steps for op in step.ops}
    heights = {h for step in cells.steps for h in step.heights}
    return joined(
        [
            f'#include "{name}.h"\n\n#include <math.h>\n#include <stdint.h>\n#include <string.h>\n',
            ALIGNED if any("@ALIGNED" in text for text in cells.structs()) else "",
            NO_FAST_MATH,
            mathlib.functions(
                ops | {n.op for step in cells.steps for n in step.graph.nodes if n.op in mathlib.REDUCTIONS}
            ),
            products.functions(cells.storage, heights),
            *cells.structs(),
            *cells.constants(),
            *cells.functions(),
            *stack.functions(),
        ]
    )


def joined(parts: Iterable[str]) -> str:
    return "\n".join(part for part in parts if part)
