"""Cells that nobody wrote, at random sizes, lengths and resets: kernel and reference agree, forward and backward."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatework.compiler.lang import Cell
from gatework.compiler.pipeline import prepare
from kernel_check import HERE, LAYOUTS, Setting, check
from random_cells import random_cells

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


@settings(max_examples=70, suppress_health_check=list(HealthCheck))
@given(random_cells(), SETTINGS, WRAPPED)
def test_random_cells(cell: Cell, at: Setting, wrapped: dict) -> None:
    # Drawn equations may divide by a small spread or take differences of near values: each loses some digits.
    with np.errstate(all="ignore"):
        check(prepare(cell.graph, wrapped), at, loosen=100)
