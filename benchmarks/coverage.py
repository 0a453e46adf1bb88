"""Do 90% intervals hold 90% of what comes, at every step ahead, in small series and in large ones?

    python benchmarks/coverage.py                       # all sets
    python benchmarks/coverage.py temps m4_hourly --set scale=last transform=log

Each set is trained on what is before a date, with the defaults, horizon and season alone; then the forecasts of windows
after that date are looked at, which had no say in anything. Of a single series these are origins over its last fifth,
7 steps apart; of M4 the official test part. "size" is the coverage of the third of the series with the smallest level,
of the middle and of the largest. The folder (or GATEWORK_DATA) holds m4/, ett/ and darts_series/. Results go to
benchmarks/results/coverage.json.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from forecast import m4_frames

from gatework.data.panel import read_panel
from gatework.data.readers import read_table
from gatework.runtime.series.panel import Panel
from gatework.runtime.series.windows import Windows, make_windows
from gatework.tasks import jobs
from gatework.tasks.forecast import ForecastOptions, ForecastTask, measures
from gatework.training.environment import environment

RESULTS = Path(__file__).parent / "results" / "coverage.json"
COLUMNS: dict[str, Any] = {"time": "time", "target": ("value",), "series": "series", "frequency": "1i"}
UNSEEN, APART = 0.2, 7  # of a single series; steps between its origins
MOST_SERIES = 200  # of M4
# File, column, horizon, season
SINGLE = {
    "etth1": ("ett/ETTh1.csv", "OT", 24, 24),
    "taxi": ("darts_series/taxi_new_york_passengers.csv", "#Passengers", 48, 48),
    "taylor": ("darts_series/taylor.csv", None, 48, 48),
    "temps": ("darts_series/temps.csv", "Daily minimum temperatures", 14, 7),
    "sunspots": ("darts_series/monthly-sunspots.csv", "Sunspots", 12, 12),
    "gasoline": ("darts_series/us_gasoline.csv", None, 8, 52),
}
M4 = {"m4_hourly": (48, 24), "m4_weekly": (13, 1)}


def main() -> None:
    arguments = parsed()
    rows = {}
    for name in arguments.names or [*SINGLE, *M4]:
        rows[name] = measured(name, arguments)
        print(name, json.dumps({key: value for key, value in rows[name].items() if key != "by_step"}), flush=True)
    if not arguments.names and not arguments.set:
        RESULTS.write_text(json.dumps({"sets": rows, **environment()}, indent=2) + "\n")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *SINGLE, *M4])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GATEWORK_DATA", "../shared/data")))
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="other options, for trials")
    return parser.parse_args()


def measured(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Coverage by step ahead and by size of series, and MSIS, on windows of which the training knew nothing."""
    begun = time.perf_counter()
    trained, windows = fitted(name, arguments)
    assert isinstance(trained.task, ForecastTask)
    with torch.no_grad():
        found = trained.task.forecasts(trained.model, windows)
    bounds, truth = trained.task.options.bounds, windows.truth()
    assert bounds
    low, high = (found[:, :, 1 + end] for end in bounds)
    steps = [measures.coverage(low[:, k], high[:, k], truth[:, k]) for k in range(truth.shape[1])]
    return {
        "windows": len(windows),
        "held": [getattr(trained.task.options, key) for key in ("valid_windows", "stride")],
        "coverage": round(measures.coverage(low, high, truth), 3),
        "least": round(min(steps), 3),
        "most": round(max(steps), 3),
        "first": round(steps[0], 3),
        "size": by_size(windows, low, high),
        "msis": round(measures.msis(low, high, truth, windows.scales, 1 - trained.task.options.interval), 3),
        "mase": round(measures.mase(truth - found[:, :, 0], windows.scales), 3),
        "seconds": round(time.perf_counter() - begun, 1),
        "by_step": [round(each, 3) for each in steps],
    }


def fitted(name: str, arguments: argparse.Namespace) -> tuple[jobs.Trained, Windows]:
    """A model of what comes before, and windows over what comes after."""
    if name in M4:
        (horizon, season), (known, later) = M4[name], few_series(arguments.data, name)
        panel, ends = known.followed_by(later)
        cuts = [np.array([end]) for end in ends]
    else:
        panel, horizon, season = single(arguments.data, name)
        end = int((1 - UNSEEN) * panel.lengths[0])
        known, cuts = panel.with_series([panel.series(0)[:end]]), [np.arange(end, panel.lengths[0] - horizon, APART)]
    settings = {**COLUMNS, "horizon": horizon, "season": season, "classical": "none"}
    task = ForecastTask(ForecastOptions.of(settings).with_settings(arguments.set))
    with tempfile.TemporaryDirectory() as folder:
        trained = jobs.train(task, known, out=Path(folder) / "run", quiet=True)
    return trained, make_windows(panel, task.shape(), cuts)


def few_series(folder: Path, name: str) -> tuple[Panel, Panel]:
    """Every so many series of M4: what was published, and the test part."""
    train, test = m4_frames(folder, name)
    names = train["series"].unique(maintain_order=True).to_list()
    kept = set(names[:: -(-len(names) // MOST_SERIES)])
    known, later = (read_panel(each.filter(pl.col("series").is_in(kept)), **COLUMNS) for each in (train, test))
    return known, later


def single(folder: Path, name: str) -> tuple[Panel, int, int]:
    path, column, horizon, season = SINGLE[name]
    frame = read_table(folder / path, header=True).frame
    values = frame[column or frame.columns[-1]].cast(pl.Float64, strict=False).drop_nulls().drop_nans()
    rows = {"series": [name] * len(values), "time": list(range(len(values))), "value": values}
    return read_panel(pl.DataFrame(rows), **COLUMNS), horizon, season


def by_size(windows: Windows, low: np.ndarray, high: np.ndarray) -> list[float]:
    """Coverage in small, middling and large series."""
    levels = np.array([np.nanmean(np.abs(windows.history(row))) for row in range(len(windows))])
    borders = np.quantile(levels, [1 / 3, 2 / 3])
    groups, truth = np.searchsorted(borders, levels), windows.truth()
    return [round(measures.coverage(low[groups == k], high[groups == k], truth[groups == k]), 3) for k in range(3)]


if __name__ == "__main__":
    main()
