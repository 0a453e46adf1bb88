"""The system's C compiler, where there is one: proves an exported program, and says how large its code is."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from gatework.errors import KernelError

STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror")
FAST = ("-O3", "-march=native")


def compiler() -> str | None:
    """The command that the environment variable CC names, or cc, or gcc; None where there is none."""
    return next((found for name in (os.environ.get("CC"), "cc", "gcc") if name and (found := shutil.which(name))), None)


def compiled(sources: Sequence[Path], out: Path, *flags: str) -> Path:
    """Compile and link. Raises KernelError with what the compiler said, or where there is none."""
    command = compiler()
    if command is None:
        raise KernelError("there is no C compiler: install gcc or clang, or name one in the environment variable CC")
    called([command, *flags, *map(str, sources), "-o", str(out), "-lm"])
    return out


def called(command: Sequence[str]) -> str:
    """What a command prints. Raises KernelError where it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise KernelError(f"{Path(command[0]).name} failed ({done.returncode}): {(done.stdout + done.stderr)[:2000]}")
    return done.stdout


def symbols(compiled_file: Path) -> list[tuple[str, str, int]]:
    """Kind, name and bytes of each symbol of an object, as nm tells them; "U" are those that it needs."""
    lines = [line.split() for line in called(["nm", "-S", str(compiled_file)]).splitlines()]
    return [(line[-2], line[-1], int(line[1], 16) if len(line) == 4 else 0) for line in lines]


def code_bytes(compiled_file: Path) -> int:
    """Bytes of an object's functions."""
    return sum(count for kind, _, count in symbols(compiled_file) if kind in "tT")
