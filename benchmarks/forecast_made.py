"""Made series whose truth is known, and how long a panel of many series takes: the defaults alone.

    python benchmarks/forecast_made.py promo                         # 200, 730 and 2,000 days, beside least squares
    python benchmarks/forecast_made.py time --data ../shared/data    # 1,428 monthly series, one thread

promo: y = 20 + 10 promo + noise of 0.3, promo 0 or 1 by chance and known ahead; 14 days are forecast. Least squares
knows the form of the truth. time: tourism's monthly series four times over, each copy 10% larger than the one before,
horizon 18: choice of settings, training, baselines, classical methods in their time limit, and the report.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from forecast import COLUMNS, tourism_frames

from gatework import Forecaster
from gatework.tasks import jobs
from gatework.tasks.forecast import ForecastOptions, ForecastTask

AHEAD, NOISE = 14, 0.3
SERIES, COPIES, HORIZON = 1_428, 4, 18


def promo(length: int) -> dict[str, float]:
    """Mean absolute errors over the next days, and the mean width of the 90% interval."""
    random = np.random.default_rng(0)
    known = random.integers(0, 2, length + AHEAD).astype(float)
    values = 20 + 10 * known + random.normal(0, NOISE, length + AHEAD)
    days = [datetime(2016, 1, 1) + timedelta(days=day) for day in range(length + AHEAD)]
    frame = pl.DataFrame({"time": days, "y": values, "promo": known})
    ask = frame[length:].with_columns(y=pl.lit(None, pl.Float64))
    model = Forecaster(time="time", target=("y",), future=("promo",), horizon=AHEAD, threads=1).fit(frame[:length])
    found: Any = model.predict(AHEAD, ask)
    inputs = np.stack([np.ones(length), known[:length]], 1)
    weights = np.linalg.lstsq(inputs, values[:length], rcond=None)[0]
    plain = weights[0] + weights[1] * known[length:]
    truth = values[length:]
    return {
        "error": float(np.abs(found["forecast"].to_numpy() - truth).mean()),
        "least squares": float(np.abs(plain - truth).mean()),
        "width": float((found["q0.95"] - found["q0.05"]).mean()),
    }


def many(folder: Path) -> dict[str, float]:
    """Seconds of a whole run, and of its training."""
    rows, _ = tourism_frames(folder, "tourism_monthly")
    copies = [
        rows.with_columns(series=pl.col("series") + f" {k}", value=pl.col("value") * (1 + 0.1 * k))
        for k in range(COPIES)
    ]
    frame = pl.concat(copies)
    names = frame["series"].unique(maintain_order=True)[:SERIES]
    frame = frame.filter(pl.col("series").is_in(names.to_list()))
    task, began = (
        ForecastTask(ForecastOptions.of({**COLUMNS, "horizon": HORIZON, "season": 12, "threads": 1})),
        time.time(),
    )
    with tempfile.TemporaryDirectory() as place:
        results = jobs.train(task, frame, out=Path(place) / "run", quiet=True).run.results()
    return {"series": len(names), "seconds": time.time() - began, "training": results["training"]["seconds"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["promo", "time"])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GATEWORK_DATA", "../shared/data")))
    given = parser.parse_args()
    rows = (
        {"time": many(given.data)}
        if given.what == "time"
        else {f"{days} days": promo(days) for days in (200, 730, 2000)}
    )
    for name, found in rows.items():
        print(name, ", ".join(f"{key} {value:.4g}" for key, value in found.items()), flush=True)


if __name__ == "__main__":
    main()
