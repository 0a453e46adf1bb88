"""Working memory: aligned to cache lines, on large pages where it is large."""

from __future__ import annotations

import contextlib
import mmap
import weakref
from typing import Any

import numpy as np

LARGE_PAGE = 2 << 20
SPARE_BYTES = 512 << 20


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
    """What was made last, by key: at most so many things and, as far as they say their `nbytes`, so many bytes. The
    newest stays in any case. Nothing is locked, as a forked child could wait for ever."""

    def __init__(self, most: int, most_bytes: int):
        super().__init__()
        self.most, self.most_bytes = most, most_bytes

    def keep(self, key: Any, value: Any) -> Any:
        """The value, which now stands under its key."""
        self[key] = value
        total = sum(getattr(each, "nbytes", 0) for each in list(self.values()))
        for old in list(self)[:-1]:
            if len(self) <= self.most and total <= self.most_bytes:
                break
            total -= getattr(self.pop(old, None), "nbytes", 0)
        return value


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
