"""What gatework wants to reach on two cores, beside what was measured: from files of `gatework bench --json`.

gatework bench all --json benchmarks/results/all.json
python benchmarks/measures.py benchmarks/results/*.json
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

Row = dict
OURS = "gatework"
DISTURBED = 0.1  # of a processor, used by other processes meanwhile: such rows are left out
BOTH = "forward+backward"


def shape(row: Row) -> dict[str, int]:
    """{"T": 100, "B": 32, ...} of a row's case."""
    return {letter: int(number) for letter, number in re.findall(r"\b([TBIH])(\d+)", row["case"])}


def of(suite: str, what: str = "", case: str = "", **least: int) -> Callable[[Row], bool]:
    """Rows of a suite; `what` and `case` begin so; T, B and H are at least so large."""

    def fits(row: Row) -> bool:
        large = all(shape(row).get(letter, 0) >= number for letter, number in least.items())
        return row["suite"] == suite and row["what"].startswith(what) and row["case"].startswith(case) and large

    return fits


def exactly(what: str, within: Callable[[Row], bool]) -> Callable[[Row], bool]:
    return lambda row: row["what"] == what and within(row)


def ratio(peer: str) -> Callable[[Row], float | None]:
    return lambda row: row["ratios"].get(peer, {}).get("ratio")


def fact(name: str) -> Callable[[Row], float | None]:
    return lambda row: row["facts"].get(name)


def rate(name: str) -> Callable[[Row], float | None]:
    return lambda row: row["rates"].get(name)


def median(row: Row) -> float:
    return row["samples"][OURS]["median"]


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


@dataclass(frozen=True)
class Measure:
    """`take` of the rows that fit, brought together by `join`; good is at least (or, with `below`, at most) `reach`."""

    name: str
    fits: Callable[[Row], bool]
    take: Callable[[Row], float | None]
    join: Callable[[list[float]], float]
    reach: float | None
    aim: float | None = None
    below: bool = False

    def line(self, rows: list[Row]) -> str:
        fitting = [row for row in rows if self.fits(row)]
        steady = [row for row in fitting if (row.get("elsewhere") or 0) <= DISTURBED and not row.get("unsteady")]
        values = [value for row in steady if (value := self.take(row)) is not None]
        left_out = f"{len(fitting) - len(steady)} of {len(fitting)} left out: disturbed or unsteady"
        notes = [left_out] if len(steady) < len(fitting) else []
        measured = self.join(values) if values else None
        if measured is not None:
            notes.insert(0, self.verdict(measured))
        cells = (self.name, shown(self.reach), shown(self.aim), shown(measured) or "not measured", "; ".join(notes))
        return f"| {' | '.join(cells)} |"

    def verdict(self, value: float) -> str:
        def met(limit: float | None) -> bool:
            return limit is not None and (value <= limit if self.below else value >= limit)

        return "aim" if met(self.aim) else "reach" if met(self.reach) else "no" if self.reach is not None else ""


def shown(limit: float | None) -> str:
    return "" if limit is None else f"{limit:.3g}"


def lstm(what: str, least: float, mean: float, share: float) -> list[Measure]:
    """The grid: against torch over the longer shapes, and the share of the multiply-add peak."""
    long, large = exactly(what, of("grid", T=50)), exactly(what, of("grid", T=50, B=32, H=128))
    head = f"LSTM {what}"
    return [
        Measure(f"{head}, T >= 50, against torch, least", long, ratio("torch"), min, least),
        Measure(f"{head}, T >= 50, against torch, geometric mean", long, ratio("torch"), geometric_mean, mean),
        Measure(f"{head}, share of peak, B >= 32, H >= 128, least", large, rate("share of GFLOP/s"), min, None, share),
        Measure(f"{head}, after a matrix product, most", long, fact("after a matrix product"), max, 1.05, None, True),
    ]


STREAM = "one step, B = 1"
MEASURES = [
    *lstm("forward", 0.97, 1.3, 0.9),
    *lstm(BOTH, 1.05, 1.4, 0.8),
    Measure("GRU fwd+bwd against torch, least", of("cells", BOTH, "gru"), ratio("torch"), min, 3),
    Measure("tanh RNN fwd+bwd against torch, least", of("cells", BOTH, "rnn"), ratio("torch"), min, 3),
    Measure("ragged fwd+bwd against torch's packed", of("ragged", BOTH), ratio("torch"), min, 4),
    Measure(
        "ragged: time per step against the full rectangle", of("ragged", BOTH),
        fact("time per step against the full rectangle"), max, None, 1.15, True,
    ),
    Measure("layer-norm LSTM fwd+bwd against a torch loop", of("layer-norm", BOTH), ratio("torch loop"), min, 4),
    Measure(
        "layer-norm LSTM fwd+bwd: time against the plain LSTM", of("layer-norm", BOTH),
        fact("time against the plain LSTM"), max, None, 1.4, True,
    ),
    Measure("bf16 fwd+bwd against our float32, least", of("bf16", BOTH), ratio("float32"), min, 1.5, 1.8),
    Measure("bf16 fwd+bwd against torch's bf16, least", of("bf16", BOTH), ratio("torch bfloat16"), min, 1.1, 1.4),
    Measure(
        "other cells and wrappers: time per multiply-add, most", of("variants"),
        fact("time per multiply-add against the plain LSTM"), max, 1.15, 1.05, True,
    ),
    Measure(f"{STREAM}, against torch, least", of("step"), ratio("torch"), min, 15, 20),
    Measure(
        f"{STREAM}, H <= 128, against ONNX Runtime, least", lambda row: of("step")(row) and shape(row)["H"] <= 128,
        ratio("onnxruntime"), min, 2.5,
    ),
    Measure(f"{STREAM}, H >= 256, share of read bandwidth", of("step", H=256), rate("share of GB/s"), min, 0.75, 0.9),
    Measure("memory of fwd+bwd: torch's over ours, least", of("peak-memory"), ratio("torch"), min, 1),
    Measure(
        "memory with recompute, of torch's, most",
        of("peak-memory"), fact("with recompute, of torch's"), max, None, 0.5, True,
    ),
    Measure("first use, compiled, seconds", of("first-use", "all"), median, max, 1, 0.4, True),
    Measure("first use, from the disk cache, seconds", of("first-use", "from"), median, max, 0.05, 0.01, True),
    Measure(
        "layers: time against the core, T >= 50, most", of("layers", T=50), fact("time against the core"), max, 1.05,
        None, True,
    ),
    Measure("layer call T1 B1 H32 against torch, least", of("layers", "forward", "a call"), ratio("torch"), min, 3),
    Measure("two layers, both ways, dropout, against torch", of("layers", BOTH, "two"), ratio("torch"), min, 1.5, 2),
    Measure("recurrent dropout against torch without", of("layers", BOTH, "recurrent"), ratio("torch"), min, 0.95, 1.2),
    Measure("Keras fit against Keras (torch)", of("keras", "fit, one"), ratio("keras (torch)"), min, 5.5, 7),
    Measure("Keras fit against TensorFlow's", of("keras", "fit, one"), ratio("keras (tensorflow)"), min, 2),
    Measure("Keras fit against JAX's", of("keras", "fit, one"), ratio("keras (jax)"), min, 1.4),
    Measure("Keras, padding mask, forward", of("keras", "forward"), ratio("keras (torch)"), min, 15, 30),
    Measure("Keras fit, recurrent dropout", of("keras", "fit, recurrent"), ratio("keras (torch)"), min, 6),
]  # fmt: skip


def main(paths: list[str]) -> None:
    rows: list[Row] = []
    for path in paths:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        machine = found["machine"]
        print(f"{path}: {machine['processor']}, {machine['processors']} processors, commit {machine['commit']}")
        rows += found["rows"]
    print("\n| what | reach | aim | measured | |\n|---|---|---|---|---|")
    print("\n".join(measure.line(rows) for measure in MEASURES))


if __name__ == "__main__":
    main(sys.argv[1:] or sys.exit(__doc__))
