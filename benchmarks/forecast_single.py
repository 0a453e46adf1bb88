"""Single series at the defaults, beside the best simple method of each: the small series of darts.

    python benchmarks/forecast_single.py --data ../shared/data
    python benchmarks/forecast_single.py AirPassengers taylor --seeds 1

Of each series the last two seasons are the test part, 24 steps where it has none; the horizon is a season, or 12.
The model is set beside the best of naive, seasonal naive, drift, ridge and Theta, which is chosen by the test part
itself: it has the luck of the best of five. "Not worse" is a difference that the verdict of the run's own comparison
does not show, and where there are too few blocks of windows for one, an error within a tenth of that method's.
The defaults were drawn up with these series in view. Results go to benchmarks/results/forecast_single.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from gatework.tasks import jobs
from gatework.tasks.forecast import ForecastOptions, ForecastTask
from gatework.tasks.verdict import of_role
from gatework.training.environment import environment

RESULT = Path(__file__).parent / "results" / "forecast_single.json"
RIVALS = ("naive", "seasonal naive", "drift", "ridge", "DynamicOptimizedTheta")
NEAR = 1.1  # of the best method's error
# Column of time (none: rows are steps), target, points in a season
SERIES: dict[str, tuple[str | None, str, int]] = {
    "AirPassengers": ("Month", "#Passengers", 12),
    "ILINet": ("DATE", "% WEIGHTED ILI", 52),
    "ausbeer": ("date", "Y", 4),
    "australian_tourism": (None, "Total", 4),
    "gasrate_co2": (None, "CO2%", 1),
    "heart_rate": (None, "Heart rate", 1),
    "ice_cream_heater": ("Month", "ice cream", 12),
    "monthly-milk": ("Month", "Pounds per cow", 12),
    "monthly-milk-incomplete": ("Month", "Pounds per cow", 12),
    "monthly-sunspots": ("Month", "Sunspots", 1),
    "taxi_new_york_passengers": ("time", "#Passengers", 48),
    "taylor": (None, "Y", 48),
    "temps": ("Date", "Daily minimum temperatures", 365),
    "us_gasoline": ("Week", "Gasoline", 52),
    "wineind": ("date", "Y", 12),
    "woolyrnq": ("date", "Y", 4),
}
LONGEST = 60  # steps of a season that is forecast at once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*SERIES, []], default=[])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GATEWORK_DATA", "../shared/data")))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    given = parser.parse_args()
    rows = [measured(name, seed, given.data) for name in given.names or SERIES for seed in given.seeds]
    share = statistics.mean(row["not worse"] for row in rows)
    ahead = statistics.mean(row["mase"] < row["best"] for row in rows)
    result = {"benchmark": "forecast_single", "not worse": share, "ahead": ahead, "series": rows, **environment()}
    if not given.names:
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(f"not worse than the best simple method: {share:.0%}; ahead of it: {ahead:.0%}")


def measured(name: str, seed: int, folder: Path) -> dict[str, Any]:
    time, target, season = SERIES[name]
    frame = pl.read_csv(folder / "darts_series" / f"{name}.csv", infer_schema_length=None).drop_nulls(target)
    if time is None:
        frame, time = frame.with_row_index("step"), "step"
    horizon = 12 if season == 1 else min(season, 30) if season > LONGEST else season
    windows = 2 if season == 1 else max(2 * season // horizon, 2)
    options = ForecastOptions(
        time=time, target=(target,), season=season, horizon=horizon, test_windows=windows, stride=horizon, seed=seed
    )
    with tempfile.TemporaryDirectory() as place:
        results = jobs.train(ForecastTask(options), frame, out=Path(place) / "run", quiet=True).run.results()
    errors = {row["name"]: row["metrics"].get("mase") for row in of_role(results, "baseline")}
    errors = {key: value for key, value in errors.items() if value is not None and key.startswith(RIVALS)}
    rival, best = min(errors.items(), key=lambda item: item[1])
    mase = results["test"]["mase"]
    row = {"series": name, "seed": seed, "mase": mase, "rival": rival, "best": best, "verdict": results["verdict"]}
    row["not worse"] = mase <= NEAR * best or results["verdict"].startswith("No difference")
    print(f"{name} {mase:.3f}, {rival} {best:.3f}: {'not worse' if row['not worse'] else 'worse'}", flush=True)
    return row


if __name__ == "__main__":
    main()
