"""Locks that the system lets go when their holder dies, even by kill -9: for the journal, and to tell who is alive."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

WORKERS = "workers"


class FileLock:
    """One process at a time; has the two methods that Optuna's journal calls.

    with FileLock(folder / "journal.lock"):
        ...
    """

    def __init__(self, path: Path):
        self.path = path
        self.file: IO[bytes] | None = None

    def acquire(self, wait: bool = True) -> bool:
        """Whether we hold it now; with `wait` always."""
        while True:
            file = open(self.path, "ab")  # noqa: SIM115 (open as long as we hold the lock)
            if not _lock(file, wait):
                file.close()
                return False
            if self._is(file):
                self.file = file
                return True
            file.close()

    def _is(self, file: IO[bytes]) -> bool:
        """Whether a file that was opened still stands in its place: another may have swept it away before the lock."""
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: Any, wait: bool) -> bool:
        while True:
            try:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
                return True
            except OSError:  # LK_LOCK gives up after ten seconds
                if not wait:
                    return False
else:
    import fcntl

    def _lock(file: Any, wait: bool) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def present(folder: Path) -> Iterator[str]:
    """A name for this process under which others see that it lives, for as long as the block lasts."""
    name = uuid.uuid4().hex
    (folder / WORKERS).mkdir(exist_ok=True)
    lock = FileLock(folder / WORKERS / name)
    lock.acquire()
    try:
        yield name
    finally:
        lock.release()
        lock.path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Removes what dead processes left."""
    if (folder / WORKERS).exists():
        for path in (folder / WORKERS).iterdir():
            alive(folder, path.name)


def alive(folder: Path, name: str | None) -> bool:
    """Whether the process of that name still lives; what a dead one left is removed."""
    lock = FileLock(folder / WORKERS / str(name))
    if not lock.path.exists():
        return False
    if not lock.acquire(wait=False):
        return True
    lock.release()
    lock.path.unlink(missing_ok=True)
    return False
