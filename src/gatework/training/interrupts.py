"""Ctrl-C and SIGTERM as a wish to stop after the step at hand, rather than an exception in the middle of it."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ECHO = 1.0  # seconds in which a second signal is the first again: torchrun passes on a Ctrl-C that all have had


class Interrupts:
    """Inside the block the first signal sets `wanted`; one that comes a second later acts as it did before the block.

    with Interrupts() as interrupts:
        while not interrupts.wanted:
            step()
    """

    def __init__(self) -> None:
        self.wanted = False
        self._asked_at = 0.0
        self._before: dict[int, Any] = {}  # what `signal` gave: a function, a number or None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._asked) for number in SIGNALS}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        around = [getattr(handler, "__self__", None) for handler in self._before.values()]
        self._restore()
        for block in around if self.wanted else ():  # a signal that came too late for this block is for the one around
            if isinstance(block, Interrupts):
                block.wanted, block._asked_at = True, self._asked_at

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self._asked_at = self._asked_at or time.monotonic()
        if self.wanted and time.monotonic() - self._asked_at > ECHO:
            self._restore()
            signal.raise_signal(number)
        self.wanted = True

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
