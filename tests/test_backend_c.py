"""Cells printed as C, beside the reference: every cell, every storage of weights, wrappers, drawn cells, functions."""

from __future__ import annotations

import ctypes
from pathlib import Path
from random import Random

import numpy as np
import pytest

from c_face import Library, layer, needs_compiler
from cases import sizes_of
from gatework import cells
from gatework.backends.c import mathlib, products
from gatework.backends.c.products import PANELS, STORAGES, cuts, laid_out
from gatework.backends.c.words import hexadecimal, identifier, number
from gatework.compiler import ops
from gatework.compiler.ir import Graph
from gatework.compiler.pipeline import prepare
from gatework.exporting.c import compiling
from gatework.runtime.saved import Layer
from random_cells import random_cell
from test_kernels import NUMBERS, WRAPPERS

pytestmark = needs_compiler
DRAWN = 20


def stack(graph: Graph, seed: int = 0) -> list[Layer]:
    """One layer, of a size that no panel fits."""
    return [layer(graph, sizes_of(graph, H=18, I=7, P=5, heads=3), seed=seed)]


def every_cell() -> dict[str, list[Layer]]:
    return {name: stack(cells.get(name).graph, k) for k, name in enumerate(cells.names())}


def wrapped() -> dict[str, list[Layer]]:
    return {
        f"{name}_in_{wrapper}": stack(prepare(cells.get(name).graph, options))
        for name in ("lstm", "gru_reset_before")
        for wrapper, options in WRAPPERS.items()
    }


def drawn() -> dict[str, list[Layer]]:
    return {f"drawn{k}": stack(random_cell(Random(k)).graph, k) for k in range(DRAWN)}


def of_numbers() -> dict[str, list[Layer]]:
    from gatework.compiler import lang

    made = [lang.cell(function, name="numbers").graph for function in NUMBERS.values()]
    return {f"numbers{k}": stack(graph, k) for k, graph in enumerate(made)}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    programs = every_cell() | wrapped() | drawn() | of_numbers()
    return Library(tmp_path_factory.mktemp("c"), programs)


def test_every_cell_wrapper_and_drawn_cell_agrees_with_the_reference(library: Library) -> None:
    assert len(library.stacks) > 50
    for seed, name in enumerate(library.stacks):
        library.check(name, seed=seed)


@pytest.mark.parametrize("weights", ["bf16", "int8"])
def test_smaller_weights(weights: str, tmp_path: Path) -> None:
    """Of matrices that stand together, alone, in blocks, and to other widths."""
    names = ("lstm", "gru_d", "slstm", "lstm_projected", "lstm_layer_norm")
    small = Library(tmp_path, {name: stack(cells.get(name).graph) for name in names}, weights)
    for name in small.stacks:
        small.check(name)


def test_vector_code_of_this_processor_agrees(tmp_path: Path) -> None:
    """With all that a compiler may do short of changing the meaning, at sizes that fill panels of every height."""
    some = {n: [layer(g := cells.get(n).graph, sizes_of(g, H=105, I=33, P=70, heads=3))] for n in ("lstm", "slstm")}
    fast = Library(tmp_path, some, "float32", *compiling.FAST)
    for name in some:
        fast.check(name)


# ---- functions


def evaluated(folder: Path, names: list[str], x: np.ndarray) -> dict[str, np.ndarray]:
    text = "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n" + mathlib.functions(names)
    for name in names:
        text += f"void all_{name}(const float *x, float *y, size_t n)\n"
        text += f"{{\n    for (size_t i = 0; i < n; i++) y[i] = @{name}(x[i]);\n}}\n"
    (folder / "f.c").write_text(text.replace("@", "f_"))
    compiling.compiled([folder / "f.c"], folder / "f.so", "-O2", *compiling.STRICT, "-shared", "-fPIC")
    library, found = ctypes.CDLL(str(folder / "f.so")), {}
    for name in names:
        y = np.zeros_like(x)
        getattr(library, f"all_{name}")(
            ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data), ctypes.c_size_t(x.size)
        )
        found[name] = y
    return found


@pytest.mark.parametrize("count", [15, 16, 128])
def test_sums_of_known_counts_compile_without_warnings(count: int, tmp_path: Path) -> None:
    text = "#include <stddef.h>\n" + mathlib.functions(["var"]).replace("@", "own_")
    (tmp_path / "sums.c").write_text(
        f"{text}float found(const float *a);\nfloat found(const float *a) {{ return own_var(a, {count}); }}\n"
    )
    compiling.compiled(
        [tmp_path / "sums.c"], tmp_path / "sums.so", "-shared", "-fPIC", *compiling.STRICT, *compiling.FAST
    )
    found = ctypes.CDLL(str(tmp_path / "sums.so")).found
    found.restype, values = ctypes.c_float, np.random.default_rng(0).standard_normal(count).astype(np.float32)
    assert found(values.ctypes.data_as(ctypes.c_void_p)) == pytest.approx(values.var(dtype=np.float64), rel=1e-5)


def test_functions_are_right_over_all_of_float32(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 1 << 32, 400_000, dtype=np.uint64).astype(np.uint32)
    usual = np.random.default_rng(1).normal(size=400_000).astype(np.float32) * np.float32(20)
    edges = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 87, -87.5, 88.8, -104, 1e-40], np.float32)
    x = np.concatenate([bits.view(np.float32), usual, edges])
    got = evaluated(tmp_path, ["exp", "sigmoid", "tanh"], x)
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        want = {"exp": np.exp(wide), "sigmoid": 1 / (1 + np.exp(-wide)), "tanh": np.tanh(wide)}
    for name, most in {"exp": 3.5, "sigmoid": 4.0, "tanh": 3.5}.items():
        assert ulps(got[name], want[name]) <= most, name


def ulps(got: np.ndarray, want: np.ndarray) -> float:
    """The largest error in units of the last place; below the smallest normal number that number's."""
    with np.errstate(all="ignore"):
        rounded = want.astype(np.float32)
    assert (np.isnan(got) == np.isnan(want)).all()
    odd = ~np.isfinite(rounded)
    assert np.array_equal(got[odd], rounded[odd], equal_nan=True)
    one = np.maximum(np.spacing(np.abs(rounded[~odd])), np.float32(2.0**-126) * np.float32(0.4))
    return float((np.abs(got[~odd] - want[~odd]) / one).max())


def test_every_operation_has_its_line() -> None:
    assert set(mathlib.ELEMENTWISE) == set(ops.ELEMENTWISE)
    assert set(mathlib.REDUCTIONS) == set(ops.REDUCTIONS)


# ---- tables and words


@pytest.mark.parametrize("rows", [1, 7, 8, 31, 64, 105, 200])
def test_panels_cover_all_rows_in_order(rows: int) -> None:
    pieces = list(cuts(rows))
    assert sum(height for _, height in pieces) == rows and {h for _, h in pieces} <= set(PANELS)
    assert [first for first, _ in pieces] == [sum(h for _, h in pieces[:k]) for k in range(len(pieces))]


def test_a_table_holds_every_weight_once() -> None:
    matrix = np.arange(105 * 3.0).reshape(105, 3)
    assert sorted(laid_out(matrix)) == list(range(105 * 3))
    assert laid_out(matrix)[:64].tolist() == matrix[:64, 0].tolist()
    assert laid_out(matrix.reshape(5, 21, 3))[-3:].tolist() == matrix[-1].tolist()


def test_only_the_panels_that_are_used_are_printed() -> None:
    text = products.functions(STORAGES["float32"], [64, 8])
    assert "@panel64(" in text and "@panel8(" in text and "panel32" not in text and "panel1(" not in text


def test_numbers_are_bits() -> None:
    values = [0.1, -1e-40, 3.0, 1e300, -np.inf]
    assert [number(v) for v in values] == ["0x1.99999ap-4f", "-0x1.16c2p-133f", "0x1.8p+1f", "INFINITY", "-INFINITY"]
    assert number(float("nan")) == "NAN" and float.fromhex(hexadecimal(0.1)) == 0.1
    assert identifier("σ_f") == "u3c3_f"
