"""What a user sets for all programs of a process: the number of threads, and the check for finite values."""

from __future__ import annotations

import os
import sys

from gatework.errors import OptionError

_chosen: int | None = None
_finite: bool = os.environ.get("GATEWORK_CHECK", "") not in ("", "0")


def settings() -> tuple[int, bool]:
    """What a prepared call depends on beside its arguments: threads, and whether values are checked."""
    return get_threads(), _finite


def set_threads(count: int | None) -> None:
    """How many threads kernels may use; None: as many as torch uses, or else the processors that this process may
    use."""
    global _chosen
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 1024):
        raise OptionError(f"set_threads({count!r}): choose a whole number from 1 to 1024, or None for the default")
    _chosen = count


def get_threads() -> int:
    """The number of threads that kernels use at most."""
    if _chosen is not None:
        return _chosen
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):
        return torch.get_num_threads()
    return _available()


def _available() -> int:
    asked = os.environ.get("GATEWORK_THREADS") or os.environ.get("OMP_NUM_THREADS")
    if asked and asked.isdigit() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_finite(on: bool) -> None:
    """Whether arrays with NaN or infinities are refused with a DataError that names the array and the place.

    `check_finite(True)` has the effect of the environment variable GATEWORK_CHECK=1, for all programs.
    """
    global _finite
    _finite = bool(on)


def finite() -> bool:
    """Is the check for finite values on?"""
    return _finite
