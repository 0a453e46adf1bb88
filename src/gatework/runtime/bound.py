"""A program's call with everything but the caller's addresses prepared: for callers that make the same call many times.

`Program.forward` takes arrays, checks them and describes them to the machine code, which costs more than a small kernel
takes. A `Bound` has done this once, for one layout of rows; each call stores addresses and runs. Nothing is checked: the
arrays behind the addresses must be contiguous, of the program's type, and of the shapes that `Program` asks for.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from gatework.backends.llvm.layout import Job, Slot
from gatework.compiler.params import size
from gatework.runtime import program as programs
from gatework.runtime import threads
from gatework.runtime.kernel import Kernel
from gatework.runtime.program import Program
from gatework.runtime.rows import Rows


class Bound:
    """`at[name]` is the word of `table` that holds the address of an array: "input:x", "start:h", "weight:f.0",
    "history:h", "state:c" (starts as the start, ends as the last value), "saved" (all that is kept, side by side), and
    backward "d:h", "ct:h" (starts as the last value's gradient, ends as the start's), "dinput:x", "dweight:f.0"."""

    def __init__(self, program: Program, rows: Rows, kernel: Kernel, kind: Any, write: Callable[..., None], count: int):
        self.program, self.rows = program, rows
        call = programs._Call(program, kernel, rows)
        script = program._script(kernel, rows, kind, write, count)
        call._working_memory(script)
        self.script, self.kernel, self.owned, self.table = script, kernel, call.alive, call.table
        self.address = {name: Slot.WORDS * slot for name, slot in kernel.slots.items()}
        self.job = programs.aligned_zeros(Job.WORDS, np.dtype(np.int64))
        self.job[Job.slots] = self.table.buffer_info()[0]
        self.job[Job.threads] = script.threads
        self.job_address = self.job.ctypes.data
        self.execute = kernel.library.function("execute", ctypes.c_void_p, ctypes.c_int64)
        self._fill()

    def _fill(self) -> None:
        """The strides of the caller's arrays, which are contiguous, and the numbers of units."""
        p = self.program
        for spec in p.graph.inputs:
            width = size(p.sizes, spec.width)
            self.lay(f"input:{spec.name}", 0 if spec.per == "call" else width)
            self.lay(f"dinput:{spec.name}", width)
        for state in p.graph.states:
            for kind in ("start", "history", "state", "d", "ct"):
                self.lay(f"{kind}:{state.name}", size(p.sizes, state.width))
        for key, shape in p.shapes.items():
            for kind in ("weight", "dweight"):
                self.lay(f"{kind}:{key}", shape[-1] if len(shape) > 1 else 1)
            self.lay(f"vector:{key}", 0)
        for name, at in self.address.items():
            if name.startswith("units:"):
                self.owned.append(np.array([size(p.sizes, name[6:])], p.dtype))
                self.table[at] = self.owned[-1].ctypes.data

    def lay(self, name: str, row: int) -> None:
        """Elements between the rows of an array; its columns lie side by side."""
        at = self.address.get(name)
        if at is not None:
            self.lay_at(at, row)

    def lay_at(self, word: int, row: int) -> None:
        """As `lay`, by the word of the address."""
        self.table[word + Slot.row], self.table[word + Slot.column] = row, 1

    def saved_places(self) -> list[tuple[int, int]]:
        """For each value that is kept: the word of its address, and where in a row of "saved" it begins, in bytes."""
        p, column, found = self.program, 0, []
        total = saved_width(p)
        for node in p.saved:
            self.lay(f"saved:{node}", total)
            if f"saved:{node}" in self.address:
                found.append((self.address[f"saved:{node}"], column * p.dtype.itemsize))
            column += size(p.sizes, p.graph.nodes[node].width)
        return found

    def run(self, packed_as: int = -1) -> int:
        """Run; gives the version of the packed weights. If that is `packed_as`, they are those of an earlier call, which
        the caller knows to be the same, and are not packed again. -1, and nothing has run, if threads were missing."""
        script, job = self.script, self.job
        skipped = 1 if packed_as >= 0 and script.packed_version == packed_as else 0
        if not skipped:
            self.program.version += 1
        job[Job.commands] = script.table.ctypes.data + 8 * (script.first + 2 * skipped)
        job[Job.count] = len(script.commands) - skipped
        if script.threads == 1:
            self.execute(self.job_address, 0)
        elif not threads.run(self.kernel.library, job, script.threads):
            script.packed_version = -1
            return -1
        self.program.last = script.why
        if not skipped:
            script.packed_version = self.program.version
        return script.packed_version


def saved_width(program: Program) -> int:
    """Elements of a row of all that training keeps."""
    return sum(size(program.sizes, program.graph.nodes[n].width) for n in program.saved)


def forward(program: Program, rows: Rows, train: bool, count: int) -> Bound:
    """The forward pass, prepared."""
    kernel = program.training if train else program.inference
    return Bound(program, rows, kernel, "forward", programs._write_forward, count)


def backward(program: Program, rows: Rows, need: frozenset[str], count: int) -> Bound:
    """The backward pass, prepared, for gradients of these inputs and, where named, "start" and "weights"."""
    write = functools.partial(programs._write_backward, need=need, program=program)
    return Bound(program, rows, program.backprop, ("backward", need), write, count)


