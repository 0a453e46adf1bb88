"""Cells that nobody wrote, at random sizes, lengths and resets: kernel and reference agree, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatework.compiler.lang import Cell
from gatework.compiler.pipeline import prepare
from gatework.runtime import set_threads
from gatework.runtime.llvm import compiled
from gatework.runtime.llvm.parts import Mode
from kernel_check import HERE, LAYOUTS, Pair, Setting, check
from random_cells import random_cells
from test_threads import assert_same, results

SETTINGS = st.builds(
    Setting,
    T=st.integers(0, 6),
    B=st.integers(0, 9),
    H=st.integers(1, 40),
    I=st.integers(1, 20),
    dtype=st.sampled_from(("float64", "float64", "float32")),
    isa=st.sampled_from(HERE),
    layout=st.sampled_from(LAYOUTS),
    recompute=st.booleans(),
    given_start=st.booleans(),
    seed=st.integers(0, 1_000),
)
WRAPPED = st.sampled_from([{}, {}, {"reset": {}}, {"hold": {}}, {"reset": {}, "hold": {}}, {"recurrent_dropout": {}}])
EVERYTHING = list(HealthCheck)


@settings(max_examples=60, suppress_health_check=EVERYTHING)
@given(random_cells(), SETTINGS, WRAPPED)
def test_random_cells(cell: Cell, at: Setting, wrapped: dict) -> None:
    with np.errstate(all="ignore"):
        check(prepare(cell.graph, wrapped), at)


@settings(max_examples=25, suppress_health_check=EVERYTHING)
@given(random_cells(), SETTINGS, WRAPPED, st.integers(2, 4), st.booleans(), st.booleans())
def test_sharing_and_hoisting_change_no_bit(
    cell: Cell, at: Setting, wrapped: dict, count: int, by_units: bool, hoist: bool
) -> None:
    """One thread against several, by rows or by units, with input products inside the loop or outside."""
    pair = Pair(prepare(cell.graph, wrapped), at)
    found = []
    for mode in (Mode(1, False, not hoist), Mode(count, by_units, hoist)):
        pair.forget()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiled, "choose_mode", lambda *_, mode=mode: (mode, "drawn"))
            found.append(results(pair, mode.threads, together=False))
    set_threads(None)
    assert_same(found[1], found[0])
