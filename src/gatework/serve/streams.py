"""The owner of all streams of a model: opens them, queues their inputs, and steps many at once; it knows no HTTP.

A tick takes one input of each stream that has one, gathers their states into batches of a few fixed sizes, steps, and
puts the states back. The sizes are fixed because a model packs its weights anew for another number of rows.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from gatework.errors import DataError, GateworkError
from gatework.runtime.stepper import Stepper
from gatework.serve.limits import Busy, Limits, NotKnown, TooLate
from gatework.serve.places import Arrays, Places, lane, lanes


class Answer(NamedTuple):
    """The output (O,) of a stream's step, and which step it was, counted from 1."""

    step: int
    output: np.ndarray


class Peeked(NamedTuple):
    """Where a stream stands: steps done, last output (None before the first), states, inputs that wait."""

    steps: int
    output: np.ndarray | None
    states: Arrays
    waiting: int


class Waiting(NamedTuple):
    """An input in the queue."""

    row: np.ndarray
    deadline: float


class Notes(Protocol):
    """Who is told of all that changes a stream which is to be kept."""

    def opened(self, key: str, place: int) -> None: ...
    def stepped(self, places: np.ndarray, inputs: np.ndarray) -> None: ...
    def ended(self, key: str) -> None: ...


class Session:
    """A stream: where its states lie, what waits, when it was last used."""

    __slots__ = ("ending", "kept", "place", "queue", "used")

    def __init__(self, place: int, kept: bool, used: float):
        self.place, self.kept, self.used = place, kept, used
        self.queue: deque[Waiting] = deque()
        self.ending = False


class Streams:
    """All streams of a model.

        streams = Streams(gatework.runtime.load("layer.safetensors").stepper)
        streams.open("sensor 7")
        streams.push("sensor 7", [0.5, 1.0])
        streams.tick()                                # {"sensor 7": Answer(step=1, output=(H,))}

    `notes` keeps what happens, so that streams outlive the process: see `journal`. The owner belongs to one thread at a
    time.
    """

    def __init__(
        self,
        stepper: Stepper,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        notes: Notes | None = None,
    ):
        self.stepper, self.limits, self.clock, self.notes = stepper, limits or Limits(), clock, notes
        self.places = Places(stepper.start())
        self.sessions: dict[str, Session] = {}
        self.ready: dict[str, Session] = {}  # those with inputs that wait, in the order of their coming
        self.waiting = 0
        self.refused: Counter[str] = Counter()

    # ---- opening and ending
    def open(self, key: str, kept: bool = True) -> int:
        """The steps that the stream has done: 0 for a new one. Raises Busy where no more fit."""
        session = self.sessions.get(key)
        if session is None:
            self._check_room()
            session = self.begin(key, self.places.take(), kept)
            if kept and self.notes is not None:
                self.notes.opened(key, session.place)
        session.used = self.clock()
        return int(self.places.steps[session.place])

    def _check_room(self) -> None:
        count, most = len(self.sessions), self.limits.sessions
        if count >= most:
            self._refuse("sessions", f"there are {count:,} streams, the most at a time; drop one or come later")
        if (count + 1) * self.places.row_bytes > self.limits.bytes:
            self._refuse("bytes", f"the states of {count:,} streams fill the memory that is allowed; drop one")

    def _refuse(self, why: str, text: str) -> None:
        self.refused[why] += 1
        raise Busy(text)

    def begin(self, key: str, place: int, kept: bool = True) -> Session:
        """A stream whose states lie at this place, which is taken."""
        session = self.sessions[key] = Session(place, kept, self.clock())
        return session

    def finish(self, key: str) -> None:
        """End a stream after the inputs that wait."""
        session = self._known(key)
        session.ending = True
        if not session.queue:
            self.drop(key)

    def drop(self, key: str) -> None:
        """End a stream now; inputs that wait are lost."""
        session = self._known(key)
        del self.sessions[key]
        self.ready.pop(key, None)
        self.waiting -= len(session.queue)
        self.places.give_back(session.place)
        if session.kept and self.notes is not None:
            self.notes.ended(key)

    def sweep(self, now: float) -> list[str]:
        """End the streams that had no step for too long, and name them."""
        old = [k for k, s in self.sessions.items() if now - s.used > self.limits.age and not s.queue]
        for key in old:
            self.drop(key)
        self.refused["age"] += len(old)
        return old

    def peek(self, key: str) -> Peeked:
        """Where a stream stands; changes nothing."""
        session = self._known(key)
        place = session.place
        steps, outputs = int(self.places.steps[place]), self.places.outputs
        states = {name: values[place].copy() for name, values in self.places.states.items()}
        output = None if outputs is None or not steps else outputs[place].copy()
        return Peeked(steps, output, states, len(session.queue))

    def _known(self, key: str) -> Session:
        session = self.sessions.get(key)
        if session is None:
            raise NotKnown(f"there is no stream {key!r:.80}: it ended, or was never opened")
        return session

    # ---- stepping
    def push(self, key: str, row: object, deadline: float = math.inf) -> None:
        """Queue an input for the next tick; what is wrong with it is told here, and nothing changes.

        Raises DataError or ShapeError for a bad input, Busy where too many wait, NotKnown for no open stream.
        """
        session = self._known(key)
        if session.ending:
            raise NotKnown(f"the stream {key!r:.80} ends: it takes no more inputs")
        checked = self.stepper.read(row)
        if len(session.queue) >= self.limits.queue:
            self._refuse("queue", f"{len(session.queue)} inputs of this stream wait; wait for their answers")
        if self.waiting >= self.limits.inputs:
            self._refuse("inputs", f"{self.waiting:,} inputs wait; come later")
        session.queue.append(Waiting(checked, deadline))
        session.used = self.clock()
        self.ready[key] = session
        self.waiting += 1

    def tick(self) -> dict[str, Answer | GateworkError]:
        """One step of every stream that has an input: its answer, or the error of that stream alone."""
        keys, sessions, rows, answers = [], [], [], {}
        now, still = self.clock(), {}
        for key, session in self.ready.items():
            row, deadline = session.queue.popleft()
            if session.queue:
                still[key] = session
            if now > deadline:
                self.refused["late"] += 1
                answers[key] = TooLate("the input waited too long for its step, which was not done")
                continue
            keys.append(key)
            sessions.append(session)
            rows.append(row)
        self.waiting -= len(self.ready)
        self.ready = still
        for part in lanes(len(keys)):
            answers |= zip(keys[part], self._stepped(sessions[part], rows[part]), strict=True)
        self._end([key for key in answers if self.sessions[key].ending and key not in still])
        return answers

    def _end(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.drop(key)

    def _stepped(self, sessions: Sequence[Session], rows: Sequence[np.ndarray]) -> list[Answer | GateworkError]:
        places = np.fromiter((s.place for s in sessions), np.int64, len(sessions))
        inputs = np.stack(rows)
        good = self._step(places, inputs)
        if self.notes is not None:
            kept = good & np.fromiter((s.kept for s in sessions), bool, len(sessions))
            self.notes.stepped(places[kept], inputs[kept])
        outputs, steps = self.places.outputs, self.places.steps
        return [
            Answer(int(steps[p]), outputs[p].copy()) if ok and outputs is not None else _failed()
            for p, ok in zip(places, good, strict=True)
        ]

    def _step(self, places: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Step these places; for each whether it did, else it stands as before."""
        count = len(places)
        fill = np.zeros(lane(count), np.int64)  # rows beyond the last repeat the first; what they give is left out
        fill[:count] = np.arange(count)
        try:
            with np.errstate(all="ignore"):
                outputs, states = self.stepper.step(inputs[fill], self.places.gather(places[fill]))
        except Exception:  # whatever it is, it must not reach the streams that only share the batch
            if count == 1:
                return np.zeros(1, bool)
            return np.concatenate([self._step(places[b : b + 1], inputs[b : b + 1]) for b in range(count)])
        good = np.logical_not(np.isnan(outputs[:count]).any(axis=1))  # infinite are the logarithms of what cannot be
        for values in states.values():
            good &= np.isfinite(values[:count]).all(axis=1)
        if good.any():
            self.places.scatter(places, np.flatnonzero(good), states, outputs)
        return good

    def redo(self, places: np.ndarray, inputs: np.ndarray) -> None:
        """Steps that were done before, as a log tells them."""
        for part in lanes(len(places)):
            self._step(places[part], inputs[part])


def _failed() -> DataError:
    return DataError("the step failed, or gave numbers that are not finite; the stream stands as before it")
