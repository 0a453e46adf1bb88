"""What a server bears, and how it refuses more."""

from __future__ import annotations

from dataclasses import dataclass

from gatework.errors import GateworkError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a server takes before it says no. Numbers of streams and inputs are those of one model."""

    body: int = 10 << 20  # bytes of a request
    message: int = 1 << 20  # bytes of a message on a socket
    rows: int = 10_000  # of a request
    waiting: int = 50_000  # rows that wait for their predictions
    batch: int = 1024  # rows that are predicted at once
    writers: int = 64  # texts that are generated at the same time
    sessions: int = 100_000  # streams
    queue: int = 16  # inputs of one stream that wait for their step
    inputs: int = 200_000  # inputs of all streams that wait
    bytes: int = 2 << 30  # of the states
    age: float = 24 * 3600.0  # seconds after which a stream without a step ends
    seconds: float = 30.0  # a request may take, its time in the queue included
    text: float = 300.0  # seconds that a text may take
    unread: float = 20.0  # seconds that a client may leave its answers unread
    rate: float = 0.0  # requests a second from one address; 0: any number


class Refused(GateworkError):
    """The server does not do what was asked; the message says what to do."""


class NotKnown(Refused):
    """There is no such thing."""


class Taken(Refused):
    """Somebody else has it."""


class Busy(Refused):
    """Too much at present; later it may go."""


class TooLate(Refused):
    """The time for it is over."""


class TooLarge(Refused):
    """More than a request may hold."""
