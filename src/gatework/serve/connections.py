"""Connections of uvicorn: cut when their client reads nothing; sockets hand steps to streams at once."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from gatework.serve.routes import DIRECT
from gatework.serve.talk import Said, Talk

NEVER, HOUR = 1_000_000, 3600.0


class Turnover:
    """Collects garbage when enough connections have gone, in place of Python's own full collections.

    Those look at every object of every connection, which takes a second for ten thousand, and come when many new ones
    did. Only what is left of connections that ended lives long enough to need them.
    """

    def __init__(self) -> None:
        self.lost, self.most, self.since = 0, 0, time.monotonic()
        self.over = False  # the server ends, and its connections with it

    def begin(self) -> None:
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(max(young, 5_000), middle, NEVER)

    def one_lost(self, live: int) -> None:
        self.lost, self.most = self.lost + 1, max(self.most, live)
        much = self.lost >= max(1000, self.most // 2) or time.monotonic() - self.since > HOUR
        if much and not self.over:
            gc.collect()
            self.lost, self.most, self.since = 0, live, time.monotonic()


class Patient(asyncio.Protocol):
    """A connection that is cut where its client leaves answers unread for too long: their memory is bounded by the
    transport, but the place that it takes is not given back otherwise."""

    unread: float
    turnover: Turnover
    connections: set[Any]  # of the server, this one included
    transport: asyncio.Transport
    _cut: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._cut = asyncio.get_running_loop().call_later(self.unread, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop()
        self.turnover.one_lost(len(self.connections))

    def _stop(self) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None


class Http(Patient, H11Protocol):
    """A connection for requests."""


class Socket(Patient, WebSocketsSansIOProtocol):
    """A websocket that is the line of a stream's conversation.

    The server interface makes of each message a queue's entry, a task's turn and four coroutines, which take more time
    than the step. So what comes goes from here to the conversation, and answers go from there to the transport.
    """

    talk: Talk | None = None

    async def run_asgi(self) -> None:
        scope = cast("dict[str, Any]", self.scope)  # the extension is not of the standard
        scope["extensions"] = {**scope.get("extensions", {}), DIRECT: self}
        await super().run_asgi()

    def send_receive_event_to_app(self) -> None:
        if self.talk is None:
            super().send_receive_event_to_app()
            return
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "bytes":
            self.talk.hear(bytes(data))
            return
        try:
            text = bytes(data).decode()
        except UnicodeDecodeError:
            self.conn.fail(1007)
            self.handle_parser_exception()
            return
        self.talk.hear(text)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.talk is not None:
            self.talk.go_on()

    def say(self, message: Said) -> None:
        if self.conn.state is not State.OPEN:  # the client has said goodbye
            return
        if isinstance(message, str):
            self.conn.send_text(message.encode())
        else:
            self.conn.send_binary(message)
        self.transport.write(b"".join(self.conn.data_to_send()))

    def free(self) -> bool:
        return self.writable.is_set()

    def hold(self, held: bool) -> None:
        if held:
            self.transport.pause_reading()
        elif not self.transport.is_closing():
            self.transport.resume_reading()

    def hang_up(self) -> None:
        if self.conn.state is not State.OPEN:
            return
        self.conn.send_close(1008)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)
