"""Programs that a test runs beside itself: none outlives the block that began it, whatever fails there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def path() -> str:
    """The PYTHONPATH with which a process imports what this one does, and the helpers of the tests."""
    return os.pathsep.join([str(Path(__file__).parent), *sys.path[1:]])


@contextmanager
def child(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Python with these arguments, a leader of its own group, so that what it began ends with it."""
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": path(), **environment}, start_new_session=True,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
