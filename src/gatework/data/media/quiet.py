"""Pillow without its warnings, in several threads."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache


class _Filter:
    """What stood before the first thread entered, and how many are within."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.within = 0
        self.caught = warnings.catch_warnings()

    def enter(self) -> None:
        with self.lock:
            self.within += 1
            if self.within == 1:
                self.caught = warnings.catch_warnings()
                self.caught.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")

    def leave(self) -> None:
        with self.lock:
            self.within -= 1
            if not self.within:
                self.caught.__exit__(None, None, None)


_FILTER = _Filter()


@contextmanager
def quiet() -> Iterator[None]:
    """Without Pillow's warnings of damaged notes and the like: the first thread to enter sets the filter, the last to
    leave takes it back. (Python's own `catch_warnings` is not made for several threads.)"""
    _FILTER.enter()
    try:
        yield
    finally:
        _FILTER.leave()


@cache
def load_plugins() -> None:
    """Pillow loads its formats when the first file is opened, which is not made for several threads at once."""
    from PIL import Image

    with _FILTER.lock:
        Image.init()
