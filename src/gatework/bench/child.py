"""What has to be measured in a process of its own: memory and first use. Prints JSON.

python -m gatework.bench.child '{"task": "first_use", "cell": "lstm", "dtype": "float32"}'
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gatework.errors import KernelError


def run(job: dict[str, Any], environment: dict[str, str] | None = None) -> dict[str, float]:
    """Start a fresh Python for a job and read its answer."""
    command = [sys.executable, "-m", "gatework.bench.child", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(environment or {})})
    if done.returncode:
        raise KernelError(f"measuring {job} failed: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[-1])


def memory(who: str, cell: str, shape: list[int], dtype: str) -> dict[str, float]:
    """Bytes by which the peak of this process grows while forward and backward run twice, its kernels being loaded."""
    from gatework.bench import peers
    from gatework.bench.case import Case
    from gatework.bench.settings import Shape, processors

    peers.use_threads(processors())
    small, whole = Shape(2, 1, *shape[2:]), Shape(*shape)

    def made(of: Shape) -> Case | peers.Torch:
        case = Case(cell, of, dtype, recompute=who == "recompute")
        return peers.Torch(case, processors()) if who == "torch" else case

    made(small).both()
    runner = made(whole)
    before = start_of_peak()
    for _ in range(2):
        kept = runner.both()
    peak = resident("VmHWM")
    del kept
    return {"bytes": peak - before}


def start_of_peak() -> float:
    """Give back what is free and forget the peak; what is resident now (the peak, where it cannot be forgotten)."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except (OSError, AttributeError):
        return resident("VmHWM")
    return resident("VmRSS")


def resident(which: str) -> float:
    """Bytes: VmRSS now, VmHWM at the peak (elsewhere than on Linux, always the peak)."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith(which))
        return float(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) * (1 if sys.platform == "darwin" else 1024)


def first_use(cell: str, dtype: str) -> dict[str, float]:
    """Seconds: to import the runtime and LLVM, then until the first forward and backward are done."""
    began = time.perf_counter()
    from gatework.bench.case import Case
    from gatework.bench.settings import Shape
    from gatework.runtime.llvm import cpu

    cpu.best_isa()
    loaded = time.perf_counter()
    case = Case(cell, Shape(2, 2, 128, 128), dtype)
    made = time.perf_counter()
    case.both()
    return {"import": loaded - began, "first": time.perf_counter() - made}


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps({"memory": memory, "first_use": first_use}[given.pop("task")](**given)))
