"""Who earned a result: planted contenders, known winners; then untrained and trained networks of every task."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatework.data.panel import read_panel
from gatework.runtime.series.windows import Shape, blocks, make_windows
from gatework.tasks import jobs
from gatework.tasks.base import Contender, Metric, ratio
from gatework.tasks.forecast import measures
from gatework.tasks.verdict import FEWEST, MOST, Contest, Verdict, interval, merged
from small import CASES, FORECAST, Small

ACCURACY, ERROR = Metric("accuracy", higher=True), Metric("mase", higher=False)


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """Columns: the sum and count of the metric, then of "mae"."""
    place = 2 * (metric == "mae")
    return ratio(sums[..., place], sums[..., place + 1])


def planted(name: str, values: Any, role: str = "baseline", metric: Metric = ACCURACY) -> Contender:
    """A method with one value of the metric for each example; NaN where it has none."""
    values = np.asarray(values, float)
    there = values[np.isfinite(values)]
    mean = {metric.name: float(there.mean()) if len(there) else math.nan}
    return Contender(name, mean, "", role, np.stack([values, np.ones(len(values))], axis=1))


def right(share: float, n: int = 400, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random(n) < share).astype(float)


def contest(*contenders: Contender, metric: Metric = ACCURACY, n: int = 400, **more: Any) -> Contest:
    return Contest(contenders, [metric, Metric("mae", False)], score, n, f"{n} rows", "test", **more)


def fixed(values: np.ndarray, count: int) -> np.ndarray:
    """The same answers, with so many more of them right."""
    values = values.copy()
    values[np.flatnonzero(values == 0)[:count]] = 1
    return values


BASE = right(0.7)
WEAK = planted("majority", right(0.4, seed=1))
RIVAL = planted("TF-IDF", BASE)


@pytest.mark.parametrize(
    ("model", "simple", "network", "earned", "words"),
    [
        (60, 30, 45, "network", "The network earned it: accuracy 79.2% against 64.2% of"),
        (60, 30, -400, "simple", "adds nothing that 400 rows could show"),  # what it stirs it does not know
        (60, 30, 0, "both", "Network and n-grams earned it together"),
        (60, 1, 0, "both", "Only network and n-grams together earned it"),
        (60, 59, 20, "simple", "The simple part (n-grams) earned it; the network adds nothing"),
        (60, 90, 20, "simple", "The simple part (n-grams) earned it; the network makes it worse"),
        (60, 60, 20, "simple", "adds nothing"),
        (2, 0, 0, "even", "No difference that 400 rows could show"),
        (0, 0, 0, "even", "the same in all 400 rows"),
    ],
)
def test_planted_parts(model: int, simple: int, network: int, earned: str, words: str) -> None:
    knowing = fixed(BASE, network) if network >= 0 else right(0.4, seed=1)
    found = contest(
        planted("model", fixed(BASE, model), "model"), planted("n-grams alone", fixed(BASE, simple), "simple"),
        planted("network alone", knowing, "network"), WEAK, RIVAL,
    ).verdict  # fmt: skip
    assert (found.earned, words in found.text) == (earned, True), found
    assert found.best is not None and found.best.against == "TF-IDF"
    assert found.best.difference == pytest.approx(model / 400)
    assert found.best.low is not None and found.best.high is not None
    assert found.best.low <= model / 400 <= found.best.high


def test_without_a_simple_part_the_model_is_the_network() -> None:
    assert contest(planted("model", fixed(BASE, 60), "model"), RIVAL).verdict.earned == "network"
    lost = contest(planted("model", BASE, "model"), planted("TF-IDF", fixed(BASE, 60))).verdict
    assert lost.earned == "baseline" and "worse by 15.0 points (95% interval 1" in lost.text
    assert lost.best is not None and lost.best.sign < 0 and "Prefer TF-IDF" in lost.text


def test_lower_is_better_where_it_is() -> None:
    errors = np.random.default_rng(0).gamma(2, 1, 100)
    ours, theirs = planted("model", errors - 0.3, "model", ERROR), planted("naive", errors, metric=ERROR)
    found = contest(ours, theirs, metric=ERROR, n=100).verdict
    assert found.earned == "network" and "MASE" in found.text
    assert found.best is not None and found.best.difference == pytest.approx(0.3)
    assert contest(planted("model", errors, "model", ERROR), planted("naive", errors - 0.3, metric=ERROR),
                   metric=ERROR, n=100).verdict.earned == "baseline"  # fmt: skip


def test_a_model_that_says_nothing_earns_nothing() -> None:
    """Its error is 1; that of a rival that says wrong words is 2."""
    metric = Metric("word_error", higher=False, idle=1.0)
    for value, earned in ((1.0, "even"), (0.9, "network")):
        ours, theirs = (
            planted(name, np.full(100, error), name, metric) for name, error in (("model", value), ("baseline", 2.0))
        )
        found = Contest(
            (ours, theirs), [metric], lambda sums, _: ratio(sums[..., 0], sums[..., 1]), 100, "rows", "test"
        ).verdict
        assert found.earned == earned and ("says nothing yet" in found.text) is (earned == "even"), found


def test_a_difference_must_matter() -> None:
    """Better everywhere, by less than a thousandth."""
    errors = np.random.default_rng(0).gamma(2, 1, 100)
    for share, earned in ((0.9995, "even"), (0.99, "network")):
        ours = planted("model", share * errors, "model", ERROR)
        found = contest(ours, planted("naive", errors, metric=ERROR), metric=ERROR, n=100).verdict
        assert found.earned == earned, found
    assert found.best is not None and found.best.low is not None and found.best.low > 0


@pytest.mark.parametrize("count", [1, FEWEST - 1, FEWEST])
def test_few_blocks_tell_nothing(count: int) -> None:
    """Many windows of few series are few; one window is never a victory."""
    n = 20 * count
    ours, theirs = planted("model", right(0.95, n), "model"), planted("naive", right(0.3, n))
    found = contest(ours, theirs, n=n, blocks=np.arange(n) % count).verdict
    assert (found.earned == "few") is (count < FEWEST), found
    assert found.best is not None and found.best.blocks == count
    if count < FEWEST:
        assert found.best.low is None and f"{count} independent block" in found.text
    assert contest(planted("model", [1.0], "model"), planted("naive", [0.0]), n=1).verdict.earned == "few"


def test_blocks_are_those_of_the_examples_that_both_answered() -> None:
    """The rival has no answer for a block of 200 examples; those that are left lie in 20 blocks."""
    of = np.concatenate([np.zeros(200, int), 1 + np.arange(200) // 10])
    theirs = np.where(of == 0, np.nan, right(0.3))
    found = contest(planted("model", right(0.95), "model"), planted("naive", theirs), blocks=of).verdict
    assert found.earned == "network" and found.best is not None and found.best.blocks == 20


def width(found: Verdict) -> float:
    assert found.best is not None and found.best.low is not None and found.best.high is not None
    return found.best.high - found.best.low


def test_what_depends_on_each_other_is_one_block() -> None:
    """Ten copies of 20 windows know no more than 20 windows."""
    few = np.random.default_rng(3).normal(0.3, 1.0, 20)
    apart, together = (
        contest(planted("model", 1 + np.tile(few, 10), "model"), planted("naive", np.ones(200)), n=200, blocks=blocks)
        for blocks in (None, np.arange(200) % 20)
    )
    assert width(together.verdict) > 2.5 * width(apart.verdict)


def test_no_number_is_said_and_not_compared() -> None:
    model = planted("model", fixed(BASE, 60), "model")
    found = contest(model, RIVAL, planted("ridge on lags", np.full(400, math.nan))).verdict
    assert found.earned == "network" and "ridge on lags has no number here" in found.text
    absent = contest(model, RIVAL, Contender("theta", {}, "not measured: statsforecast is not installed")).verdict
    assert "theta has no number here, and cannot be compared" in absent.text
    broken = contest(planted("model", np.full(400, math.nan), "model"), RIVAL).verdict
    assert broken.earned == "none" and broken.text.startswith("The model gave no number: accuracy is nan")
    alone = contest(planted("model", BASE, "model")).verdict
    assert (alone.earned, alone.text) == ("none", "accuracy 64.2% (test); no baseline was measured.")


def test_a_metric_without_value_gives_way_to_one_that_has_some() -> None:
    """Series whose naive error is zero have no MASE."""
    rng = np.random.default_rng(0)
    errors = rng.gamma(2, 1, 50)

    def both(name: str, own: np.ndarray, role: str) -> Contender:
        sums = np.stack([np.zeros(50), np.zeros(50), own, np.ones(50)], axis=1)
        return Contender(name, {"mase": math.nan, "mae": own.mean()}, "", role, sums)

    made = both("model", errors - 0.5, "model"), both("naive", errors, "baseline")
    found = contest(*made, metric=ERROR, n=50).verdict
    assert (found.earned, found.metric) == ("network", "mae")
    assert "MASE has no value here; compared by MAE" in found.text


def test_a_baseline_measured_on_a_few_examples_is_no_rival() -> None:
    """Twelve answers of 400: ahead of all others there, as luck has it."""
    model, slow = planted("model", fixed(BASE, 60), "model"), np.full(400, math.nan)
    slow[:12] = 1.0
    found = contest(model, RIVAL, planted("slow", slow)).verdict
    assert found.best is not None and found.best.against == RIVAL.name
    assert "slow: measured on too few of 400 rows to be compared" in found.text


def test_a_baseline_measured_on_some_examples_is_compared_on_these() -> None:
    ours, theirs = BASE, np.where(np.arange(400) < 200, fixed(BASE, 60), math.nan)
    found = contest(planted("model", ours, "model"), planted("theta", theirs), WEAK).verdict
    assert found.best is not None and (found.best.against, found.best.blocks) == ("theta", 200)
    assert found.best.value == pytest.approx(BASE[:200].mean()) and found.earned == "baseline"
    few = np.where(np.arange(400) < 3, 1.0, math.nan)
    found = contest(planted("model", fixed(BASE, 60), "model"), planted("theta", few), WEAK).verdict
    assert found.best is not None and found.best.against == "majority"


def test_what_has_no_sums_is_only_ahead() -> None:
    xz = Contender("xz", {"accuracy": 0.99})
    found = contest(planted("model", BASE, "model"), RIVAL, xz).verdict
    assert found.earned == "unclear" and found.text.startswith("xz is ahead")
    lost = contest(planted("model", BASE, "model"), planted("TF-IDF", fixed(BASE, 60)), xz).verdict
    assert lost.earned == "baseline", "that is sure, whatever xz is"
    behind = contest(planted("model", fixed(BASE, 60), "model"), RIVAL, Contender("xz", {"accuracy": 0.1}))
    assert behind.verdict.earned == "network"


def test_without_baselines_the_parts_are_told() -> None:
    parts = planted("n-grams alone", fixed(BASE, 1), "simple"), planted("network alone", BASE, "network")
    found = contest(planted("model", fixed(BASE, 60), "model"), *parts).verdict
    assert found.earned == "none" and "no baseline was measured. N-grams alone: 64.5%; with" in found.text
    assert found.to_dict()["simple"]["difference"] == pytest.approx(59 / 400)


def test_the_interval_covers_what_it_says() -> None:
    """Of many draws of few blocks, the truth lies in about 95% of the intervals, also where errors are skewed."""
    rng, covered = np.random.default_rng(5), 0
    for _ in range(200):
        ours, theirs = rng.normal(1.0, 1.0, 12), rng.normal(0.0, 1.0, 12)
        sums = [np.stack([each, np.ones(12)], 1) for each in (ours, theirs)]
        low, high = interval(lambda sums: score(sums, "accuracy"), *sums)
        assert low is not None and high is not None
        covered += low <= 1.0 <= high
    assert 0.91 <= covered / 200 <= 0.985


def test_many_rows_are_merged_and_judged_in_time() -> None:
    n = 25_000
    sums = np.random.default_rng(0).random((n, 3))
    assert len(merged(sums)) == MOST and np.allclose(merged(sums).sum(0), sums.sum(0))
    base = right(0.8, n)
    made = contest(
        planted("model", fixed(base, 900), "model"), planted("n-grams alone", fixed(base, 300), "simple"),
        planted("network alone", right(0.7, n, 2), "network"), planted("majority", right(0.5, n, 3)),
        planted("TF-IDF", base), n=n,
    )  # fmt: skip
    interval(lambda sums: score(sums, "accuracy"), sums[:20], sums[20:40])  # loads scipy
    began = time.process_time()
    assert made.verdict.earned == "both"
    assert time.process_time() - began < 2


# -- tasks ----------------------------------------------------------------------------------------------------------


def earned(case: Small, out: Path, **options: Any) -> tuple[str, dict[str, Any]]:
    results = jobs.train(case.task(**options), case.source(), out=out, quiet=True).run.results()
    return results["comparison"]["earned"], results


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_untrained_network_earns_nothing(case: Small, tmp_path: Path) -> None:
    still = {"epochs": 1, "learning_rate": 1e-7, "refit_epochs": 0} if "refit_epochs" in case.options else {
        "epochs": 1, "learning_rate": 1e-7}  # fmt: skip
    won, results = earned(case, tmp_path / "run", **still)
    assert won not in ("network", "both"), results["verdict"]
    roles = [each["role"] for each in results["contenders"]]
    assert roles[0] == "model" and "baseline" in roles and roles.count("model") == 1


def marked(count: int) -> dict[str, Any]:
    """Noise, and one step marked in a second channel: the label is the sign of the noise there, which no distance
    between sequences tells."""
    draw = np.random.default_rng(4)
    rows: dict[str, list[Any]] = {"id": [], "step": [], "noise": [], "mark": [], "label": []}
    for number in range(count):
        length = int(draw.integers(8, 14))
        noise, place = draw.normal(size=length), int(draw.integers(length))
        rows["id"] += [number] * length
        rows["step"] += range(length)
        rows["noise"] += noise.tolist()
        rows["mark"] += (np.arange(length) == place).astype(float).tolist()
        rows["label"] += ["up" if noise[place] > 0 else "down"] * length
    return rows


def test_a_network_that_learned_what_only_it_can_is_credited(tmp_path: Path) -> None:
    case = Small("classify", lambda: marked(500), {"kind": "sequences", "test_share": 0.3})
    won, results = earned(case, tmp_path / "run", hidden_size=12, epochs=20, batch_size=16, learning_rate=0.01)
    assert won == "network", results["verdict"]
    assert results["verdict"].startswith("The network earned it: accuracy")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_sums_give_the_metric_of_every_row(case: Small) -> None:
    task = case.task()
    parts = task.prepare(case.source())
    model = task.build().eval()
    with torch.no_grad():
        rows = [*task.contenders(model, parts.test), *task.baselines(parts)]
        assert rows[0].metrics == task.measure(model, parts.test)
    for each in rows:
        if each.sums is not None and each.metrics:
            told = float(task.score(np.nansum(each.sums, 0), task.metric.name))  # NaN: it has no answer there
            assert told == pytest.approx(each.metrics[task.metric.name], rel=1e-6, nan_ok=True), each.name


def test_windows_of_few_series_are_blocks_and_series_where_there_are_many() -> None:
    def numbers(count: int, cuts: list[int]) -> int:
        table = {"s": np.repeat(np.arange(count), 60), "t": np.tile(np.arange(60), count), "y": np.arange(60.0 * count)}
        panel = read_panel({name: each.tolist() for name, each in table.items()}, time="t", target=("y",), series="s")
        windows = make_windows(panel, Shape(8, 4, 1), [np.array(cuts)] * count)
        return len(np.unique(blocks(windows)))

    assert numbers(2, [40, 44, 48]) == 6  # targets that do not overlap: each its own
    assert numbers(2, [*range(40, 56)]) == 2  # overlapping: stretches of four horizons
    assert numbers(12, [40, 44, 48]) == 12


def test_gaps_tell_mase_over_windows_from_mase_over_points() -> None:
    """A window with one known point counts as much as a full one."""
    truth = np.array([[10.0, np.nan, np.nan, np.nan], [5.0, 5.0, 5.0, 5.0]])
    forecast, scales = np.array([[14.0] * 4, [6.0] * 4]), np.array([2.0, 1.0])
    found = measures.measures(forecast, truth, scales, naive2=np.array([[12.0] * 4, [7.0] * 4]))
    assert found["mase"] == pytest.approx((4 / 2 + 1 / 1) / 2)  # over points it would be 1.2
    assert found["smape"] == pytest.approx((200 * 4 / 24 + 200 / 11) / 2)
    assert found["mae"] == pytest.approx((4 + 4 * 1) / 5) and found["mse"] == pytest.approx((16 + 4) / 5)
    smape2 = (200 * 2 / 22 + 200 * 2 / 12) / 2
    assert found["owa"] == pytest.approx((found["mase"] / 1.5 + found["smape"] / smape2) / 2)
    assert found["mase"] == pytest.approx(measures.mase(truth - forecast, scales))
    assert math.isnan(measures.measures(np.array([[np.nan] * 4, [6.0] * 4]), truth, scales)["mase"])


@pytest.mark.parametrize("known", [0, 6, 11])
def test_series_whose_naive_error_is_zero_are_left_out_and_counted(known: int, tmp_path: Path) -> None:
    """Constant series have no MASE; where no other is there, the verdict goes by MAE."""
    rng = np.random.default_rng(0)
    rows: dict[str, list[Any]] = {"s": [], "t": [], "y": []}
    for number in range(12):
        rows["s"] += [f"s{number}"] * 60
        rows["t"] += range(60)
        rows["y"] += (rng.normal(10, 1, 60) if number < known else np.full(60, 5.0)).tolist()
    _, results = earned(Small("forecast", lambda: rows, FORECAST), tmp_path / "run", epochs=1)
    assert f"MASE leaves out {12 - known} of 12 windows, of {12 - known} series, whose" in results["verdict"]
    assert results["comparison"]["metric"] == ("mase" if known else "mae")
    assert ("compared by MAE" in results["verdict"]) is (not known)
    assert results["comparison"]["blocks"] == (known or 12)
    assert (results["comparison"]["earned"] == "few") is (known == 6)
