"""What the runtime owes the machine: no instruction that it lacks, and no more memory than is worth keeping."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gatework.backends.llvm.isa import ISAS
from gatework.runtime.llvm import cpu, kernel
from gatework.runtime.memory import Pool, Recent
from kernel_check import HERE

AVX512 = re.compile(
    r"%zmm|%[xy]mm(1[6-9]|2\d|3[01])|%k[0-7]|\{1to|\t(vpternlog|vrndscale|vpermt2|vpmullq|vmovdq[ua](8|16|32|64)\b)"
    r"|\tv(insert|extract|broadcast)[if]\d+x|\tvcvt\w*u(qq|dq)|\tvp(abs|min|max|sra)u?q\b|\tvpandn?[dq]\b"
)


@pytest.mark.skipif("avx2" not in HERE, reason="needs a processor with AVX2")
@pytest.mark.parametrize("name", ["skylake-avx512", "znver4"])
@pytest.mark.parametrize("scalar", ["float", "double"])
def test_code_for_avx2_holds_nothing_of_avx512(name: str, scalar: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a virtual machine that hides AVX-512 and keeps the processor's name."""
    monkeypatch.setattr(cpu, "host", lambda: (name, {}))
    isa = ISAS["avx2"]
    machine = cpu.target_machine(isa)
    text = cpu.tuned(kernel._library_text(isa, scalar), isa)
    lines = machine.emit_assembly(cpu.optimised(text, machine)).splitlines()
    assert f'"tune-cpu"="{name}"' in text and any("vfmadd" in line for line in lines)
    assert [line for line in lines if AVX512.search(line)] == []


def test_what_was_made_last_is_bounded_in_number_and_bytes() -> None:
    recent = Recent(3, 100)
    for k in range(5):
        assert recent.keep(k, str(k)) == str(k)
    assert list(recent) == [2, 3, 4]
    recent.keep("big", np.zeros(10))
    recent.keep("bigger", np.zeros(12))
    assert list(recent) == ["bigger"], "the oldest go until the bytes fit"
    recent.keep("huge", np.zeros(1000))
    assert list(recent) == ["huge"], "the newest stays, however large"


def test_spare_blocks_are_bounded_in_number_and_bytes() -> None:
    pool = Pool(np.dtype(np.float64), most=2, most_bytes=7 << 20)
    blocks = [pool.take((n << 17, 1)) for n in (2, 3, 4)]
    del blocks
    assert sum(b.nbytes for b in pool.spare) < 8 << 20 and len(pool.spare) <= 2
    del pool.spare[:]
    pool.take((9 << 17, 1))
    assert not pool.spare, "a block over the bound is kept"
