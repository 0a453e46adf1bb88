"""A call that is ready except for the caller's addresses: a script, its memory, and the table of slots that it reads.

Checking arrays and describing them to machine code costs more than a small kernel takes. A `Launch` has done all this
once, for one layout of rows; each call stores addresses in its table and runs.
"""

from __future__ import annotations

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
        # Where the weights are packed already, the first commands, which pack them, are left out.
        self.jobs = [self._job(skipped, script.count - skipped) for skipped in (0, script.packers)]
        self.addresses = [job.ctypes.data for job in self.jobs]
        self.words = [job[: Job.WORDS].data for job in self.jobs]
        self.block = None
        self.packed_size, self.nbytes = script.packed, script.nbytes

    def _fixed(self, layout: Layout) -> array[int]:
        table = layout.fixed(self.script, self.memory, self.rows.batch, self.rows.size)
        at = WORDS * layout.slots.packed
        table[at], table[at + 1], table[at + 2] = entry(self.panels.memory, ONE_ROW)
        return table

    def _job(self, first: int, count: int) -> np.ndarray:
        job = aligned_zeros(Job.WORDS, np.dtype(np.int64))
        job[Job.slots] = self.table.buffer_info()[0]
        job[Job.commands] = self.script.address + 8 * Command.WORDS * first
        job[Job.count], job[Job.threads] = count, self.threads
        return job

    def run(self, packed: bool = False) -> bool:
        shared, memory = self.shared, self.memory
        if self.seen != memory.version:
            self._follow()
        if self.layout.keeps:
            self.block = shared.pool.take((self.rows.size, self.layout.saved_width))
            address = self.block.__array_interface__["data"][0]
            for place, offset in self.layout.saved:
                self.table[place] = address + offset
        if not packed:
            self.panels.version = -1
        if self.threads == 1:
            self.execute(self.addresses[packed], 0)
        elif not team.run(self.library, self.words[packed], self.addresses[packed], self.threads):
            return False
        shared.last = self.script.why
        if memory.held > BUFFER_BYTES:
            memory.give_back()
        return True

    def pack(self, weights: Weights) -> None:
        """Pack the weights, and no more, in this thread."""
        job = self._job(0, self.script.packers)
        job[Job.threads] = 1
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
