"""What helps against learning rows by heart: small sets that overfit, each kind of regularisation alone, and together.

    python benchmarks/regularisation.py                     # all of it, under ten minutes on one core; needs no data
    python benchmarks/regularisation.py texts series --seeds 1 2 3

Four jobs on data that comes with Python and with the package: sentences by library (400 to learn from), handwritten
digits row by row (150), the sunspots of each month (one series), and a model of 20,000 characters. Every kind has two
strengths, of which the better one on the validation part (mean of the seeds) is chosen; "together" starts from the best
weights by validation and takes in one kind after the other, the best first, as long as validation gains. The test part
is read once for each training and decides nothing. Writes benchmarks/results/regularisation.json; see
docs/regularisation.md.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gatework.data import embedded
from gatework.tasks import get, jobs
from gatework.tasks.forecast.choosing import PLAIN
from gatework.tasks.verdict import of_role
from gatework.training.environment import environment
from gatework.training.learner import Metric

RESULTS = Path(__file__).parent / "results" / "regularisation.json"
NONE: dict[str, Any] = {
    "dropout": 0.0, "keep": "last", "patience": 0, "threads": 1, "schedule": "constant", "warmup": 0.0,
}  # fmt: skip
STATES = {
    "recurrent_dropout": (0.2, 0.5), "weight_drop": (0.2, 0.5), "zoneout": (0.05, 0.2), "dropout": (0.2, 0.5),
    "l1": (1e-5, 1e-4), "l2": (1e-5, 1e-4), "weight_decay": (0.03, 0.3),
}  # fmt: skip
NUMBERS = {"jitter": (0.05, 0.2), "rescale": (0.1, 0.3), "window_warp": (0.1, 0.3)}
WORDS = {"word_dropout": (0.1, 0.3)}
Parts = dict[str, Any]


def texts(seed: int) -> Parts:
    """Sentences of four libraries, in other parts for each seed."""
    rows = embedded.sentences(("asyncio", "email", "logging", "unittest"))
    return parts([(row["text"], row["library"]) for row in rows], ("text", "label"), (400, 400, 700), seed)


def sequences(seed: int) -> Parts:
    """Digits as 8 steps of 8 dots."""
    numbers: dict[str, list[list[float]]] = {}
    labels: dict[str, str] = {}
    for row in csv.DictReader(io.StringIO(embedded.digits())):
        numbers.setdefault(row["id"], []).append([float(row[f"dot{k}"]) for k in range(1, 9)])
        labels[row["id"]] = row["digit"]
    rows = [(np.array(each, np.float32), labels[key]) for key, each in numbers.items()]
    return parts(rows, ("values", "label"), (150, 300, 1000), seed)


def parts(rows: list[tuple], names: tuple[str, str], sizes: tuple[int, ...], seed: int) -> Parts:
    """Disjoint random parts of given sizes, as columns."""
    order = np.random.default_rng(seed).permutation(len(rows))
    cuts = np.cumsum(sizes)
    pieces = zip(("source", "valid", "test"), np.split(order[: cuts[-1]], cuts[:-1]), strict=True)
    return {part: dict(zip(names, zip(*(rows[k] for k in some)), strict=True)) for part, some in pieces}  # noqa: B905


def series(seed: int) -> Parts:
    """Monthly sunspots: the last 240 months are the test, the 240 before them validation."""
    return {"source": embedded.sunspots()}


def characters(seed: int) -> Parts:
    """Characters of the language reference, from another place for each seed."""
    text = embedded.manual()[(seed - 1) * 100_000 :]
    return {"source": [text[:20_000]], "valid": [text[20_000:30_000]], "test": [text[30_000:60_000]]}


JOBS: dict[str, tuple[str, Callable[[int], Parts], dict[str, Any], dict[str, tuple[float, float]]]] = {
    "texts": (
        "classify",
        texts,
        {"hidden_size": 48, "embedding_size": 48, "epochs": 20, "ngrams": "none", "subwords": 0, "word_dropout": 0.0},
        {**STATES, **WORDS},
    ),
    "sequences": ("classify", sequences, {"hidden_size": 48, "epochs": 40}, {**STATES, **NUMBERS}),
    "series": (
        "forecast",
        series,
        {**PLAIN, "combine": "none", "average": "none", "keep": "best", "batch_size": 128, "hidden_size": 32,
         "epochs": 15, "horizon": 12, "lookback": 48, "valid_windows": 20, "test_windows": 20,
         "linear": "none", "classical": "none", "quantiles": (), "conformal": False},
        {**STATES, **NUMBERS},
    ),
    "characters": (
        "generate",
        characters,
        {"hidden_size": 64, "epochs": 20, "sequence_length": 32, "batch_size": 16, "sample_length": 1},
        {**STATES, **WORDS},
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *JOBS], default=[], help=", ".join(JOBS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="print the stored tables as Markdown; train nothing")
    parser.add_argument("--again", action="store_true", help="measure only the row `together` again")
    given = parser.parse_args()
    stored = json.loads(given.out.read_text()) if given.out.exists() else {}
    if given.table:
        print("\n".join(table(name, stored[name]) for name in JOBS if name in stored))
        return
    for name in given.names or JOBS:
        began = time.monotonic()
        found = compared(name, given.seeds, stored[name]["rows"][:-1] if given.again else None)
        about = {"wall_seconds": round(time.monotonic() - began), **environment()}
        stored[name] = {**found, **about}
        given.out.write_text(json.dumps({key: stored[key] for key in JOBS if key in stored}, indent=1) + "\n")
        print(table(name, stored[name]), flush=True)


def compared(name: str, seeds: list[int], before: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """No regularisation, every kind at the better of its strengths, early stopping, and kinds together.

    before: rows measured earlier; then only the last one is measured again.
    """
    task, data, settings, kinds = JOBS[name]
    metric = get(task).metric
    given = {seed: data(seed) for seed in seeds}

    def row(kind: str, changes: dict[str, Any]) -> dict[str, Any]:
        rows = [measured(task, {**NONE, **settings, **changes, "seed": seed}, given[seed]) for seed in seeds]
        means = {part: statistics.mean(each[part] for each in rows) for part in ("train", "valid", "test")}
        print(f"{name}: {kind} {changes} {means}", flush=True)
        return {"kind": kind, "changes": changes, **means, "seeds": rows}

    def best(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return (max if metric.higher else min)(rows, key=lambda each: each["valid"])

    if before is None:
        alone = [best([row(kind, {kind: strength}) for strength in strengths]) for kind, strengths in kinds.items()]
        before = [row("none", {}), *alone, row("best weights kept", {"keep": "best"})]
    return {
        "task": task,
        "metric": vars(metric),
        "settings": {**NONE, **settings},
        "kinds": kinds,
        "baseline": baseline(task, {**NONE, **settings, "seed": seeds[0], "epochs": 0}, given[seeds[0]]),
        "rows": [*before, together(before, metric, row)],
    }


def together(
    before: list[dict[str, Any]], metric: Metric, row: Callable[[str, dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """Kinds that beat none on validation, the best first; each next one stays if it gains on validation."""
    plain, *alone, early = before
    helped = [each for each in alone if metric.better(each["valid"], plain["valid"])]
    helped.sort(key=lambda each: each["valid"], reverse=metric.higher)
    found = early
    for each in helped:
        trial = row("together", {**found["changes"], **each["changes"]})
        found = trial if metric.better(trial["valid"], found["valid"]) else found
    return {**found, "kind": "together"}


def measured(task: str, settings: dict[str, Any], data: Parts) -> dict[str, float]:
    """The watched metric of one training on its three parts."""
    results = trained(task, settings, data)
    name = results["metric"]["name"]
    return {"seed": settings["seed"], **{part: results[part][name] for part in ("train", "valid", "test")}}


def baseline(task: str, settings: dict[str, Any], data: Parts) -> dict[str, Any]:
    """The best simple method on the test part, for the first seed."""
    results = trained(task, settings, data)
    name, higher = results["metric"]["name"], results["metric"]["higher"]
    return (max if higher else min)(of_role(results, "baseline"), key=lambda each: each["metrics"][name])


def trained(task: str, settings: dict[str, Any], data: Parts) -> dict[str, Any]:
    kind = get(task)
    with tempfile.TemporaryDirectory() as folder:
        given = dict(data)
        if task == "forecast":
            (Path(folder) / "series.csv").write_text(given["source"])
            given["source"] = Path(folder) / "series.csv"
        return jobs.train(kind(kind.Options(**settings)), **given, out=Path(folder) / "run", quiet=True).run.results()


def table(name: str, found: dict[str, Any]) -> str:
    """The rows as Markdown: the metric on three parts, the gap, and in how many seeds the test gained."""
    metric, plain = found["metric"]["name"], found["rows"][0]
    sign = 1 if found["metric"]["higher"] else -1
    lines = [f"### {name}: {metric}", "", "| | train | validation | gap | test | gain | seeds |", "|---|" + "--:|" * 6]
    for row in found["rows"]:
        gains = [sign * (a["test"] - b["test"]) for a, b in zip(row["seeds"], plain["seeds"], strict=True)]
        changes = ", ".join(f"`{key}={value}`" for key, value in row["changes"].items() if key != "keep")
        cells = [f"{row[part]:.3f}" for part in ("train", "valid")] + [f"{sign * (row['train'] - row['valid']):.3f}"]
        cells += [
            f"{row['test']:.3f}",
            f"{statistics.mean(gains):+.3f}",
            f"{sum(g > 0 for g in gains)} of {len(gains)}",
        ]
        shown = changes if row["kind"] in found["kinds"] else f"{row['kind']} {changes}".strip()
        lines.append(f"| {shown} | {' | '.join(cells if row is not plain else [*cells[:4], '', ''])} |")
    best, tests = found["baseline"], [each["test"] for each in plain["seeds"]]
    spread = f"Without regularisation the seeds' tests lie between {min(tests):.3f} and {max(tests):.3f}"
    return "\n".join(
        [*lines, f"\n{spread}; the best simple method, {best['name']}, has {best['metrics'][metric]:.3f}.\n"]
    )


if __name__ == "__main__":
    main()
