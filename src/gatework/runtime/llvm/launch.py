"""A call that is ready except for the caller's addresses: a script, its memory, and the table of slots that it reads.

Checking arrays and describing them to machine code costs more than a small kernel takes. A `Launch` has done all this
once, for one layout of rows; each call stores addresses in its table and runs.
"""

from __future__ import annotations

import ctypes
from array import array

import numpy as np

from gatework.backends.llvm.layout import Command, Job
from gatework.runtime.frame import ONE_ROW, WORDS, Frame, Layout, entry
from gatework.runtime.llvm import team
from gatework.runtime.llvm.kernel import Kernel
from gatework.runtime.llvm.script import Script
from gatework.runtime.memory import BUFFER_BYTES, Memory, Shared, aligned_zeros
from gatework.runtime.quantised import Weights
from gatework.runtime.rows import Rows

_SLOTS, _COMMANDS, _COUNT, _THREADS = (int(w) for w in (Job.slots, Job.commands, Job.count, Job.threads))


class Launch(Frame):
    """One kernel for one layout of rows. `own` memory is shared with no other call: then no lock is needed."""

    def __init__(
        self,
        kernel: Kernel,
        layout: Layout,
        rows: Rows,
        script: Script,
        shared: Shared,
        own: Memory | None = None,
    ):
        self.kernel, self.rows, self.script, self.shared = kernel, rows, script, shared
        self.memory = shared.memory if own is None else own
        self.panels = self.memory.panels((id(kernel), *script.layout), script.packed)
        self.fixed, self.seen = self._fixed(layout), self.memory.version
        super().__init__(layout, self.fixed[:])
        # For calls that say all of each array: else a state starts as the cell says, in one row for all sequences.
        self.blank = self.fixed[:]
        for place, _ in layout.saved:
            self.blank[place + 1], self.blank[place + 2] = layout.saved_width, 1
        self.threads, self.library, self.execute = script.threads, kernel.library, kernel.library.execute
        self.differ = kernel.library.function("differ", ctypes.c_void_p)
        # Where the weights are packed already, the first commands, which pack them, are left out.
        self.jobs = aligned_zeros(2 * Job.WORDS, np.dtype(np.int64))
        self.words = [self.jobs[: Job.WORDS].data, self.jobs[Job.WORDS : 2 * Job.WORDS].data]
        for words, skipped in zip(self.words, (0, script.packers), strict=True):
            self._fill(words, skipped, script.count - skipped)
        self.addresses = [address := self.jobs.ctypes.data, address + 8 * Job.WORDS]
        self.packed_size, self.nbytes = script.packed, script.nbytes

    def _fixed(self, layout: Layout) -> array[int]:
        table = layout.fixed(self.script, self.memory, self.rows.batch, self.rows.size)
        at = WORDS * layout.slots.packed
        table[at], table[at + 1], table[at + 2] = entry(self.panels.memory, ONE_ROW)
        return table

    def _fill(self, job: np.ndarray | memoryview, first: int, count: int) -> None:
        job[_SLOTS] = self.table.buffer_info()[0]
        job[_COMMANDS] = self.script.address + 8 * Command.WORDS * first
        job[_COUNT], job[_THREADS] = count, self.threads

    def run(self, packed: bool = False) -> bool:
        self.begin(packed)
        if self.threads == 1:
            self.execute(self.addresses[packed], 0)
        elif not team.run(self.library, self.words[packed], self.addresses[packed], self.threads):
            return False
        self.end()
        return True

    def begin(self, packed: bool = False) -> None:
        """What comes before a run: addresses of memory that has moved."""
        if self.seen != self.memory.version:
            self._follow()
        if not packed:
            self.panels.version = -1

    def end(self) -> None:
        """What comes after a run."""
        self.shared.last = self.script.why
        if self.memory.held > BUFFER_BYTES:
            self.memory.give_back()

    def pack(self, weights: Weights) -> None:
        """Pack the weights, and no more, in this thread."""
        job = aligned_zeros(Job.WORDS, np.dtype(np.int64))
        self._fill(job, 0, self.script.packers)
        job[_THREADS] = 1
        self.execute(job.ctypes.data, 0)
        self.script.fill(self.panels.memory, weights)

    def clear(self) -> None:
        """Forget the addresses of earlier calls."""
        if self.seen != self.memory.version:
            self._follow()
        self.table[:] = self.blank

    def _follow(self) -> None:
        """The working memory has moved."""
        now = self._fixed(self.layout)
        for word, (old, new) in enumerate(zip(self.fixed, now, strict=True)):
            if old != new:
                self.table[word] = self.blank[word] = new
        self.fixed, self.seen = now, self.memory.version


class Pair:
    """See `frame.Pair`."""

    def __init__(self, *calls: Launch):
        self.calls, self.library = calls, calls[0].library
        self.jobs = np.array([call.addresses[0] for call in calls])
        self.commands = np.array([self.library["apart"], self.jobs.ctypes.data])
        self.job = aligned_zeros(Job.WORDS, np.dtype(np.int64))
        self.job[Job.commands], self.job[Job.count] = self.commands.ctypes.data, 1
        self.job[Job.threads] = len(calls)
        self.words, self.address = self.job[: Job.WORDS].data, self.job.ctypes.data

    def run(self) -> bool:
        for call in self.calls:
            call.begin()
        if not team.run(self.library, self.words, self.address, len(self.calls)):
            return False
        for call in self.calls:
            call.end()
        self.calls[0].shared.last = "2 threads, one for each direction"
        return True
