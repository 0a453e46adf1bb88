"""Who runs a job's threads: this thread alone, torch's own OpenMP team, or a pool of ours.

In a process that has torch, its workers still spin after an operation of torch; a second pool would find no core. So
jobs go to the same team, through the `GOMP_parallel` of the library that torch loaded. Elsewhere a pool of Python
threads waits; each runs machine code without the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gatework.backends.llvm.layout import Job

if TYPE_CHECKING:
    from gatework.runtime.llvm.cpu import Code


def run(library: Code, job: memoryview, address: int, threads: int) -> bool:
    """Run a job (see layout.Job), its words and where they lie. False, and nothing has run, if the team did not come
    complete: OpenMP gives a single thread inside another parallel region, or fewer where a limit is set."""
    crew = team()
    job[_TICKET:] = crew.blank
    crew.run(library["team"], address, threads)
    return not job[_REFUSED]


_TICKET, _REFUSED = int(Job.ticket), int(Job.refused)  # as plain numbers, which index faster


def _blank(size_function: int) -> memoryview:
    """What follows the ticket before a job begins; the barrier too, as a fork may have come in the middle of a
    meeting."""
    words = np.zeros(Job.WORDS, np.int64)
    words[Job.team_size] = size_function
    return words.data[_TICKET:]


class OpenMP:
    """torch's team."""

    def __init__(self, library: ctypes.CDLL):
        self.parallel = library.GOMP_parallel
        self.parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        self.parallel.restype = None
        self.size_function = ctypes.cast(library.omp_get_num_threads, ctypes.c_void_p).value or 0
        self.blank = _blank(self.size_function)

    def run(self, team: int, job: int, threads: int) -> None:
        self.parallel(team, job, threads, 0)


class Workers:
    """Threads of ours, started at first use and again in a forked child."""

    def __init__(self) -> None:
        self.blank = _blank(0)
        self.workers: list[_Worker] = []
        self.lock = threading.Lock()  # the workers serve one job at a time

    def run(self, team: int, job: int, threads: int) -> None:
        with self.lock:
            self._run(team, job, threads)

    def _run(self, team: int, job: int, threads: int) -> None:
        while len(self.workers) < threads - 1:
            self.workers.append(_Worker())
        helpers = self.workers[: threads - 1]
        for worker in helpers:
            worker.start(team, job)
        _call(team)(job)
        for worker in helpers:
            worker.wait()


class _Worker:
    """A daemon thread that waits for work."""

    def __init__(self) -> None:
        self.work: tuple[int, int] | None = None
        self.wake, self.done = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._loop, daemon=True, name="gatework").start()

    def start(self, team: int, job: int) -> None:
        self.work = (team, job)
        self.wake.release()

    def wait(self) -> None:
        self.done.acquire()

    def _loop(self) -> None:
        while True:
            self.wake.acquire()
            assert self.work is not None
            team, job = self.work
            _call(team)(job)
            self.done.release()


_functions: dict[int, Callable[[int], None]] = {}


def _call(address: int) -> Callable[[int], None]:
    """A team function by its address (Python's lock is released while it runs)."""
    if address not in _functions:
        _functions[address] = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
    return _functions[address]


_team: OpenMP | Workers | None = None


def team() -> OpenMP | Workers:
    """The team of this process. A pool gives way to torch's team once torch is there."""
    global _team
    if not isinstance(_team, OpenMP) and "torch" in sys.modules:
        library = None if _forked else _torch_openmp()
        _team = OpenMP(library) if library else _team
    if _team is None:
        _team = Workers()
    return _team


def _torch_openmp() -> ctypes.CDLL | None:
    """The OpenMP library that torch loaded, if it is GNU's."""
    root = getattr(sys.modules["torch"], "__file__", None)
    if root is None or not sys.platform.startswith("linux"):
        return None
    folder = Path(root).parent
    for path in [*folder.glob("lib/libgomp*.so*"), *folder.parent.glob("torch.libs/libgomp*.so*")]:
        try:
            return ctypes.CDLL(str(path))
        except OSError:
            continue
    return None


_forked = False


def _after_fork() -> None:
    """Threads do not survive a fork, and GNU's OpenMP hangs when its team is used again: a child makes its own pool."""
    global _team, _forked
    _team, _forked = None, True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
