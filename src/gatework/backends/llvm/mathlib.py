"""Elementary functions as vector code: exp, log, log1p, sigmoid, tanh.

All rest on the two series of `backends.series`, with no branch, and on splitting off a power of two through the bits of
the number. Infinities, NaN and signed zeros come out as in C.

Largest errors against float64 (float32), or extended precision and 40 digits (float64), in units of the last place,
measured by tests/test_mathlib.py over the whole range: exp 1.3, log 1, log1p 1.5, sigmoid 2.5, tanh 3.5. Where the true
result is subnormal (sigmoid below -87.3, float32) the error is below the smallest normal number instead.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from gatework.backends.series import EXP32, EXP64, LN2_32, LN2_64, LOG2E, LOG32, LOG64

from .emit import Function


class _Format(NamedTuple):
    """Bits and series of a floating-point format."""

    integer: str
    mantissa: int
    bias: int
    magic: float
    ln2_high: float
    ln2_low: float
    ln2_tanh: tuple[float, ...]
    overflow: float
    exp: tuple[float, ...]
    log: tuple[float, ...]


_FORMATS = {
    "float": _Format("i32", 23, 127, 1.5 * 2**23, *LN2_32, (sum(LN2_32),), 89.0, EXP32, LOG32),
    "double": _Format("i64", 52, 1023, 1.5 * 2**52, *LN2_64, LN2_64, 710.0, EXP64, LOG64),
}


def number(f: Function, value: float) -> str:
    """A constant of the function's scalar type, as LLVM wants it: the bits of the double nearest to it."""
    if f.scalar == "float" and abs(value) < 3.5e38:
        value = struct.unpack("f", struct.pack("f", value))[0]
    return "0x" + struct.pack(">d", value).hex().upper()


class Math:
    """Elementwise vector operations of one function under construction; the methods are the ops of the graph."""

    def __init__(self, f: Function):
        self.f, self.format = f, _FORMATS[f.scalar]
        self.ints = f"<{f.lanes} x {self.format.integer}>"

    # ---- helpers
    def const(self, value: float) -> str:
        return self.f.splat(number(self.f, value))

    def _int(self, value: int) -> str:
        return f"splat ({self.format.integer} {value})"

    def _op(self, name: str, a: str, b: str, kind: str | None = None) -> str:
        return self.f.op(f"{name} {kind or self.f.vector} {a}, {b}")

    def _bits(self, a: str) -> str:
        return self.f.op(f"bitcast {self.f.vector} {a} to {self.ints}")

    def _float(self, a: str) -> str:
        return self.f.op(f"bitcast {self.ints} {a} to {self.f.vector}")

    def _compare(self, how: str, a: str, b: str) -> str:
        return self.f.op(f"fcmp {how} {self.f.vector} {a}, {b}")

    def _select(self, mask: str, a: str, b: str) -> str:
        return self.f.op(f"select {self.f.mask} {mask}, {self.f.vector} {a}, {self.f.vector} {b}")

    def _intrinsic(self, name: str, *args: str) -> str:
        vector = self.f.vector
        return self.f.call(vector, f"llvm.{name}.{self.f.suffix}", *((vector, a) for a in args))

    def _series(self, x: str, coefficients: tuple[float, ...]) -> str:
        total = self.const(coefficients[0])
        for c in coefficients[1:]:
            total = self.f.fma(total, x, self.const(c))
        return total

    def _clamp_high(self, x: str, limit: float) -> str:
        """min(x, limit), NaN kept."""
        return self._select(self._compare("ogt", x, self.const(limit)), self.const(limit), x)

    def _clamp_low(self, x: str, limit: float) -> str:
        return self._select(self._compare("olt", x, self.const(limit)), self.const(limit), x)

    def _reduced(self, x: str, scale: int = 1, ln2: tuple[float, ...] = ()) -> tuple[str, str, str]:
        """scale x = n ln 2 + scale r: n as integers, r, expm1(scale r) / r. Adding 1.5 * 2^mantissa rounds to an
        integer in the low bits."""
        magic = self.const(self.format.magic)
        shifted = self.f.fma(x, self.const(scale * LOG2E), magic)
        n = self._op("fsub", shifted, magic)
        for part in ln2 or (self.format.ln2_high, self.format.ln2_low):
            x = self.f.fma(n, self.const(-part / scale), x)
        integer = self._op("sub", self._bits(shifted), self._bits(magic), self.ints)
        powers = range(len(self.format.exp), 0, -1)
        scaled = tuple(c * scale**k for c, k in zip(self.format.exp, powers, strict=True))
        return integer, x, self._series(x, scaled)

    def _power(self, n: str) -> str:
        """2^n for -bias < n <= bias + 1 (the last is infinity)."""
        biased = self._op("add", n, self._int(self.format.bias), self.ints)
        return self._float(self._op("shl", biased, self._int(self.format.mantissa), self.ints))

    # ---- the ops of the graph
    def add(self, a: str, b: str) -> str:
        return self._op("fadd", a, b)

    def sub(self, a: str, b: str) -> str:
        return self._op("fsub", a, b)

    def mul(self, a: str, b: str) -> str:
        return self._op("fmul", a, b)

    def div(self, a: str, b: str) -> str:
        return self._op("fdiv", a, b)

    def neg(self, a: str) -> str:
        return self.f.op(f"fneg {self.f.vector} {a}")

    def maximum(self, a: str, b: str) -> str:
        return self._intrinsic("maximum", a, b)

    def minimum(self, a: str, b: str) -> str:
        return self._intrinsic("minimum", a, b)

    def lt(self, a: str, b: str) -> str:
        return self._select(self._compare("olt", a, b), self.const(1), self.const(0))

    def le(self, a: str, b: str) -> str:
        return self._select(self._compare("ole", a, b), self.const(1), self.const(0))

    def where(self, condition: str, a: str, b: str) -> str:
        return self._select(self._compare("une", condition, self.const(0)), a, b)

    def stop(self, a: str) -> str:
        return a

    def sqrt(self, a: str) -> str:
        return self._intrinsic("sqrt", a)

    def abs(self, a: str) -> str:
        return self._intrinsic("fabs", a)

    def exp(self, x: str) -> str:
        """e^x. The power of two is applied in two halves, so that results near either end of the range are right."""
        f = self.format
        x = self._clamp_low(self._clamp_high(x, f.overflow + 20), -f.overflow - f.mantissa)
        n, r, q = self._reduced(x)
        half = self._op("ashr", n, self._int(1), self.ints)
        rest = self._op("sub", n, half, self.ints)
        p = self.f.fma(r, q, self.const(1))
        return self._op("fmul", self._op("fmul", p, self._power(half)), self._power(rest))

    def sigmoid(self, x: str) -> str:
        """1 / (1 + e^-x); e^-x becomes infinity (and the result 0) just below the smallest normal result."""
        limit = self.format.overflow
        n, r, q = self._reduced(self._clamp_low(self._clamp_high(x, 0.98 * limit), -limit), -1)
        e = self.f.fma(r, q, self.const(1))
        return self._op("fdiv", self.const(1), self.f.fma(self._power(n), e, self.const(1)))

    def tanh(self, x: str) -> str:
        """With m = expm1(2|x|): m / (m + 2), signed. Near zero m is exact to the last place, so the result is too.

        An error of n ln 2 stands in the result 2 (m + 1) / (m (m + 2)) times, at most 2.9 times where n is not 0: in
        float32 one number for ln 2 will do.
        """
        n, r, q = self._reduced(self._clamp_high(self.abs(x), 22.5), 2, self.format.ln2_tanh)
        power = self._power(n)
        m = self.f.fma(power, self._op("fmul", r, q), self._op("fsub", power, self.const(1)))
        ratio = self._op("fdiv", m, self._op("fadd", m, self.const(2)))
        return self._intrinsic("copysign", ratio, x)

    def log(self, x: str) -> str:
        f = self.format
        tiny = self._compare("olt", x, self.const(2.0 ** (1 - f.bias)))
        scaled = self._select(tiny, self._op("fmul", x, self.const(2.0 ** (f.mantissa + 2))), x)
        bits = self._bits(scaled)
        half = self._int(_sqrt_half_bits(f))
        n = self._op("ashr", self._op("sub", bits, half, self.ints), self._int(f.mantissa), self.ints)
        m = self._float(self._op("sub", bits, self._op("shl", n, self._int(f.mantissa), self.ints), self.ints))
        n = self.f.op(f"sitofp {self.ints} {n} to {self.f.vector}")
        n = self._select(tiny, self._op("fsub", n, self.const(f.mantissa + 2)), n)
        less = self._op("fsub", m, self.const(1))
        s = self._op("fdiv", less, self._op("fadd", less, self.const(2)))
        square = self._op("fmul", s, s)
        # log m = less - s (less - s^2 p(s^2)): the leading term is exact.
        tail = self._op("fmul", square, self._series(square, f.log))
        small = self._op("fmul", s, self._op("fsub", less, tail))
        low = self.f.fma(n, self.const(f.ln2_low), self.neg(small))
        result = self.f.fma(n, self.const(f.ln2_high), self._op("fadd", less, low))
        return self._log_edges(x, result)

    def _log_edges(self, x: str, result: str) -> str:
        infinity, nan = self.const(float("inf")), self.const(float("nan"))
        result = self._select(self._compare("oeq", x, infinity), x, result)
        result = self._select(self._compare("oeq", x, self.const(0)), self.const(float("-inf")), result)
        return self._select(self._compare("oge", x, self.const(0)), result, nan)

    def log1p(self, x: str) -> str:
        """log(w) + (what rounding w = 1 + x lost) / w"""
        w = self._op("fadd", self.const(1), x)
        lost = self._op("fsub", x, self._op("fsub", w, self.const(1)))
        small = self._op("fadd", self.log(w), self._op("fdiv", lost, w))
        edge = self._compare("oeq", w, self.const(float("inf")))
        zero = self._compare("oeq", w, self.const(0))
        return self._select(
            edge,
            x,
            self._select(
                zero, self.const(float("-inf")), self._select(self._compare("oeq", x, self.const(0)), x, small)
            ),
        )


def _sqrt_half_bits(f: _Format) -> int:
    """The bits of the float just at sqrt(1/2)."""
    if f.integer == "i32":
        return struct.unpack("<i", struct.pack("<f", 0.70710678))[0]
    return struct.unpack("<q", struct.pack("<d", 0.7071067811865476))[0]
