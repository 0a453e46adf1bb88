"""What a client can ask of one model: predict, stream, generate."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from gatework.errors import DataError, GateworkError
from gatework.serve import described
from gatework.serve.answers import answered, json_of, refusal, rows_of, said
from gatework.serve.guard import PROTOCOL
from gatework.serve.live import Live
from gatework.serve.service import Service
from gatework.serve.talk import Said, Talk

Action = Callable[[Request], Awaitable[Response]]
DIRECT = "gatework.line"  # extension of our server: the line of this connection


class Routes:
    """The addresses of a model under /v1/NAME."""

    def __init__(self, service: Service):
        self.service, self.name = service, service.served.name

    def add(self, app: FastAPI) -> None:
        base, service = f"/v1/{self.name}", self.service
        self._add(app, f"{base}/predict", self.predict, "POST", described.predict(service))
        if service.served.generate is not None:
            self._add(app, f"{base}/generate", self.generate, "POST", described.generate(service))
        if service.live is not None:
            app.add_api_websocket_route(f"{base}/stream", self.stream)
            self._add(app, f"{base}/streams/{{id}}", self.peek, "GET", described.peek(service))
            self._add(app, f"{base}/streams/{{id}}", self.drop, "DELETE", described.drop(service))

    def _add(self, app: FastAPI, path: str, action: Action, method: str, extra: dict[str, Any]) -> None:
        app.add_api_route(path, action, methods=[method], response_class=Response, **extra)

    # ---- rows and texts
    async def predict(self, request: Request) -> Response:
        """Answers for rows: JSON, or a table as CSV."""
        rows = await rows_of(request, self.service.served.tables)
        asked = rows or self.service.served.together  # what goes on from the ends of known series needs no rows
        return answered({"answers": await self.service.batches.predict(rows) if asked else []})

    async def generate(self, request: Request) -> Response:
        """Text after a prompt, as server-sent events: data: {"text": ...} while it is written, then event: end."""
        asked = await json_of(request)
        prompt = asked.pop("prompt", "")
        if not isinstance(prompt, str):
            raise DataError(f"the prompt is a text; got {prompt!r:.60}")
        pieces = self.service.write(prompt, asked)
        first = await anext(pieces, None)  # what is wrong with the request shows before the answer begins
        return StreamingResponse(_events(first, pieces), media_type="text/event-stream")

    # ---- streams
    @property
    def live(self) -> Live:
        assert self.service.live is not None, "asked of models with streams alone"
        return self.service.live

    async def peek(self, request: Request) -> Response:
        """Where a stream stands: steps done, the last answer, the states."""
        found = self.live.streams.peek(_id(request.path_params["id"]))
        last = None if found.output is None else self.live.streams.stepper.answer(found.output)
        states = {name: values.tolist() for name, values in found.states.items()}
        return answered({"steps": found.steps, "answer": last, "waiting": found.waiting, "states": states})

    async def drop(self, request: Request) -> Response:
        """End a stream and forget its state."""
        await self.live.drop(_id(request.path_params["id"]))
        return Response(status_code=204)

    async def stream(self, socket: WebSocket) -> None:
        """A step in, an answer out. With ?id=KEY the state is kept under this id, and a later socket goes on."""
        given = socket.query_params.get("id")
        kept = given is not None
        try:
            key = _id(given) if given is not None else secrets.token_urlsafe(12)
            steps = self.live.enter(key, kept)
        except GateworkError as error:
            await socket.send_denial_response(refusal(error))
            return
        try:
            await socket.accept(PROTOCOL if PROTOCOL in socket.scope.get("subprotocols", ()) else None)
            await socket.send_text(json.dumps({"id": key, "steps": steps}))
            await self._talk(socket, key)
        except (WebSocketDisconnect, ClientDisconnect, OSError):
            pass  # the client is gone; its state stays
        finally:
            self.live.leave(key, kept)

    async def _talk(self, socket: WebSocket, key: str) -> None:
        """Until the client goes. Our own server hands messages to the conversation itself, past this coroutine: what
        comes here came before it could."""
        attach = socket.scope.get("extensions", {}).get(DIRECT)
        line = Plain(socket) if attach is None else attach
        talk = Talk(self.live, key, line)
        if attach is not None:
            attach.talk = talk
        while (message := await socket.receive())["type"] != "websocket.disconnect":
            data = message.get("bytes")
            talk.hear(message["text"] if data is None else data)
            if isinstance(line, Plain):
                await talk.idle.wait()
                await line.flush()


class Plain:
    """The line of a conversation under any server: what is said goes out when it is flushed."""

    def __init__(self, socket: WebSocket):
        self.socket = socket
        self.said: list[Said] = []
        self.over = False

    def say(self, message: Said) -> None:
        self.said.append(message)

    def free(self) -> bool:
        return True

    def hold(self, held: bool) -> None:
        """Nothing is read before the last message is answered."""

    def hang_up(self) -> None:
        self.over = True

    async def flush(self) -> None:
        for each in self.said:
            await (self.socket.send_text(each) if isinstance(each, str) else self.socket.send_bytes(each))
        self.said.clear()
        if self.over:
            await self.socket.close(1008)


def _id(text: str) -> str:
    if not described.ID.fullmatch(text):
        raise DataError(f"an id has 1 to 128 letters, digits or . _ ~ : @ -; got {text!r:.60}")
    return text


async def _events(first: str | None, pieces: AsyncIterator[str]) -> AsyncIterator[str]:
    if first is not None:
        yield f"data: {json.dumps({'text': first})}\n\n"
        try:
            async for piece in pieces:
                yield f"data: {json.dumps({'text': piece})}\n\n"
        except Exception as error:
            yield f"event: error\ndata: {json.dumps({'error': said(error)})}\n\n"
            return
    yield "event: end\ndata: {}\n\n"
