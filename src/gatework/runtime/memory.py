"""Working memory: aligned to cache lines, on large pages where it is large."""

from __future__ import annotations

import mmap

import numpy as np

LARGE_PAGE = 2 << 20


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
    try:
        pages.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # a system without large pages
        pass
