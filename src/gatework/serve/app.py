"""The addresses of a server: predictions, streams, texts, health, metrics, and pages to read and to try."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

import gatework
from gatework.serve import described
from gatework.serve.answers import answered, refusal, refused, status
from gatework.serve.guard import PROTOCOL, Access, Guard
from gatework.serve.limits import Limits
from gatework.serve.metrics import Metrics
from gatework.serve.routes import Routes
from gatework.serve.service import Service

log = logging.getLogger("gatework.serve")
REASON_BYTES = 123  # of the reason with which a websocket closes (RFC 6455, 5.5)


def app(services: Mapping[str, Service], limits: Limits, access: Access | None = None) -> ASGIApp:
    """The server as an ASGI application, which closes the services when it ends.

    application = app({"layer": Service(opened("layer", path), Limits())}, Limits())
    """
    access, metrics = access or Access(), Metrics(services)

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        for service in services.values():
            service.start()
        yield
        for service in services.values():
            await service.close()

    made = FastAPI(
        title="gatework",
        version=gatework.__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=living,
        description="Trained models: predictions, streams, texts.",
    )
    _add_common(made, services, metrics)
    for service in services.values():
        Routes(service).add(made)
    _add_no_streams(made, services)
    _add_errors(made, services)
    if access.origins:
        made.add_middleware(
            CORSMiddleware,
            allow_origins=list(access.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type"],
        )
    return Guard(made, access, limits, metrics.done)


def _add_common(made: FastAPI, services: Mapping[str, Service], metrics: Metrics) -> None:
    async def health(request: Request) -> Response:
        """Whether the server can answer: 200, or 503 where a state cannot be written."""
        broken = [name for name, service in services.items() if service.broken]
        return answered({"status": "state cannot be written" if broken else "ok"}, 503 if broken else 200)

    async def models(request: Request) -> Response:
        """The models, what they can do, and what a row of each is."""
        return answered({"models": [service.about() for service in services.values()]})

    async def metrics_text(request: Request) -> Response:
        """Counts in the text form of Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    for path, action, extra in (
        ("/health", health, described.HEALTH),
        ("/v1", models, described.MODELS),
        ("/metrics", metrics_text, described.METRICS),
    ):
        made.add_api_route(path, action, response_class=Response, **extra)
    for path, name in (("/", "try.html"), ("/docs", "docs.html")):
        made.add_route(path, _page(name), include_in_schema=False)


def _add_no_streams(made: FastAPI, services: Mapping[str, Service]) -> None:
    """Sockets at addresses without streams are told why: a refused handshake shows most clients its status alone."""

    async def told(socket: WebSocket) -> None:
        protocols = socket.scope.get("subprotocols", ())
        why = _lacking(socket.url.path, services)
        await socket.accept(PROTOCOL if PROTOCOL in protocols else None)
        await socket.send_text(json.dumps({"error": why, "status": 404}))
        await socket.close(1008, why.encode()[:REASON_BYTES].decode(errors="ignore"))

    made.add_api_websocket_route("/{path:path}", told)


def _page(name: str) -> Any:
    text = files("gatework.serve").joinpath("pages", name).read_text(encoding="utf-8")
    security = {
        "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }

    async def page(request: Request) -> Response:
        return HTMLResponse(text, headers=security)

    return page


def _add_errors(made: FastAPI, services: Mapping[str, Service]) -> None:
    async def failed(request: Request, error: Exception) -> Response:
        if status(error) == 500:
            log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return refusal(error)

    async def plain(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        text = _lacking(request.url.path, services) if error.status_code == 404 else str(error.detail)
        return refused(error.status_code, text, dict(error.headers or {}))

    made.add_exception_handler(HTTPException, plain)
    made.add_exception_handler(gatework.errors.GateworkError, failed)
    made.add_exception_handler(Exception, failed)


def _lacking(path: str, services: Mapping[str, Service]) -> str:
    """Why there is nothing at an address."""
    parts = [*path.split("/"), "", "", "", ""]
    service = services.get(parts[2])
    if parts[1] != "v1" or not parts[2]:
        return "there is nothing at this address; /docs names those that there are"
    if service is None:
        return f"there is no model {parts[2]!r:.70}; there are: {', '.join(services)}"
    what = {"streams": "stream"}.get(parts[3], parts[3])
    why = service.served.lacks.get(what)
    return f"{parts[2]} has no {what}: {why}" if why else f"{parts[2]} has nothing at this address; see /docs"
