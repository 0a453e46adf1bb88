"""What a result depends on besides data and options: versions, machine, threads; recorded in every run."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("gatework", "torch", "numpy", "llvmlite", "safetensors", "tokenizers", "polars", "scikit-learn")


def environment() -> dict[str, Any]:
    """Python, packages, processor and threads of this process, as JSON-able values."""
    import torch

    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


@contextmanager
def contained() -> Iterator[None]:
    """Around a training: torch's generator and threads, which are one for the whole process, are then as before."""
    import torch

    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        return names[0] if names else platform.machine()
    except OSError:
        return platform.processor() or platform.machine()
