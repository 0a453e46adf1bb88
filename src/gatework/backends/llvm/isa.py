"""What the printer of LLVM IR must know of an instruction set: vector width, registers, tile shapes.

A *tile* is R rows x V vectors of accumulators held in registers while the loop over k runs. With 32 vector registers
the best shape is 6 x 4 (24 accumulators, 4 weights, 1 broadcast, 3 spare); with 16 it is 6 x 2. One to three rows go
better with twice the vectors: a multiply-add takes four cycles, so that many chains must run side by side.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Isa:
    """An instruction set. `rows[v]` is the most rows of a tile that is v vectors wide. `operands` says what products
    read: "float" as it lies, or "rounded" or "pairs" (see rounded.py)."""

    name: str
    triple: str
    features: str
    vector_bytes: int
    rows: dict[int, int]
    masks: bool
    operands: str = "float"

    def max_vectors(self, batch: int = 1000) -> int:
        """Vectors of the widest tile for a batch of this many rows."""
        widest = max(self.rows)
        return widest if batch <= self.rows[widest] else widest // 2

    def lanes(self, dtype: str) -> int:
        """Elements of a vector, e.g. 16 for "float" with AVX-512."""
        return self.vector_bytes // {"float": 4, "double": 8}[dtype]

    @property
    def attributes(self) -> str:
        """Function attributes of all generated code."""
        return f'nounwind "target-features"="{self.features}" "prefer-vector-width"="{self.vector_bytes * 8}"'


_WIDE = {1: 12, 2: 12, 3: 8, 4: 6, 5: 3, 6: 3, 7: 3, 8: 3}
_NARROW = {1: 8, 2: 6, 3: 2, 4: 2}
_AVX2 = "+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+cx16"
_AVX512 = _AVX2 + ",+avx512f,+avx512vl,+avx512dq,+avx512bw,+avx512cd"

ISAS = {
    "avx512": Isa("avx512", "x86_64", _AVX512, 64, _WIDE, True),
    "avx2": Isa("avx2", "x86_64", _AVX2, 32, _NARROW, False),
    "sse2": Isa("sse2", "x86_64", "+sse2", 16, _NARROW, False),
    "neon": Isa("neon", "aarch64", "+neon", 16, _WIDE, False),
}
