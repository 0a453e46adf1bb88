"""`gatework bench`: what is timed, how, against whom, and that a peer which computes something else is refused."""

from __future__ import annotations

import itertools
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from c_face import needs_compiler
from gatework.backends import layouts
from gatework.bench import child, peak, peers, timing
from gatework.bench.case import Case, agree
from gatework.bench.rows import OURS, Row, summary
from gatework.bench.settings import GRID, Settings, Shape, processors, shapes_of
from gatework.bench.suites import SUITES, layer_norm, measure_suite, ragged, variants
from gatework.bench.timing import Contestant, Sample, measure, ratio
from gatework.cli import app
from gatework.errors import KernelError, OptionError
from gatework.runtime import get_threads, set_threads
from gatework.runtime.llvm import cpu
from gatework.runtime.llvm.compiled import SCALARS

SMALL = Shape(5, 3, 6, 7)
QUICK = {"runs": 3, "seconds": 1e-3, "patience": 0.0, "anyway": True}


@pytest.fixture(autouse=True)
def quick_and_threads_as_before(monkeypatch: pytest.MonkeyPatch):
    import torch

    monkeypatch.setattr(timing, "WARM_UP", 0.002)
    before = torch.get_num_threads()
    yield
    set_threads(None)
    torch.set_num_threads(before)
    assert get_threads() == before


# --- how it is timed


def test_a_median_keeps_outliers_out_and_has_the_error_of_a_median() -> None:
    draws = np.random.default_rng(0).normal(1.0, 0.1, (400, 101))
    samples = [Sample(tuple(row)) for row in draws]
    medians = np.array([s.median for s in samples])
    assert np.std(medians) == pytest.approx(np.mean([s.error * s.median for s in samples]), rel=0.15)
    assert Sample((1.0, 1.1, 0.9, 1.0, 50.0)).median == 1.0


def test_the_error_of_a_ratio_covers_the_true_ratio_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        above, below = (Sample(tuple(random.normal(m, 0.05 * m, 51))) for m in (3.0, 2.0))
        value, error = ratio(above, below)
        hits += abs(value - 1.5) < error
    assert 0.6 < hits / 300 < 0.76  # one deviation: 68%


def test_contestants_take_turns_and_what_comes_before_is_not_timed() -> None:
    seen: list[str] = []

    def call(name: str, seconds: float) -> None:
        seen.append(name)
        time.sleep(seconds)

    slow = Contestant(lambda: call("b", 0.004), before=lambda: call("before", 0.02))
    samples = measure({"a": lambda: call("a", 0.002), "b": slow}, runs=12, seconds=1e-3)
    assert all(len(s.times) >= 12 for s in samples.values())
    assert samples["a"].median >= 0.002
    assert 0.004 <= samples["b"].median < 0.02
    assert seen.count("before") >= 12
    last = "".join(name for name in seen[-40:] if name != "before")
    assert "a" * 10 not in last
    assert "b" * 10 not in last


# --- what the machine can do


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_peak_kernels_do_what_is_counted(dtype: str, threads: int) -> None:
    peers.use_threads(threads)
    isa = cpu.best_isa()
    fma = peak.multiply_adds(dtype, threads, turns=500)
    fma.run()
    assert fma.amount == 2 * 500 * isa.lanes(SCALARS[dtype]) * peak.accumulators(isa) * threads
    assert np.allclose(fma.result, 2 * peak.accumulators(isa))  # a = a / 2 + 1 goes to 2, in each accumulator
    read = peak.reads(1 << 16, threads, dtype, total=1 << 18)
    read.run()
    assert read.result.sum() == read.amount / np.dtype(dtype).itemsize  # every one of the ones, every time
    assert read.amount >= (1 << 18) * 0.9


# --- against whom


@pytest.mark.parametrize(
    ("peer", "name"), [*itertools.product(("torch", "onnxruntime"), ("lstm", "gru", "rnn")), ("jax", "lstm")]
)
def test_peers_compute_the_same(peer: str, name: str) -> None:
    if not peers.installed(peer):
        pytest.skip(f"{peer} is not installed")
    case, threads = Case(name, SMALL, "float32"), processors() if peer == "jax" else 1
    found = peers.peers_of(case, threads, (peer,))
    agree(peer, case.output(), found[peer].output(), SMALL.T)
    if hasattr(found[peer], "both"):
        the_same_gradients(peer, case, found[peer].both())


def the_same_gradients(peer: str, case: Case, theirs: Any) -> None:
    """torch answers with a list, the input's first; jax with a dictionary, and the input's beside it."""
    names = ("weight_ih", "weight_hh", "bias_ih")
    found = [theirs[1], *map(theirs[0].get, names)] if isinstance(theirs[0], dict) else theirs[:4]
    ours = case.both()
    weights = layouts.to_torch(case.graph.name, ours.weights)
    for mine, other in zip([ours.inputs["x"], *map(weights.get, names)], found, strict=True):
        assert np.abs(np.asarray(other)).max() > 0.01, "nothing to compare"
        agree(peer, np.asarray(mine), np.asarray(other), 10 * SMALL.T)


def test_torch_gives_the_same_gradients_for_ragged_batches() -> None:
    case = Case("lstm", Shape(9, 4, 6, 7), "float64", ragged.lengths_of(Shape(9, 4, 6, 7)))
    torch = peers.Torch(case, 1)
    agree("torch", case.output(), torch.output(), 9)
    ours, theirs = case.both(), torch.both()
    agree("torch", ours.inputs["x"], theirs[0].numpy(), 90)
    agree("torch", ours.weights["i.1"], theirs[1].numpy()[:7], 90)


def test_the_loop_in_torch_is_our_layer_norm_lstm() -> None:
    case = Case("lstm_layer_norm", SMALL, "float64")
    loop = layer_norm.Loop(case)
    agree("loop", case.output(), loop.output(), SMALL.T)
    agree("loop", case.both().inputs["x"], loop.both()[0].numpy(), 10 * SMALL.T)


def test_what_differs_is_refused() -> None:
    ours = np.zeros((4, 3), np.float32)
    agree("peer", ours, ours, 4)
    for wrong in (ours + 1e-3, np.full_like(ours, np.nan)):
        with pytest.raises(KernelError, match="peer computes something else"):
            agree("peer", ours, wrong, 4)


# --- suites


def test_a_suite_measures_and_says_what_it_found(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "result.json"
    words = ["bench", "grid", "--shapes", "T5B3I6H7", "--threads", "1", "--runs", "3", "--seconds", "0.001"]
    words += ["--patience", "0", "--anyway"]
    result = CliRunner().invoke(app, [*words, "--json", str(path)])
    assert result.exit_code == 0, result.output
    assert "forward+backward" in result.output
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["machine"]["versions"]["gatework"]
    assert [row["what"] for row in found["rows"]] == ["forward", "forward+backward"]
    for row in found["rows"]:
        assert len(row["samples"][OURS]["times"]) >= 3
        assert row["ratios"]["torch"]["ratio"] > 0
        assert 0 < row["rates"]["share of GFLOP/s"] < 1


@pytest.mark.parametrize("name", ["ragged", "layer-norm", "bf16", "variants", "step", "layers", "cells"])
def test_the_other_suites_run(name: str) -> None:
    rows = list(measure_suite(name, Settings(shapes=(SMALL,), threads=(1,), **QUICK)))
    assert rows
    for row in rows:
        assert row.samples[row.ours].median > 0
        assert math.isfinite(sum(row.facts.values()))
        assert row.what in row.line()
    assert {row.suite for row in rows} == {name}


def test_steps_with_narrow_weights_stand_beside_float32() -> None:
    rows = list(measure_suite("step", Settings(shapes=(Shape(1, 1, 8, 128),), threads=(1,), **QUICK)))
    assert [row.what for row in rows] == ["step", "step bf16", "step int8"]
    assert rows[0].bytes > 1.9 * rows[1].bytes and rows[1].bytes > 1.8 * rows[2].bytes
    for row, kind in zip(rows[1:], ("bf16", "int8"), strict=True):
        assert set(row.ratios()) == {"float32"}
        assert f"{kind} weights" in row.report["kernel"]


@needs_compiler
def test_the_step_in_c_is_measured_beside_ours() -> None:
    (row,) = measure_suite("c-step", Settings(shapes=(SMALL,), cell="gru", **QUICK))
    assert {OURS, "C float32", "C bf16", "C int8"} == set(row.samples)
    assert all(0 < row.facts[f"kB {weights}"] < 20 for weights in ("float32", "bf16", "int8"))
    with pytest.raises(OptionError, match="gru_d has further inputs"):
        list(measure_suite("c-step", Settings(shapes=(SMALL,), cell="gru_d", **QUICK)))


def test_two_threads_are_also_measured_after_a_matrix_product() -> None:
    rows = list(measure_suite("grid", Settings(shapes=(SMALL,), threads=(2,), **QUICK)))
    assert all("after a matrix product" in row.facts for row in rows)
    assert all("after a matrix product" not in row.ratios() for row in rows)


def test_variants_are_compared_by_their_multiply_adds() -> None:
    plain, coupled = (Case(variants.graphs()[name], SMALL, "float32") for name in ("plain LSTM", "coupled gates"))
    assert coupled.work / plain.work == 0.75
    rows = {
        row.case.split(",")[0]: row
        for row in measure_suite("variants", Settings(shapes=(SMALL,), threads=(1,), **QUICK))
    }
    fact = rows["coupled gates"].facts["time per multiply-add against the plain LSTM"]
    times = [rows[name].samples[OURS].median for name in ("coupled gates", "plain LSTM")]
    assert fact == pytest.approx(times[0] / times[1] / 0.75)


def test_fresh_processes(tmp_path: Path) -> None:
    job = {"task": "first_use", "cell": "rnn", "dtype": "float32"}
    cold, warm = (child.run(job, {"GATEWORK_CACHE": str(tmp_path / "cache")})["first"] for _ in range(2))
    assert warm < cold
    used = child.run({"task": "memory", "who": OURS, "cell": "rnn", "shape": [50, 64, 64, 256], "dtype": "float32"})
    assert 50 * 64 * 256 * 4 < used["bytes"] < 100e6  # at least the history that is kept
    with pytest.raises(KernelError, match="there is no cell"):
        child.run({"task": "first_use", "cell": "nonsense", "dtype": "float32"})


# --- settings


def test_shapes_are_read_as_they_are_written() -> None:
    assert shapes_of(",".join(str(shape) for shape in GRID)) == GRID
    for wrong in ("T1B2", "T0B1I1H1", "1x2x3x4"):
        with pytest.raises(OptionError, match="is not a shape"):
            shapes_of(wrong)


@pytest.mark.parametrize("wrong", [{"dtype": "float16"}, {"peers": ("tensorflow",)}, {"threads": (0,)}, {"runs": 2}])
def test_settings_that_cannot_be(wrong: dict) -> None:
    with pytest.raises(OptionError):
        Settings(**wrong)


def test_a_suite_refuses_what_it_does_not_use() -> None:
    with pytest.raises(OptionError, match="'first-use' does not use shapes"):
        list(measure_suite("first-use", Settings(shapes=(SMALL,))))
    with pytest.raises(OptionError, match="there is no suite 'grit'"):
        list(measure_suite("grit", Settings()))
    assert set().union(*(suite.takes for suite in SUITES.values())) <= set(Settings.__dataclass_fields__)


def test_a_summary_gives_the_least_and_the_mean() -> None:
    def row(case: str, theirs: float) -> Row:
        samples = {OURS: Sample((1.0,) * 3), "torch": Sample((theirs,) * 3)}
        return Row("grid", "forward", case, 1, samples)

    assert summary([row("a", 2.0), row("b", 8.0)]) == [
        "grid, forward, 1 thread, against torch: geometric mean 4.00x of 2, least 2.00x at a"
    ]
