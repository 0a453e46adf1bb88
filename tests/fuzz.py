"""Thousands of mutants of each kind: `python tests/fuzz.py [KIND ...] --count 10000`. See mutants.py.

Of the kind `cells` they are drawn cells, each run in every way beside the reference (see every_way.py; half a second
each), of the kind `guarded` kernels whose arrays lie beside forbidden pages (see guarded.py).

Each is read within 10 seconds and 2 GB of further memory, in a process that is begun anew where one ends it. Prints a
line for each that ended in anything but an answer or an error of gatework's, and how often; exits with 1 if there was
one. `--first N --count 1` repeats one.
"""

from __future__ import annotations

import argparse
import faulthandler
import functools
import importlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

SECONDS, MEMORY = 10, 2 << 30
FOR_A_CELL = 300  # seconds, as each is compiled
OF_CELLS = {"cells": "every_way", "guarded": "guarded"}  # further kinds: the module whose `attempt` runs a number


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "kinds", nargs="*", default=["tables", "json", "ts", "layers", "runs"], help="or: cells guarded"
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--inside", help=argparse.SUPPRESS)  # the folder, in a process that reads
    given = parser.parse_args()
    if given.inside:
        return read(given.kinds[0], given.first, given.count, Path(given.inside))
    return int(sum(fuzz(kind, given.first, given.count) for kind in given.kinds) > 0)


def fuzz(kind: str, first: int, count: int) -> int:
    """How many mutants of a kind ended badly."""
    began, bad, number, end = time.perf_counter(), 0, first, first + count
    with tempfile.TemporaryDirectory() as folder:
        while number < end:
            words = [kind, "--first", str(number), "--count", str(end - number), "--inside", folder]
            with subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    if line.startswith("at "):
                        number = int(line[3:])
                    else:
                        bad += line.startswith(f"{kind} ")
                        print(line, end="", flush=True)
            if process.returncode:
                bad += 1
                print(f"{kind} {number}: the process ended with {process.returncode}", flush=True)
            number += 1
    print(f"{kind}: {count:,} mutants, {bad} bad, {time.perf_counter() - began:.0f} s", flush=True)
    return bad


def read(kind: str, first: int, count: int, folder: Path) -> int:
    """Reads mutants one after another, and tells which."""
    import torch

    torch.set_num_threads(1)
    faulthandler.enable()
    attempt = attempts(kind, folder)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for number in range(first, first + count):
        print(f"at {number}", flush=True)
        signal.alarm(FOR_A_CELL if kind in OF_CELLS else SECONDS)
        try:
            attempt(number)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)[:-4:-1]
            where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
            print(f"{kind} {number}: {type(error).__name__}: {str(error)[:90]!r} at {where}", flush=True)
    return 0


def attempts(kind: str, folder: Path) -> Callable[[int], None]:
    """What is done with a number."""
    if kind in OF_CELLS:
        os.environ.setdefault("GATEWORK_CACHE", "")  # no drawn cell is needed again
        warnings.simplefilter("ignore")  # of torch, of transforms
        return importlib.import_module(OF_CELLS[kind]).attempt
    from mutants import Mutants
    from small import CASES

    mutants = Mutants(folder)
    for case in range(len(CASES)) if kind == "runs" else ():
        mutants.original(case)
    return functools.partial(mutants.attempt, kind)


if __name__ == "__main__":
    raise SystemExit(main())
