"""Drawn cells in every way in which they run, and kernels beside forbidden pages: `python tests/fuzz.py cells guarded
--count 2000` runs further ones. How they are judged is tested with planted faults."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import every_way
import kernel_check
from children import child
from gatework import cell, tanh
from kernel_check import Pair, Setting, check

GUARDED = 100
FUZZ = str(Path(__file__).with_name("fuzz.py"))


@pytest.mark.parametrize("first", range(1_000_000, 1_000_200, 25))
def test_drawn_cells_run_alike_in_every_way(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWORK_CACHE", "")
    for number in range(first, first + 25):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of torch, of transforms
                every_way.attempt(number)
        except Exception as error:
            error.add_note(f"repeat it with tests/fuzz.py cells --first {number} --count 1")
            raise


@cell
def chaotic(x, h, W):
    """Small differences grow from step to step, forward and backward."""
    a = W.a(W.b(h, x), x)
    return tanh(40 * a)


CHAOTIC = Setting(T=9, B=17, H=32, I=63, dtype="float32")


def test_what_magnifies_rounding_is_judged_by_how_much_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is off by no more than the reference in the kernel's type; without this measure it fails."""
    check(chaotic.graph, CHAOTIC)
    monkeypatch.setattr(kernel_check, "FEW", 0)
    with pytest.raises(AssertionError, match="differs by"):
        check(chaotic.graph, CHAOTIC)


@pytest.mark.parametrize("at", [Setting(dtype="float32"), replace(CHAOTIC, T=2)], ids=["plain", "chaotic"])
@pytest.mark.parametrize("part", ["history", "final", "start", "weights", "inputs"])
def test_a_wrong_kernel_is_not_excused(part: str, at: Setting) -> None:
    pair = Pair(chaotic.graph, at)
    done = pair.forward()
    found = done if hasattr(done, part) and part in ("history", "final") else pair.backward(done)
    for values in getattr(found, part).values():
        values.reshape(-1)[0] += 0.03 * np.abs(values).max()
    with pytest.raises(AssertionError, match="differs by"):
        if found is done:
            pair.check_forward(done, loosen=1)
        else:
            pair.check_backward(found, loosen=1)


needs_mprotect = pytest.mark.skipif(sys.platform == "win32", reason="forbids pages by mprotect")


@needs_mprotect
def test_kernels_stay_within_their_arrays() -> None:
    with child(FUZZ, "guarded", "--count", str(GUARDED)) as process:
        said, errors = process.communicate(timeout=600)
    assert process.returncode == 0 and f"guarded: {GUARDED} mutants, 0 bad" in said, said + errors


@needs_mprotect
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("beyond", [0, 1])
def test_a_guarded_array_ends_where_it_ends(at_end: bool, beyond: int) -> None:
    """Its own first and last bytes can be read; the next one ends the process."""
    reading = (
        "import ctypes, numpy; from guarded import guard\n"
        f"values = guard(numpy.arange(999.0), {at_end}); assert values.sum() == 998 * 999 / 2\n"
        f"at = values.ctypes.data + (values.nbytes - 1 + {beyond} if {at_end} else -{beyond})\n"
        "ctypes.string_at(at, 1)"
    )
    with child("-c", reading) as process:
        process.communicate(timeout=60)
    assert (process.returncode < 0) == bool(beyond)
