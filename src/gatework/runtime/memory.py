"""Working memory: aligned to cache lines, on large pages where it is large."""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
import weakref
from array import array
from collections.abc import Hashable
from typing import TypeVar

import numpy as np

V = TypeVar("V")
LARGE_PAGE = 2 << 20
SPARE_BYTES = 512 << 20
BUFFER_BYTES = 256 << 20  # what a program keeps of its working memory between calls


def aligned_zeros(elements: int, dtype: np.dtype) -> np.ndarray:
    """Zeros that begin at a cache line, with a line to spare at the end. From one megabyte on the system is asked for
    large pages: rows of a matrix then do not each cost an address translation."""
    size = elements * dtype.itemsize + 128
    if size < LARGE_PAGE // 2 or not hasattr(mmap, "MADV_HUGEPAGE"):
        raw = np.zeros(size + 64, np.uint8)
        shift = -raw.__array_interface__["data"][0] % 64
    else:
        pages = mmap.mmap(-1, -(-size // LARGE_PAGE) * LARGE_PAGE + LARGE_PAGE)
        raw = np.frombuffer(pages, np.uint8)
        shift = -raw.__array_interface__["data"][0] % LARGE_PAGE
        _advise(pages)
    return raw[shift : shift + size // dtype.itemsize * dtype.itemsize].view(dtype)


def _advise(pages: mmap.mmap) -> None:
    with contextlib.suppress(OSError):  # a system without large pages
        pages.madvise(mmap.MADV_HUGEPAGE)


class Recent(dict):
    """What was made last, by key: a limited number of things and, where they have `nbytes`, of bytes. The
    newest stays in any case. Nothing is locked, as a forked child could wait for ever."""

    def __init__(self, most: int, most_bytes: int):
        super().__init__()
        self.most, self.most_bytes = most, most_bytes
        self.sizes: dict[Hashable, int] = {}
        self.total = 0  # bytes of all, counted along: a sum over them would cost more than many a call

    def keep(self, key: Hashable, value: V) -> V:
        """The value, which now stands under its key."""
        self._drop(key)
        self[key], self.sizes[key] = value, getattr(value, "nbytes", 0)
        self.total += self.sizes[key]
        while len(self) > 1 and (len(self) > self.most or self.total > self.most_bytes):
            oldest, *_ = self  # in one go, which no other thread interrupts
            self._drop(oldest)
        return value

    def _drop(self, key: Hashable) -> None:
        self.pop(key, None)
        self.total -= self.sizes.pop(key, 0)


class Panels:
    """Room for packed weights, and the version of the program's weights that it holds (-1: none)."""

    def __init__(self, elements: int, dtype: np.dtype):
        self.memory, self.version = aligned_zeros(elements, dtype), -1


class Memory:
    """What calls work in, kept from one to the next; and numbers that they only read. `version` counts how often any of
    it has moved: addresses taken before are then invalid."""

    def __init__(self, dtype: np.dtype):
        self.dtype, self.version, self.held = dtype, 0, 0
        self.buffers: dict[str, np.ndarray] = {}
        self.constants: dict[tuple, np.ndarray] = {}
        self.tables: dict[Hashable, tuple[int, array[int]]] = {}  # made of the addresses here, with their version
        self.packed: weakref.WeakValueDictionary[tuple, Panels] = weakref.WeakValueDictionary()

    def panels(self, key: tuple, elements: int) -> Panels:
        """Where weights are packed: the same for all calls that pack them in the same way, as long as one lives."""
        found = self.packed.get(key)
        if found is None:
            found = self.packed[key] = Panels(elements, self.dtype)
        return found

    def buffer(self, name: str, elements: int) -> np.ndarray:
        """At least this number of elements; zero when new, aligned to cache lines."""
        found = self.buffers.get(name)
        if found is None or found.size < elements:
            found = self.buffers[name] = aligned_zeros(elements, self.dtype)
            self.version += 1
            self.held = sum(b.nbytes for b in self.buffers.values())
        return found

    def constant(self, value: float, shape: tuple[int, ...]) -> np.ndarray:
        """An array that is only read."""
        key = (value, shape)
        if key not in self.constants:
            self.constants[key] = np.full(shape, value, self.dtype)
        return self.constants[key]

    def give_back(self) -> None:
        """Return the buffers to the system."""
        self.buffers.clear()
        self.held = 0
        self.version += 1


class Pool:
    """Large arrays that come back when the last view of them is gone: the system need not clear their pages again."""

    def __init__(self, dtype: np.dtype, most: int = 4, most_bytes: int = SPARE_BYTES):
        self.dtype, self.most, self.most_bytes = dtype, most, most_bytes
        self.spare: list[np.ndarray] = []

    def take(self, shape: tuple[int, int]) -> np.ndarray:
        """An array with arbitrary contents."""
        count = shape[0] * shape[1]
        if count * self.dtype.itemsize < LARGE_PAGE:
            return np.empty(shape, self.dtype)
        block = self._fitting(count)
        found = block[:count].reshape(shape)[...]
        weakref.finalize(found, self._back, block)
        return found

    def _fitting(self, count: int) -> np.ndarray:
        for i, block in enumerate(self.spare):
            if count <= block.size <= 2 * count:
                return self.spare.pop(i)
        return aligned_zeros(count, self.dtype)

    def _back(self, block: np.ndarray) -> None:
        self.spare.append(block)
        while len(self.spare) > self.most or sum(b.nbytes for b in self.spare) > self.most_bytes:
            self.spare.pop(0)


class Shared:
    """What all calls of a program share: its memory, and the lock under which one of them at a time uses it."""

    def __init__(self, dtype: np.dtype):
        self.memory, self.pool = Memory(dtype), Pool(dtype)
        self.second = Memory(dtype)  # for a call that runs at the same time as another
        self.lock = threading.Lock()
        self.last = "nothing has run yet"  # which kernel the last call used, and why
        _living.add(self)


_living: weakref.WeakSet[Shared] = weakref.WeakSet()


def _after_fork() -> None:
    """In a child, no thread is left that could open a lock."""
    for shared in list(_living):
        shared.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
