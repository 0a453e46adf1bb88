"""A page in headless Chromium, by its DevTools protocol: how it looks, what it says to the console, and axe-core."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sources import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = ROOT / ".venv" / "axe" / "node_modules" / "axe-core" / "axe.min.js"  # `make axe` puts it there
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage")
# What sticks out of the page to the right, but for what stands in something that scrolls by itself.
BEYOND = """[...document.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > WIDTH + 1
    && !e.closest(".scroll, .unseen") && getComputedStyle(e).position != "absolute")
    .map(e => e.outerHTML.slice(0, 200))"""
FOLDED = """[...document.querySelectorAll("details > :not(summary)")].filter(e => !e.checkVisibility())
    .map(e => e.outerHTML.slice(0, 200))"""


class Page:
    """One tab. `said` collects errors, warnings and failed requests."""

    def __init__(self, socket: Any):
        self.socket, self.numbers, self.said = socket, itertools.count(1), []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := self.receive()).get("id") != number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def receive(self) -> dict[str, Any]:
        """The next message; what tells of a fault is noted."""
        message = json.loads(self.socket.recv(timeout=60))
        what, told = message.get("method"), message.get("params", {})
        if what == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.said.append(told["entry"]["text"])
        elif what == "Runtime.exceptionThrown" or (what == "Runtime.consoleAPICalled" and told["type"] == "error"):
            self.said.append(json.dumps(told)[:3000])
        return message

    def open(self, path: Path) -> None:
        self.call("Page.navigate", url=path.resolve().as_uri())
        while self.receive().get("method") != "Page.loadEventFired":
            pass

    def look(self, width: int, media: str = "screen", scheme: str = "light") -> None:
        """How wide the window is, and for what it is laid out."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 700
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def beyond(self, width: int) -> list[str]:
        """What is wider than the window."""
        wide = self.ask("document.documentElement.scrollWidth") > width
        return [f"{width}: {each}" for each in self.ask(BEYOND.replace("WIDTH", str(width))) or ["?"]] if wide else []

    def ask(self, expression: str) -> Any:
        """The value of an expression of JavaScript; a promise is waited for."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"])[:1000])
        return found["result"].get("value")

    def axe(self) -> list[str]:
        """What axe-core finds serious or critical: rule, element and why. The page's own policy lets in no script, so
        axe runs as the browser's tools do."""
        if not self.ask("typeof axe != 'undefined'"):
            self.ask(AXE.read_text(encoding="utf-8"))
        found = self.ask("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
        serious = [each for each in found if each["impact"] in ("serious", "critical")]
        return [f"{v['id']}: {n['html'][:160]}: {n['failureSummary'][:300]}" for v in serious for n in v["nodes"][:3]]

    def picture(self, path: Path) -> None:
        """The whole page as PNG."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def browser() -> Iterator[Page]:
    """A tab of a browser of its own, which ends with the block."""
    from websockets.sync.client import connect

    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [CHROMIUM, *FLAGS, "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        try:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "DevTools listening" in line)
            port = int(re.findall(r":(\d+)/", line)[0])
            with connect(target(port), max_size=None) as socket:
                yield Page(socket)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def target(port: int) -> str:
    """The address of the tab."""
    from urllib.request import ProxyHandler, build_opener

    with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}/json", timeout=30) as answer:
        tabs = json.loads(answer.read())
    return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
