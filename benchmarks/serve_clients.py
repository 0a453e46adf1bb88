"""Predictions of a text classifier for 64 clients: `gatework serve` beside FastAPI and torch, written plainly.

    python benchmarks/serve_clients.py --seconds 5 --runs 5

Each client sends one text and waits for its answer, over a connection that stays. The clients are this process, the
server is another: two processors. The plain server is what most people write: a function that calls the model. Runs of
the two take turns; the figures are medians with their range.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import gatework

CLIENTS = 64
OPTIONS = {"epochs": 1, "hidden_size": 128, "threads": 2}
PLAIN = """
import sys
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from gatework.tasks.jobs import load

trained, app = load(sys.argv[1]), FastAPI()

class Asked(BaseModel):
    rows: list[str]

@app.post("/v1/reviews/predict")
def predict(asked: Asked):
    return {"answers": trained.predict(asked.rows)}

server = uvicorn.Server(uvicorn.Config(app, port=int(sys.argv[2]), log_level="warning", access_log=False))
print("at 127.0.0.1:" + sys.argv[2], flush=True)
server.run()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = compared(Path(folder), asked.seconds, asked.runs)
    print(json.dumps(figures, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")


def compared(folder: Path, seconds: float, runs: int) -> dict[str, Any]:
    texts = trained(folder)
    (folder / "plain.py").write_text(PLAIN)
    ours = [sys.executable, "-m", "gatework", "serve", str(folder / "reviews.safetensors"), "--port", "8471"]
    plain = [sys.executable, str(folder / "plain.py"), str(folder / "reviews"), "8472"]
    found: dict[str, list[Any]] = {"gatework serve": [], "FastAPI + torch": []}
    servers = [started(ours), started(plain)]
    try:
        for number in range(runs + 1):  # the first is a warm-up
            for name, port in (("gatework serve", 8471), ("FastAPI + torch", 8472)):
                made = asyncio.run(asked(port, texts, seconds))
                if number:
                    found[name].append(made)
    finally:
        for server in servers:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    rates = {name: [each["requests/s"] for each in made] for name, made in found.items()}
    ratios = [a / b for a, b in zip(*rates.values(), strict=True)]
    return {
        "clients": CLIENTS,
        **found,
        "ratio": round(median(ratios), 2),
        "ratios": [round(r, 2) for r in sorted(ratios)],
    }


def trained(folder: Path) -> list[str]:
    """A run and its export; texts to ask."""
    rng, vowels = np.random.default_rng(0), list("aeiou")
    words = ["".join(rng.choice(list("bdfglmnprst"), 1)[0] + rng.choice(vowels) for _ in range(3)) for _ in range(5000)]
    texts = [" ".join(rng.choice(words, rng.integers(5, 40))) for _ in range(2000)]
    with open(folder / "train.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [("text", "label"), *((f"{text} {'good' if n % 2 else 'bad'}", n % 2) for n, text in enumerate(texts))]
        )
    gatework.TextClassifier(out=str(folder / "reviews"), **OPTIONS).fit(folder / "train.csv")
    gatework.export(folder / "reviews", folder / "reviews.safetensors")
    return texts


def started(command: list[str]) -> subprocess.Popen[str]:
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert re.search(r":\d+", server.stdout.readline()), "the server did not start"
    time.sleep(3)
    return server


class Client(asyncio.Protocol):
    """One request after the other."""

    def __init__(self, requests: list[bytes], done: list[float]):
        self.requests, self.done, self.at, self.rest, self.open = requests, done, 0, b"", True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.begun = time.perf_counter()
        self.transport.write(self.requests[self.at % len(self.requests)])
        self.at += 1

    def data_received(self, data: bytes) -> None:
        self.rest += data
        head, end, body = self.rest.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if end and length and len(body) >= int(length[1]):
            assert head.startswith(b"HTTP/1.1 200"), self.rest
            self.done.append(time.perf_counter() - self.begun)
            self.rest = b""
            if self.open:
                self._send()


async def asked(port: int, texts: list[str], seconds: float) -> dict[str, float]:
    loop, done = asyncio.get_running_loop(), []
    kind = "Content-Type: application/json\r\nContent-Length: "
    head = f"POST /v1/reviews/predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{kind}"
    bodies = [json.dumps({"rows": [text]}).encode() for text in texts]
    requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]
    clients = [
        (await loop.create_connection(lambda n=n: Client(requests[n::CLIENTS], done), "127.0.0.1", port))[1]
        for n in range(CLIENTS)
    ]
    done.clear()
    begun = time.perf_counter()
    await asyncio.sleep(seconds)
    passed, late = time.perf_counter() - begun, 1000 * np.array(done)
    for client in clients:
        client.open = False
    await asyncio.sleep(0.5)
    for client in clients:
        client.transport.close()
    quantiles = {f"p{q} ms": round(float(np.percentile(late, q)), 1) for q in (50, 99)}
    return {"requests/s": round(len(late) / passed, 1), **quantiles}


if __name__ == "__main__":
    main()
