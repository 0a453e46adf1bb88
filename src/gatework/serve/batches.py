"""Requests that come together become one batch: the model runs in a thread, and a bad request fails alone."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, NamedTuple

from gatework.serve.limits import Busy, Limits, TooLarge, TooLate

Rows = Sequence[Any]
Answers = list[dict[str, Any]]
Predict = Callable[[list[Any]], Answers]


class Asked(NamedTuple):
    """A request that waits."""

    rows: Rows
    answers: asyncio.Future[Answers]
    deadline: float

    @property
    def weight(self) -> int:
        """Among what waits a request without rows, too, is something."""
        return max(1, len(self.rows))


class Batches:
    """Predictions for many callers.

    batches = Batches(model.predict, worker)
    answers = await batches.predict([{"text": "a fine film"}])
    """

    def __init__(self, predict: Predict, worker: Executor, limits: Limits | None = None, delay: float = 0.002):
        self.together = False  # whether a request is one question: it is a batch of its own, with any number of answers
        self.model, self.worker, self.limits, self.delay = predict, worker, limits or Limits(), delay
        self.queue: deque[Asked] = deque()
        self.waiting = 0
        self.task: asyncio.Task[None] | None = None
        self.batches = self.rows = 0
        self.refused: Counter[str] = Counter()

    async def predict(self, rows: Rows) -> Answers:
        """The answers, one for each row. Raises what the model says of these rows; Busy, TooLate, TooLarge."""
        if len(rows) > self.limits.rows:
            self.refused["rows"] += 1
            raise TooLarge(f"{len(rows):,} rows in one request; {self.limits.rows:,} is the most")
        if self.waiting and self.waiting + max(1, len(rows)) > self.limits.waiting:
            self.refused["waiting"] += 1
            raise Busy(f"{self.waiting:,} rows wait for their predictions; come later")
        loop = asyncio.get_running_loop()
        asked = Asked(rows, loop.create_future(), loop.time() + self.limits.seconds)
        self.queue.append(asked)
        self.waiting += asked.weight
        if self.task is None:
            self.task = loop.create_task(self._work())
        try:
            async with asyncio.timeout_at(asked.deadline):
                return await asked.answers
        except TimeoutError:
            self.refused["late"] += 1
            raise TooLate(f"no answer within {self.limits.seconds:g} s; ask for fewer rows, or later") from None

    async def _work(self) -> None:
        """Batch after batch, until nobody waits."""
        await asyncio.sleep(self.delay)
        while self.queue:
            await self._answer(self._together())
        self.task = None

    def _together(self) -> list[Asked]:
        """The next requests, up to a batch of rows; those that nobody waits for any more are left out."""
        found, rows = [], 0
        while self.queue and (not found or (not self.together and self._fits(rows))):
            asked = self.queue.popleft()
            self.waiting -= asked.weight
            if not asked.answers.done():
                found.append(asked)
                rows += len(asked.rows)
        return found

    def _fits(self, rows: int) -> bool:
        """Whether the next request goes into a batch that has so many rows."""
        return rows + len(self.queue[0].rows) <= self.limits.batch

    async def _answer(self, group: list[Asked]) -> None:
        if not group:
            return
        rows = [row for asked in group for row in asked.rows]
        self.batches, self.rows = self.batches + 1, self.rows + len(rows)
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self.worker, self.model, rows)
            if not self.together and len(answers) != len(rows):
                raise RuntimeError(f"the model gave {len(answers)} answers to {len(rows)} rows")
        except Exception as error:
            await self._failed(group, error)
            return
        at = 0
        for asked in group:
            _settle(asked, answers if self.together else answers[at : at + len(asked.rows)])
            at += len(asked.rows)

    async def _failed(self, group: list[Asked], error: Exception) -> None:
        """One bad row must not fail the others' requests: each is tried alone."""
        if len(group) > 1:
            for asked in group:
                await self._answer([asked])
        else:
            _settle(group[0], error)


def _settle(asked: Asked, answers: Answers | Exception) -> None:
    if asked.answers.done():
        return
    if isinstance(answers, Exception):
        asked.answers.set_exception(answers)
    else:
        asked.answers.set_result(answers)
