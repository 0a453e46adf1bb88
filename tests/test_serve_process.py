"""The server as a process: signals, kill -9 under load, clients that behave badly."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as connected

from gatework import runtime
from gatework.serve.app import app
from gatework.serve.connections import Turnover
from gatework.serve.limits import Limits
from gatework.serve.server import bound, configured
from gatework.serve.service import Service
from layer_files import write_layer
from served_models import layer
from servers import Running, running

I = 3
STEP = [0.5, -1.0, 2.0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_layer(tmp_path / "layer.safetensors", inputs=I)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_sighup_takes_a_new_file_when_no_stream_holds_the_old_one(path: Path, tmp_path: Path) -> None:
    body, state = {"rows": [[STEP]]}, str(tmp_path / "state")

    def told(server: Running) -> str:
        server.process.send_signal(signal.SIGHUP)
        assert server.process.stdout is not None
        return server.process.stdout.readline()

    def first(server: Running) -> float:
        answer = httpx.post(f"{server.address}/v1/layer/predict", json=body, timeout=30).json()
        return answer["answers"][0]["outputs"][0][0]

    with running(path, "--state", state) as server:
        assert server.process.stdout is not None
        for _ in range(2):  # the model, the pages
            server.process.stdout.readline()
        old = first(server)
        assert told(server) == f"layer: {path} is as it was\n"
        write_layer(path, inputs=I + 1)
        assert "the old model answers still: the new one reads other rows or steps" in told(server)
        path.write_bytes(b"none")
        assert "the old model answers still: " in told(server) and first(server) == old
        write_layer(path, inputs=I, seed=1)
        with connected(server.socket + "?id=a") as stream:
            stream.recv()
            assert "its streams (1) go on" in told(server)
            stream.send(json.dumps(STEP))
            assert json.loads(stream.recv())["answer"][0] == pytest.approx(old)
        assert httpx.delete(f"{server.address}/v1/layer/streams/a", timeout=30).status_code == 204
        assert told(server) == f"layer: answers come from the new {path}\n"
        new = first(server)
        assert new != old
        server.process.kill()
    with running(path, "--state", state) as server:
        assert first(server) == new


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(how: int, path: Path, tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    with running(path, "--state", state) as server:
        with connected(server.socket + "?id=a") as stream:
            stream.recv()
            stream.send(json.dumps(STEP))
            stream.recv()
            assert server.end(how) == 0
            with pytest.raises(ConnectionClosed):
                stream.recv(timeout=30)
        assert server.process.stderr is not None and server.process.stderr.read() == ""
        assert server.process.stdout is not None
        assert server.process.stdout.read() == (
            f"  layer: predict, stream\npage: {server.address}/, reference: {server.address}/docs\n"
            f"stopped; states are in {state}\n"
        )
    with running(path, "--state", state) as server:
        assert server.get("/v1/layer/streams/a")["steps"] == 1


async def walk(address: str, key: str, told: dict[str, int], seed: int) -> None:
    """Steps without end, each noted when its answer is there."""
    rng = np.random.default_rng(seed)
    try:
        async with connect(f"{address}?id={key}") as stream:
            await stream.recv()
            while True:
                row = rng.standard_normal(I).astype(np.float32)
                await stream.send(row.tobytes())
                answer = await stream.recv()
                assert isinstance(answer, bytes), answer
                told[key] = int.from_bytes(answer[:8], "little")
    except (ConnectionClosed, OSError):
        pass


async def killed(server: Running, told: dict[str, int], seconds: float, count: int) -> None:
    walks = [asyncio.create_task(walk(server.socket, f"s{n}", told, n)) for n in range(count)]
    await asyncio.sleep(seconds)
    os.kill(server.process.pid, signal.SIGKILL)
    await asyncio.gather(*walks)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_every_acknowledged_step_outlives_kill_9(path: Path, tmp_path: Path) -> None:
    told: dict[str, int] = {}
    with running(path, "--state", str(tmp_path / "state")) as server:
        asyncio.run(killed(server, told, 2.0, 20))
    assert len(told) == 20 and min(told.values()) > 3
    with running(path, "--state", str(tmp_path / "state")) as server:
        for key, steps in told.items():
            found = server.get(f"/v1/layer/streams/{key}")
            assert steps <= found["steps"] <= steps + 1, "at most the one step whose answer was under way is more"
            assert found["answer"] == alone(path, int(key[1:]), found["steps"])


def alone(path: Path, seed: int, steps: int) -> list[float]:
    """The last output of a runner after the same steps."""
    rng, runner = np.random.default_rng(seed), runtime.load(path)
    rows = [rng.standard_normal(I).astype(np.float32) for _ in range(steps)]
    return [runner.step(row[None])[0] for row in rows][-1].tolist()


def memory(process: subprocess.Popen[str]) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_a_message_of_a_hundred_megabytes_is_refused_unread(path: Path) -> None:
    with running(path) as server:
        before = memory(server.process)
        with connected(server.socket, max_size=None) as stream:
            stream.recv()
            with pytest.raises(ConnectionClosed) as closed:
                stream.send(b"\0" * 100_000_000)
                stream.recv(timeout=30)
            assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
        kind = {"Content-Type": "application/json"}
        answer = httpx.post(f"{server.address}/v1/layer/predict", content=chunks(100), headers=kind, timeout=60)
        assert answer.status_code == 413
        assert memory(server.process) - before < 60 << 20
        assert server.get("/health") == {"status": "ok"}


def chunks(count: int) -> Iterator[bytes]:
    """A body of as many megabytes without a length."""
    try:
        for _ in range(count):
            yield b"[" * 1_000_000
    except GeneratorExit:
        pass


def test_clients_that_die_or_never_read_leave_the_others_alone(path: Path) -> None:
    with running(path) as server, ExitStack() as stack:
        for n in range(5):
            stream = stack.enter_context(connected(f"{server.socket}?id=d{n}"))
            stream.recv()
            stream.send(json.dumps(STEP))
            stream.socket.shutdown(socket.SHUT_RDWR)  # no goodbye
        deaf = stack.enter_context(deafened(server.address))
        talk(deaf, seconds=3)
        with connected(server.socket) as stream:
            stream.recv()
            stream.send(json.dumps(STEP))
            assert json.loads(stream.recv(timeout=10))["step"] == 1
        for n in range(5):  # what died can be taken up again
            with connected(f"{server.socket}?id=d{n}") as stream:
                assert json.loads(stream.recv(timeout=10))["steps"] <= 1


def deafened(address: str) -> socket.socket:
    """A connection with a stream that will read no answer."""
    host, port = address.removeprefix("http://").split(":")
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect((host, int(port)))
    made.sendall(
        f"GET /v1/layer/stream HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    made.setblocking(False)
    return made


def talk(deaf: socket.socket, seconds: float) -> None:
    """Steps as fast as they go; raises ConnectionError where the server has had enough."""
    frame = b"\x81\x87\0\0\0\0[1,2,3]"  # masked with zeros
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            deaf.send(frame * 1000)
        except BlockingIOError:
            time.sleep(0.05)


def test_a_client_that_never_reads_is_cut(tmp_path: Path) -> None:
    path, limits = write_layer(tmp_path / "layer.safetensors", inputs=I, hidden=300), Limits(unread=0.5)
    service = Service(layer(path), limits)
    with bound("127.0.0.1", 0) as port:
        server = uvicorn.Server(configured(app({"layer": service}, limits), limits, Turnover()))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [port]})
        thread.start()
        try:
            with deafened(f"http://127.0.0.1:{port.getsockname()[1]}") as deaf, pytest.raises(ConnectionError):
                talk(deaf, seconds=60)
            until = time.monotonic() + 10
            while service.counts()["streams"] and time.monotonic() < until:
                time.sleep(0.05)
            assert service.counts()["streams"] == 0, "its stream has ended, too"
        finally:
            server.should_exit = True
            thread.join(60)


def test_small_answers_do_not_wait_for_more() -> None:
    with bound("127.0.0.1", 0) as port:
        assert port.proto == socket.IPPROTO_TCP, "else asyncio leaves Nagle's algorithm on"


def test_garbage_is_collected_when_connections_have_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr("gatework.serve.connections.gc.collect", lambda: calls.append(turnover.lost))
    turnover = Turnover()
    for _ in range(2500):
        turnover.one_lost(100)
    assert calls == [1000, 1000]
    for _ in range(4600):
        turnover.one_lost(10_000)
    assert calls == [1000, 1000, 5000]


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["none.safetensors"], 1, "none.safetensors: there is no such file"),
        (["LAYER", "LAYER"], 2, "have the same name 'layer'"),
        (["LAYER", "--host", "0.0.0.0"], 2, "so a token is needed"),
        (["LAYER", "--token-file", "none"], 2, "the token file none cannot be read"),
        (["LAYER", "--state", "LAYER"], 2, "the folder of states"),
        (["LAYER", "--port", "PORT"], 2, "is in use; --port names another"),
    ],
)
def test_bad_use_is_one_sentence(options: list[str], code: int, text: str, path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        names = {"LAYER": str(path), "PORT": str(taken.getsockname()[1])}
        command = [sys.executable, "-m", "gatework", "serve", *(names.get(each, each) for each in options)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=path.parent)
    assert done.returncode == code, done.stderr
    assert text in done.stderr and "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1
