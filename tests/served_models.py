"""Models to serve in tests, and clients of servers that run in the test's process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from gatework.errors import DataError, OptionError
from gatework.runtime.stepper import Stepper
from gatework.serve.app import app
from gatework.serve.guard import Access
from gatework.serve.limits import Limits
from gatework.serve.served import Served, opened
from gatework.serve.service import Service


class Moods:
    """A model that finds a text good or bad by a word, and writes what it is asked to write."""

    kind, hash, inputs = "labels", "0" * 64, 'a text, or {"text": a text}'
    why_no_stream = "it reads whole texts"
    stepper: Stepper | None = None

    def __init__(self, seconds: float = 0.0):
        self.seconds, self.calls, self.about = seconds, [], {}

    def predict(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        self.calls.append(len(rows))
        time.sleep(self.seconds)
        texts = [row.get("text") if isinstance(row, dict) else row for row in rows]
        for number, text in enumerate(texts, 1):
            if not isinstance(text, str):
                raise DataError(f"row {number} is {text!r:.60}; it must be a text")
            if text == "crash":
                raise ZeroDivisionError("/secret/path/model.py")
        return [
            {"label": "good" if "fine" in text else "bad", "probabilities": {"good": 0.5, "bad": 0.5}} for text in texts
        ]

    def generate(self, prompt: str = "", length: int = 5, temperature: float = 1.0) -> Iterator[str]:
        if temperature <= 0:
            raise OptionError(f"temperature is {temperature}; it must be more than 0")
        for number in range(length):
            if prompt == "crash" and number == 1:
                raise ZeroDivisionError("/secret/path/model.py")
            time.sleep(self.seconds)
            yield f"{prompt}{number} "


def served_moods(model: Moods, name: str = "moods") -> Served:
    row = {
        "anyOf": [
            {"type": "string"},
            {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        ]
    }
    why = {"stream": model.why_no_stream}
    return Served(name, model.kind, model.hash, model.predict, row, generate=model.generate, lacks=why)


class Client(TestClient):
    """One whose sockets, too, ask this machine."""

    def websocket_connect(self, url: str, *given: Any, **more: Any) -> Any:
        return super().websocket_connect(f"ws://127.0.0.1{url}", *given, **more)


def client(
    *served: Served, limits: Limits | None = None, access: Access | None = None, state: Path | None = None
) -> TestClient:
    """A client of a server with these models; use it in a `with`, which starts and ends the server."""
    bounds = limits or Limits()
    services = {each.name: Service(each, bounds, 0.002, state) for each in served}
    made = app(services, bounds, access)
    return Client(made, base_url="http://127.0.0.1", raise_server_exceptions=False)


def layer(path: Path) -> Served:
    return opened("layer", path)
