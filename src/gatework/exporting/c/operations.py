"""Each operation of a net as C: `PRINTERS[op](printer, node, *values)` adds lines and gives the value that they make.

What they mean is in `runtime.net.ops`. One that has no printer is refused with its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gatework.backends.c.words import number
from gatework.errors import OptionError
from gatework.exporting.c.values import Value, count, most
from gatework.runtime.net.graph import Node, Shape

if TYPE_CHECKING:
    from gatework.exporting.c.net import Printer

Print = Callable[..., Value]


# -- vectors and maps -----------------------------------------------------------------------------------------


def gather(p: Printer, node: Node, table: Value, ids: Value) -> Value:
    rows, width = table.length(0), int(table.shape[-1])
    y = p.new((*ids.shape, width), node)
    p.check_ids(ids, rows)
    p.each(
        ids.shape, f"memcpy({y.at} + i * {width}, {table.at} + (size_t){ids.at}[i] * {width}, {width} * sizeof(float));"
    )
    return y


def bag(p: Printer, node: Node, table: Value, ids: Value, counts: Value) -> Value:
    rows, width = (int(n) for n in table.shape)
    y, pieces = p.new((*counts.shape, width), node), count(ids.shape[-1:])
    p.check_ids(ids, rows)
    p.add(f"for (size_t i = 0; i < {count(counts.shape)}; i++)")
    p.add(f"    if ({counts.at}[i] < 0 || (size_t){counts.at}[i] > {pieces}) return -1;")
    inner = [
        f"for (size_t u = 0; u < {width}; u++) {y.at}[i * {width} + u] = 0.0f;",
        f"for (int32_t k = 0; k < {counts.at}[i]; k++)",
        f"    for (size_t u = 0; u < {width}; u++)",
        f"        {y.at}[i * {width} + u] += {table.at}[{ids.at}[i * {pieces} + (size_t)k] * {width} + (int32_t)u];",
    ]
    if node.settings.get("kind", "mean") == "mean":
        inner.append(f"for (size_t u = 0; {counts.at}[i] > 1 && u < {width}; u++)")
        inner.append(f"    {y.at}[i * {width} + u] /= (float){counts.at}[i];")
    p.each(counts.shape, *inner)
    return y


def linear(p: Printer, node: Node, x: Value, weight: Value, bias: Value | None = None) -> Value:
    out, into = (int(n) for n in weight.shape)
    y = p.new((*x.shape[:-1], out), node)
    if not into:  # of nothing, the bias is left
        p.each(x.shape[:-1], *_begun(y, out, bias))
        return y
    table = p.shared.panels(held(p, node))
    p.each(
        x.shape[:-1],
        *_begun(y, out, bias),
        f"@multiply({table}, {x.at} + i * {into}, {y.at} + i * {out}, {into}, {out});",
    )
    p.multiply_adds(x.shape[:-1], out * into)
    return y


def _begun(y: Value, out: int, bias: Value | None) -> list[str]:
    if bias is None:
        return [f"for (size_t u = 0; u < {out}; u++) {y.at}[i * {out} + u] = 0.0f;"]
    return [f"memcpy({y.at} + i * {out}, {bias.at}, {out} * sizeof(float));"]


def held(p: Printer, node: Node) -> str:
    """The array of a node's weights, of which a table of panels is made."""
    name = node.inputs[1]
    if not name.startswith("@"):
        raise OptionError(f"the net {p.name!r} multiplies with a matrix that it computes, which has no form in C")
    return name[1:]


def conv(p: Printer, node: Node, x: Value, weight: Value, bias: Value, lengths: Value) -> Value:
    out, into, width = (int(n) for n in weight.shape)
    y, steps, rows = p.new((*x.shape[:-1], out), node), x.shape[0], count(x.shape[1:-1])
    target = f"{y.at} + (i * {rows} + r) * {out}"
    lines = [f"memcpy({target}, {bias.at}, {out} * sizeof(float));"]
    for k in range(width):
        at = f"i + {k} - {width // 2}"  # read only where it is not below 0
        source = f"{x.at} + (({at}) * {rows} + r) * {into}"
        multiply = f"@multiply({p.shared.panels(held(p, node), k)}, {source}, {target}, {into}, {out});"
        lines.append(f"if (i + {k} >= {width // 2} && {at} < {p.length_of(lengths, steps)})")
        lines.append(f"    {multiply}")
    p.check_lengths(lengths, steps)
    p.add(f"for (size_t r = 0; r < {rows}; r++)")
    p.add(f"    for (size_t i = 0; i < {steps}; i++) {{", *(f"        {line}" for line in lines), "    }")
    p.multiply_adds(x.shape[:-1], out * into * width)
    return y


def conv2d(p: Printer, node: Node, x: Value, weight: Value, bias: Value, lengths: Value | None = None) -> Value:
    if lengths is not None:
        p.one_row(lengths)
    out, into, tall, wide = (int(n) for n in weight.shape)
    (s, r), (above, left) = node.settings["strides"], node.settings["before"]
    steps, across = x.shape[0], int(x.shape[2])
    y = p.new((_part(steps, s), *x.shape[1:2], -(-across // r), out), node)
    table, size = p.shared.taps(held(p, node))
    places = [
        f"float *to = {y.at} + (i * {y.shape[2]} + j) * {out};",
        f"memcpy(to, {bias.at}, {out} * sizeof(float));",
        f"for (size_t k = 0; k < {tall}; k++)",
        f"    for (size_t l = 0; l < {wide}; l++) {{",
        f"        const size_t t = i * {s} + k - {above}, a = j * {r} + l - {left};",  # below 0 they are very large
        f"        if (t >= {steps} || a >= {across}) continue;",
        f"        const float *from = {x.at} + (t * {across} + a) * {into};",
        f"        @multiply({table} + (k * {wide} + l) * {size}, from, to, {into}, {out});",
        "    }",
    ]
    p.add(f"for (size_t i = 0; i < {y.shape[0]}; i++)")
    p.add(f"    for (size_t j = 0; j < {y.shape[2]}; j++) {{", *(f"        {line}" for line in places), "    }")
    p.multiply_adds(y.shape[:-1], out * into * tall * wide)
    return y


def _part(steps: int | str, stride: int) -> int | str:
    """Steps of which so many have become one, rounded up."""
    if isinstance(steps, int):
        return -(-steps // stride)
    return steps if stride == 1 else f"(({steps} + {stride - 1}) / {stride})"


def shortened(p: Printer, node: Node, lengths: Value) -> Value:
    p.one_row(lengths)  # in a program it is that of the arrays
    return lengths


def layer_norm(p: Printer, node: Node, x: Value, weight: Value, bias: Value) -> Value:
    y, width = p.new(x.shape, node), x.shape[-1]
    p.needs |= {"sum", "var"}
    p.each(
        x.shape[:-1],
        f"const float *from = {x.at} + i * {width};",
        f"const float mean = @sum(from, {width}) / {width}.0f;",
        f"const float deviation = sqrtf(@var(from, {width}) + {number(node.settings['epsilon'])});",
        f"for (size_t u = 0; u < {width}; u++)",
        f"    {y.at}[i * {width} + u] = (from[u] - mean) / deviation * {weight.at}[u] + {bias.at}[u];",
    )
    return y


# -- over time ------------------------------------------------------------------------------------------------


def pool(p: Printer, node: Node, x: Value, lengths: Value) -> Value:
    y, rows, width = p.new(x.shape[1:], node), count(x.shape[1:-1]), x.shape[-1]
    p.check_lengths(lengths, x.shape[0])
    p.add(f"for (size_t r = 0; r < {rows}; r++)")
    ends = [f"{v.at} + r * {width}" for v in (x, y)]
    sizes = [p.length_of(lengths, x.shape[0]), str(width), f"{rows} * {width}"]
    p.call(f"pool_{node.settings['kind']}", *ends, *sizes, indent=1)
    return y


def time_softmax(p: Printer, node: Node, scores: Value, lengths: Value) -> Value:
    p.one_row(lengths)
    y = p.new(scores.shape, node)
    p.call("softmax", scores.at, y.at, str(scores.shape[0]), "1")
    return y


def weighed(p: Printer, node: Node, x: Value, weights: Value) -> Value:
    y = p.new(x.shape[1:], node)
    p.call("weighed", x.at, weights.at, y.at, str(x.shape[0]), count(x.shape[1:]))
    return y


def time_since(p: Printer, node: Node, mask: Value) -> Value:
    y = p.new(mask.shape, node)
    p.call("time_since", mask.at, y.at, str(mask.shape[0]), count(mask.shape[1:]))
    return y


def grouped(p: Printer, node: Node, x: Value, like: Value) -> Value:
    return p.alias(x, ("B", x.length(0), *x.shape[1:]), node)


def softmax_inside(p: Printer, node: Node, scores: Value, lengths: Value) -> Value:
    p.one_row(lengths)
    return shares("softmax")(p, node, scores)


def attention(p: Printer, node: Node, queries: Value, keys: Value, lengths: Value) -> Value:
    p.one_row(lengths)
    y = p.new((*queries.shape[:2], keys.shape[0]), node)
    p.call("attention", queries.at, keys.at, y.at, *map(str, (queries.length(1), keys.length(0), queries.length(2))))
    return y


def attended(p: Printer, node: Node, weights: Value, values: Value) -> Value:
    y = p.new((*weights.shape[:2], values.shape[2]), node)
    steps, width = weights.length(2), count(values.shape[2:])
    p.add(f"for (size_t q = 0; q < {weights.length(1)}; q++)")
    p.call("weighed", values.at, f"{weights.at} + q * {steps}", f"{y.at} + q * {width}", str(steps), width, indent=1)
    return y


# -- elements and shapes --------------------------------------------------------------------------------------


def unary(expression: str, *needs: str) -> Print:
    def printed(p: Printer, node: Node, x: Value) -> Value:
        y = p.new(x.shape, node)
        p.needs |= set(needs)
        p.each(x.shape, f"{y.at}[i] = {expression.format(f'{x.at}[i]')};")
        return y

    return printed


def scale(p: Printer, node: Node, x: Value) -> Value:
    if not x.at:  # lengths, which in a program are those of the arrays
        return Value("", x.shape)
    by, plus = number(node.settings["by"]), number(node.settings.get("plus", 0.0))
    return unary(f"{{0}} * {by} + {plus}")(p, node, x)


def binary(expression: str, *needs: str) -> Print:
    def printed(p: Printer, node: Node, a: Value, b: Value) -> Value:
        shape = together(a.shape, b.shape)
        y = p.new(shape, node)
        p.needs |= set(needs)
        depth = p.nest(shape)
        left, right = (f"{v.at}[{_index(v.shape, shape)}]" for v in (a, b))
        p.add("    " * depth + f"{y.at}[{_index(shape, shape)}] = {expression.format(left, right)};")
        return y

    return printed


def together(a: Shape, b: Shape) -> Shape:
    """The shape to which two spread, as numpy spreads them."""
    size = max(len(a), len(b))
    wide = [(1,) * (size - len(s)) + tuple(s) for s in (a, b)]
    found = []
    for m, n in zip(*wide, strict=True):
        if m != n and not {m, n} & {1, "B"}:
            raise OptionError(f"a net adds values of the shapes {a} and {b}, which has no form in C")
        found.append(n if m in (1, "B") and n != 1 else m)
    return tuple(found)


def _index(shape: Shape, over: Shape) -> str:
    """The place of an element in an array that is spread over the axes i0, i1, ... of a larger one."""
    terms, shape = [], (1,) * (len(over) - len(shape)) + tuple(shape)
    for axis, length in enumerate(shape):
        if length in (1, "B"):
            continue
        inside = count(shape[axis + 1 :])
        terms.append(f"i{axis}" if inside == "1" else f"i{axis} * {inside}")
    return " + ".join(terms) or "0"


def shares(name: str) -> Print:
    def printed(p: Printer, node: Node, x: Value) -> Value:
        y, axis = p.new(x.shape, node), int(node.settings.get("axis", -1))
        (before, after), length = x.around(axis), x.length(axis)
        p.add(f"for (size_t o = 0; o < {before}; o++)", f"    for (size_t u = 0; u < {after}; u++)")
        at = f"o * {length} * {after} + u"
        p.call(name, f"{x.at} + {at}", f"{y.at} + {at}", str(length), after, indent=2)
        return y

    return printed


def concat(p: Printer, node: Node, *parts: Value) -> Value:
    axis = int(node.settings.get("axis", -1)) % len(parts[0].shape)
    lengths = [part.length(axis) for part in parts]
    p.must_know("joins values along", *lengths)
    total, offset = sum(int(n) for n in lengths), 0
    y = p.new((*parts[0].shape[:axis], total, *parts[0].shape[axis + 1 :]), node)
    for part, length in zip(parts, lengths, strict=True):
        before, after = part.around(axis)
        source = f"{part.at} + o * {length} * {after}"
        p.copies(before, f"{y.at} + (o * {total} + {offset}) * {after}", source, f"{length} * {after}")
        offset += int(length)
    return y


def piece(p: Printer, node: Node, x: Value) -> Value:
    axis = int(node.settings.get("axis", -1)) % len(x.shape)
    whole, (before, after) = x.length(axis), x.around(axis)
    first, end = node.settings["start"], node.settings["stop"]
    if (first, end) == (-1, None):  # the last of any number
        start, length = f"({whole} - 1)", 1
    else:
        p.must_know("takes a piece of", whole)
        start, stop, _ = slice(first, end).indices(int(whole))
        length = stop - start
    y = p.new((*x.shape[:axis], length, *x.shape[axis + 1 :]), node)
    source = f"{x.at} + (o * {whole} + {start}) * {after}"
    p.copies(before, f"{y.at} + o * {length} * {after}", source, f"{length} * {after}")
    return y


def pad(p: Printer, node: Node, x: Value) -> Value:
    axis = int(node.settings["axis"]) % len(x.shape)
    whole, (before, after) = x.length(axis), x.around(axis)
    p.must_know("pads", whole)
    front, total = int(node.settings["front"]), int(whole) + int(node.settings["front"]) + int(node.settings["back"])
    y = p.new((*x.shape[:axis], total, *x.shape[axis + 1 :]), node)
    p.each(y.shape, f"{y.at}[i] = 0.0f;")
    p.copies(
        before, f"{y.at} + (o * {total} + {front}) * {after}", f"{x.at} + o * {whole} * {after}", f"{whole} * {after}"
    )
    return y


def repeat(p: Printer, node: Node, x: Value) -> Value:
    axis, times = int(node.settings.get("axis", 0)) % len(x.shape), int(node.settings["count"])
    whole, after = x.length(axis), count(x.shape[axis + 1 :])
    p.must_know("repeats", whole)
    y = p.new((*x.shape[:axis], int(whole) * times, *x.shape[axis + 1 :]), node)
    rows = count(x.shape[: axis + 1])
    p.copies(f"{rows} * {times}", f"{y.at} + o * {after}", f"{x.at} + o / {times} * {after}", after)
    return y


def reshape(p: Printer, node: Node, x: Value) -> Value:
    shape = [int(n) for n in node.settings["shape"]]
    p.must_know("gives another shape to", *(x.length(k) for k in range(len(x.shape))))
    others = most([n for n in shape if n != -1], 1)
    return p.alias(x, tuple(most(x.shape, 1) // others if n == -1 else n for n in shape), node)


def transpose(p: Printer, node: Node, x: Value) -> Value:
    axes = [int(a) for a in node.settings["axes"]]
    shape = tuple(x.shape[a] for a in axes)
    moving = [a for a in axes if x.shape[a] not in ("B", 1)]
    if moving == sorted(moving):
        return p.alias(x, shape, node)
    y = p.new(shape, node)
    depth = p.nest(shape)
    places = {a: k for k, a in enumerate(axes)}
    terms = [f"i{places[a]} * {count(x.shape[a + 1 :])}" for a in range(len(axes)) if x.shape[a] not in ("B", 1)]
    p.add("    " * depth + f"{y.at}[{_index(shape, shape)}] = {x.at}[{' + '.join(terms)}];")
    return y


def squeeze(p: Printer, node: Node, x: Value) -> Value:
    axis = int(node.settings["axis"]) % len(x.shape)
    return p.alias(x, x.shape[:axis] + x.shape[axis + 1 :], node)


def expand(p: Printer, node: Node, x: Value) -> Value:
    axis = int(node.settings["axis"]) % (len(x.shape) + 1)
    return p.alias(x, (*x.shape[:axis], 1, *x.shape[axis:]), node)


ALL: Iterable[Print] = (
    *(gather, bag, linear, conv, conv2d, layer_norm, pool, time_softmax, weighed, time_since, shortened, grouped),
    *(softmax_inside, attention, attended, scale, concat, piece, pad, repeat, reshape, transpose, squeeze, expand),
)
PRINTERS: dict[str, Print] = {
    **{each.__name__: each for each in ALL},
    "add": binary("{0} + {1}"),
    "sub": binary("{0} - {1}"),
    "mul": binary("{0} * {1}"),
    "div": binary("{0} / {1}"),
    "maximum": binary("@maximum({0}, {1})", "maximum"),
    "tanh": unary("@tanh({0})", "tanh"),
    "sigmoid": unary("@sigmoid({0})", "sigmoid"),
    "relu": unary("@maximum({0}, 0.0f)", "maximum"),
    "gelu": unary("@maximum({0}, 0.0f) - 0.5f * fabsf({0}) * erfcf(fabsf({0}) * 0.70710678f)", "maximum"),
    "exp": unary("@exp({0})", "exp"),
    "softmax": shares("softmax"),
    "log_softmax": shares("log_softmax"),
}
