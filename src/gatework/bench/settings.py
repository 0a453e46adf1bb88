"""What a measurement is asked for: shapes, threads, type, peers, how long."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from gatework.errors import OptionError


class Shape(NamedTuple):
    """T steps of B rows, I inputs, H units.

    >>> str(Shape(100, 32, 128, 128))
    'T100 B32 I128 H128'
    """

    T: int
    B: int
    I: int
    H: int

    def __str__(self) -> str:
        return f"T{self.T} B{self.B} I{self.I} H{self.H}"


GRID = tuple(
    Shape(*numbers)
    for numbers in (
        (1, 1, 32, 32),
        (1, 1, 128, 128),
        (1, 1, 256, 256),
        (1, 1, 512, 512),
        (100, 1, 32, 32),
        (100, 1, 128, 128),
        (100, 32, 32, 32),
        (100, 32, 128, 128),
        (50, 64, 256, 256),
        (50, 64, 512, 512),
        (50, 128, 1024, 1024),
        (200, 128, 64, 128),
    )
)
USUAL = Shape(100, 32, 128, 128)
DTYPES = ("float32", "float64")
PEERS = ("torch", "onnxruntime", "jax")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to measure. None: the suite's own choice.

    cell      name of the cell
    shapes    sequence lengths, batches and sizes
    threads   numbers of threads, each measured by itself
    dtype     "float32" or "float64"
    peers     who else is measured, where installed
    runs      the fewest runs of anything that is timed
    seconds   how long each contestant is timed about
    patience  for how many seconds at most a row is measured again until it is steady
    anyway    whether ratios of unsteady times are shown
    peer_python   {"tensorflow": "/path/to/python"}: interpreters of environments in which Keras runs on other backends
    """

    cell: str | None = None
    shapes: tuple[Shape, ...] | None = None
    threads: tuple[int, ...] | None = None
    dtype: str | None = None
    peers: tuple[str, ...] | None = None
    runs: int = 10
    seconds: float = 0.5
    patience: float = 10.0
    anyway: bool = False
    peer_python: tuple[tuple[str, str], ...] | None = None

    def __post_init__(self) -> None:
        if self.dtype not in (None, *DTYPES):
            raise OptionError(f"dtype={self.dtype!r}; choose {' or '.join(DTYPES)}")
        if self.runs < 3 or not self.seconds > 0:
            raise OptionError(f"runs={self.runs}, seconds={self.seconds}; at least 3 runs and more than 0 seconds")
        if not self.patience >= 0:
            raise OptionError(f"patience={self.patience}; give seconds, 0 or more")
        for name in self.peers or ():
            if name not in PEERS:
                raise OptionError(f"there is no peer {name!r}; choose of {', '.join(PEERS)}")
        for count in self.threads or ():
            if not 1 <= count <= processors():
                raise OptionError(f"threads={count}; this process may use 1 to {processors()}")

    def given(self) -> set[str]:
        """The options that are not left to the suite."""
        return {f.name for f in fields(self) if getattr(self, f.name) is not None} - {
            "runs",
            "seconds",
            "patience",
            "anyway",
        }

    def or_else(self, **defaults: Any) -> Settings:
        """The same with a suite's own values where nothing was said."""
        return replace(self, **{name: value for name, value in defaults.items() if getattr(self, name) is None})

    def without(self, names: set[str]) -> Settings:
        """The same with some options left to the suite."""
        return replace(self, **dict.fromkeys(names))


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def all_threads() -> tuple[int, ...]:
    """One thread, and as many as there are processors."""
    return tuple(dict.fromkeys((1, processors())))


def shapes_of(text: str) -> tuple[Shape, ...]:
    """Shapes as one writes them.

    >>> shapes_of("T100B32I128H128,T1B1I32H64")
    (Shape(T=100, B=32, I=128, H=128), Shape(T=1, B=1, I=32, H=64))
    """
    return tuple(_shape(part) for part in text.replace(";", ",").split(",") if part.strip())


def _shape(text: str) -> Shape:
    found = re.fullmatch(r"T(\d+)B(\d+)I(\d+)H(\d+)", re.sub(r"[\s_]", "", text).upper())
    if not found or not all(map(int, found.groups())):
        raise OptionError(f"{text.strip()!r} is not a shape; write T100B32I128H128: steps, rows, inputs, units")
    return Shape(*map(int, found.groups()))
