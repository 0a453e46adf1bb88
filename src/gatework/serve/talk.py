"""The conversation of one stream: a step in, an answer out, one at a time and in order."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from functools import partial
from typing import Protocol

import numpy as np

from gatework.errors import DataError, GateworkError
from gatework.serve.answers import dumped, parsed, said, status
from gatework.serve.limits import NotKnown
from gatework.serve.live import Live
from gatework.serve.streams import Answer

Said = str | bytes
STEP_BYTES = 8  # before the numbers of an answer in bytes: which step it was


class Line(Protocol):
    """What a conversation needs of a connection."""

    def say(self, message: Said) -> None: ...
    def free(self) -> bool:
        """Whether what was said is read, so that more may be said."""
        ...

    def hold(self, held: bool) -> None:
        """Read no more from the client, or go on."""
        ...

    def hang_up(self) -> None: ...


class Talk:
    """Answers what a client says, in the form in which it was said: JSON by JSON, bytes by bytes.

    A client may say more before it has its answer: that waits here, and meanwhile nothing is read from it, so it is
    never more than was under way.
    """

    def __init__(self, live: Live, key: str, line: Line):
        self.live, self.key, self.line = live, key, line
        self.waiting: deque[Said] = deque()
        self.busy = self.held = False
        self.idle = asyncio.Event()
        self.idle.set()

    def hear(self, message: Said) -> None:
        self.waiting.append(message)
        if self.busy:
            self._hold(True)
        else:
            self.go_on()

    def go_on(self) -> None:
        """Take what waits, as far as it can be answered."""
        while self.waiting and not self.busy and self.line.free():
            self._take(self.waiting.popleft())
        self._hold(bool(self.waiting))

    def _hold(self, held: bool) -> None:
        if held != self.held:
            self.held = held
            self.line.hold(held)

    def _take(self, message: Said) -> None:
        self.busy = True
        self.idle.clear()
        in_bytes = isinstance(message, bytes)
        try:
            row = _numbers(message) if isinstance(message, bytes) else parsed(message)
            self.live.ask(self.key, row, partial(self._later, in_bytes))
        except GateworkError as error:
            self._answer(in_bytes, error)

    def _later(self, in_bytes: bool, answer: Answer | GateworkError) -> None:
        self._answer(in_bytes, answer)
        if self.waiting:
            self.go_on()

    def _answer(self, in_bytes: bool, answer: Answer | GateworkError) -> None:
        self.busy = False
        self.idle.set()
        if not isinstance(answer, GateworkError):
            try:
                self.line.say(_bytes(answer) if in_bytes else self._json(answer))
                return
            except DataError as error:
                answer = error
        self.line.say(json.dumps({"error": said(answer), "status": status(answer)}))
        if isinstance(answer, NotKnown):
            self.waiting.clear()
            self.line.hang_up()

    def _json(self, answer: Answer) -> str:
        return dumped({"step": answer.step, "answer": self.live.streams.stepper.answer(answer.output)})


def _bytes(answer: Answer) -> bytes:
    return answer.step.to_bytes(STEP_BYTES, "little") + answer.output.astype("<f4").tobytes()


def _numbers(data: bytes) -> np.ndarray:
    if len(data) % 4:
        raise DataError(f"a step in bytes is float32 numbers, 4 bytes each; got {len(data)} bytes")
    return np.frombuffer(data, "<f4")
