"""Compiled code on disk, in a directory that its owner alone can read and write.

An entry is `NAME-KEY.o`: 32 bytes of SHA-256 over the rest, then the object file. One that is damaged, or does not
belong to
the user alone, is ignored and made again. Entries appear by renaming, so processes that write the same one do not meet.
`GATEWORK_CACHE` names another directory; empty, nothing is cached. A disk that is full or read-only is no error.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path


def directory() -> Path | None:
    """Where entries lie, or None if caching is switched off."""
    chosen = os.environ.get("GATEWORK_CACHE")
    if chosen is not None:
        return Path(chosen) if chosen else None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "gatework" / "kernels"
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return None if base.startswith("~") else Path(base) / "gatework" / "kernels"


def digest(*parts: object) -> str:
    """A name for what the parts say, and for the code that turns them into kernels."""
    return hashlib.sha256("\n".join([generator(), *map(str, parts)]).encode()).hexdigest()[:32]


@functools.cache
def generator() -> str:
    """A hash of the sources that print kernels: a cache never outlives the code that filled it."""
    root = Path(__file__).parent.parent
    files = sorted(
        [*(root / "backends" / "llvm").glob("*.py"), *(root / "compiler").glob("*.py"), root / "runtime" / "cpu.py"]
    )
    hashed = hashlib.sha256()
    for file in files:
        hashed.update(file.read_bytes())
    return hashed.hexdigest()


def read(name: str, key: str) -> bytes | None:
    """An entry's object file, or None if there is none that can be trusted."""
    folder = directory()
    if folder is None or not _private(folder, directory=True):
        return None
    path = folder / f"{name}-{key}.o"
    try:
        if not _private(path, directory=False):
            return None
        data = path.read_bytes()
    except OSError:
        return None
    return data[32:] if hashlib.sha256(data[32:]).digest() == data[:32] else None


def write(name: str, key: str, image: bytes) -> bool:
    """Store an entry; False (and no error) where the disk does not allow it."""
    folder = directory()
    if folder is None:
        return False
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _private(folder, directory=True):
            return False
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}-")
    except OSError:
        return False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(image).digest() + image)
        os.replace(temporary, folder / f"{name}-{key}.o")
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        return False
    return True


def _private(path: Path, directory: bool) -> bool:
    """Is this the user's own file or folder, not a link, which nobody else may write (or, for a file, read)?"""
    try:
        status = path.lstat()
    except OSError:
        return False
    right_kind = stat.S_ISDIR(status.st_mode) if directory else stat.S_ISREG(status.st_mode)
    if not right_kind or not hasattr(os, "getuid"):
        return right_kind
    return status.st_uid == os.getuid() and not status.st_mode & 0o077
