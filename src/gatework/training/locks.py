"""Locks that the system lets go when their holder dies, even by kill -9: for run folders, for the journal of a search,
and to tell who is alive."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

from gatework.errors import OptionError
from gatework.training.files import must_be_plain, plainly

WORKERS = "workers"
TRAINING = ".training.lock"


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
            file = open(self.path, "ab", opener=plainly)  # noqa: SIM115 (open as long as we hold the lock)
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
def alone(folder: Path) -> Iterator[None]:
    """One training at a time in a folder, which is made if need be; it goes again if nothing was left in it.

    Raises: OptionError where another process trains there, and where the folder cannot be made.
    """
    with _made(folder):
        must_be_plain(folder / TRAINING)
        lock = FileLock(folder / TRAINING)
        if not lock.acquire(wait=False):
            raise OptionError(f"another process trains in {folder}; wait for it, or choose another folder (--out)")
        try:
            yield
        finally:
            with suppress(OSError):  # Windows keeps a file that is open
                lock.path.unlink()  # while it is held: whoever waits for it sees that it is gone, and makes it anew
            lock.release()


def is_training(folder: Path) -> bool:
    """Whether a process trains in a folder."""
    path = folder / TRAINING
    if not path.exists():
        return False
    must_be_plain(path)
    lock = FileLock(path)
    try:
        free = lock.acquire(wait=False)
    except OSError:  # in a folder of somebody else's
        return False
    lock.release()
    return not free


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """The folder is there in the block; those that had to be made are removed if they are still empty after it."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{folder} cannot be made ({error.strerror}); choose another folder (--out)") from error
    try:
        yield
    finally:
        with suppress(OSError):  # not empty
            for each in missing:
                each.rmdir()


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
