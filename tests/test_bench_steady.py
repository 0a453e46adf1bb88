"""What `gatework bench` makes of times that cannot be compared (made series, no clock), and what its doctor says."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gatework.bench import contest, doctor, machine, peak, processor, steady
from gatework.bench.doctor import Findings, words
from gatework.bench.processor import Cache, Processor
from gatework.bench.rows import AFTER, OURS, Row, summary
from gatework.bench.settings import Settings
from gatework.bench.suites import SUITES, measure_suite
from gatework.bench.timing import Sample
from gatework.cli import app
from sources import ROOT

STEADY = tuple(1 + 0.01 * (k % 3) for k in range(30))
SLOW_HALF = tuple(1 + 0.5 * (k % 5 != 0) for k in range(30))  # four of five runs are disturbed
DRIFT = tuple(1 + 0.02 * k for k in range(30))


# ---- which series are steady


@pytest.mark.parametrize("times", [SLOW_HALF, DRIFT, SLOW_HALF[::-1], DRIFT[::-1], tuple(3 * t for t in DRIFT)])
def test_series_with_two_speeds_or_a_drift_are_unsteady(times: tuple[float, ...]) -> None:
    assert steady.unsteady({"peer": times}, {}) == {"peer": steady.unsteadiness(times)}
    assert steady.unsteadiness(times) > 0.2


def test_a_few_outliers_and_noise_of_some_per_cent_are_steady() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        times = random.normal(1, 0.03, 40)
        times[random.integers(0, 40, 8)] *= 50
        assert steady.unsteady({"peer": times.tolist()}, {}) == {}


def test_a_neighbour_who_never_rests_shows_in_what_always_takes_the_same_time() -> None:
    slower = [1.3 * t for t in STEADY]
    assert steady.unsteady({"peak": slower}, {}) == {}
    assert steady.unsteady({"peak": slower}, {"peak": 1.0}) == {"peak": pytest.approx(0.313)}
    assert steady.unsteady({"peak": slower}, {"peak": 1.25}) == {}


def test_the_best_time_of_a_peak_is_kept_through_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "_fastest", {})
    one, two = (peak.multiply_adds("float32", 1, turns) for turns in (500, 600))
    assert [peak.best_time(one, Sample((t,) * 3)) for t in (2.0, 1.0, 3.0)] == [2.0, 1.0, 1.0]
    assert peak.best_time(two, Sample((5.0,) * 3)) == 5.0


# ---- what becomes of them


def row(ours: tuple[float, ...], theirs: tuple[float, ...], **others) -> Row:
    return Row("grid", "forward", "a", 1, {OURS: Sample(ours), "torch": Sample(theirs)}, **others)


@pytest.mark.parametrize("made", [row(STEADY, DRIFT), row(DRIFT, STEADY)])
def test_unsteady_rows_have_times_and_no_ratio(made: Row) -> None:
    made = replace(made, flops=1e9, peak_flops=1e10, facts={"time against the core": 1.02})
    assert made.ratios() == {}
    assert "unsteady, no ratio" in made.line() and "| torch 1." in made.line()
    assert "x" not in made.line() and "peak" not in made.line() and "core" not in made.line()
    assert made.to_dict()["ratios"] == {} and made.to_dict()["unsteady"] == made.unsteady() != {}
    (told,) = summary([made])
    assert "1 of 1 rows have no ratio" in told and "--anyway" in told and "doctor" in told


def test_anyway_shows_the_ratio_and_still_warns() -> None:
    made = row(STEADY, DRIFT, anyway=True)
    assert made.ratios() and "x | unsteady: torch" in made.line()
    assert not any("have no ratio" in line for line in summary([made]))


def test_steady_rows_have_ratios_whatever_a_team_did_before() -> None:
    made = row(STEADY, tuple(2 * t for t in STEADY))
    assert made.ratios()["torch"][0] == pytest.approx(2) and "unsteady" not in made.line()
    made.samples[AFTER] = Sample(DRIFT)
    assert not made.refused


def test_what_is_unsteady_is_measured_again_until_it_is_steady(monkeypatch: pytest.MonkeyPatch) -> None:
    series = iter([DRIFT, SLOW_HALF, STEADY, DRIFT])
    monkeypatch.setattr(contest, "measure", lambda *_, **__: {OURS: Sample(next(series))})
    monkeypatch.setattr(machine.Others, "share", lambda self: 0.0)
    made = contest.steadiest({}, {}, Settings(patience=1e6), 1)
    assert made.samples[OURS].times == STEADY


def test_the_steadiest_attempt_is_kept_when_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    series, clock = iter([SLOW_HALF, DRIFT, SLOW_HALF, STEADY]), iter([0.0, 1.0, 2.0, 3.5])
    monkeypatch.setattr(contest, "measure", lambda *_, **__: {OURS: Sample(next(series))})
    monkeypatch.setattr(contest.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(contest.machine, "Others", Quiet)
    made = contest.steadiest({}, {}, Settings(patience=3.0), 1)
    assert made.samples[OURS].times == DRIFT


class Quiet:
    def share(self) -> float:
        return 0.0


def test_all_leaves_out_what_this_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(self, settings: Settings) -> Iterator[Row]:
        yield replace(row(STEADY, STEADY), suite=self.name)

    monkeypatch.setattr("gatework.exporting.c.compiling.compiler", lambda: None)
    monkeypatch.setattr("gatework.bench.suites.Suite.measure", rows)
    with pytest.warns(UserWarning, match="c-step is left out: it needs a C compiler"):
        measured = [found.suite for found in measure_suite("all", Settings())]
    assert measured == [name for name in SUITES if name != "c-step"]


# ---- the doctor

ZEN = Processor(
    *("Made-up 9000", "znver5", 2, 2, None, True),
    (Cache(1, "Data", 32, 1), Cache(3, "Unified", 32768, 2)),
    ("avx512", "avx2", "sse2"),
    ("AVX512-BF16",),
)
WELL = Findings(
    processor=ZEN,
    forced="",
    kernel="avx512",
    multiply_adds={"avx512": 2.3e11, "avx2": 1.2e11, "sse2": 5e10},
    together={1: 2.3e11, 2: 4.5e11},
    reads={1: 2e10, 2: 3e10},
    weights={1: 1e11, 2: 2e11},
    slower=0.01,
    load=0.1,
    others=0.02,
    stolen=0.0,
)


def told(found: Findings, subject: str) -> str:
    (line,) = [line for line in words(found) if line.startswith(subject + ":")]
    return line


def test_a_quiet_machine_like_the_readmes() -> None:
    assert "in a virtual machine" in told(WELL, "processor") and "2 cores" in told(WELL, "processor")
    assert told(WELL, "caches") == "caches: level 1 32 KiB, level 3 32 MiB for 2"
    assert "full rate" in told(WELL, "multiply-adds, float32, one thread")
    assert "2 threads 42 us" in told(WELL, "reading the weights of an LSTM of 512 units, 8 MiB, again and again")
    assert "widest" in told(WELL, "kernel") and "none seen" in told(WELL, "neighbours")
    assert "README's tables apply" in told(WELL, "expect")


def test_half_rate_and_other_processors() -> None:
    half = replace(WELL, multiply_adds={"avx512": 1.18e11, "avx2": 1.17e11}, together={1: 1.18e11, 2: 2.3e11})
    assert "half rate" in told(half, "multiply-adds, float32, one thread")
    assert "measured on znver5 with avx512 at full rate" in told(half, "expect")
    alone = replace(half, multiply_adds={"avx2": 1.17e11}, kernel="avx2")
    assert alone.full_rate() is None and "rate" not in told(alone, "multiply-adds, float32, one thread")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"others": 0.9, "stolen": 0.5}, "other machines on this host took 0.50"),
        ({"others": 0.9, "stolen": 0.5}, "other processes used 0.40"),
        ({"slower": 0.3}, "30% above their best"),
        ({"together": {1: 2.3e11, 2: 2.5e11}}, "2 threads reach 1.1 times the multiply-adds of one"),
    ],
)
def test_neighbours_are_told_and_no_ratio_is_promised(changed: dict, said: str) -> None:
    found = replace(WELL, **changed)
    assert said in told(found, "neighbours")
    assert "before it is quiet" in told(found, "expect")
    assert told(found, "what to do")


def test_which_kernel_and_why() -> None:
    forced = replace(WELL, forced="avx2", kernel="avx2")
    assert "as GATEWORK_ISA asks; without it avx512 runs" in told(forced, "kernel")
    assert "README's tables apply" not in told(forced, "expect")
    slow = replace(WELL, forced="reference", kernel="reference")
    assert "interpreter" in told(slow, "kernel") and "do not apply" in told(slow, "expect")
    small = replace(WELL, processor=replace(ZEN, quota=1.5))
    assert "1.5 processors at once" in told(small, "a container's limit")


def test_the_doctor_names_the_machine_of_the_readmes_tables() -> None:
    measured = json.loads((ROOT / "benchmarks/results/grid.json").read_text(encoding="utf-8"))["machine"]
    assert doctor.README[:2] == (measured["llvm_name"], measured["instruction_set"])


def test_what_the_system_tells_of_a_processor(tmp_path: Path) -> None:
    cpus = tmp_path / "devices/system/cpu"
    for number, core in enumerate((0, 0, 1)):
        written(cpus / f"cpu{number}/topology", physical_package_id="0", core_id=str(core))
    written(cpus / "cpu0/cache/index0", level="1", type="Data", size="48K", shared_cpu_list="0-1")
    written(cpus / "cpu0/cache/index1", level="1", type="Instruction", size="32K", shared_cpu_list="0")
    written(tmp_path / "fs/cgroup", **{"cpu.max": "150000 100000"})
    assert processor.cores(tmp_path) == 2
    assert list(processor.caches(tmp_path)) == [Cache(1, "Data", 48, 2)]
    assert processor.quota(tmp_path) == 1.5
    written(tmp_path / "fs/cgroup", **{"cpu.max": "max 100000"})
    assert processor.quota(tmp_path) is None
    nowhere = tmp_path / "nowhere"
    assert (processor.cores(nowhere), list(processor.caches(nowhere)), processor.quota(nowhere)) == (None, [], None)


def written(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text + "\n", encoding="ascii")


def test_the_command_examines_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "TURNS", 1000)
    monkeypatch.setattr(doctor, "MOST_READ", 1 << 20)
    monkeypatch.setattr(doctor, "RUNS", 3)
    monkeypatch.setattr(doctor, "SECONDS", 1e-3)
    monkeypatch.setattr(doctor, "all_threads", lambda: (1,))
    path = tmp_path / "doctor.json"
    result = CliRunner().invoke(app, ["bench", "doctor", "--json", str(path)])
    assert result.exit_code == 0, result.output
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert kept["words"] == result.output.splitlines()
    assert all(rate > 1e8 and math.isfinite(rate) for rate in kept["findings"]["multiply_adds"].values())
    refused = CliRunner().invoke(app, ["bench", "doctor", "--threads", "1", "--anyway"])
    assert refused.exit_code == 2 and "does not use threads, anyway" in refused.output


def test_an_unknown_suite_is_refused_before_anything_is_measured() -> None:
    refused = CliRunner().invoke(app, ["bench", "docter"])
    assert refused.exit_code == 2
    assert refused.output.startswith("error: there is no suite 'docter'") and "did you mean 'doctor'?" in refused.output
