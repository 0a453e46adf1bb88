"""How long the way of a tensor from a layer's `forward` to machine code is: rooms (files of gatework that a warm call
enters), functions, and crossings (calls from `layers` into `runtime` or back).

    python benchmarks/rooms.py          # a line each: inference, and training forward, of one LSTM
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import torch

import gatework

ROOT = Path(gatework.__file__).parent
WARM = 3  # calls before the one that is looked at


def entered(call: Callable[[], object]) -> list[tuple[str, str, str]]:
    """Of every call of a function of ours: the file it came from (ours, "" for none), its own file, its name."""
    found: list[tuple[str, str, str]] = []

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and (own := room(frame)):
            before = frame.f_back
            while before and not room(before):
                before = before.f_back
            found.append((room(before) if before else "", own, frame.f_code.co_qualname))

    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


def room(frame: FrameType) -> str:
    """The file of a frame in the package, "" for others."""
    path = Path(frame.f_code.co_filename)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""


def told(name: str, call: Callable[[], object]) -> str:
    for _ in range(WARM):
        call()
    calls = entered(call)
    rooms, functions = {own for _, own, _ in calls}, {(own, of) for _, own, of in calls}
    sides = [(before.partition("/")[0], own.partition("/")[0], of) for before, own, of in calls]
    crossings = {side for side in sides if set(side[:2]) == {"layers", "runtime"}}
    return f"{name}: {len(rooms)} rooms, {len(functions)} functions, {len(crossings)} crossings"


def main() -> None:
    torch.set_num_threads(1)
    layer, x = gatework.LSTM(32, 32), torch.randn(100, 1, 32)
    with torch.no_grad():
        print(told("inference", lambda: layer(x)))
    print(told("training, forward", lambda: layer(x)))


if __name__ == "__main__":
    main()
