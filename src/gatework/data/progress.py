"""Who hears how much of a long reading is done: whoever waits for it says so, however far below it is read.

with heard_by(lambda done, total: print(done, total)):
    Store.of(listing, decode)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int], None]  # files done, of how many
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Meanwhile `tell` calls this one."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def tell(done: int, total: int) -> None:
    """So many of all files are done."""
    if listener := _listener.get():
        listener(done, total)
