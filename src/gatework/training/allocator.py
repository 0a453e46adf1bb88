"""Freed memory that a training keeps, because its next step needs as much again.

glibc gives the end of its heap back to the system as soon as much of it is free, which is after each step; in the next
one the system clears the same pages once more: a tenth of the time of small convolutions. No number depends on it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

TRIM, MAPPED = -1, -3  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
KEPT = 1 << 30  # bytes that may stay free at the end of the heap during a training
LARGEST = 32 << 20  # blocks that come from the heap at most; glibc itself goes up to it
SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@contextmanager
def kept_memory() -> Iterator[None]:
    """Around a training: freed memory stays with this process, and is given back at the end. Where malloc is not
    glibc's, or somebody has set its thresholds (`SETTINGS`), nothing is changed."""
    if not _set(KEPT):
        yield
        return
    try:
        yield
    finally:
        _set(2 * LARGEST)  # what glibc's own thresholds come to once blocks of this size were freed
        ctypes.CDLL(None).malloc_trim(0)


def _set(kept: int) -> bool:
    """Whether glibc keeps so many bytes now."""
    if os.name != "posix" or any(name in os.environ for name in SETTINGS):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt") or not hasattr(libc, "gnu_get_libc_version"):
        return False
    # Both, as to set either one ends glibc's own adjustment of the other.
    return bool(libc.mallopt(MAPPED, LARGEST)) and bool(libc.mallopt(TRIM, kept))
