"""One step of a cell as a C function, printed from its plan (see `compiler.plan`): a row of the batch is all there is.

    static void @cell0(const struct @tables0 *restrict w, const float *restrict in_x, float *restrict s_h)

Each stage of the plan becomes sums (the biases, then one call of `@multiply` for each table) and a loop over units that
compilers turn into vector code; a stage of reductions becomes calls. States are read where the caller keeps them. One
that products read is made in an array of the function and copied back at the end: its old units are still read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatework.backends.c.mathlib import CALLS, ELEMENTWISE, REDUCTIONS
from gatework.backends.c.products import Narrow, Storage, laid_out
from gatework.backends.c.words import identifier, number
from gatework.compiler.ir import SCALAR, Graph, Input, State, Weight
from gatework.compiler.params import cost, matrix_shape, size
from gatework.compiler.plan import Access, Stage, Store, loads_of, plan_forward

Weights = Mapping[str, Any]  # arrays, and Narrow where the storage is


@dataclass(frozen=True)
class Product:
    """A table of weights: matrices of columns of a stage that stand side by side, and all read one operand. Or one
    matrix in blocks."""

    field: str
    operand: int
    column: int
    weights: tuple[Weight, ...]
    shape: tuple[int, ...]  # (rows, columns) of all matrices together, or (heads, rows, columns)


class Step:
    """The printed step of a cell of these sizes; `print(step.text(0))` is its function."""

    def __init__(self, graph: Graph, sizes: Mapping[str, int], storage: Storage):
        self.graph, self.sizes, self.storage = graph, dict(sizes), storage
        self.plan = plan_forward(graph, train=False)
        self.products = list(self._products())
        self.read = self._read_arrays()
        self.vectors = [v for v in graph.vectors if any(n.op == "vector" and n.attr == v.name for n in graph.nodes)]
        self.multiply_adds = cost(graph, sizes)

    def _read_arrays(self) -> set[Access]:
        """Where stages read; a plan may keep a value that its own stage alone needs."""
        plan = self.plan
        nodes = {n for stage in plan.stages for n in (*loads_of(stage, plan), *(t.operand for t in stage.terms))}
        return {plan.homes[n] for n in nodes if n in plan.homes}

    def _stores(self, stage: Stage) -> list[Store]:
        return [s for s in stage.stores if s.access.kind != "value" or s.access in self.read]

    def size(self, width: str) -> int:
        return size(self.sizes, width)

    @property
    def ops(self) -> set[str]:
        """The operations that it computes, reductions under the names of their functions."""
        found = {self.plan.nodes[i].op for stage in self.plan.stages for i in stage.body}
        return {CALLS.get(op, op) for op in found}

    @property
    def heights(self) -> set[int]:
        """Numbers of rows of its matrices, or of their blocks."""
        return {p.shape[-2] for p in self.products}

    # ---- tables
    def _products(self) -> Iterator[Product]:
        known: dict[tuple[Weight, ...], str] = {}
        for stage in self.plan.stages:
            for operand, column, weights in self._runs(stage):
                field = known.setdefault(weights, f"m{len(known)}")
                shapes = [matrix_shape(self.graph.map(w.map), w.slot, self.sizes) for w in weights]
                rows = sum(s[-2] for s in shapes)
                yield Product(field, operand, column, weights, (*shapes[0][:-2], rows, shapes[0][-1]))

    def _runs(self, stage: Stage) -> Iterator[tuple[int, int, tuple[Weight, ...]]]:
        """Terms of a stage in their order; neighbours that read one operand become one. What is in blocks, or is read
        by several products, stays alone."""
        run: list[Weight] = []
        for k, (operand, weight, column) in enumerate(stage.terms):
            run.append(weight)
            after = stage.terms[k + 1] if k + 1 < len(stage.terms) else None
            joins = after is not None and after.operand == operand and after.column == column + 1
            if not (joins and after is not None and self._plain(weight) and self._plain(after.weight)):
                yield operand, column - len(run) + 1, tuple(run)
                run = []

    def _plain(self, weight: Weight) -> bool:
        m = self.graph.map(weight.map)
        readers = sum(t.weight == weight for stage in self.plan.stages for t in stage.terms)
        return readers == 1 and not (m.blocked and m.blocked[weight.slot])

    def fields(self) -> list[tuple[str, str, int]]:
        """The tables: name, C type and number of entries, in the order of `entries`."""
        found: dict[str, tuple[str, int]] = {}
        for k, stage in enumerate(self.plan.stages):
            if self._biases(stage):
                found[f"b{k}"] = ("float", len(stage.dots) * self.size(stage.width))
        for p in self.products:
            count = int(np.prod(p.shape))
            found[p.field] = (self.storage.ctype, count)
            if self.storage.scaled:
                found[f"{p.field}_scale"] = ("float", count // p.shape[-1])
        for v in self.vectors:
            found[f"v_{identifier(v.name)}"] = ("float", self.size(v.width))
        return [(name, ctype, count) for name, (ctype, count) in found.items()]

    def entries(self, weights: Weights) -> dict[str, np.ndarray]:
        """The numbers of the tables, for weights as `compiler.params.shapes` names them."""
        found: dict[str, np.ndarray] = {}
        for k, stage in enumerate(self.plan.stages):
            if self._biases(stage):
                found[f"b{k}"] = np.concatenate([self._bias(dot, weights) for dot in stage.dots])
        for p in self.products:
            found |= self._table(p.field, [weights[f"{w.map}.{w.slot}"] for w in p.weights])
        return found | {f"v_{identifier(v.name)}": weights[v.name] for v in self.vectors}

    def _table(self, field: str, matrices: list[Any]) -> dict[str, np.ndarray]:
        if self.storage.name == "float32":
            return {field: laid_out(np.concatenate(matrices, -2))}
        narrow: list[Narrow] = matrices
        found = {field: laid_out(np.concatenate([m.values for m in narrow], -2))}
        scales = [m.scales for m in narrow if m.scales is not None]
        return found | ({f"{field}_scale": np.concatenate(scales, -1).reshape(-1)} if scales else {})

    def _biases(self, stage: Stage) -> bool:
        return any(self.plan.nodes[dot].attr.bias for dot in stage.dots)

    def _bias(self, dot: int, weights: Weights) -> np.ndarray:
        node = self.plan.nodes[dot]
        return weights[f"{node.attr.bias}.bias"] if node.attr.bias else np.zeros(self.size(node.width))

    # ---- the function
    def arguments(self) -> list[str]:
        """Parameters after the tables: inputs, then states."""
        inputs = [f"{_ctype(i)}{argument(i)}" for i in self.graph.inputs]
        return [*inputs, *(f"float *restrict {state(s)}" for s in self.graph.states)]

    def text(self, number: int) -> str:
        """The function `@cell{number}`, which reads `struct @tables{number}`."""
        stages = [line for k, stage in enumerate(self.plan.stages) for line in self._stage(k, stage)]
        body = [*self._unused(), *self._arrays(), *stages, *self._copies()]
        tables = [f"const struct @tables{number} *restrict w"] if self.fields() else []
        head = f"static void @cell{number}({', '.join([*tables, *self.arguments()])})"
        return "\n".join(
            [f"/* One step of {identifier(self.graph.name)}. */", head, "{", *(f"    {x}" for x in body), "}", ""]
        )

    def stack_bytes(self) -> int:
        """Of the function's arrays."""
        arrays = sum(self.size(width) for _, width in self._locals())
        sums = max((len(s.dots) * self.size(s.width) for s in self.plan.stages), default=0)
        return 4 * (arrays + sums)

    def _locals(self) -> list[tuple[str, str]]:
        """Arrays of the function: values that pass from stage to stage, and new states."""
        stored = {s.access: self.plan.nodes[s.node].width for stage in self.plan.stages for s in self._stores(stage)}
        return [(self._place(a), width) for a, width in stored.items() if a.kind in ("value", "history")]

    def _arrays(self) -> list[str]:
        return [f"float {name}[{self.size(width)}];" for name, width in self._locals()]

    def _copies(self) -> list[str]:
        news = {name for name, _ in self._locals()}
        pairs = [(state(s), f"new_{identifier(s.name)}") for s in self.graph.states]
        return [f"memcpy({old}, {new}, sizeof {new});" for old, new in pairs if new in news]

    def _unused(self) -> list[str]:
        """Inputs that no equation reads, named for the compiler's peace."""
        read = {n.attr for n in self.graph.nodes if n.op == "input"}
        return [f"(void){argument(i)};" for i in self.graph.inputs if i.name not in read]

    def _stage(self, k: int, stage: Stage) -> list[str]:
        if stage.rows:
            return [self._reduction(index) for index in stage.body]
        inside = [*self._sums(k, stage), *self._loop(stage)]
        return ["{", *(f"    {line}" for line in inside), "}"]

    def _reduction(self, index: int) -> str:
        node = self.plan.nodes[index]
        arg = self.plan.homes[node.args[0]]
        count = self.size(self.plan.nodes[node.args[0]].width)
        return f"{self._place(self.plan.homes[index])}[0] = {REDUCTIONS[node.op].format(self._pointer(arg), count)};"

    def _sums(self, k: int, stage: Stage) -> list[str]:
        if not stage.dots:
            return []
        count = len(stage.dots) * self.size(stage.width)
        biased = self._biases(stage)
        lines = [f"float sums[{count}]{'' if biased else ' = {0}'};"]
        lines += [f"memcpy(sums, w->b{k}, sizeof sums);"] if biased else []
        for operand, column, weights in self._runs(stage):
            product = next(p for p in self.products if (p.weights, p.operand) == (weights, operand))
            lines += self._multiply(product, column * self.size(stage.width))
        return lines

    def _multiply(self, p: Product, first: int) -> list[str]:
        """The calls for one table: one, or one for each head."""
        heads = p.shape[0] if len(p.shape) == 3 else 1
        rows, columns = p.shape[-2:]
        x = self._operand(p.operand)
        lines = []
        for head in range(heads):
            scale = f"w->{p.field}_scale + {head * rows}, " if self.storage.scaled else ""
            at = f"w->{p.field} + {head * rows * columns}, {scale}{x} + {head * columns}, sums + {first + head * rows}"
            lines.append(f"{self.storage.multiply}({at}, {columns}, {rows});".replace(" + 0,", ","))
        return lines

    def _operand(self, index: int) -> str:
        node = self.plan.nodes[index]
        if node.op == "const":
            return f"(const float[]){{{number(node.attr)}}}"
        access = self.plan.homes[index]
        return f"(const float[]){{{self._place(access)}}}" if access.mode == "call" else self._pointer(access)

    def _loop(self, stage: Stage) -> list[str]:
        """The loop over units; what all units share is computed before it."""
        plan, width = self.plan, self.size(stage.width)
        shared, own = [], []
        for i in loads_of(stage, plan):
            (shared if self._scalar(i, stage) else own).append(f"const float {self._value(i)} = {self._read(i)};")
        for column, dot in enumerate(stage.dots):
            own.append(f"const float {self._value(dot)} = sums[{_offset(column * width)}u];")
        for i in stage.body:
            value = ELEMENTWISE[plan.nodes[i].op].format(*map(self._value, plan.nodes[i].args))
            (shared if self._scalar(i, stage) else own).append(f"const float {self._value(i)} = {value};")
        own += [f"{self._place(s.access)}[u] = {self._value(s.node)};" for s in self._stores(stage)]
        return [*shared, f"for (size_t u = 0; u < {width}; u++) {{", *(f"    {line}" for line in own), "}"]

    def _scalar(self, index: int, stage: Stage) -> bool:
        return self.plan.nodes[index].width == SCALAR != stage.width

    def _value(self, index: int) -> str:
        node = self.plan.nodes[index]
        if node.op == "const":
            return number(node.attr)
        return f"v{index}_{identifier(node.name)}" if node.name else f"v{index}"

    def _read(self, index: int) -> str:
        access = self.plan.homes[index]
        if access.mode == "call":
            return self._place(access)
        return f"{self._pointer(access)}[{'0' if self.plan.nodes[index].width == SCALAR else 'u'}]"

    def _pointer(self, access: Access) -> str:
        return f"w->v_{identifier(access.name)}" if access.kind == "vector" else self._place(access)

    def _place(self, access: Access) -> str:
        """The variable that holds an array of the plan, or a number."""
        name = identifier(access.name)
        if access.kind == "units":
            return number(self.size(access.name))
        if access.kind == "input":
            return argument(self.graph.input(access.name))
        if access.kind == "value":
            return f"value{name}"
        return f"new_{name}" if access.mode == "cur" else f"s_{name}"


def argument(item: Input) -> str:
    """An input as a parameter; apart from all states and words of C."""
    return f"in_{identifier(item.name)}"


def state(item: State) -> str:
    return f"s_{identifier(item.name)}"


def _ctype(item: Input) -> str:
    return "float " if item.per == "call" else "const float *restrict "


def _offset(number: int) -> str:
    return f"{number} + " if number else ""
