"""A server as a process of its own, for tests."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx


class Running:
    """A server's process and its address."""

    def __init__(self, process: subprocess.Popen[str], address: str):
        self.process, self.address = process, address
        self.socket = address.replace("http", "ws") + "/v1/layer/stream"

    def get(self, path: str) -> Any:
        return httpx.get(self.address + path, timeout=30).json()

    def end(self, how: int) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)


@contextmanager
def running(path: Path, *options: str) -> Iterator[Running]:
    """`gatework serve` on a free port."""
    command = [sys.executable, "-m", "gatework", "serve", str(path), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + process.communicate(timeout=30)[1]
        yield Running(process, found[0])
    finally:
        process.kill()
        process.communicate()
