"""What the processor is, as the system tells it: cores, caches, instruction sets, and how many of it this process may
use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gatework.backends.llvm.isa import ISAS, Isa
from gatework.bench import machine
from gatework.bench.settings import processors
from gatework.runtime.llvm import cpu

SYSTEM = Path("/sys")
NARROW = {"avx512bf16": "AVX512-BF16", "amx-bf16": "AMX", "avxneconvert": "AVX-NE-CONVERT", "bf16": "BF16"}  # of LLVM


@dataclass(frozen=True)
class Cache:
    """Of the first processor: `shared` by so many."""

    level: int
    kind: str
    kib: int
    shared: int


@dataclass(frozen=True)
class Processor:
    """`cores` are None where the system does not tell; `quota` is the most processors that a container may use."""

    name: str
    llvm_name: str
    processors: int
    cores: int | None
    quota: float | None
    virtual: bool
    caches: tuple[Cache, ...]
    instruction_sets: tuple[str, ...]
    bfloat16: tuple[str, ...]

    @property
    def last_cache(self) -> int:
        """Bytes of the largest cache; 32 MiB where none is told."""
        return max((cache.kib for cache in self.caches), default=32 << 10) << 10


def described() -> Processor:
    """This machine's."""
    llvm_name, features = cpu.host()
    return Processor(
        machine.processor(),
        llvm_name,
        processors(),
        cores(),
        quota(),
        virtual(),
        tuple(caches()),
        tuple(isa.name for isa in usable()),
        tuple(name for feature, name in NARROW.items() if features.get(feature)),
    )


def usable() -> list[Isa]:
    """The instruction sets for which there are kernels that run here, the widest first."""
    return [isa for isa in ISAS.values() if cpu.supported(isa)]


def cores(system: Path = SYSTEM) -> int | None:
    """Cores of the machine: two processors on one core are threads of it."""
    found = {
        tuple(_read(folder / name) for name in ("physical_package_id", "core_id"))
        for folder in (system / "devices/system/cpu").glob("cpu[0-9]*/topology")
    }
    return len(found) or None


def caches(system: Path = SYSTEM) -> Iterator[Cache]:
    """Those that hold data."""
    for folder in sorted((system / "devices/system/cpu/cpu0/cache").glob("index*")):
        kind, size = _read(folder / "type"), re.fullmatch(r"(\d+)K", _read(folder / "size"))
        if size and kind in ("Data", "Unified"):
            yield Cache(int(_read(folder / "level")), kind, int(size[1]), counted(_read(folder / "shared_cpu_list")))


def counted(ranges: str) -> int:
    """How many numbers a list names.

    >>> counted("0-3,8")
    5
    """
    ends = [part.split("-") for part in ranges.split(",") if part]
    return sum(int(end[-1]) - int(end[0]) + 1 for end in ends)


def quota(system: Path = SYSTEM) -> float | None:
    """The most processors that a container may use at once, in its control group of either version."""
    group = system / "fs/cgroup"
    second = _read(group / "cpu.max").split()
    first = [_read(group / "cpu" / name) for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")]
    for most, period in (second, first) if len(second) == 2 else (first,):
        if most.isdigit() and period.isdigit():
            return int(most) / int(period)
    return None


def virtual() -> bool:
    """Whether other machines may run on the same processors."""
    info = Path("/proc/cpuinfo")
    return info.exists() and " hypervisor" in info.read_text(encoding="utf-8", errors="replace")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
