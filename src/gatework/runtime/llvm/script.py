"""What the threads are to do, as tables of words (see backends/llvm/layout.py): built once for a layout of rows.

A script holds no address of data: arrays are named by slots, which a call fills in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gatework.runtime.frame import Needs
from gatework.runtime.llvm.parts import GATHERED, Arena, Parts, Run
from gatework.runtime.quantised import Weights
from gatework.runtime.rows import Rows


def nothing(memory: np.ndarray, weights: Weights) -> None:
    """There are no such weights."""


@dataclass
class Script(Needs):
    """Commands ready to run, and the working memory that they need. Read-only."""

    address: int = 0  # where the first command lies
    count: int = 0  # of the commands
    packers: int = 1  # how many of them, the first ones, pack the weights
    tables: tuple[Arena, ...] = ()  # what the commands refer to
    nbytes: int = 0
    why: str = ""  # who runs it, and `beside`
    beside: str = ""  # what is said of its weights
    layout: tuple[int, ...] = ()  # how weights are packed: scripts that agree in it can share the packed weights
    fill: Callable[[np.ndarray, Weights], None] = nothing  # writes the weights that the first command does not


class Writer:
    """Writes one script, of the parts that it shares with others."""

    def __init__(self, parts: Parts, rows: Rows):
        self.parts, self.rows, self.library = parts, rows, parts.library
        self.arena, self.commands, self.chunk_rows = Arena(), list[tuple[str, int]](), 0
        self.counts, self.offsets = self.arena.block(rows.counts), self.arena.block(rows.offsets)
        self.splits = self.arena.block(split_rows(rows, parts.mode.threads))
        self.begun: set[str] = set()

    def finish(self, why: str = "") -> Script:
        """The script; packing comes first, as what has been written says which weights are packed."""
        packers = self.parts.packers
        commands = [*packers, *self.commands]
        address = self.arena.block([w for name, argument in commands for w in (self.library[name], argument)])
        needs = {**vars(self.parts.needs), "chunk_rows": self.chunk_rows}
        return Script(
            **needs,
            address=address,
            count=len(commands),
            packers=len(packers),
            tables=(self.arena, self.parts.arena),
            nbytes=self.arena.nbytes,
            why=f"{why}{self.parts.why}",
            beside=self.parts.why,
            layout=self.parts.layout,
            fill=self.parts.fill,
        )

    def command(self, name: str, argument: int) -> None:
        self.commands.append((name, argument))

    def steps(self, name: str, begin: int, count: int, stride: int, base: int = 0) -> None:
        """Run a plan's stages over steps, after its products that need no state have been taken out of the loop."""
        run, by_units = self.parts.stages(name), int(self.parts.mode.by_units)
        for before in run.before if name not in self.begun else ():
            self.whole(before, self.rows.size, 0)
        self.begun.add(name)
        words = [begin, count, stride, self.counts, self.offsets, base, by_units, self.splits, *run.words]
        self.command("steps", self.arena.block(words))

    def whole(self, run: Run, count: int, offset: int) -> None:
        """Run one stage over many rows as if they were one step."""
        threads = self.parts.mode.threads
        counts = self.arena.block([count, offset, *(count * i // threads for i in range(threads + 1))])
        offsets, splits = counts + 8, counts + 16
        self.command("steps", self.arena.block([0, 1, 1, counts, offsets, offset, 0, splits, *run.words]))

    def outers(self, steps: range, base: int, count: int) -> None:
        """Add a chunk's part of every weight gradient."""
        found: dict[str, list[int]] = {}
        words = [len(self.parts.outers)]
        if self.parts.gathered:
            self.command("gather", self._gather(steps, base, count))
        for mode, before, after in self.parts.outers:
            if mode not in found:
                whole = [(0, 0, self.parts.words(count), 0)]
                where = whole if mode == GATHERED else segments(mode, self.rows, steps, base, count)
                found[mode] = [self.arena.block([w for s in where for w in s]), len(where)]
            words += [*before, *found[mode], *after]
        self.command("outer", self.arena.block(words))

    def _gather(self, steps: range, base: int, count: int) -> int:
        """Rows that are copied before, in the order of the chunk's."""
        listed: dict[str, int] = {}
        words = [len(self.parts.gathered)]
        for mode, before in self.parts.gathered:
            if mode not in listed:
                found = segments(mode, self.rows, steps, base, count)
                rows = [
                    np.arange(row, row + n) if not fresh else -1 - np.arange(row, row + n) for _, row, n, fresh in found
                ]
                listed[mode] = self.arena.block(np.concatenate(rows))
            words += [*before, listed[mode], count]
        return self.arena.block(words)


def split_rows(rows: Rows, threads: int) -> list[int]:
    """Row boundaries that give each thread about the same number of row-steps. Row j is active in as many steps as have
    more than j rows."""
    most = int(rows.counts[0]) if len(rows.counts) else 0
    if threads == 1:
        return [0, most]
    lengths = np.searchsorted(-rows.counts, -np.arange(most), side="left")
    total = np.concatenate([[0], np.cumsum(lengths)])
    cuts = np.searchsorted(total, total[-1] * np.arange(1, threads) / threads - lengths.mean() / 2 if most else [])
    return [0, *(int(min(c, most)) for c in cuts), max(most, 1)] if most else [0] * (threads + 1)


def segments(mode: str, rows: Rows, steps: range, base: int, count: int) -> list[tuple[int, int, int, int]]:
    """Evenly spaced rows of an operand that is read in this way (see plan.Access) beside a cotangent's rows of a chunk
    (see layout.Segment)."""
    if mode in ("one", "call", "local"):
        return [(0, 0, count, 0)]
    if mode == "cur":
        return [(0, base, count, 0)]
    counts, offsets = rows.lists
    found: list[tuple[int, int, int, int]] = []
    for s in steps if offsets[steps[0]] <= offsets[steps[-1]] else reversed(steps):
        ct, n = offsets[s] - base, counts[s]
        if mode == "row" or s == 0:
            found.append((ct, 0, n, int(mode == "prev")))
            continue
        before = offsets[s - 1]
        last = found[-1] if found else None
        if last and not last[3] and (last[0] + last[2], last[1] + last[2]) == (ct, before):
            found[-1] = (last[0], last[1], last[2] + n, 0)
        else:
            found.append((ct, before, n, 0))
    return found
