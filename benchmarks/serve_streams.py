"""`gatework serve` with thousands of live streams, each a step a second: is a step lost, and how late are the answers?

    python benchmarks/serve_streams.py --streams 10000 --seconds 20           # an LSTM of 64 units, steps on disk
    python benchmarks/serve_streams.py --streams 10000 --seconds 20 --kill    # kill -9, then a second server

The load comes from this process, the server is another: two processors in all. A step's time runs from the moment at
which it was due, not from when it was sent, so a load that falls behind shows. Each stream is a socket of its own; the
frames are written by hand, as a client's library would take more time than the server.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np

from gatework import cells
from gatework.compiler.params import shapes
from gatework.runtime import load, saved

I, H = 4, 64
SHAKE = (
    "GET /v1/layer/stream?id=s{number} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
FRAME = b"\x82" + bytes([0x80 | 4 * I]) + b"\0\0\0\0"  # bytes, masked with zeros


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--memory", action="store_true", help="keep the streams in memory alone")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = layer(Path(folder) / "layer.safetensors")
        state = [] if asked.memory else ["--state", f"{folder}/state"]
        figures = killed(path, state, asked) if asked.kill else measured(path, state, asked)
    print(json.dumps(figures, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")


def layer(path: Path) -> Path:
    rng, graph, sizes = np.random.default_rng(0), cells.get("lstm").graph, {"I": I, "H": H}
    weights = {key: rng.uniform(-0.2, 0.2, shape).astype(np.float32) for key, shape in shapes(graph, sizes).items()}
    saved.write([saved.Layer(graph, sizes, (weights,), ({},))], path)
    return path


def started(path: Path, options: list[str]) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-m", "gatework", "serve", str(path), "--port", "0", *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    found = re.search(r":(\d+)", server.stdout.readline())
    assert found, "the server did not start"
    return server, int(found[1])


def row(number: int, step: int) -> bytes:
    """The input of a stream's step: known to whoever checks the states."""
    return np.sin(np.float32([number, step, number + step, 1])).astype("<f4").tobytes()


class Client(asyncio.Protocol):
    """A stream's socket: one step at a time, and how late each answer was."""

    def __init__(self, number: int, load: Load):
        self.number, self.load = number, load
        self.begun, self.steps, self.sent = False, 0, 0
        self.due: float | None = None
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(SHAKE.format(number=self.number, port=self.load.port).encode())

    def data_received(self, data: bytes) -> None:
        if self.begun and not self.rest and len(data) == 4 + 8 + 4 * H:
            self._answered(int.from_bytes(data[4:12], "little"))
            return
        self.rest += data
        if not self.begun:
            head, end, rest = self.rest.partition(b"\r\n\r\n")
            if not end or len(rest) < 2 or len(rest) < 2 + rest[1]:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self.begun, self.rest = True, rest[2 + rest[1] :]
            self.load.ready += 1
        while len(self.rest) >= 4 + 8 + 4 * H and self.rest[0] == 0x82:
            self._answered(int.from_bytes(self.rest[4:12], "little"))
            self.rest = self.rest[4 + 8 + 4 * H :]
        if self.rest[:1] == b"\x89":  # a ping
            self.transport.write(b"\x8a\x84\0\0\0\0" + self.rest[2:6])
            self.rest = self.rest[6:]

    def send(self, due: float) -> None:
        if self.due is not None:  # the last answer is not there yet
            self.load.skipped += 1
            return
        self.due = due
        self.sent += 1
        self.transport.write(FRAME + row(self.number, self.sent))

    def _answered(self, step: int) -> None:
        assert self.due is not None
        self.load.wrong += step != self.sent
        self.load.late.append(time.perf_counter() - self.due)
        self.steps, self.due = step, None

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.lost += not self.load.ending


class Load:
    """All clients: they connect, then each sends a step a second, evenly spread."""

    def __init__(self, port: int, streams: int):
        self.port, self.clients = port, []
        self.streams = streams
        self.late: list[float] = []
        self.ready = self.lost = self.wrong = self.skipped = self.before = 0
        self.ending = False

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        for at in range(0, self.streams, 50):
            group = [
                loop.create_connection(lambda n=n: Client(n, self), "127.0.0.1", self.port)
                for n in range(at, min(at + 50, self.streams))
            ]
            self.clients += [client for _, client in await asyncio.gather(*group)]
            while self.ready < len(self.clients):
                await asyncio.sleep(0.001)

    async def run(self, seconds: float) -> None:
        begun, next_one = time.perf_counter() + 0.1, 0
        total = int(seconds * self.streams)
        while next_one < total:
            now = time.perf_counter()
            while next_one < total and begun + next_one / self.streams <= now:
                self.clients[next_one % self.streams].send(begun + next_one / self.streams)
                next_one += 1
            await asyncio.sleep(0.001)
        until = time.perf_counter() + 10
        while any(c.due is not None for c in self.clients) and time.perf_counter() < until:
            await asyncio.sleep(0.05)
        self.ending = True


def measured(path: Path, state: list[str], asked: argparse.Namespace) -> dict[str, object]:
    server, port = started(path, state)
    try:
        load = Load(port, asked.streams)
        used, own = asyncio.run(loaded(load, asked.seconds, server.pid))
        late = 1000 * np.array(load.late)
        quantiles = {f"p{q:g} ms": round(float(np.percentile(late, q)), 1) for q in (50, 90, 99, 99.9)}
        steps = sum(client.sent for client in load.clients) - load.before
        return {
            "streams": asked.streams, "seconds": asked.seconds, "on disk": bool(state), "steps sent": steps,
            "answers": len(late), "lost": steps - len(late), "wrong": load.wrong, "not sent in time": load.skipped,
            "connections lost": load.lost, **quantiles, "max ms": round(float(late.max()), 1),
            "server cpu s": round(used, 1), "load cpu s": round(own, 1), "processors": os.cpu_count(),
        }  # fmt: skip
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def without_pauses() -> None:
    """Collections of garbage in this process would make the server look late."""
    gc.collect()
    gc.freeze()
    gc.disable()


async def loaded(load: Load, seconds: float, pid: int) -> tuple[float, float]:
    """The processor's time of the server and of the load, after a warm-up."""
    await load.connect()
    without_pauses()
    await load.run(3)  # warm-up
    load.ending, load.skipped, load.before = False, 0, sum(client.sent for client in load.clients)
    load.late.clear()
    used, own = cpu(pid), time.process_time()
    await load.run(seconds)
    return cpu(pid) - used, time.process_time() - own


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def killed(path: Path, state: list[str], asked: argparse.Namespace) -> dict[str, object]:
    """Every step that a client has an answer to must be in the state of the next server, with the same bits."""
    server, port = started(path, state)
    load = Load(port, asked.streams)
    asyncio.run(until_killed(load, server, asked.seconds))
    server.wait()
    begun = time.perf_counter()
    server, port = started(path, state)
    seconds = time.perf_counter() - begun
    try:
        missing, other = compared(path, port, load)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    told = sum(client.steps for client in load.clients)
    return {"streams": asked.streams, "acknowledged": told, "missing": missing, "other bits": other,
            "start again s": round(seconds, 2)}  # fmt: skip


async def until_killed(load: Load, server: subprocess.Popen[str], seconds: float) -> None:
    await load.connect()
    asyncio.get_running_loop().call_later(seconds, server.kill)
    run = asyncio.create_task(load.run(seconds + 1))
    await asyncio.sleep(seconds + 0.5)
    load.ending = True
    run.cancel()


def compared(path: Path, port: int, load: Load) -> tuple[int, int]:
    missing = other = 0
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/v1/layer/streams/") as client:
        for each in load.clients:
            found = client.get(f"s{each.number}").json()
            missing += max(0, each.steps - found.get("steps", 0))
            if each.number % 100 == 0 and found.get("steps"):
                other += found["answer"] != alone(path, each.number, found["steps"])
    return missing, other


def alone(path: Path, number: int, steps: int) -> list[float]:
    runner = load(path)
    rows = [np.frombuffer(row(number, step), "<f4")[None] for step in range(1, steps + 1)]
    return [runner.step(each)[0] for each in rows][-1].tolist()


if __name__ == "__main__":
    main()
