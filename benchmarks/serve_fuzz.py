"""`gatework serve` against ten thousand requests of strangers: no 5xx but 503, no growth of memory.

    python benchmarks/serve_fuzz.py --requests 10000

schemathesis draws requests from the server's own OpenAPI, good and bad ones, and checks each answer against it; half as
many messages drawn by hypothesis go over a socket.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from layer_files import write_layer
from servers import Running, running
from test_serve_fuzz import MESSAGES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = write_layer(Path(folder) / "layer.safetensors")
        with running(path, "--state", f"{folder}/state") as server:
            figures = fuzzed(server, asked.requests)
    print(json.dumps(figures, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")


def fuzzed(server: Running, count: int) -> dict[str, Any]:
    codes: Counter[str] = Counter()
    socket(server, count // 10)
    requests(server, count // 10, codes)  # a warm-up: what is made once is there
    before = memory(server)
    codes.clear()
    while codes.total() < count:  # addresses without parameters have one request alone
        requests(server, count - codes.total(), codes)
    socket(server, count // 2)
    return {
        "requests": sum(codes.values()),
        "by status": dict(sorted(codes.items())),
        "5xx but 503": sum(n for code, n in codes.items() if code.startswith("5") and code != "503"),
        "MB before": round(before / 1e6, 1),
        "MB after": round(memory(server) / 1e6, 1),
    }


def requests(server: Running, count: int, codes: Counter[str]) -> None:
    operations = [
        each.ok() for each in schemathesis.openapi.from_url(f"{server.address}/openapi.json").get_all_operations()
    ]
    ways = [(each, mode) for each in operations for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]
    ways = [(each, mode) for each, mode in ways if mode is GenerationMode.POSITIVE or each.body or each.path_parameters]
    for operation, mode in ways:

        @many(count // len(ways))
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            codes[str(case.call_and_validate().status_code)] += 1

        check()


def socket(server: Running, count: int) -> None:
    with connect(server.socket) as stream:
        stream.recv()

        @many(count)
        @given(message=MESSAGES)
        def check(message: str | bytes) -> None:
            stream.send(message)
            stream.recv(timeout=20)

        check()


def many(count: int) -> settings:
    phases = [Phase.explicit, Phase.generate]
    return settings(
        max_examples=max(count, 1), deadline=None, suppress_health_check=list(HealthCheck), phases=phases, database=None
    )


def memory(server: Running) -> int:
    """Resident bytes."""
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
