"""A stack of recurrent layers as C: the struct of its states, and the functions that reset it and run it.

    void NAME_reset(NAME_state *s);
    void NAME_step(NAME_state *s, const float *x, float *y);                /* x[NAME_INPUTS], y[NAME_OUTPUTS] */
    void NAME_run(NAME_state *s, const float *x, size_t T, float *y);       /* x[T * NAME_INPUTS], ...         */

A stack with a layer that runs both ways has no steps: `int NAME_run(NAME_scratch *s, x, T, y)` reads whole sequences of
up to NAME_MOST_STEPS and gives 0, or -1 for a longer one. Further inputs of the cells stand after x, in the order of
the cells' equations: arrays of each step, of the sequence, and numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gatework.backends.c.products import Storage
from gatework.backends.c.step import Step, argument
from gatework.backends.c.words import identifier, number
from gatework.compiler.ir import Input, State
from gatework.compiler.params import size
from gatework.errors import OptionError
from gatework.exporting.c.tables import initialiser
from gatework.runtime.quantised import dense
from gatework.runtime.saved import Layer


def ready(layers: Sequence[Layer], weights: str) -> list[Layer]:
    """The layers in float32, with matrices of this kind. Raises OptionError for numbers that are not finite, and for
    layers whose matrices are bf16 and would be int8, or the reverse."""
    found = []
    for k, layer in enumerate(layers):
        ways = [dense(way) for way in layer.weights]
        for key, values in ((key, values) for way in ways for key, values in way.items()):
            if not np.isfinite(values).all():
                raise OptionError(f"the weight {key!r} of layer {k} is not finite; a program of it has no answers")
        if layer.dtype != "float32":
            ways = tuple({key: values.astype(np.float32) for key, values in way.items()} for way in ways)
            layer = replace(layer, weights=ways, dtype="float32")
        found.append(layer.with_weights(weights))
    return found


@dataclass
class Cells:
    """The cells of a program: the printed steps, each once, and the tables of every layer and direction."""

    storage: Storage
    steps: list[Step] = field(default_factory=list)
    tables: list[tuple[int, str, dict[str, np.ndarray]]] = field(default_factory=list)

    def number(self, layer: Layer) -> int:
        """The step of a layer, printed anew where there is none like it."""
        for k, step in enumerate(self.steps):
            if step.graph == layer.graph and step.sizes == layer.sizes:
                return k
        self.steps.append(Step(layer.graph, layer.sizes, self.storage))
        return len(self.steps) - 1

    def add(self, layer: Layer, d: int, name: str) -> int:
        """The step of one direction, whose tables will be the constant `@name`."""
        number = self.number(layer)
        if self.steps[number].fields():
            self.tables.append((number, name, self.steps[number].entries(layer.weights[d])))
        return number

    def structs(self) -> Iterator[str]:
        """Type definitions of the tables."""
        for k, step in enumerate(self.steps):
            fields = [f"    {ctype} {name}[{count}]{_aligned(ctype, count)};" for name, ctype, count in step.fields()]
            if fields:
                yield "\n".join(
                    [f"/* The weights of {identifier(step.graph.name)}. */", f"struct @tables{k} {{", *fields, "};", ""]
                )

    def constants(self) -> Iterator[str]:
        """The tables themselves."""
        for k, name, entries in self.tables:
            parts = [initialiser(entries[f], ctype, "    ") for f, ctype, _ in self.steps[k].fields()]
            inside = ",\n".join(parts)
            yield f"static const struct @tables{k} @{name} = {{\n{inside}\n}};\n"

    def functions(self) -> Iterator[str]:
        for k, step in enumerate(self.steps):
            yield step.text(k)

    def table_bytes(self) -> int:
        return sum(_bytes(ctype) * n for k, _, _ in self.tables for _, ctype, n in self.steps[k].fields())


BYTES = {"float": 4, "uint16_t": 2, "int8_t": 1, "int32_t": 4}
LARGE = 1024  # bytes of a table from which on it begins where a line of the cache does


def _bytes(ctype: str) -> int:
    return BYTES[ctype]


def _aligned(ctype: str, count: int) -> str:
    return " @ALIGNED" if _bytes(ctype) * count >= LARGE else ""


class Stack:
    """The layers of a network that follow each other, as text in parts.

    stack = Stack(layers, Cells(STORAGES["float32"]), most_steps=256)
    """

    def __init__(self, layers: Sequence[Layer], cells: Cells, most_steps: int):
        self.layers, self.cells, self.most_steps = layers, cells, most_steps
        self.inputs, self.outputs = size(layers[0].sizes, layers[0].data.width), layers[-1].output_size
        self.both_ways = any(len(x.weights) > 1 for x in layers)
        self.type = "@scratch" if self.both_ways else "@state"
        self.more = further_inputs(layers)
        self.numbers = [
            [cells.add(x, d, f"layer{k}{'b' * d}") for d in range(len(x.weights))] for k, x in enumerate(layers)
        ]

    # ---- what is kept
    def states(self) -> Iterator[tuple[Layer, int, State, str]]:
        """Layer, direction, state and the field of the struct that keeps it."""
        for k, layer in enumerate(self.layers):
            for d in range(len(layer.weights)):
                for state in layer.graph.states:
                    yield layer, d, state, f"{identifier(state.name)}_{k}{'b' * d}"

    def widest(self) -> int:
        """Numbers of one step between two layers of a stack that runs both ways; 0 where nothing is kept there."""
        return max((x.output_size for x in self.layers[:-1]), default=0) if self.both_ways else 0

    def struct(self) -> str:
        fields = [f"    float {name}[{size(layer.sizes, s.width)}];" for layer, _, s, name in self.states()]
        if self.widest():
            fields.append(f"    float between[2][{self.most_steps * self.widest()}]; /* outputs of the layers below */")
        return "\n".join(["typedef struct {", *fields, f"}} {self.type};"])

    def state_bytes(self) -> int:
        return 4 * sum(size(layer.sizes, s.width) for layer, _, s, _ in self.states())

    def scratch_bytes(self) -> int:
        """Beside the states: the outputs between layers."""
        return 8 * self.most_steps * self.widest()

    def multiply_adds(self) -> int:
        return sum(self.cells.steps[n].multiply_adds for numbers in self.numbers for n in numbers)

    # ---- what is declared
    def parameters(self) -> str:
        """Those of further inputs, with a comma before each."""
        return "".join(f", {'float ' if i.per == 'call' else 'const float *'}{argument(i)}" for i, _ in self.more)

    def declarations(self) -> list[str]:
        if self.both_ways:
            return [f"int @run({self.type} *s, const float *x{self.parameters()}, size_t T, float *y);"]
        return [
            "void @reset(@state *s);",
            f"void @step(@state *s, const float *x{self.parameters()}, float *y);",
            f"void @run(@state *s, const float *x{self.parameters()}, size_t T, float *y);",
        ]

    # ---- what is done
    def functions(self) -> Iterator[str]:
        if self.both_ways:
            yield self._run_both_ways()
            return
        starts = [line for layer, d, s, name in self.states() for line in self._start(layer, d, s, name)]
        yield function("void @reset(@state *s)", starts)
        yield function(f"void @step(@state *s, const float *x{self.parameters()}, float *y)", self._step())
        yield function(f"void @run(@state *s, const float *x{self.parameters()}, size_t T, float *y)", self._run())

    def _start(self, layer: Layer, d: int, state: State, name: str) -> list[str]:
        learned = layer.starts[d].get(state.name)
        if learned is not None:
            return [f"static const float start_{name}[] =", f"{initialiser(learned, 'float', '    ')};",
                    f"memcpy(s->{name}, start_{name}, sizeof s->{name});"]  # fmt: skip
        return [f"for (size_t u = 0; u < {size(layer.sizes, state.width)}; u++) s->{name}[u] = {number(state.start)};"]

    def _call(self, k: int, d: int, x: str, at: str = "") -> str:
        """One step of a layer; `at` is the place of the step in inputs that every step has."""
        layer, n = self.layers[k], self.numbers[k][d]
        tables = [f"&@layer{k}{'b' * d}"] if self.cells.steps[n].fields() else []
        more = [_at(i, at, size(layer.sizes, i.width)) for i in layer.graph.inputs[1:]]
        states = [f"s->{name}" for own, way, _, name in self.states() if own is layer and way == d]
        return f"@cell{n}({', '.join([*tables, x, *more, *states])});"

    def _output(self, k: int, d: int = 0) -> str:
        return f"s->{identifier(self.layers[k].graph.states[0].name)}_{k}{'b' * d}"

    def _step(self) -> list[str]:
        calls = [self._call(k, 0, self._output(k - 1) if k else "x") for k in range(len(self.layers))]
        last = self._output(len(self.layers) - 1)
        return [*calls, f"memcpy(y, {last}, sizeof {last});"]

    def _run(self) -> list[str]:
        more = "".join(f", {_at(i, 't', width)}" for i, width in self.more)
        return [
            "for (size_t t = 0; t < T; t++)",
            f"    @step(s, x + t * {self.inputs}{more}, y + t * {self.outputs});",
        ]

    def _run_both_ways(self) -> str:
        lines = [f"if (T > {self.most_steps}) return -1;"]
        last = len(self.layers) - 1
        for k, layer in enumerate(self.layers):
            source, width = (
                ("x", self.inputs) if k == 0 else (f"s->between[{(k - 1) % 2}]", self.layers[k - 1].output_size)
            )
            target = "y" if k == last else f"s->between[{k % 2}]"
            for d in range(len(layer.weights)):
                lines += self._way(k, d, source, width, target)
        return function(
            f"int @run({self.type} *s, const float *x{self.parameters()}, size_t T, float *y)", [*lines, "return 0;"]
        )

    def _way(self, k: int, d: int, source: str, width: int, target: str) -> list[str]:
        """One direction of a layer over the whole sequence."""
        layer, output = self.layers[k], self._output(k, d)
        own = size(layer.sizes, layer.graph.states[0].width)
        states = [(s, name) for x, way, s, name in self.states() if x is layer and way == d]
        return [
            *(line for s, name in states for line in self._start(layer, d, s, name)),
            "for (size_t t = T; t-- > 0;) {" if d else "for (size_t t = 0; t < T; t++) {",
            f"    {self._call(k, d, f'{source} + t * {width}', 't')}",
            f"    memcpy({target} + t * {layer.output_size} + {d * own}, {output}, sizeof {output});",
            "}",
        ]


def _at(item: Input, t: str, width: int) -> str:
    return f"{argument(item)} + {t} * {width}" if t and item.per == "step" else argument(item)


def further_inputs(layers: Sequence[Layer]) -> list[tuple[Input, int]]:
    """Inputs of the cells beside the data, by name, with their widths. Raises OptionError where two layers disagree."""
    found: dict[str, tuple[Input, int]] = {}
    for layer in layers:
        for item in layer.graph.inputs[1:]:
            this = item, size(layer.sizes, item.width)
            first = found.setdefault(item.name, this)
            if (first[0].per, first[1]) != (item.per, this[1]):
                raise OptionError(
                    f"two layers read an input {item.name!r}, one of {first[1]} numbers a {first[0].per}, one of "
                    f"{this[1]} a {item.per}; a C program has one of each name: rename it in one of the cells"
                )
    return list(found.values())


def function(head: str, body: Sequence[str]) -> str:
    return "\n".join([head, "{", *(f"    {line}" for line in body), "}", ""])
