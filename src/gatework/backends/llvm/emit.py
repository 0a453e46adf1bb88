"""A small printer of LLVM IR: functions, counted loops, vectors. Every method returns the name of the value it
printed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .isa import Isa

Value = str | int


class Function:
    """One function in the making.

    f = Function("twice", "i64 %n", AVX512, "float")
    f.add("%n", "%n")                                      # '%t0'
    """

    def __init__(self, name: str, args: str, isa: Isa, scalar: str, returns: str = "void"):
        self.isa, self.scalar = isa, scalar
        self.lanes = isa.lanes(scalar)
        self.bytes = {"float": 4, "double": 8}[scalar]
        self.vector = f"<{self.lanes} x {scalar}>"
        self.mask = f"<{self.lanes} x i1>"
        self.head = f"define {returns} @{name}({args}) #0 {{\nentry:"
        self.allocas: list[str] = []
        self.lines: list[str] = []
        self.block = "start"
        self.count = 0
        self.declared: set[str] = set()

    # ---- text
    def line(self, text: str) -> None:
        self.lines.append("  " + text)

    def op(self, text: str) -> str:
        """Print `%tN = text` and return `%tN`."""
        name = f"%t{self.count}"
        self.count += 1
        self.line(f"{name} = {text}")
        return name

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")
        self.block = name

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def text(self) -> str:
        """The finished function (its last block must have been terminated)."""
        allocas = "\n".join("  " + a for a in self.allocas)
        return f"{self.head}\n{allocas}\n  br label %start\nstart:\n" + "\n".join(self.lines) + "\n}\n"

    def call(self, returns: str, name: str, *args: tuple[str, Value]) -> str:
        """Call an intrinsic or external function with (type, value) pairs, declaring it."""
        types = ", ".join(kind.split(" ")[0] if kind.startswith("ptr") else kind for kind, _ in args)
        self.declared.add(f"declare {returns} @{name}({types})")
        text = f"call {returns} @{name}({', '.join(f'{kind} {value}' for kind, value in args)})"
        if returns == "void":
            self.line(text)
            return ""
        return self.op(text)

    def invoke(self, function: Value, *args: tuple[str, Value]) -> None:
        """Call through a pointer; nothing is returned."""
        self.line(f"call void {function}({', '.join(f'{kind} {value}' for kind, value in args)})")

    # ---- integers
    def add(self, a: Value, b: Value) -> Value:
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        return b if a == 0 else a if b == 0 else self.op(f"add i64 {a}, {b}")

    def sub(self, a: Value, b: Value) -> Value:
        return a if b == 0 else self.op(f"sub i64 {a}, {b}")

    def mul(self, a: Value, b: Value) -> Value:
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        return 0 if 0 in (a, b) else b if a == 1 else a if b == 1 else self.op(f"mul i64 {a}, {b}")

    def div(self, a: Value, b: Value) -> Value:
        return a if b == 1 else self.op(f"sdiv i64 {a}, {b}")

    def min(self, a: Value, b: Value) -> Value:
        return self.choose(self.cmp("slt", a, b), a, b)

    def max(self, a: Value, b: Value) -> Value:
        return self.choose(self.cmp("sgt", a, b), a, b)

    def ceil_div(self, a: Value, b: Value) -> Value:
        return self.div(self.sub(self.add(a, b), 1), b)

    def cmp(self, how: str, a: Value, b: Value) -> str:
        return self.op(f"icmp {how} i64 {a}, {b}")

    def choose(self, condition: str, a: Value, b: Value, kind: str = "i64") -> str:
        return self.op(f"select i1 {condition}, {kind} {a}, {kind} {b}")

    # ---- memory
    def at(self, base: Value, index: Value, kind: str | None = None) -> Value:
        """Address of base[index] for elements of `kind` (the function's scalar unless said)."""
        return base if index == 0 else self.op(f"getelementptr {kind or self.scalar}, ptr {base}, i64 {index}")

    def load(self, kind: str, address: Value, align: int | None = None) -> str:
        return self.op(f"load {kind}, ptr {address}" + (f", align {align}" if align else ""))

    def store(self, kind: str, value: Value, address: Value, align: int | None = None) -> None:
        self.line(f"store {kind} {value}, ptr {address}" + (f", align {align}" if align else ""))

    def field(self, base: Value, index: Value, kind: str = "i64") -> str:
        """Load word `index` of a table of 8-byte words."""
        return self.load(kind, self.at(base, index, "i64"))

    def fetch(self, address: Value, write: bool = False, level: int = 3) -> None:
        """Ask for a line that is wanted later: in the nearest cache (3), or the second (2). Any address will do."""
        self.call("void", "llvm.prefetch.p0", ("ptr", address), ("i32", int(write)), ("i32", level), ("i32", 1))

    def alloca(self, kind: str, count: int = 1) -> str:
        name = "%" + self.fresh("a")
        self.allocas.append(f"{name} = alloca {kind}, i64 {count}, align 64")
        return name

    # ---- vectors
    def load_vector(self, address: Value, aligned: bool = False) -> str:
        return self.load(self.vector, address, self.isa.vector_bytes if aligned else self.bytes)

    def store_vector(self, value: str, address: Value, aligned: bool = False) -> None:
        self.store(self.vector, value, address, self.isa.vector_bytes if aligned else self.bytes)

    def load_masked(self, address: Value, mask: str | None) -> str:
        if mask is None:
            return self.load_vector(address)
        name = f"llvm.masked.load.{self.suffix}.p0"
        pointer, keep = (f"ptr align {self.bytes}", address), (self.vector, "zeroinitializer")
        return self.call(self.vector, name, pointer, (self.mask, mask), keep)

    def store_masked(self, value: str, address: Value, mask: str | None) -> None:
        if mask is None:
            return self.store_vector(value, address)
        name = f"llvm.masked.store.{self.suffix}.p0"
        self.call("void", name, (self.vector, value), (f"ptr align {self.bytes}", address), (self.mask, mask))
        return None

    def splat(self, value: Value) -> str:
        if isinstance(value, str) and value.startswith("%"):
            one = self.op(f"insertelement {self.vector} poison, {self.scalar} {value}, i64 0")
            return self.op(
                f"shufflevector {self.vector} {one}, {self.vector} poison, <{self.lanes} x i32> zeroinitializer"
            )
        return f"splat ({self.scalar} {value})"

    @property
    def suffix(self) -> str:
        return f"v{self.lanes}{ {'float': 'f32', 'double': 'f64'}[self.scalar] }"

    def fma(self, a: str, b: str, c: str) -> str:
        """a * b + c: fused where the instruction set can, else two operations (never a slow library call)."""
        if self.isa.features == "+sse2":
            return self.op(f"fadd {self.vector} {self.op(f'fmul {self.vector} {a}, {b}')}, {c}")
        return self.call(self.vector, f"llvm.fma.{self.suffix}", *((self.vector, v) for v in (a, b, c)))

    def lane_mask(self, first: Value, count: Value) -> str:
        """Lanes whose unit first + lane lies below count."""
        left = self.min(self.sub(count, first), self.lanes)
        narrow = self.op(f"trunc i64 {left} to i32")
        one = self.op(f"insertelement <{self.lanes} x i32> poison, i32 {narrow}, i64 0")
        ints = f"<{self.lanes} x i32>"
        every = self.op(f"shufflevector {ints} {one}, {ints} poison, {ints} zeroinitializer")
        order = ", ".join(f"i32 {i}" for i in range(self.lanes))
        return self.op(f"icmp slt <{self.lanes} x i32> <{order}>, {every}")

    def vectors(self, count: Value, together: int = 1) -> Iterator[tuple[Value, list[str | None]]]:
        """Whole vectors of range(count), some together, then what is left under masks."""
        step = together * self.lanes
        whole = self.mul(self.div(count, step), step)
        with self.loop(0, whole, step) as k:
            yield k, [None] * together
        with self.when(self.cmp("slt", whole, count)):
            yield whole, [self.lane_mask(self.add(whole, i * self.lanes), count) for i in range(together)]

    # ---- control
    @contextmanager
    def loop(self, start: Value, stop: Value, step: Value = 1) -> Iterator[str]:
        """for i in range(start, stop, step), step > 0"""
        head, body, latch, done = (self.fresh(s) for s in ("head", "body", "latch", "done"))
        i, following = f"%i.{head}", f"%n.{head}"
        before = self.block
        self.line(f"br label %{head}")
        self.label(head)
        self.line(f"{i} = phi i64 [ {start}, %{before} ], [ {following}, %{latch} ]")
        self.line(f"br i1 {self.cmp('slt', i, stop)}, label %{body}, label %{done}")
        self.label(body)
        yield i
        self.line(f"br label %{latch}")
        self.label(latch)
        self.line(f"{following} = add i64 {i}, {step}")
        self.line(f"br label %{head}")
        self.label(done)

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        then, done = self.fresh("then"), self.fresh("endif")
        self.line(f"br i1 {condition}, label %{then}, label %{done}")
        self.label(then)
        yield
        self.line(f"br label %{done}")
        self.label(done)

    def ret(self) -> None:
        self.line("ret void")


def module(functions: list[Function], isa: Isa) -> str:
    """The text of a module. Floating point stays as written: no reassociation, no contraction, NaN and infinities
    count."""
    declared = sorted(set().union(*(f.declared for f in functions)))
    body = "\n".join(f.text() for f in functions)
    return "\n".join(declared) + "\n" + body + f"\nattributes #0 = {{ {isa.attributes} }}\n"
