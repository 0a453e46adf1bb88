"""exp, log, log1p, sigmoid and tanh of the kernels, over the whole range, against more digits.

float32 is measured against float64 (whose own error is 1e-9 of a float32's last place), float64 against numpy's
extended precision where it has 64 bits of mantissa, and against mpmath at the places where errors were largest.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from gatework.backends.llvm import mathlib
from gatework.backends.llvm.emit import Function, module
from gatework.backends.llvm.isa import ISAS
from gatework.backends.llvm.mathlib import Math
from gatework.runtime.llvm import cpu
from kernel_check import HERE

FUNCTIONS = ("exp", "log", "log1p", "sigmoid", "tanh")
DTYPES = ("float32", "float64")
# The bounds that mathlib.py states, in units of the last place of the true result.
ULP = {"exp": 1.3, "log": 1.0, "log1p": 1.5, "sigmoid": 2.5, "tanh": 3.5}


@functools.cache
def compiled(isa: str, dtype: str) -> Any:
    """One function for each operation: (in, out, count) over whole vectors."""
    scalar = {"float32": "float", "float64": "double"}[dtype]
    functions = []
    for name in FUNCTIONS:
        f = Function(name, "ptr %in, ptr %out, i64 %count", ISAS[isa], scalar)
        with f.loop(0, "%count", f.lanes) as i:
            f.store_vector(getattr(Math(f), name)(f.load_vector(f.at("%in", i))), f.at("%out", i))
        f.ret()
        functions.append(f)
    return cpu.Code(cpu.compile_object(module(functions, ISAS[isa]), ISAS[isa]))


def apply(name: str, x: np.ndarray, isa: str) -> np.ndarray:
    padded = np.concatenate([x, np.zeros(-len(x) % 16, x.dtype)])
    out = np.empty_like(padded)
    function = compiled(isa, str(x.dtype)).function(name, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    function(padded.ctypes.data, out.ctypes.data, len(padded))
    return out[: len(x)]


def places(name: str, dtype: str) -> np.ndarray:
    """Numbers of every size and sign, more of them where the result moves, and the neighbours of special places."""
    info, draw = np.finfo(dtype), np.random.default_rng(0)
    bits = np.dtype(dtype).itemsize * 8
    anywhere = draw.integers(0, 2 ** (bits - 1), 60_000, dtype=f"u{bits // 8}").view(dtype)
    edge = np.log(float(info.max))
    moving = draw.uniform(-1.05 * edge, 1.05 * edge, 60_000)
    near = np.concatenate(
        [draw.normal(size=60_000), draw.normal(size=30_000) * 1e-3, 1 + draw.normal(size=30_000) * 0.2]
    )
    special = np.array([0.5, 1, 2, 0.5**0.5, 2**0.5, np.log(2), np.log(2) / 2, edge, -edge, np.log(float(info.tiny))])
    special = np.concatenate([special * (1 + k * float(info.eps)) for k in range(-4, 5)])
    x = np.concatenate([anywhere, -anywhere, *(a.astype(dtype) for a in (moving, near, special, -special))])
    x = x[np.isfinite(x)]
    return x[x > 0] if name == "log" else x[x > -1] if name == "log1p" else x


def exactly(name: str, x: np.ndarray) -> np.ndarray:
    """The true results, in a wider type, by formulas that lose nothing there."""
    wide = x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)
    with np.errstate(all="ignore"):
        if name == "sigmoid":
            e = np.exp(-np.abs(wide))
            return np.where(wide < 0, e / (1 + e), 1 / (1 + e))
        return getattr(np, name)(wide)


def errors(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """In units of the last place of `want` in got's type; results that overflow or are subnormal are not counted."""
    info = np.finfo(got.dtype)
    usual = (np.abs(want) >= info.tiny) & (np.abs(want) <= info.max)
    spacing = np.spacing(np.abs(np.where(usual, want, 1)).astype(got.dtype)).astype(want.dtype)
    with np.errstate(all="ignore"):
        return np.where(usual, np.abs(got.astype(want.dtype) - want) / spacing, 0)


@pytest.mark.parametrize("isa", HERE)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_bounds(name: str, dtype: str, isa: str) -> None:
    if dtype == "float64" and np.finfo(np.longdouble).nmant < 63:
        pytest.skip("this machine has no extended precision; mpmath covers float64")
    x = places(name, dtype)
    found = errors(apply(name, x, isa), exactly(name, x))
    worst = int(found.argmax())
    print(f"{name} {dtype} {isa}: {found[worst]:.3f} ulp at {x[worst]!r}")
    assert found[worst] <= ULP[name], f"{found[worst]:.3f} ulp at {x[worst]!r}"
    small = np.sort(found)[: len(found) // 2]
    assert small.max() < 1, "half of all results should be correct to the last place"


@pytest.mark.parametrize("isa", HERE)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_against_forty_digits(name: str, isa: str) -> None:
    x = np.concatenate([places(name, "float64")[::401], places(name, "float64")[-180:]])
    mpmath.mp.dps = 40
    exact: dict[str, Callable[[Any], Any]] = {
        "exp": mpmath.exp, "log": mpmath.log, "tanh": mpmath.tanh,
        "log1p": mpmath.log1p, "sigmoid": lambda v: 1 / (1 + mpmath.exp(-v)),
    }  # fmt: skip
    got = apply(name, x, isa)
    for value, result in zip(x.tolist(), got.tolist(), strict=True):
        want = exact[name](mpmath.mpf(value))
        if 2.3e-308 < abs(want) < 1.79e308:
            distance = abs(mpmath.mpf(result) - want) / mpmath.mpf(float(np.spacing(abs(float(want)))))
            assert distance <= ULP[name], f"{name}({value!r}) = {result!r}: {float(distance):.2f} ulp"


INF, NAN = np.inf, np.nan
EDGES = {
    "exp": [(INF, INF), (-INF, 0.0), (0.0, 1.0), (-0.0, 1.0), (1e30, INF), (-1e30, 0.0)],
    "log": [(INF, INF), (0.0, -INF), (-0.0, -INF), (1.0, 0.0), (-1.0, NAN), (-INF, NAN)],
    "log1p": [(INF, INF), (-1.0, -INF), (-2.0, NAN), (-INF, NAN), (0.0, 0.0), (-0.0, -0.0)],
    "sigmoid": [(INF, 1.0), (-INF, 0.0), (0.0, 0.5), (-0.0, 0.5), (1e30, 1.0), (-1e30, 0.0)],
    "tanh": [(INF, 1.0), (-INF, -1.0), (0.0, 0.0), (-0.0, -0.0), (1e30, 1.0), (-1e30, -1.0)],
}  # fmt: skip


@pytest.mark.parametrize("isa", HERE)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_edges(name: str, dtype: str, isa: str) -> None:
    """Infinities, NaN of both signs and signed zeros, as in C."""
    x, want = (np.array(v, dtype) for v in zip(*EDGES[name], (NAN, NAN), (-NAN, NAN), strict=True))
    got = apply(name, x, isa)
    np.testing.assert_array_equal(got, want)
    signed = ~np.isnan(want)
    assert (np.signbit(got) == np.signbit(want))[signed].all(), (x, got)


@pytest.mark.parametrize("isa", HERE)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_subnormal_numbers(name: str, dtype: str, isa: str) -> None:
    """Subnormal arguments are not taken for zero; a subnormal result is off by less than the smallest normal number."""
    info = np.finfo(dtype)
    tiny = info.smallest_subnormal * np.array([1, 2, 3, 1000, 12345], dtype)
    x = np.concatenate([tiny, -tiny]) if name != "log" else tiny
    got, want = apply(name, x, isa), exactly(name, x)
    if name in ("tanh", "log1p"):
        np.testing.assert_array_equal(got, x)
    else:
        assert errors(got, want).max() <= ULP[name]
    low = np.linspace(np.log(float(info.smallest_subnormal)) - 3, np.log(float(info.tiny)) + 1, 999).astype(dtype)
    if name in ("exp", "sigmoid"):
        distance = np.abs(apply(name, low, isa) - exactly(name, low)).max()
        assert distance <= (info.tiny if name == "sigmoid" else 2 * info.smallest_subnormal)


@pytest.mark.parametrize("isa", HERE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_laws(dtype: str, isa: str) -> None:
    """tanh is odd, bounded and never falls; sigmoid stays between 0 and 1 and never falls by more than its error."""
    x = np.sort(np.random.default_rng(1).normal(size=4_000) * 6).astype(dtype)
    t, s = apply("tanh", x, isa), apply("sigmoid", x, isa)
    np.testing.assert_array_equal(apply("tanh", -x, isa), -t)
    assert (np.abs(t) <= 1).all() and (s >= 0).all() and (s <= 1).all()
    for values in (t, s):
        falls = np.maximum.accumulate(values) - values
        assert (falls <= 4 * np.spacing(np.abs(values))).all()


def test_the_stated_bounds_are_these() -> None:
    said = " ".join((mathlib.__doc__ or "").split())
    assert ", ".join(f"{name} {bound:g}" for name, bound in ULP.items()) in said
