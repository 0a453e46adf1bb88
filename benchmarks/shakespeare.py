"""Tiny Shakespeare: nats per character on the last 10%, beside the n-gram and xz, after one or after twenty minutes.

    python benchmarks/shakespeare.py --data ../shared/data --minutes 1
    python benchmarks/shakespeare.py --data ../shared/data --minutes 20 --seeds 1

The folder (or GATEWORK_DATA) holds tinyshakespeare/input.txt. Settings were chosen on the validation part alone, the
last 5% of the first 90% (`--set refit=no keep=best` shows it). Those of twenty minutes are an extrapolation of trials
of ten minutes on one thread (units, dropout, passes, nats: 256, 0.2, 57, 1.443; 384, 0.3, 14, 1.461; 512, 0.4, 14,
1.468; two layers of 320, 0.3, 10, 1.469): many units for the many more passes that two threads make, and much dropout
against learning them by heart. The figures are of models, and baselines, that then learned all of the 90%. A first run
of twenty minutes with other settings, on one thread of a busy machine, had 1.418 on the test part. Training time is the
whole of `fit`, validations included. The results go to benchmarks/results/shakespeare_MINUTES.json with machine,
versions and commit.
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
from gatework.tasks.generate import Generate, GenerateOptions
from gatework.training.environment import environment

RESULTS = Path(__file__).parent / "results"
SHARED = {
    "test_share": 0.1,
    "valid_share": 0.05,
    "patience": 0,
    "refit": True,
    "keep": "last",
    "schedule_by": "time",
    "epochs": 1000,
}
SETTINGS: dict[int, dict[str, Any]] = {
    1: {
        "hidden_size": 256, "sequence_length": 64, "batch_size": 32, "learning_rate": 0.012, "dropout": 0.0,
        "time_limit": 58.0,
    },
    20: {
        "hidden_size": 512, "sequence_length": 128, "batch_size": 32, "learning_rate": 6e-3, "dropout": 0.4,
        "recurrent_dropout": 0.2, "average": "ema", "ngram_share": 0.3, "time_limit": 1190.0,
    },
}  # fmt: skip


def main() -> None:
    arguments = parsed()
    path = arguments.data / "tinyshakespeare" / "input.txt"
    settings = {**SHARED, **SETTINGS[arguments.minutes]}
    rows = [measure(path, seed, settings, arguments.set) for seed in arguments.seeds]
    nats = [row["test"]["nats_per_character"] for row in rows if row["test"]]
    result = {
        "benchmark": "tiny shakespeare", "minutes": arguments.minutes, "settings": settings, "set": arguments.set,
        "median_nats_per_character": statistics.median(nats), "spread": max(nats) - min(nats), "seeds": rows,
        **environment(),
    }  # fmt: skip
    target = arguments.out or RESULTS / f"shakespeare_{arguments.minutes}.json"
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{statistics.median(nats):.4f} nats per character (median of {len(nats)}); {target}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GATEWORK_DATA", "../shared/data")))
    parser.add_argument("--minutes", type=int, choices=sorted(SETTINGS), default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="other options, for trials")
    parser.add_argument("--out", type=Path, help="where the JSON goes instead")
    return parser.parse_args()


def measure(path: Path, seed: int, settings: dict[str, Any], changes: list[str]) -> dict[str, Any]:
    """One training; what its results.json says."""
    options = GenerateOptions(**settings, seed=seed).with_settings(changes)
    with tempfile.TemporaryDirectory() as folder:
        trained = jobs.train(Generate(options), path, out=Path(folder) / "run")
        results = trained.run.results()
    kept = {key: results[key] for key in ("valid", "test", "training", "contenders", "verdict", "comparison")}
    return {"seed": seed, **kept, "counts": results["sections"].get("counts")}


if __name__ == "__main__":
    main()
