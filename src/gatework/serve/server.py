"""The server's process: its models, its port, its signals, its end."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from gatework.errors import OptionError
from gatework.serve.app import app
from gatework.serve.connections import Http, Socket, Turnover
from gatework.serve.guard import LOOPBACK, Access, read_token
from gatework.serve.limits import Limits
from gatework.serve.renewal import Renewal
from gatework.serve.served import named, opened
from gatework.serve.service import Service

BACKLOG = 4096
PING = 60.0  # seconds between questions whether a client still lives


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How models are served."""

    host: str = "127.0.0.1"
    port: int = 8000
    token_file: Path | None = None
    origins: Sequence[str] = ()
    state: Path | None = None
    delay: float = 0.002  # seconds in which requests gather to a batch
    limits: Limits = field(default_factory=Limits)

    def access(self) -> Access:
        """Who may come in. Raises OptionError where anybody could."""
        local = self.host in LOOPBACK
        if not local and self.token_file is None:
            raise OptionError(
                f"--host {self.host} lets other machines in, so a token is needed: openssl rand -hex 32 > token; "
                "chmod 600 token; then give --token-file token"
            )
        token = None if self.token_file is None else read_token(self.token_file)
        return Access(token, tuple(self.origins), local)


def serve(models: Sequence[str], settings: Settings, say: Callable[[str], None] = print) -> None:
    """Serve models until a signal ends it; `say` is told where and what, and at the end where the states are.

    serve(["exports/reviews.safetensors", "pumps=pump.safetensors"], Settings(port=8000))
    """
    access, paths = settings.access(), named(models)
    served = [opened(name, path) for name, path in paths.items()]
    port = bound(settings.host, settings.port)
    services = {each.name: Service(each, settings.limits, settings.delay, settings.state) for each in served}
    turnover = Turnover()
    server = Server(configured(app(services, settings.limits, access), settings.limits, turnover))
    server.turnover, server.renewal = turnover, Renewal(services, paths, say)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    for line in _begun(f"http://{host}:{port.getsockname()[1]}", services):
        say(line)
    for each in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises the signal again when it has stopped
        signal.signal(each, lambda *_: None)
    turnover.begin()
    server.run(sockets=[port])
    kept = settings.state is not None and any(each.live for each in services.values())
    say(f"stopped; states are in {settings.state}" if kept else "stopped")


def _begun(address: str, services: Mapping[str, Service]) -> list[str]:
    """What is said at the start: the address, each model and what it can do, the pages."""
    models = [f"  {name}: {', '.join(service.can())}" for name, service in services.items()]
    return [f"serving at {address} (Ctrl-C ends)", *models, f"page: {address}/, reference: {address}/docs"]


class Server(uvicorn.Server):
    """Uvicorn's, which tells when it ends, and reads its models again at SIGHUP."""

    turnover: Turnover
    renewal: Renewal

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.renewal.begin)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.turnover.over = True
        await super().shutdown(sockets)


def bound(host: str, port: int) -> socket.socket:
    """A socket at this address. Raises OptionError where somebody else has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends small packets at once (TCP_NODELAY); else each answer waits 40 ms.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise OptionError(f"port {port} of {host} is in use; --port names another, --port 0 any free one") from None
        raise OptionError(f"{host}:{port} cannot be used: {error.strerror or error}") from error
    return made


def configured(application: ASGIApp, limits: Limits, turnover: Turnover) -> uvicorn.Config:
    """How uvicorn runs: quietly, with clients that are given up when they read nothing."""
    logging.getLogger("uvicorn.error").addFilter(_of_note)
    shared = {"unread": limits.unread, "turnover": turnover}
    http, ws = type("Http", (Http,), shared), type("Socket", (Socket,), shared)
    return uvicorn.Config(
        application,
        http=http,
        ws=ws,
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        ws_max_size=limits.message,
        ws_per_message_deflate=False,
        ws_ping_interval=PING,
        ws_ping_timeout=PING,
        timeout_graceful_shutdown=int(limits.seconds),
        timeout_keep_alive=30,
    )


def _of_note(record: logging.LogRecord) -> bool:
    """Not what uvicorn says of every socket that is refused: that its handshake was not completed."""
    return "without completing handshake" not in record.getMessage()
