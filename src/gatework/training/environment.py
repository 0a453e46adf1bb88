"""What a result depends on besides data and options: versions, commit, machine, threads; recorded in every run."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gatework.training.allocator import kept_memory

PACKAGES = ("gatework", "torch", "numpy", "llvmlite", "safetensors", "tokenizers", "polars", "scikit-learn")


def environment() -> dict[str, Any]:
    """Python, packages, commit, processor and threads of this process, as JSON-able values."""
    import torch

    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "commit": commit(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


@cache
def commit() -> str | None:
    """The commit of a checkout, with "+" if files differ from it; None for an installed package."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    try:
        name = _git(root, "rev-parse", "HEAD")
        return name + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no", "--", "src") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def contained() -> Iterator[None]:
    """Around a training: torch's generator and threads, which are one for the whole process, are then as before. Freed
    memory is kept meanwhile, see `kept_memory`."""
    import torch

    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng(devices=[]), kept_memory():
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
