"""Freed memory stays with a training and goes back at its end."""

from __future__ import annotations

import platform

import numpy as np
import pytest

from gatework.bench.child import resident
from gatework.training.allocator import SETTINGS, kept_memory

BLOCK, COUNT = 4 << 20, 32


def touched() -> float:
    """Bytes that are resident after blocks were filled and freed, above those before."""
    before = resident("VmRSS")
    blocks = [np.ones(BLOCK, np.uint8) for _ in range(COUNT)]
    del blocks
    return resident("VmRSS") - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc")
def test_freed_memory_stays_during_a_training_and_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    before = resident("VmRSS")
    with kept_memory():
        assert touched() > 0.9 * BLOCK * COUNT
    assert resident("VmRSS") - before < 0.2 * BLOCK * COUNT
    monkeypatch.setenv(SETTINGS[0], "65536")
    with kept_memory():
        assert touched() < 0.2 * BLOCK * COUNT
