"""A program's call with everything but the caller's addresses prepared: for callers that make the same call many times.

`Program.forward` takes arrays, checks them and describes them to the machine code, which costs more than a small
kernel takes. A `Bound` has done this once, for one layout of rows; each call stores addresses and runs. Nothing is
checked: the arrays behind the addresses must be of the program's type, and of the shapes that `Program` asks for.
"""

from __future__ import annotations

import ctypes
import functools
from array import array
from collections.abc import Callable
from typing import Any

from gatework.backends.llvm.layout import Job, Slot
from gatework.runtime import threads
from gatework.runtime.call import template
from gatework.runtime.kernel import Kernel
from gatework.runtime.program import Program, write_backward, write_forward
from gatework.runtime.rows import Rows


class Bound:
    """`address[name]` is the word of `table` that holds the address of an array: "input:x", "start:h", "weight:f.0",
    "vector:p", "history:h", "state:c" (begins as the start, ends as the last value), and backward "d:h", "ct:h" (begins
    as the last value's gradient, ends as the start's), "dinput:x", "dweight:f.0"; `saved` are those of the parts of
    what training keeps, side by side. Arrays are contiguous unless `lay` says otherwise. Hold `program.lock`."""

    def __init__(self, program: Program, rows: Rows, kernel: Kernel, kind: Any, write: Callable[..., None], count: int):
        self.program, self.kernel = program, kernel
        with program.lock:
            self.script = script = program._script(kernel, rows, kind, write, count)
            self.filled, self.seen = template(program, kernel, rows, script), program.memory_version
        self.rows, self.table = rows, array("q", self.filled)
        self.place = self.table.buffer_info()[0]
        self.address = {name: int(Slot.WORDS) * slot for name, slot in kernel.slots.items()}
        self.execute = kernel.library.function("execute", ctypes.c_void_p, ctypes.c_int64)
        self.job_address = script.job.ctypes.data
        self.saved: list[tuple[int, int]] = []
        self._lay_all()

    def _lay_all(self) -> None:
        p = self.program
        for spec in p.graph.inputs:
            self.lay(f"input:{spec.name}", 0 if spec.per == "call" else p.width(spec.width))
            self.lay(f"dinput:{spec.name}", p.width(spec.width))
        for state in p.graph.states:
            for kind in ("start", "history", "state", "d", "ct"):
                self.lay(f"{kind}:{state.name}", p.width(state.width))
        for key, shape in p.shapes.items():
            self.lay(f"vector:{key}", 0)
            for kind in ("weight", "dweight"):
                self.lay(f"{kind}:{key}", shape[-1] if len(shape) > 1 else 1)
        for node, column in {} if p.recompute else p.saved_columns.items():
            self.lay(f"saved:{node}", p.saved_width)
            if f"saved:{node}" in self.address:
                self.saved.append((self.address[f"saved:{node}"], column * p.dtype.itemsize))

    def lay(self, name: str, row: int, column: int = 1) -> None:
        """Elements between the rows, and between the columns, of an array."""
        word = self.address.get(name)
        if word is not None:
            self.table[word + 1], self.table[word + 2] = row, column

    def run(self, packed: bool = False) -> bool:
        """Run; `packed`: the panels that the table names hold the weights already. False, and nothing has run, if
        threads were missing."""
        script, program, job = self.script, self.program, self.script.job
        if self.seen != program.memory_version:
            self._follow()
        if not packed:
            script.panels.version = -1  # type: ignore[union-attr]
        job[Job.slots] = self.place
        job[Job.commands] = script.address + 8 * (script.first + 2 * packed)
        job[Job.count] = len(script.commands) - packed
        job[Job.threads] = script.threads
        if script.threads == 1:
            self.execute(self.job_address, 0)
        elif not threads.run(self.kernel.library, job, script.threads):
            return False
        program.last = script.why
        program.tidy()
        return True

    def _follow(self) -> None:
        """The program's working memory has moved."""
        now = template(self.program, self.kernel, self.rows, self.script)
        for word, (old, new) in enumerate(zip(self.filled, now, strict=True)):
            if old != new:
                self.table[word] = new
        self.filled, self.seen = now, self.program.memory_version


def forward(program: Program, rows: Rows, train: bool, count: int) -> Bound:
    """The forward pass, prepared, for at most `count` threads."""
    kernel = program.training if train else program.inference
    return Bound(program, rows, kernel, "forward", write_forward, count)


def backward(program: Program, rows: Rows, need: frozenset[str], count: int) -> Bound:
    """The backward pass, prepared, for gradients of these inputs and, if named, "weights"; starts' are always made."""
    write = functools.partial(write_backward, need=need, program=program)
    return Bound(program, rows, program.backprop, ("backward", need), write, count)
