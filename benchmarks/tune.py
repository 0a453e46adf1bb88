"""What a search for settings is worth: tune on TREC-6 and on ETTh1, then the defaults beside the found settings.

    python benchmarks/tune.py trec etth1 --data ../shared/data --minutes 20

The search sees training and validation rows alone; the defaults and the best trials are then trained anew with fresh
seeds, and the defaults and the winner are compared on the test part. Goes to benchmarks/results/tune_NAME.json with
settings, trials, machine, versions and commit; the study with its page stays in the folder --work.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import polars as pl
from forecast import BORDERS, Ett

import gatework
from gatework.tasks.base import Metric
from gatework.tasks.forecast.choosing import PLAIN
from gatework.training.environment import environment

RESULTS = Path(__file__).parent / "results"
TREC = {"encoding": "latin-1", "format": "labelled", "spaces": True}
ETT: dict[str, Any] = {
    **PLAIN,
    "combine": "none",  # named settings, so that the search alone chooses
    "average": "none",
    "keep": "best",
    "epochs": 10,
    "batch_size": 128,
    "horizon": 96,
    "lookback": 96,
    "season": 24,
    "loss": "mse",
    "quantiles": (),
    "classical": "none",
}


class Etth1(Ett):
    """The usual protocol, and its usual error as what is watched."""

    metric = Metric("mse", higher=False)

    def prepare(self, source: Any, valid: Any = None, test: Any = None) -> Any:
        parts = super().prepare(source, valid, test)
        self.training = parts.train  # the linear map is solved on these windows, and on no later ones
        return parts


def main() -> None:
    arguments = parsed()
    for name in arguments.names:
        began = time.perf_counter()
        tuned = SEARCHES[name](arguments)
        result = {
            "benchmark": f"tune {name}", "minutes": arguments.minutes, "workers": arguments.workers, **summary(tuned),
            "seconds": round(time.perf_counter() - began, 1), "options": tuned.options.to_dict(),
            "trials": tuned.rows, **environment(),
        }  # fmt: skip
        target = (arguments.out or RESULTS) / f"tune_{name}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(result, indent=2) + "\n")
        print(f"{name}: {tuned.verdict}\n{target}; {tuned.path / 'tune.html'}", flush=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=sorted(SEARCHES))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GATEWORK_DATA", "../shared/data")))
    parser.add_argument("--minutes", type=float, default=20.0, help="of searching; the final trainings come on top")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each finalist")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="folder for the studies")
    parser.add_argument("--out", type=Path, help="folder for the JSON instead of benchmarks/results")
    return parser.parse_args()


def summary(tuned: Any) -> dict[str, Any]:
    """The verdict and the numbers behind it; None for a comparison where the defaults were the winner."""
    found = tuned.comparison
    states = [row["state"] for row in tuned.rows]
    compared = found and {
        **dataclasses.asdict(found), "verdict": found.verdict,
        "mean": {"found": statistics.fmean(found.best), "defaults": statistics.fmean(found.defaults)},
    }  # fmt: skip
    counts = {state: states.count(state) for state in sorted(set(states))}
    return {"verdict": tuned.verdict, "changed": tuned.changed, "comparison": compared, "counts": counts}


def trec(arguments: argparse.Namespace) -> Any:
    folder = arguments.data / "sentence_cls"
    return gatework.tune(
        "classify", folder / "TREC.train.all", test=folder / "TREC.test.all", options=TREC, **common(arguments, "trec")
    )


def etth1(arguments: argparse.Namespace) -> Any:
    """Horizon 96 from 96 hours, in standard deviations of the training part."""
    frame = pl.read_csv(arguments.data / "ett" / "ETTh1.csv", try_parse_dates=True)[: BORDERS[2]]
    channels, known = frame.columns[1:], frame[: BORDERS[0]]
    frame = frame.with_columns((pl.col(c) - known[c].mean()) / known[c].std(ddof=0) for c in channels)
    options = {**ETT, "time": "date", "target": tuple(channels)}
    return gatework.tune(Etth1, frame, options=options, **common(arguments, "etth1"))


def common(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    return {
        "out": arguments.work / f"tune-{name}", "minutes": arguments.minutes, "workers": arguments.workers,
        "seeds": arguments.seeds, "quiet": False,
    }  # fmt: skip


SEARCHES = {"trec": trec, "etth1": etth1}

if __name__ == "__main__":
    main()
