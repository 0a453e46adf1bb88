"""Forecasts of public series, beside the baselines of the same run.

    python benchmarks/forecast.py naive --data ../shared/data           # errors of simple forecasts against M4's table
    python benchmarks/forecast.py m4_hourly m4_weekly --seeds 1 2 3
    python benchmarks/forecast.py etth1 --horizon 96

The folder (or GATEWORK_DATA) holds m4/ and ett/. Validation is the last window before the test part; the test part is
read once per seed. Results go to benchmarks/results/forecast_NAME.json with settings, machine and versions.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gatework.data.panel import read_panel
from gatework.data.readers import read_table
from gatework.tasks import jobs
from gatework.tasks.forecast import ForecastOptions, ForecastTask, baselines, measures
from gatework.tasks.forecast.windows import Shape, Windows, make_windows
from gatework.training.environment import environment

RESULTS = Path(__file__).parent / "results"
LEVELS = {"time": "time", "target": ("value",), "series": "series", "frequency": "1i"}
M4: dict[str, dict[str, Any]] = {
    "m4_hourly": {"horizon": 48, "season": 24, "lookback": 168, "transform": "log"},
    "m4_weekly": {"horizon": 13, "season": 1, "lookback": 52, "transform": "log"},
}
# sMAPE and MASE in the organisers' table of results
PUBLISHED = {
    "m4_hourly": {"naive": (43.003, 11.608), "seasonal naive": (13.912, 1.193), "Naive2": (18.383, 2.395)},
    "m4_weekly": {"naive": (9.161, 2.777), "Naive2": (9.161, 2.777)},
}
BORDERS = (12 * 30 * 24, 16 * 30 * 24, 20 * 30 * 24)  # ETTh1: 12, 4 and 4 months of 30 days


def main() -> None:
    arguments = parsed()
    for name in arguments.names:
        if name == "naive":
            check_naive(arguments.data)
            continue
        rows = [RUNS[name](name, seed, arguments) for seed in arguments.seeds]
        medians = {key: statistics.median(row["test"][key] for row in rows) for key in rows[0]["test"]}
        target = RESULTS / f"forecast_{name}{f'_{arguments.horizon}' if name == 'etth1' else ''}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        result = {"benchmark": name, "set": arguments.set, "medians": medians, "seeds": rows, **environment()}
        target.write_text(json.dumps(result, indent=2) + "\n")
        print(name, {key: round(value, 4) for key, value in medians.items()}, target, flush=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=["naive", *RUNS])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GATEWORK_DATA", "../shared/data")))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--horizon", type=int, default=96, help="of etth1")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="other options, for trials")
    return parser.parse_args()


def m4_frames(folder: Path, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and test rows: series, time (a number), value. The files have a series per line, after its name."""
    kind = name.removeprefix("m4_").capitalize()
    train = _lines(folder / "m4" / "Train" / f"{kind}-train.csv.gz")
    test = _lines(folder / "m4" / "Test" / f"{kind}-test.csv.gz")
    starts = {each: len(values) for each, values in train.items()}
    return _long(train, dict.fromkeys(train, 0)), _long(test, starts)


def _lines(path: Path) -> dict[str, list[float]]:
    table = read_table(path, header=True)
    return {row[0]: [float(value) for value in row[1:] if value] for row in table.frame.iter_rows()}


def _long(series: dict[str, list[float]], starts: dict[str, int]) -> pl.DataFrame:
    rows = [(name, starts[name] + k, value) for name, values in series.items() for k, value in enumerate(values)]
    return pl.DataFrame(rows, schema=["series", "time", "value"], orient="row")


def check_naive(folder: Path) -> None:
    """Our errors of the simple forecasts against the published ones: a wrong definition would show."""
    for name, rivals in PUBLISHED.items():
        train, test = m4_frames(folder, name)
        panel, ends = read_panel(train, **LEVELS).followed_by(read_panel(test, **LEVELS))
        options = M4[name]
        shape = Shape(options["lookback"], options["horizon"], options["season"])
        windows = make_windows(panel, shape, [np.array([end]) for end in ends])
        ours = {**baselines.all_naive(windows), "Naive2": baselines.naive2(windows)}
        for rival, published in rivals.items():
            found = measures.measures(ours[rival], windows.truth(), windows.scales)
            same = np.allclose((found["smape"], found["mase"]), published, atol=6e-4)
            print(
                f"{name} {rival}: sMAPE {found['smape']:.3f}, MASE {found['mase']:.3f}; published {published}: {same}"
            )
            if not same:
                raise SystemExit(f"{name}: {rival} differs from the published errors")


def run_m4(name: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    train, test = m4_frames(arguments.data, name)
    options = ForecastOptions.of({**LEVELS, **M4[name], "seed": seed}).with_settings(arguments.set)
    with tempfile.TemporaryDirectory() as folder:
        trained = jobs.train(ForecastTask(options), train, test=test, out=Path(folder) / "run", quiet=True)
        results = trained.run.results()
    return {"seed": seed, "seconds": results["training"]["seconds"], **_kept(results), "options": options.to_dict()}


def _kept(results: dict[str, Any]) -> dict[str, Any]:
    return {key: results[key] for key in ("test", "valid", "baselines", "verdict")}


class Ett(ForecastTask):
    """The usual protocol: standardised by the training part, every window of the parts, errors over all channels."""

    def prepare(self, source: Any, valid: Any = None, test: Any = None) -> Any:
        parts = super().prepare(source, valid, test)
        panel, shape = parts.train.panel, self.shape()
        train, middle, end = BORDERS
        channels = range(len(panel))
        cuts = {
            "train": np.arange(shape.lookback, train - shape.horizon + 1),
            "valid": np.arange(train, middle - shape.horizon + 1, 24),
            "test": np.arange(middle, end - shape.horizon + 1),
        }
        made: dict[str, Windows] = {
            part: make_windows(panel, shape, [each for _ in channels], np.ones(len(panel)), scales=part != "train")
            for part, each in cuts.items()
        }
        self._valid = made["valid"]
        return type(parts)(**made)


def run_etth1(name: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Errors of the point forecasts over every window of the test part, in standard deviations of the training part."""
    frame = pl.read_csv(arguments.data / "ett" / "ETTh1.csv", try_parse_dates=True)[: BORDERS[2]]
    channels = frame.columns[1:]
    known = frame[: BORDERS[0]]
    frame = frame.with_columns((pl.col(c) - known[c].mean()) / known[c].std(ddof=0) for c in channels)
    options = ForecastOptions.of(
        {"time": "date", "target": channels, "horizon": arguments.horizon, "lookback": 96, "season": 24, "loss": "mse",
         "quantiles": (), "seed": seed}
    ).with_settings(arguments.set)  # fmt: skip
    task = Ett(options)
    with tempfile.TemporaryDirectory() as folder:
        trained = jobs.train(task, frame, out=Path(folder) / "run", quiet=True)
        results = trained.run.results()
    return {"seed": seed, "seconds": results["training"]["seconds"], **_kept(results), "options": options.to_dict()}


RUNS = {"m4_hourly": run_m4, "m4_weekly": run_m4, "etth1": run_etth1}

if __name__ == "__main__":
    main()
