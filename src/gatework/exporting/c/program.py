"""A program in C: header and source around recurrent layers, or around whole networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import isfinite

from gatework.backends.c import mathlib, products
from gatework.backends.c.products import STORAGES
from gatework.backends.c.step import argument
from gatework.backends.c.words import identifier, number
from gatework.errors import GateworkError
from gatework.exporting.c.net import Printer, Shared, field_of
from gatework.exporting.c.overtime import OVER_TIME
from gatework.exporting.c.stack import Cells, Stack
from gatework.exporting.c.values import limit, most
from gatework.runtime.exported import Exported
from gatework.runtime.texts import codec

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
ROOM = "Nothing is allocated, and all that changes is in *s: every stream has one of its own."
HEADER = """/* {title}

{words} */
#ifndef @H
#define @H

#include <stddef.h>
#include <stdint.h>

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


@dataclass
class Parts:
    """What a program is made of beside its cells: lines of words and constants, types, declarations, functions; and
    which functions of the libraries they need."""

    title: str
    words: list[str]
    constants: dict[str, int | str]
    structs: list[str]
    declarations: list[str]
    functions: list[str]
    tables: list[str] = field(default_factory=list)
    needs: set[str] = field(default_factory=set)
    heights: set[int] = field(default_factory=set)  # of matrices of float32 that are not a cell's


def header(parts: Parts) -> str:
    """What a caller includes."""
    return HEADER.format(
        title=comment(parts.title),
        words="\n".join(f"   {line}" for line in parts.words),
        constants="\n".join(f"#define @{name} {value}" for name, value in parts.constants.items()),
        struct="\n\n".join(parts.structs),
        declarations="\n".join(parts.declarations),
    )


def source(parts: Parts, cells: Cells, name: str) -> str:
    """The implementation."""
    ops = parts.needs | {op for step in cells.steps for op in step.ops}
    heights = {h for step in cells.steps for h in step.heights}
    plain = parts.heights | (heights if cells.storage.name == "float32" else set())
    return joined(
        [
            f'#include "{name}.h"\n\n#include <math.h>\n#include <string.h>\n',
            ALIGNED if any("@ALIGNED" in text for text in cells.structs()) else "",
            NO_FAST_MATH,
            mathlib.functions(ops, OVER_TIME),
            products.functions(STORAGES["float32"], plain),
            "" if cells.storage.name == "float32" else products.functions(cells.storage, heights),
            *cells.structs(),
            *cells.constants(),
            *parts.tables,
            *cells.functions(),
            *parts.functions,
        ]
    )


def joined(parts: Iterable[str]) -> str:
    return "\n".join(part for part in parts if part)


def of_stack(stack: Stack, name: str) -> Parts:
    """Recurrent layers alone."""
    constants: dict[str, int | str] = {"INPUTS": stack.inputs, "OUTPUTS": stack.outputs}
    constants |= {"MOST_STEPS": stack.most_steps} if stack.both_ways else {}
    constants |= {f"INPUTS_{identifier(i.name).upper()}": width for i, width in stack.more if i.per != "call"}
    layers = " under ".join(x.graph.name for x in stack.layers)
    functions = list(stack.functions())
    return Parts(
        f"{name}: {layers}, written by gatework.",
        words(stack),
        constants,
        [stack.struct()],
        stack.declarations(),
        functions,
    )


def words(stack: Stack) -> list[str]:
    """How the functions of layers are called."""
    ways = [
        "@run reads a sequence of T steps in both directions: x[T * @INPUTS] to y[T * @OUTPUTS].",
        "It gives 0, or -1 if T is more than @MOST_STEPS. *s is room to work in; it need not be set.",
    ]
    one = [
        "@reset begins a stream; @step reads x[@INPUTS] and writes y[@OUTPUTS];",
        "@run does T steps, x[T * @INPUTS] to y[T * @OUTPUTS], and goes on from where the stream is.",
    ]
    more = [
        f"{argument(i)}: " + ("a number" if i.per == "call" else f"{width} numbers of each {i.per}")
        for i, width in stack.more
    ]
    return [*(ways if stack.both_ways else one), ROOM, *more]


def of_nets(model: Exported, printers: Sequence[Printer], shared: Shared, name: str) -> Parts:
    """Whole networks."""
    about = [f"{key}: {value}" for key, value in model.about.items() if isinstance(value, str | int | float)]
    listed = [*lists(model.settings), *vocabularies(model)]
    axes = dict.fromkeys(a for p in printers for a in p.axes)
    constants: dict[str, int | str] = {limit(a): most((a,), shared.bound) for a in axes}
    for p in printers:
        values = [*(p.values[n] for n in p.given), *(p.value(n) for n in p.net.outputs.values())]
        names = [*(f"in_{field_of(n)}" for n in p.given), *(f"out_{field_of(n)}" for n in p.net.outputs)]
        constants |= {f"SIZE_{n}": most(v.shape, 1) for n, v in zip(names, values, strict=True)}
    constants |= {f"COUNT_{path}": len(values) for path, values in listed}
    constants |= {
        f"model_{identifier(k)}": number(v) for k, v in model.settings.items() if type(v) is float and isfinite(v)
    }
    return Parts(
        f"{name}: a network that answers {model.kind}, written by gatework.",
        [*map(comment, about), *net_words(printers), ROOM],
        constants,
        [p.struct() for p in printers],
        [*(f"{head};" for p in printers for head in p.heads()), *(f"extern {_list(*each)};" for each in listed)],
        [text for p in printers for text in p.functions()],
        [*shared.texts, *(_list_text(*each) for each in listed)],
        shared.needs,
        shared.heights,
    )


def net_words(printers: Sequence[Printer]) -> Iterator[str]:
    """How the functions of nets are called: of those alone that the program has."""
    for p in printers:
        if p.keeps:
            yield f"{p.reset} begins a stream, {p.function} goes on with it by one step."
        else:
            axes = "".join(f", {axis} from 1 to @{limit(axis)}" for axis in p.axes)
            yield f"{p.function} reads a whole sequence{axes}; *s is room to work in, and need not be set."
    gives = " and ".join(p.function for p in printers) + (" give" if len(printers) > 1 else " gives")
    yield f"{gives} 0, or -1 for a length or an id out of range;"
    yield "then no state has changed. Inputs and outputs must not overlap."


def lists(settings: Mapping[str, object], path: str = "") -> Iterator[tuple[str, list]]:
    """Settings of a model that are lists of texts or of numbers, such as labels and scales, by their path."""
    for key, value in settings.items():
        name = f"{path}{identifier(key)}"
        if isinstance(value, Mapping):
            yield from lists(value, f"{name}_")
        elif isinstance(value, list) and value:
            texts = all(isinstance(v, str) for v in value)
            if texts or all(type(v) in (int, float) and isfinite(v) for v in value):
                yield name, value


def vocabularies(model: Exported) -> Iterator[tuple[str, list]]:
    """The units of text codecs, by id."""
    for name, text in model.texts.items():
        with suppress(GateworkError):  # a text of another kind
            if units := codec(text).vocabulary:
                yield identifier(name), units


def _list(path: str, values: list) -> str:
    kind = "char *const" if isinstance(values[0], str) else "float"
    return f"const {kind} @model_{path}[{len(values)}]"


def _list_text(path: str, values: list) -> str:
    texts = [quoted(v) if isinstance(v, str) else number(v) for v in values]
    lines = ",\n".join(f"    {text}" for text in texts)
    return f"{_list(path, values)} = {{\n{lines}\n}};\n"


def quoted(text: str) -> str:
    """A C string of the UTF-8 of a text; what is not a plain letter is written as three octal digits."""
    plain = (chr(b) if 32 <= b < 127 and chr(b) not in '"\\\\?@' else f"\\{b:03o}" for b in text.encode())
    return '"' + "".join(plain) + '"'


def comment(text: str) -> str:
    """A text that neither ends a comment nor begins one, nor goes on in the next line."""
    return "".join(c if c.isprintable() and c.isascii() and c not in "@*\\" else "_" for c in text)
