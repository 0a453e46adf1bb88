"""Who may come in, and with how much: host, origin, token, rate and size are looked at before any address is."""

from __future__ import annotations

import hmac
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatework.errors import OptionError
from gatework.serve.answers import refused
from gatework.serve.limits import Limits, TooLarge

LOOPBACK = ("127.0.0.1", "localhost", "::1")
OPEN = ("/", "/health", "/docs", "/openapi.json")  # asked for without a token: they tell nothing of models' data
PROTOCOL, BEARER = "gatework", "bearer."  # of sockets in browsers, which can set no header but this
SHORTEST = 16
CLIENTS = 10_000  # whose rates are remembered


@dataclass(frozen=True)
class Access:
    """Who may come in."""

    token: str | None = None
    origins: Sequence[str] = ()  # of pages on other hosts
    local: bool = True  # served on this machine alone, so a request for another host was led astray


def read_token(path: Path) -> str:
    """The token in a file that its owner alone can read. Raises OptionError."""
    try:
        with open(path, encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            token = file.read(4096).strip()
    except (OSError, ValueError) as error:
        raise OptionError(f"the token file {path} cannot be read: {error}") from error
    if os.name == "posix" and mode & 0o077:
        raise OptionError(f"others can read the token file {path} (mode {mode:o}); type: chmod 600 {path}")
    if len(token) < SHORTEST or not token.isascii() or any(c.isspace() or not c.isprintable() for c in token):
        raise OptionError(
            f"the token in {path} has {len(token)} characters; it needs {SHORTEST} or more, ASCII without spaces: "
            f"openssl rand -hex 32 > {path}"
        )
    return token


class Guard:
    """Middleware: refuses, or lets a request through with a body that cannot grow beyond its limit."""

    def __init__(self, app: ASGIApp, access: Access, limits: Limits, done: Callable[[str, int, float], None]):
        self.app, self.access, self.limits, self.done = app, access, limits, done
        self.rates = Rates(limits.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        response = self._refusal(scope)
        if response is not None:
            await response(scope, receive, send)
            self.done("refused", response.status_code, 0.0)
        elif scope["type"] == "websocket":
            await self.app(scope, receive, send)
        else:
            await self._measured(scope, Bounded(receive, self.limits.body), send)

    async def _measured(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun, code = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = scope.get("route")
            self.done(getattr(route, "path", "other"), code, time.perf_counter() - begun)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if self.access.local and _host(headers.get("host", "")) not in LOOPBACK:
            return refused(421, "this server answers for this machine alone: ask for 127.0.0.1 or localhost")
        if not self._may_come_from(headers):
            return refused(403, "pages of other origins may not ask this server; --allow-origin names those that may")
        client = (scope.get("client") or ("", 0))[0]
        if not self.rates.take(client):
            return refused(429, f"more than {self.limits.rate:g} requests a second from one address; come later")
        if not self._known(scope, headers):
            return refused(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > self.limits.body:
            return refused(413, f"a request has at most {self.limits.body:,} bytes; send fewer rows at a time")
        return None

    def _may_come_from(self, headers: Headers) -> bool:
        """Sockets of any page can reach a server of this machine, so a page must be ours or be named."""
        origin = headers.get("origin")
        if origin is None or origin in self.access.origins or "*" in self.access.origins:
            return True
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""

    def _known(self, scope: Scope, headers: Headers) -> bool:
        if self.access.token is None or (scope["type"] == "http" and scope["path"] in OPEN):
            return True
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        given = given.strip() if scheme.lower() == "bearer" else ""
        for protocol in scope.get("subprotocols", ()):
            given = given or (protocol.removeprefix(BEARER) if protocol.startswith(BEARER) else "")
        return hmac.compare_digest(given.encode(), self.access.token.encode())


def _host(value: str) -> str:
    """The host of "host:port"; of an address in brackets what they hold."""
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.partition(":")[0].lower()


class Bounded:
    """The messages of a request, whose body ends in TooLarge where it is larger than it may be."""

    def __init__(self, receive: Receive, most: int):
        self.receive, self.left, self.most = receive, most, most

    async def __call__(self) -> Message:
        message = await self.receive()
        if message["type"] == "http.request":
            self.left -= len(message.get("body", b""))
            if self.left < 0:
                raise TooLarge(f"a request has at most {self.most:,} bytes; send fewer rows at a time")
        return message


class Rates:
    """How many requests each client may still make: as many as a second brings, never more than those of one second."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic):
        self.rate, self.clock = rate, clock
        self.left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> bool:
        """Whether one more is allowed now."""
        if not self.rate:
            return True
        now, most = self.clock(), max(self.rate, 1.0)
        left, since = self.left.pop(client, (most, now))
        left = min(most, left + (now - since) * self.rate)
        self.left[client] = (left - 1 if left >= 1 else left, now)
        if len(self.left) > CLIENTS:
            self.left.popitem(last=False)
        return left >= 1
