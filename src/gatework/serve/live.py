"""Streams of many clients in one event loop: steps that come together are one batch, and each is on disk before its
answer goes out."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from gatework.errors import GateworkError, OptionError
from gatework.runtime.stepper import Stepper
from gatework.serve.journal import Journal
from gatework.serve.limits import Busy, Limits, NotKnown, Taken
from gatework.serve.snapshot import snapshot
from gatework.serve.streams import Answer, Streams

Answers = dict[str, Answer | GateworkError]
Tell = Callable[[Answer | GateworkError], None]


class Live:
    """The streams of one model, for callers that wait for their answers.

    live = Live(Streams(stepper, notes=journal), journal)
    live.enter("sensor 7")
    answer = await live.step("sensor 7", [0.5, 1.0])
    live.leave("sensor 7")
    """

    def __init__(self, streams: Streams, journal: Journal | None = None, delay: float = 0.002):
        self.streams, self.journal, self.delay = streams, journal, delay
        self.limits: Limits = streams.limits
        self.there: set[str] = set()  # streams that a connection holds
        self.asked: defaultdict[str, deque[Tell]] = defaultdict(deque)
        self.unwritten: list[Callable[[GateworkError | None], None]] = []  # to be told how the next write went
        self.due = self.writing = self.renewing = False
        self.ticks = self.steps = 0
        self.task: asyncio.Task[None] | None = None  # the write that runs: the loop itself holds tasks weakly
        self.writer = ThreadPoolExecutor(1, "gatework journal")

    # ---- coming and going
    def enter(self, key: str, kept: bool = True) -> int:
        """Hold a stream, begun if need be: the steps it has done. Raises Taken where another connection holds it."""
        if key in self.there:
            raise Taken(f"another connection holds the stream {key!r:.80}; close it, or take another id")
        steps = self.streams.open(key, kept)
        self.there.add(key)
        return steps

    def leave(self, key: str, kept: bool = True) -> None:
        self.there.discard(key)
        if not kept and key in self.streams.sessions:
            self._drop(key)

    async def drop(self, key: str) -> None:
        """End a stream, also on disk; whoever waits for a step of it hears so."""
        self._drop(key)
        if self.journal is not None:
            await self._flushed()

    async def _flushed(self) -> None:
        """Wait until all that was noted is on disk. Raises Busy where it cannot be."""
        written = asyncio.get_running_loop().create_future()
        self.unwritten.append(lambda failure: _settle(written, failure))
        self._write()
        await written

    def _drop(self, key: str) -> None:
        self.streams.drop(key)
        for tell in self.asked.pop(key, ()):
            tell(NotKnown(f"the stream {key!r:.80} was dropped"))

    async def turn(self, stepper: Stepper, model: str) -> None:
        """Begin streams of another model from now on, also on disk. Raises OptionError while there are old ones."""
        old = self.streams
        if old.sessions:
            raise OptionError(
                f"its streams ({len(old.sessions):,}) go on; when they are dropped or old, SIGHUP takes the new one"
            )
        self.streams = Streams(stepper, old.limits, old.clock, self.journal)
        self.streams.refused = old.refused
        if self.journal is not None:
            self.journal.model, self.renewing = model, True
            with suppress(Busy):  # the streams are of the new model already; the next write tries again
                await self._flushed()

    # ---- stepping
    def step(self, key: str, row: object) -> asyncio.Future[Answer]:
        """The answer to come; what is wrong with the input is raised at once."""
        future = asyncio.get_running_loop().create_future()
        self.ask(key, row, partial(_settle, future))
        return future

    def ask(self, key: str, row: object, tell: Tell) -> None:
        """One step more: `tell` is called with its answer; what is wrong with the input is raised at once."""
        self.streams.push(key, row, self.streams.clock() + self.limits.seconds)
        self.asked[key].append(tell)
        if not self.due:
            self.due = True
            asyncio.get_running_loop().call_later(self.delay, self._tick)

    def _tick(self) -> None:
        self.due = False
        answers = self.streams.tick()
        self.ticks += 1
        self.steps += len(answers)
        if self.streams.waiting:
            self.due = True
            asyncio.get_running_loop().call_soon(self._tick)
        if self.journal is None:
            self._give(answers)
        else:
            self.unwritten.append(lambda failure: self._give(answers, failure))
            self._write()

    def _give(self, answers: Answers, failure: GateworkError | None = None) -> None:
        for key, answer in answers.items():
            waiting = self.asked.get(key)
            if waiting:
                tell = waiting.popleft()
                if not waiting:
                    del self.asked[key]
                tell(failure or answer)

    # ---- writing
    def _write(self) -> None:
        """Begin to write what was noted, unless a write runs; what is noted meanwhile goes together into the next."""
        if self.journal is None or self.writing or not (self.unwritten or self.journal.notes):
            return
        self.writing = True
        self.task = asyncio.get_running_loop().create_task(self._written(self.journal))

    async def _written(self, journal: Journal) -> None:
        loop, failure, streams = asyncio.get_running_loop(), None, self.streams
        data = snapshot(streams, journal.model) if journal.due(self.renewing) else None
        notes, told, self.unwritten = journal.taken(), self.unwritten, []
        try:
            await loop.run_in_executor(self.writer, journal.flush, notes, data)
            self.renewing = self.streams is not streams  # a new model came meanwhile
        except OSError as error:
            # The steps are done in memory and not on disk: a snapshot of them all is due before anything is told.
            self.renewing = True
            failure = Busy(f"the state cannot be written ({error.strerror}); the step may be lost if the server ends")
        for tell in told:
            tell(failure)
        self.writing = False
        self._write()

    async def close(self) -> None:
        """Answer what waits, and leave a snapshot."""
        while self.due or self.writing:
            await asyncio.sleep(0.005)
        if self.journal is not None:
            self.journal.taken()
            await asyncio.get_running_loop().run_in_executor(
                self.writer, self.journal.renew, snapshot(self.streams, self.journal.model)
            )
            self.journal.close()
        self.writer.shutdown()

    async def keep_swept(self, every: float = 10.0) -> None:
        """End old streams from time to time, for as long as the task lives."""
        while True:
            await asyncio.sleep(every)
            self.streams.sweep(self.streams.clock())
            self._write()


def _settle(future: asyncio.Future, answer: Answer | GateworkError | None) -> None:
    if future.done():  # nobody waits any more
        return
    if isinstance(answer, GateworkError):
        future.set_exception(answer)
    else:
        future.set_result(answer)
