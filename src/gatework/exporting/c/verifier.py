"""The program that proves a printed one: it runs the vectors of the model, and fails for any number that is off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gatework.exporting.c.stack import Stack, function
from gatework.exporting.c.tables import array
from gatework.exporting.c.vectors import Case

HEAD = """/* Proves {name}.c by answers of the model itself, in float64. Exit status 0 means that all agree. */
#include "{name}.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int failures = 0;

/* NaN fails: it is not below anything. */
static void compare(const char *what, const float *got, const double *want, size_t n, double allowed)
{{
    size_t wrong = 0, first = 0;
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= allowed) && !(isinf(want[i]) && (double)got[i] == want[i]))
            if (wrong++ == 0) first = i;
    if (wrong == 0) return;
    failures++;
    printf("FAILED %s: %lu of %lu numbers, first number %lu: %a, expected %a within %a\\n", what, (unsigned long)wrong,
           (unsigned long)n, (unsigned long)first, (double)got[first], want[first], allowed);
}}
"""


def program(stack: Stack, cases: Sequence[Case], name: str) -> str:
    """The text of NAME_test.c."""
    writer = Writer(stack, cases)
    main = function("int main(void)", [*writer.variables(), *writer.checks(), *ending(name)])
    return "\n".join([HEAD.format(name=name), *writer.tables(), *writer.functions(), main])


def ending(name: str) -> list[str]:
    """The end of main: what is told, and the exit status."""
    return [
        'if (failures) printf("%d comparisons failed\\n", failures);',
        f'else printf("{name}: all cases agree\\n");',
        "return failures ? 1 : 0;",
    ]


class Writer:
    """The parts of the program: tables of inputs and answers, and a check for each case."""

    def __init__(self, stack: Stack, cases: Sequence[Case]):
        self.stack, self.cases = stack, cases
        self.data = stack.layers[0].data.name
        self.fields = [
            (k, d, s.name, name)
            for k, layer in enumerate(stack.layers)
            for x, d, s, name in stack.states()
            if x is layer
        ]
        self.longest = max(c.steps for c in cases)

    def tables(self) -> Iterator[str]:
        for k, case in enumerate(self.cases):
            yield f"/* {case.name} */"
            for name, values in case.inputs.items():
                yield array(self._input(k, name), values)
            yield array(f"want{k}", case.outputs, "double")
            for layer, d, s, field in self.fields:
                yield array(f"last{k}_{field}", case.last[layer][d][s], "double")
                if case.start:
                    yield array(f"start{k}_{field}", case.start[layer][d][s])

    def _input(self, k: int, name: str) -> str:
        return f"given{k}" if name == self.data else f"given{k}_{[i.name for i, _ in self.stack.more].index(name)}"

    def functions(self) -> Iterator[str]:
        """What compares the states after a case, and begins it."""
        for k, case in enumerate(self.cases):
            lines = []
            for layer, d, state, field in self.fields:
                what, error = f'"{case.name}, state {field}"', case.allowed_last[layer][d][state]
                lines.append(f"compare({what}, s->{field}, last{k}_{field}, COUNT(last{k}_{field}), {error.hex()});")
            yield function(f"static void after{k}(const {self.stack.type} *s)", lines)
            if not self.stack.both_ways:
                begin = [f"memcpy(s->{field}, start{k}_{field}, sizeof s->{field});" for *_, field in self.fields]
                yield function(f"static void begin{k}(@state *s)", begin if case.start else ["@reset(s);"])

    def variables(self) -> list[str]:
        outputs = self.longest * self.stack.outputs
        return [f"static {self.stack.type} a, b;", f"static float y[{outputs}], z[{outputs}];"]

    def checks(self) -> Iterator[str]:
        if self.stack.both_ways:
            yield from self._both_ways()
            return
        for k, case in enumerate(self.cases):
            yield f"begin{k}(&a);"
            yield f"@run(&a, {self._given(k)}, {case.steps}, y);"
            yield from self._compared(k, "", "y", "&a")
        yield "/* Again, midway and after a reset. */"
        yield from self._again(self._long())
        yield "/* Two streams in turns, step by step. */"
        yield from self._in_turns()

    def _long(self) -> int:
        return max(range(len(self.cases)), key=lambda k: (self.cases[k].start is None, self.cases[k].steps))

    def _both_ways(self) -> Iterator[str]:
        """All cases in the same room, one after another and backwards: nothing of one may reach the next."""
        for k in [*range(len(self.cases)), *reversed(range(len(self.cases)))]:
            room = "&b" if k % 2 else "&a"
            yield f"if (@run({room}, {self._given(k)}, {self.cases[k].steps}, y) != 0) failures++;"
            yield from self._compared(k, "", "y", room)
        yield f"if (@run(&a, {self._given(0)}, @MOST_STEPS + 1, z) != -1) failures++;"

    def _given(self, k: int, t: str = "") -> str:
        """The inputs of a case, from the start or at step t."""
        more = []
        for item, width in self.stack.more:
            name = self._input(k, item.name)
            more.append(
                f"{name}[0]" if item.per == "call" else f"{name} + {t} * {width}" if t and item.per == "step" else name
            )
        data = f"given{k} + {t} * @INPUTS" if t else f"given{k}"
        return ", ".join([data, *more])

    def _compared(self, k: int, how: str, y: str, stream: str) -> Iterator[str]:
        case = self.cases[k]
        yield f'compare("{case.name}{how}, outputs", {y}, want{k}, {case.outputs.size}, {case.allowed.hex()});'
        yield f"after{k}({stream});"

    def _again(self, k: int) -> Iterator[str]:
        half = max(1, self.cases[k].steps // 2)
        yield "@reset(&a);"
        yield f"@run(&a, {self._given(k)}, {half}, y);"
        yield "@reset(&a);"
        yield f"@run(&a, {self._given(k)}, {self.cases[k].steps}, y);"
        yield from self._compared(k, " after a reset midway", "y", "&a")

    def _in_turns(self) -> Iterator[str]:
        first, second = self._long(), next((k for k, c in enumerate(self.cases) if c.start), 0)
        steps = [self.cases[k].steps for k in (first, second)]
        yield f"begin{first}(&a);"
        yield f"begin{second}(&b);"
        yield f"for (size_t t = 0; t < {max(steps)}; t++) {{"
        for k, stream, y, count in ((first, "a", "y", steps[0]), (second, "b", "z", steps[1])):
            yield f"    if (t < {count}) @step(&{stream}, {self._given(k, 't')}, {y} + t * @OUTPUTS);"
        yield "}"
        yield from self._compared(first, " beside another stream", "y", "&a")
        yield from self._compared(second, " beside another stream", "z", "&b")
