"""A net as a C function: whole sequences of one row, or one step with its states.

    int NAME_run(NAME_scratch *s, const int32_t *in_ids, size_t T, float *out_scores);          /* the net "whole" */
    void NAME_reset(NAME_state *s);                                                            /* the net "step"  */
    int NAME_step(NAME_state *s, const int32_t *in_ids, float *out_scores);

Both give 0, or -1 where a sequence is empty or longer than the program has room for, or an id is none of the table's;
then nothing was changed. Nets of other names have these in their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from gatework.backends.c.products import laid_out
from gatework.backends.c.words import identifier, number
from gatework.compiler.params import size
from gatework.errors import OptionError
from gatework.exporting.c.operations import PRINTERS
from gatework.exporting.c.stack import Cells, function
from gatework.exporting.c.tables import array
from gatework.exporting.c.values import LENGTHS, Room, Value, count, limit, most, readers
from gatework.runtime.exported import Exported
from gatework.runtime.net.graph import Input, Net, Node, Shape

CTYPES = {"float32": "float", "int64": "int32_t"}
LOCAL = 256  # numbers of an array on the stack; a larger one has its place in the caller's struct


@dataclass
class Shared:
    """What all nets of a program share: cells, tables of weights, needed functions."""

    model: Exported
    cells: Cells
    bound: int
    tables: dict[tuple[str, int | None, bool], str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    numbers: dict[tuple[int, int, int], int] = field(default_factory=dict)
    needs: set[str] = field(default_factory=set)
    heights: set[int] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)  # bytes of the arrays beside recurrent layers, by their names
    fixed: int | None = None  # the length of sequences, where the model reads one alone

    def array(self, name: str) -> str:
        """The constant that holds an array beside the net as it is."""
        return self.table((name, None, False), self.model.arrays[name].reshape(-1))

    def panels(self, name: str, tap: int | None = None) -> str:
        """The constant that holds a matrix (O, I), or one tap of (O, I, K), in panels."""
        matrix = self.model.arrays[name] if tap is None else self.model.arrays[name][:, :, tap]
        self.heights.add(matrix.shape[0])
        return self.table((name, tap, True), laid_out(matrix))

    def taps(self, name: str) -> tuple[str, int]:
        """The constant that holds a matrix (O, I) for each place of a kernel (O, I, K, L), and how long each is."""
        weight = self.model.arrays[name]
        self.heights.add(weight.shape[0])
        panels = [laid_out(weight[:, :, k, l]) for k, l in np.ndindex(*weight.shape[2:])]
        return self.table((name, None, True), np.concatenate(panels)), weight[:, :, 0, 0].size

    def table(self, key: tuple[str, int | None, bool], values: np.ndarray) -> str:
        if key not in self.tables:
            self.tables[key] = f"@table{len(self.tables)}"
            ctype = "int32_t" if values.dtype.kind in "iu" else "float"
            self.texts.append(f"/* {field_of(key[0])} */\n{array(self.tables[key], values, ctype)}\n")
            self.sizes[key[0]] = self.sizes.get(key[0], 0) + 4 * values.size
        return self.tables[key]

    def cell(self, stack: int, k: int, d: int) -> str:
        """The beginning of a call of a layer's step: its function, and its tables."""
        if (stack, k, d) not in self.numbers:
            self.numbers[stack, k, d] = self.cells.add(self.model.stacks[stack][k], d, self._layer(stack, k, d))
        n = self.numbers[stack, k, d]
        return f"@cell{n}(" + (f"&@{self._layer(stack, k, d)}, " if self.cells.steps[n].fields() else "")

    def _layer(self, stack: int, k: int, d: int) -> str:
        return f"stack{stack}_layer{k}{'b' * d}"


def field_of(name: str) -> str:
    """A value's name as a part of a C name: "state.0.h" is state_0_h."""
    return identifier(name.replace(".", "_"))


def with_steps(net: Net, steps: int) -> Net:
    """The net with a number for its axis T."""
    inputs = {n: i._replace(shape=tuple(steps if a == "T" else a for a in i.shape)) for n, i in net.inputs.items()}
    return replace(net, inputs=inputs)


class Printer:
    """The lines of one net, made when it is created; `operations` adds to them."""

    def __init__(self, name: str, net: Net, shared: Shared):
        self.name, self.shared, self.needs = name, shared, shared.needs
        self.net = net if shared.fixed is None else with_steps(net, shared.fixed)
        net = self.net
        self.lines: list[str] = []
        self.values: dict[str, Value] = {}
        self.room = Room(net, shared.bound)
        self.local_bytes, self.counted = 0, 0
        self.lengths = self._lengths()
        self._check_names()
        self.axes = list(
            dict.fromkeys(a for i in self.given.values() for a in i.shape if isinstance(a, str) and a != "B")
        )
        if odd := [a for a in self.axes if not ("A" <= a <= "Z" and len(a) == 1)]:
            raise OptionError(f"the axis {odd[0]!r} of the net {name!r} has no form in C: axes are one capital letter")
        if {"N", "S"} & {*self.axes}:  # places of a search, steps of a memory
            raise OptionError(f"the net {name!r} looks at a memory beside its own rows, which has no form in C")
        self._bind()
        for k, node in enumerate(net.nodes):
            self._node(node)
            self.room.leave(k)

    # ---- names
    @property
    def keeps(self) -> bool:
        """Does it keep states, so that it is one step?"""
        return bool(self.net.states)

    @property
    def type(self) -> str:
        own = "" if self.name in ("whole", "step") else f"net_{field_of(self.name)}_"
        return f"@{own}{'state' if self.keeps else 'scratch'}"

    @property
    def function(self) -> str:
        return {"whole": "@run", "step": "@step"}.get(self.name, f"@net_{field_of(self.name)}")

    @property
    def reset(self) -> str:
        return f"{self.type.removesuffix('state')}reset"

    @property
    def given(self) -> dict[str, Input]:
        """The inputs that a caller gives: neither states, nor lengths, which are the named axes themselves, nor what
        has no numbers."""
        left_out = {*self.net.states, *self.lengths}
        return {n: i for n, i in self.net.inputs.items() if n not in left_out and 0 not in i.shape}

    def _lengths(self) -> set[str]:
        """Inputs that say how long sequences are. Raises OptionError where one is read as something else, too."""
        scaled = {n.outputs[0]: n.inputs[0] for n in self.net.nodes if n.op == "scale" and n.settings["by"] == 0}
        read = {n.inputs[k] for n in self.net.nodes for op, k in LENGTHS.items() if n.op == op and k < len(n.inputs)}
        found = {scaled.get(name, name) if self.shared.fixed else name for name in read} & set(self.net.inputs)
        found = {name for name in found if self.net.inputs[name].shape == ("B",)}
        for name in found:
            for op, places in readers(self.net, name).items():
                if places != {LENGTHS.get(op)} and not (op == "scale" and self.shared.fixed):
                    raise OptionError(f"the net {self.name!r} computes with lengths in {op!r}, which has no form in C")
        return found

    def _check_names(self) -> None:
        for names in (self.net.states, self.given, self.net.outputs):
            if len({field_of(n) for n in names}) < len(names):
                raise OptionError(f"two of {', '.join(names)} in the net {self.name!r} have the same name in C")

    # ---- what comes in
    def _bind(self) -> None:
        for name, given in self.given.items():
            self.values[name] = Value(f"in_{field_of(name)}", given.shape, CTYPES[given.dtype])
        for name, given in self.net.inputs.items():
            if name in self.lengths or 0 in given.shape:
                self.values[name] = Value("", given.shape)
            elif name in self.net.states:
                self.values[name] = Value(f"s->{field_of(name)}", given.shape)

    def value(self, name: str) -> Value:
        if name.startswith("@"):
            return Value(name, self.shared.model.arrays[name[1:]].shape)
        return self.values[name]

    def _node(self, node: Node) -> None:
        values = [self.value(name) for name in node.inputs]
        if node.op in ("recurrent", "step"):
            outputs = self._recurrent(node, values) if node.op == "recurrent" else self._step(node, values)
            self.values |= dict(zip(node.outputs, outputs, strict=True))
            return
        if node.op not in PRINTERS:
            raise OptionError(
                f"the operation {node.op!r} of the net {self.name!r} has no form in C; use --to gatework or onnx"
            )
        panelled = {1} if node.op in ("linear", "conv", "conv2d") else set()
        values = [
            Value(self.shared.array(n[1:]), v.shape) if n.startswith("@") and k not in panelled else v
            for k, (n, v) in enumerate(zip(node.inputs, values, strict=True))
        ]
        self.values[node.outputs[0]] = PRINTERS[node.op](self, node, *values)

    # ---- what operations use
    def add(self, *lines: str) -> None:
        self.lines += lines

    def each(self, shape: Shape, *body: str) -> None:
        """A loop over i for every number, or vector, of this shape."""
        self.add(f"for (size_t i = 0; i < {count(shape)}; i++) {{", *(f"    {line}" for line in body), "}")

    def nest(self, shape: Shape) -> int:
        """Loops over i0, i1, ... without braces; gives their number."""
        axes = [(k, a) for k, a in enumerate(shape) if a not in ("B", 1)]
        for depth, (k, length) in enumerate(axes):
            self.add("    " * depth + f"for (size_t i{k} = 0; i{k} < {length}; i{k}++)")
        return len(axes)

    def copies(self, times: str, target: str, source: str, numbers: str) -> None:
        """Stretches of numbers, for o from 0 on."""
        if "0" not in (times, numbers) and not numbers.startswith("0 *"):
            self.add(
                f"for (size_t o = 0; o < {times}; o++)", f"    memcpy({target}, {source}, {numbers} * sizeof(float));"
            )

    def must_know(self, does: str, *lengths: int | str) -> None:
        if not all(isinstance(n, int) for n in lengths):
            raise OptionError(f"the net {self.name!r} {does} an axis of unknown length, which has no form in C")

    def call(self, name: str, *arguments: str, indent: int = 0) -> None:
        self.needs.add(name)
        self.add("    " * indent + f"@{name}({', '.join(arguments)});")

    def multiply_adds(self, rows: Shape, each: int) -> None:
        """Counted for one step of a sequence, or for all where their number is known."""
        self.counted += most(rows, 1) * each

    def check_ids(self, ids: Value, rows: int | str) -> None:
        self.add(f"for (size_t i = 0; i < {count(ids.shape)}; i++)")
        self.add(f"    if ({ids.at}[i] < 0 || (size_t){ids.at}[i] >= {rows}) return -1;")

    def check_lengths(self, lengths: Value, steps: int | str) -> None:
        """Of rows that are not the one of the call: each has one step at least."""
        if lengths.at:
            self.add(f"for (size_t i = 0; i < {count(lengths.shape)}; i++)")
            self.add(f"    if ({lengths.at}[i] < 1 || (size_t){lengths.at}[i] > {steps}) return -1;")

    def length_of(self, lengths: Value, steps: int | str) -> str:
        """How long row r is: all steps, if it is the row of the call."""
        return f"(size_t){lengths.at}[r]" if lengths.at else str(steps)

    def one_row(self, lengths: Value) -> None:
        if lengths.at:
            raise OptionError(f"the net {self.name!r} runs over several sequences at once, which has no form in C")

    def new(self, shape: Shape, node: Node, k: int = 0) -> Value:
        """Room for an output of a node."""
        given = node.outputs[k] in self.net.outputs.values()  # to the caller, so it lies where the caller wants it
        long = most(shape, 1) > LOCAL and not self.keeps
        if given or long or any(isinstance(a, str) and a != "B" for a in shape):
            return self.room_for(shape, node.outputs[k])
        self.local_bytes += 4 * most(shape, 1)
        at = f"v{len(self.values)}" + (f"_{k}" if k else "")
        self.add(f"float {at}[{most(shape, 1)}];")
        return Value(at, shape)

    def room_for(self, shape: Shape, name: str) -> Value:
        """Room for a value as long as the sequence: the caller's, if it is an output."""
        given = next((output for output, value in self.net.outputs.items() if value == name), None)
        return Value(f"out_{field_of(given)}" if given else f"s->room{self.room.place(shape, name)}", shape)

    def alias(self, x: Value, shape: Shape, node: Node) -> Value:
        """The same numbers under another shape."""
        self.room.share(node.outputs[0], node.inputs[0])
        return Value(x.at, shape, x.ctype)

    # ---- recurrent layers
    def _recurrent(self, node: Node, values: list[Value]) -> list[Value]:
        x, lengths, *given = values
        self.one_row(lengths)
        stack, steps = node.settings["stack"], x.shape[0]
        layers, ends = self.shared.model.stacks[stack], []
        names = (*node.settings.get("others", ()), *node.settings.get("starts", ()))
        more = dict(zip(names, given, strict=True))
        flow, kept = x, self._is_read(node.outputs[0])
        for k, layer in enumerate(layers):
            last, shape = k == len(layers) - 1, (steps, "B", layer.output_size)
            target = Value("", shape)
            if kept or not last:
                target = self.room_for(shape, node.outputs[0] if last else f"{node.outputs[0]} {k}")
            for d in range(len(layer.weights)):
                ends += self._way(node, (stack, k, d), flow, target, more, len(ends))
            flow = target
        return [flow, *ends]

    def _way(
        self, node: Node, at: tuple[int, int, int], x: Value, target: Value, more: dict[str, Value], known: int
    ) -> list[Value]:
        """One direction of a layer over all steps; gives its states after the last."""
        stack, k, d = at
        layer = self.shared.model.stacks[stack][k]
        states = []
        for s in layer.graph.states:
            states.append(self.new(("B", size(layer.sizes, s.width)), node, 1 + known + len(states)))
            begin = more.get(f"{k}.{d}.{s.name}")
            if begin is None:
                self._start(states[-1], layer.starts[d].get(s.name), s.start)
            else:
                self.add(f"memcpy({states[-1].at}, {begin.at}, sizeof {states[-1].at});")
        given = [f"{x.at} + t * {count(x.shape[1:])}"]
        for item in layer.graph.inputs[1:]:
            if item.per != "step" or item.name not in more:
                raise OptionError(f"the net {self.name!r} gives the cell {layer.graph.name} no input {item.name!r}")
            given.append(f"{more[item.name].at} + t * {size(layer.sizes, item.width)}")
        own = size(layer.sizes, layer.graph.states[0].width)
        order = f"for (size_t t = {x.shape[0]}; t-- > 0;) {{" if d else f"for (size_t t = 0; t < {x.shape[0]}; t++) {{"
        self.add(order, f"    {self.shared.cell(*at)}{', '.join([*given, *(s.at for s in states)])});")
        if target.at:
            place = f"{target.at} + t * {layer.output_size} + {d * own}"
            self.add(f"    memcpy({place}, {states[0].at}, sizeof {states[0].at});")
        self.add("}")
        self.counted += self._cost(at) * (x.shape[0] if isinstance(x.shape[0], int) else 1)
        return states

    def _is_read(self, name: str) -> bool:
        return bool(readers(self.net, name)) or name in self.net.outputs.values()

    def _start(self, value: Value, learned: np.ndarray | None, start: float) -> None:
        name = f"start of {len(self.shared.texts)}"
        if learned is None:
            self.add(f"for (size_t u = 0; u < {most(value.shape, 1)}; u++) {value.at}[u] = {number(start)};")
            return
        table = self.shared.table((name, None, False), learned)
        self.add(f"memcpy({value.at}, {table}, sizeof {value.at});")

    def _cost(self, at: tuple[int, int, int]) -> int:
        return self.shared.cells.steps[self.shared.numbers[at]].multiply_adds

    def _step(self, node: Node, values: list[Value]) -> list[Value]:
        """One step of a stack for each row, on copies of the states: those of the struct change when all is done."""
        x, *before = values
        after: list[Value] = []
        for old in before:
            after.append(self.new(old.shape, node, 1 + len(after)))
            self.add(f"memcpy({after[-1].at}, {old.at}, {count(old.shape)} * sizeof(float));")
        rows = most(x.shape[:-1], 1)
        left, flow = list(after), x
        self.add(f"for (size_t r = 0; r < {rows}; r++) {{")
        for k, layer in enumerate(self.shared.model.stacks[node.settings["stack"]]):
            own = [left.pop(0) for _ in layer.graph.states]
            at = (node.settings["stack"], k, 0)
            given = [f"{v.at} + r * {v.shape[-1]}" for v in (flow, *own)]
            self.add(f"    {self.shared.cell(*at)}{', '.join(given)});")
            self.counted += rows * self._cost(at)
            flow = own[0]
        self.add("}")
        return [flow, *after]

    # ---- the text
    def struct(self) -> str:
        if self.keeps:
            fields = [f"    float {field_of(name)}[{s.width}];" for name, s in self.net.states.items()]
        else:
            fields = [f"    float room{k}[{count}];" for k, count in enumerate(self.room.sizes)] or ["    char none;"]
        return "\n".join(["typedef struct {", *fields, f"}} {self.type};"])

    def struct_bytes(self) -> int:
        return 4 * sum(s.width for s in self.net.states.values()) if self.keeps else 4 * sum(self.room.sizes)

    def heads(self) -> list[str]:
        """What the header declares."""
        inputs = [f"const {v.ctype} *{v.at}" for v in (self.values[n] for n in self.given)]
        outputs = [f"float *out_{field_of(name)}" for name in self.net.outputs]
        parameters = ", ".join([f"{self.type} *s", *inputs, *(f"size_t {a}" for a in self.axes), *outputs])
        reset = [f"void {self.reset}({self.type} *s)"] if self.keeps else []
        return [*reset, f"int {self.function}({parameters})"]

    def functions(self) -> Iterator[str]:
        *reset, head = self.heads()
        checks = [f"if ({axis} < 1 || {axis} > @{limit(axis)}) return -1;" for axis in self.axes]
        ends = [
            f"memcpy(out_{field_of(name)}, {v.at}, {count(v.shape)} * sizeof(float));"
            for name, v in ((n, self.value(value)) for n, value in self.net.outputs.items())
            if v.at != f"out_{field_of(name)}"
        ]
        unused = [] if any("s->" in line for line in self.lines) else ["(void)s;"]
        for line in reset:
            yield function(line, list(self._resets()))
        yield function(head, [*checks, *unused, *self.lines, *ends, *self._kept(), "return 0;"])

    def _kept(self) -> Iterator[str]:
        """New states into the struct, last of all; one that is an old one of another name is copied before."""
        for name, state in self.net.states.items():
            after = self.value(state.after)
            if after.at.startswith("s->") and after.at != f"s->{field_of(name)}":
                raise OptionError(
                    f"the net {self.name!r} makes one state the old value of another, which has no form in C"
                )
            if after.at != f"s->{field_of(name)}":
                yield f"memcpy(s->{field_of(name)}, {after.at}, sizeof s->{field_of(name)});"

    def _resets(self) -> Iterator[str]:
        for name, state in self.net.states.items():
            at = f"s->{field_of(name)}"
            if isinstance(state.start, str):
                yield f"memcpy({at}, {self.shared.array(state.start)}, sizeof {at});"
            else:
                yield f"for (size_t u = 0; u < {state.width}; u++) {at}[u] = {number(state.start)};"
