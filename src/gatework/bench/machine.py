"""What a result must say of where it comes from: processor, versions, commit, load, environment."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import gatework
from gatework.bench.settings import processors
from gatework.runtime.llvm import cpu
from gatework.training.environment import commit

LIBRARIES = ("numpy", "llvmlite", "torch", "onnxruntime", "jax", "keras")
VARIABLES = ("OMP_", "MKL_", "KMP_", "GATEWORK_THREADS", "GATEWORK_ISA", "XLA_", "ONEDNN_", "DNNL_")


def describe() -> dict[str, Any]:
    """A dictionary for JSON."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processor": processor(),
        "llvm_name": cpu.host()[0],
        "instruction_set": cpu.best_isa().name,
        "processors": processors(),
        "load": load(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {"gatework": gatework.__version__, **versions()},
        "commit": commit(),
        "environment": {k: v for k, v in sorted(os.environ.items()) if k.startswith(VARIABLES)},
    }


def headline(machine: dict[str, Any]) -> str:
    """One line for people."""
    named = ", ".join(f"{n} {v}" for n, v in machine["versions"].items() if n != "gatework")
    return f"{machine['processor']}, {machine['processors']} processors, {machine['instruction_set']}; {named}"


def processor() -> str:
    """The name that the system gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def load() -> float | None:
    """How many processes wanted to run in the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


class Others:
    """How much of the processors went elsewhere since this was made: 0.5 is half a processor; None if unknown."""

    def __init__(self) -> None:
        self.began, self.before, self.own = time.perf_counter(), seconds(), time.process_time()

    def share(self) -> float | None:
        """What other processes used, and what other machines on the same processors took."""
        if (gone := self._gone()) is None:
            return None
        passed = time.perf_counter() - self.began
        return max(0.0, (gone.busy + gone.stolen - (time.process_time() - self.own)) / passed)

    def stolen(self) -> float | None:
        """What other machines on the same processors took, as this virtual machine is told."""
        gone = self._gone()
        return None if gone is None else gone.stolen / (time.perf_counter() - self.began)

    def _gone(self) -> Seconds | None:
        now = seconds()
        if now is None or self.before is None:
            return None
        return Seconds(now.busy - self.before.busy, now.stolen - self.before.stolen)


class Seconds(NamedTuple):
    """That all processors together have worked, or were taken away."""

    busy: float
    stolen: float


def seconds() -> Seconds | None:
    """Since the machine started."""
    path = Path("/proc/stat")
    if not path.exists():
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, path.read_text(encoding="utf-8").split()[1:9])
    ticks = os.sysconf("SC_CLK_TCK")
    return Seconds((user + nice + system + irq + softirq) / ticks, steal / ticks)


def versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
