"""Questions about stories at the defaults, beside the baselines of the same run.

    python benchmarks/answer.py babi --data ../shared/data --seeds 1       # about 13 minutes of one core

The folder (or GATEWORK_DATA) holds babi/: 20 kinds of questions, 1,000 of each for training and 1,000 for testing. One
model learns all kinds. Nothing is set but the seed and one thread; the defaults were chosen on a tenth of the
training files. Results go to benchmarks/results/answer_NAME.json with settings, machine, versions and commit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from gatework.tasks import jobs
from gatework.tasks.answer import Answer, AnswerOptions
from gatework.tasks.verdict import of_role
from gatework.training.environment import environment

RESULTS = Path(__file__).parent / "results"
SOURCES = {"babi": "babi"}
METRIC = "mean_accuracy"
SOLVED = 0.95  # of a kind of question (Weston et al. 2016)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=sorted(SOURCES))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GATEWORK_DATA", "../shared/data")))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="other options, for trials")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the JSON")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.names:
        result = measured(name, given)
        target = given.out / f"answer_{name}.json"
        target.write_text(json.dumps({"benchmark": name, "set": given.set, **result, **environment()}, indent=2) + "\n")
        print(f"{name}: {result['summary']}; {target}", flush=True)


def measured(name: str, given: argparse.Namespace) -> dict[str, Any]:
    rows = [seeded(name, seed, given) for seed in given.seeds]
    values = [row["test"][METRIC] for row in rows]
    best = [max(of_role(row, "baseline"), key=lambda each: each["metrics"][METRIC]) for row in rows]
    kinds = [row["kind"] for row in rows[0]["kinds"]]
    medians = {
        kind: statistics.median(each["accuracy"] for row in rows for each in row["kinds"] if each["kind"] == kind)
        for kind in kinds
    }
    solved = sum(value >= SOLVED for value in medians.values())
    text = (
        f"mean accuracy over {len(kinds)} kinds {statistics.median(values):.4f} (from {min(values):.4f} to "
        f"{max(values):.4f}), {solved} kinds at {SOLVED:.0%} and more; best baseline "
        f"{statistics.median(each['metrics'][METRIC] for each in best):.4f} ({best[0]['name']}), "
        f"{statistics.median(row['seconds'] for row in rows):.0f} s of training"
    )
    return {"summary": text, "kinds": medians, "seeds": rows}


def seeded(name: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """One training; what its results.json says."""
    task = Answer(AnswerOptions(seed=seed, threads=1).with_settings(given.set))
    with tempfile.TemporaryDirectory() as folder:
        trained = jobs.train(task, given.data / SOURCES[name], out=Path(folder) / "run", quiet=True)
        results = trained.run.results()
        options = trained.run.options
    kept = {key: results[key] for key in ("metric", "valid", "test", "training", "contenders", "verdict", "comparison")}
    kinds = results["sections"]["kinds"]
    print(f"{name}, seed {seed}: {results['verdict']}", flush=True)
    return {"seed": seed, "seconds": results["training"]["seconds"], "options": options, "kinds": kinds, **kept}


if __name__ == "__main__":
    main()
