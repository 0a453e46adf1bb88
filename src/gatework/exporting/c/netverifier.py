"""The program that proves printed nets: every case of each, streams in turns, a reset midway, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gatework.exporting.c.net import Printer, field_of
from gatework.exporting.c.netvectors import NetCase
from gatework.exporting.c.stack import function
from gatework.exporting.c.tables import array
from gatework.exporting.c.verifier import HEAD, ending


def program(nets: Sequence[tuple[Printer, list[NetCase]]], name: str) -> str:
    """The text of NAME_test.c."""
    writers = [Writer(printer, cases, f"n{k}") for k, (printer, cases) in enumerate(nets)]
    checks = [line for writer in writers for line in writer.checks()]
    main = function("int main(void)", [*(v for w in writers for v in w.variables()), *checks, *ending(name)])
    return "\n".join([HEAD.format(name=name), *(t for w in writers for t in w.tables()), main])


class Writer:
    """The tables and checks of one net; all its names begin with `own`."""

    def __init__(self, printer: Printer, cases: Sequence[NetCase], own: str):
        self.printer, self.cases, self.own, self.net = printer, cases, own, printer.net
        self.steps = bool(printer.net.states)

    def tables(self) -> Iterator[str]:
        for k, case in enumerate(self.cases):
            yield f"/* {case.name} */"
            for name in self.printer.given:
                yield array(self._name("in", k, name), case.inputs[name], self.printer.values[name].ctype)
            for name, values in case.outputs.items():
                yield array(self._name("out", k, name), values, "double")
            for name, values in case.last.items():
                yield array(self._name("last", k, name), values, "double")
                if case.start:
                    yield array(self._name("start", k, name), case.start[name])

    def _name(self, what: str, k: int, name: str) -> str:
        return f"{self.own}_{what}{k}_{field_of(name)}"

    def variables(self) -> Iterator[str]:
        yield f"static {self.printer.type} {self.own}_a, {self.own}_b;"
        for name in self.net.outputs:
            longest = max(case.outputs[name].size for case in self.cases)
            yield f"static float {self._got('a', name)}[{longest}], {self._got('b', name)}[{longest}];"

    def _got(self, stream: str, name: str) -> str:
        return f"{self.own}_{stream}_{field_of(name)}"

    def checks(self) -> Iterator[str]:
        yield from self._streams() if self.steps else self._wholes()

    # ---- whole sequences
    def _wholes(self) -> Iterator[str]:
        """All cases in the same room, there and back: nothing of one may reach the next. Then what is refused."""
        for k in [*range(len(self.cases)), *reversed(range(len(self.cases)))]:
            stream = "ab"[k % 2]
            yield f"if ({self._call(k, stream)} != 0) failures++;"
            yield from self._compared(k, stream, "")
        if self.printer.axes:
            for steps in ("0", "1000000"):
                yield f"if ({self._call(0, 'a', steps)} != -1) failures++;"

    def _call(self, k: int, stream: str, steps: str | None = None, t: str = "") -> str:
        case, inputs = self.cases[k], []
        for name in self.printer.given:
            each = case.inputs[name].size // case.steps if self.steps else 0
            inputs.append(self._name("in", k, name) + (f" + {t} * {each}" if t else ""))
        axes = [self._axis(k, a) if steps is None else steps for a in self.printer.axes]
        outputs = []
        for name in self.net.outputs:
            each = case.outputs[name].size // case.steps if self.steps else 0
            outputs.append(self._got(stream, name) + (f" + {t} * {each}" if t else ""))
        return f"{self.printer.function}({', '.join([f'&{self.own}_{stream}', *inputs, *axes, *outputs])})"

    def _axis(self, k: int, axis: str) -> str:
        """How long a named axis of a case is."""
        case = self.cases[k]
        found = [case.inputs[n].shape[i.shape.index(axis)] for n, i in self.printer.given.items() if axis in i.shape]
        return str(found[0])

    # ---- streams
    def _streams(self) -> Iterator[str]:
        for k in range(len(self.cases)):
            yield from self._whole_stream(k, "")
        long = max(range(len(self.cases)), key=lambda k: (not self.cases[k].start, self.cases[k].steps))
        yield from self._loop([(long, "a")], max(1, self.cases[long].steps // 2))
        yield from self._whole_stream(long, " after a reset midway")
        second = next((k for k, c in enumerate(self.cases) if c.start), 0)
        yield from self._begun(long, "a")
        yield from self._begun(second, "b")
        yield from self._loop([(long, "a"), (second, "b")], max(self.cases[k].steps for k in (long, second)))
        yield from self._compared(long, "a", " beside another stream")
        yield from self._compared(second, "b", " beside another stream")

    def _whole_stream(self, k: int, how: str) -> Iterator[str]:
        yield from self._begun(k, "a")
        yield from self._loop([(k, "a")], self.cases[k].steps)
        yield from self._compared(k, "a", how)

    def _begun(self, k: int, stream: str) -> Iterator[str]:
        yield f"{self.printer.reset}(&{self.own}_{stream});"
        for name in self.cases[k].start:
            field = f"{self.own}_{stream}.{field_of(name)}"
            yield f"memcpy({field}, {self._name('start', k, name)}, sizeof {field});"

    def _loop(self, streams: list[tuple[int, str]], steps: int) -> Iterator[str]:
        yield f"for (size_t t = 0; t < {steps}; t++) {{"
        for k, stream in streams:
            yield f"    if (t < {self.cases[k].steps} && {self._call(k, stream, t='t')} != 0) failures++;"
        yield "}"

    def _compared(self, k: int, stream: str, how: str) -> Iterator[str]:
        case = self.cases[k]
        found = {n: (self._got(stream, n), self._name("out", k, n)) for n in case.outputs}
        found |= {n: (f"{self.own}_{stream}.{field_of(n)}", self._name("last", k, n)) for n in case.last}
        for name, (got, want) in found.items():
            what = f'"{field_of(self.printer.name)}, {case.name}{how}: {field_of(name)}"'
            yield f"compare({what}, {got}, {want}, COUNT({want}), {float(case.allowed[name]).hex()});"
