"""Compiled code on disk, in a directory that its owner alone can write.

An entry is `NAME-KEY.o`: 32 bytes of SHA-256 over its name and the rest, then the object file. One that is damaged, or
does not belong to the user alone, is ignored and made again. Entries appear by renaming, so processes that write the
same one do not meet; the oldest go when there are too many. `GATEWORK_CACHE` names another directory; empty, nothing is
cached. A disk that is full or read-only is no error. `GATEWORK_DEBUG=compile` says why nothing is cached.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shlex
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from gatework.compiler.debug import debug

MOST_BYTES = 256 << 20


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
    hashed = hashlib.sha256()
    for file in sources():
        hashed.update(file.read_bytes())
    return hashed.hexdigest()


def sources() -> list[Path]:
    """The files that say what is printed."""
    root = Path(__file__).parents[2]
    folders = (root / "backends" / "llvm", root / "compiler")
    runtime = root / "runtime"
    here = (root / "backends" / "series.py", runtime / "frame.py", runtime / "llvm" / "cpu.py")
    return sorted([*(file for folder in folders for file in folder.glob("*.py")), *here])


def read(name: str, key: str) -> bytes | None:
    """An entry's object file, or None if there is none that can be trusted."""
    folder = directory()
    if folder is None or not _own(folder, stat.S_ISDIR, 0o022):
        return None
    path = folder / f"{name}-{key}.o"
    try:
        if not _own(path, stat.S_ISREG, 0o077):
            return None
        data = path.read_bytes()
    except OSError:
        return None
    return data[32:] if _sum(path.name, data[32:]) == data[:32] else None


def _sum(name: str, image: bytes) -> bytes:
    """A checksum that binds an entry to its name: a copy under another one is not that other cell's code."""
    return hashlib.sha256(name.encode() + b"\0" + image).digest()


def write(name: str, key: str, image: bytes) -> bool:
    """Store an entry; False (and no error) where the disk does not allow it."""
    folder = directory()
    if folder is None:
        return False
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _own(folder, stat.S_ISDIR, 0o022):
            debug("compile", lambda: f"gatework: nothing is cached, as {_distrusted(folder)}")
            return False
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}-")
    except OSError as error:
        reason = str(error)
        debug("compile", lambda: f"gatework: nothing is cached in {folder}: {reason}")
        return False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_sum(f"{name}-{key}.o", image) + image)
        os.replace(temporary, folder / f"{name}-{key}.o")
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        return False
    _prune(folder)
    return True


def _distrusted(folder: Path) -> str:
    """Why a folder is not used, and what to do."""
    status = folder.lstat()
    if stat.S_ISLNK(status.st_mode):
        return f"{folder} is a link: name the folder itself in GATEWORK_CACHE"
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        return f"{folder} belongs to another user: name a folder of your own in GATEWORK_CACHE"
    return f"others may write {folder}: chmod go-w {shlex.quote(str(folder))}"


def _prune(folder: Path) -> None:
    """Delete the entries that were written first, until the rest is small enough."""
    with contextlib.suppress(OSError):  # another process may be at it too
        found = sorted((p.stat().st_mtime, p.stat().st_size, p) for p in folder.glob("*-*.o") if not p.is_symlink())
        total = sum(size for _, size, _ in found)
        for _, size, path in found:
            if total <= MOST_BYTES:
                break
            path.unlink()
            total -= size


def _own(path: Path, kind: Callable[[int], bool], forbidden: int) -> bool:
    """Is this the user's own file or folder, not a link, and does its mode forbid others so much?"""
    try:
        status = path.lstat()
    except OSError:
        return False
    if not kind(status.st_mode) or not hasattr(os, "getuid"):
        return kind(status.st_mode)
    return status.st_uid == os.getuid() and not status.st_mode & forbidden
