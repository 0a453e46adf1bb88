"""Made series whose truth is known, and how long a panel of many series takes: the defaults alone.

    python benchmarks/forecast_made.py promo                         # 200, 730 and 2,000 days, beside least squares
    python benchmarks/forecast_made.py known --days 200,730 --seeds 40,41,42      # what is known ahead, of many kinds
    python benchmarks/forecast_made.py time --data ../shared/data    # 1,428 monthly series, one thread

promo: y = 20 + 10 promo + noise of 0.3, promo 0 or 1 by chance and known ahead; 14 days are forecast. Least squares
knows the form of the truth. known: a season of a week and what columns known ahead do to it, see TRUTHS; errors over
those of least squares that knows the form, in logarithms where effects are shares, and over those of the run's ridge
baseline on its test part. time: tourism's monthly series four times over, each copy 10% larger than the one before,
horizon 18: choice of settings, training, baselines, classical methods in their time limit, and the report.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
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
WEEK = np.array([-3.6, -2.4, -1.2, 0.0, 1.2, 2.4, 3.6])
START, SHOPS = datetime(2016, 1, 1), 20

Made = tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]  # values, what is known ahead, what least squares is told


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


def promotions(random: np.random.Generator, length: int) -> Made:
    promo = random.integers(0, 2, length).astype(float)
    return 20 + season(length) + 10 * promo + noise(random, length), {"promo": promo}, promo[:, None]


def lower_the_day_after(random: np.random.Generator, length: int) -> Made:
    promo = (random.random(length) < 0.25).astype(float)
    before = np.concatenate([[0.0], promo[:-1]])
    values = 20 + season(length) + 10 * promo - 4 * before + noise(random, length)
    return values, {"promo": promo}, np.stack([promo, before], 1)


def elasticity(random: np.random.Generator, length: int) -> Made:
    """1% more of the price takes 2%."""
    price = 2 * np.exp(random.choice([0, 0, 0, 0.1, -0.1, -0.2, -0.35], length))
    logs = 4 + season(length) / 20 - 2 * np.log(price / 2) + random.normal(0, 0.05, length)
    return np.exp(logs), {"price": price}, np.log(price)[:, None]


def two_that_correlate(random: np.random.Generator, length: int) -> Made:
    one, other = random.normal(0, 1, (2, length))
    other = 0.9 * one + np.sqrt(1 - 0.9**2) * other
    values = 20 + season(length) + 3 * one - 2 * other + noise(random, length)
    return values, {"one": one, "other": other}, np.stack([one, other], 1)


def one_that_never_varied(random: np.random.Generator, length: int) -> Made:
    """A strike comes after the training part, and does nothing."""
    values, known, told = promotions(random, length)
    return values, known | {"strike": (np.arange(length) >= length - AHEAD + 3).astype(float)}, told


def holiday(random: np.random.Generator, length: int) -> Made:
    """Once a year, and in the days to forecast."""
    days = np.array([(START + timedelta(days=day)).timetuple().tm_yday for day in range(length)])
    here = (days == days[length - AHEAD + 5]).astype(float)
    return 20 + season(length) + 8 * here + noise(random, length), {"holiday": here}, here[:, None]


def mostly_at_weekends(random: np.random.Generator, length: int) -> Made:
    promo = (random.random(length) < np.where(np.arange(length) % 7 >= 5, 0.8, 0.2)).astype(float)
    return 20 + season(length) + 6 * promo + noise(random, length), {"promo": promo}, promo[:, None]


def with_gaps(random: np.random.Generator, length: int) -> Made:
    """One in twenty is missing; least squares is told the rest."""
    values, known, _ = promotions(random, length)
    promo = known["promo"]
    promo[: length - AHEAD][random.random(length - AHEAD) < 0.05] = np.nan
    return values, {"promo": promo}, promo[:, None]


def useless(random: np.random.Generator, length: int) -> Made:
    columns = {f"column {k}": each for k, each in enumerate(random.normal(0, 1, (5, length)))}
    return 20 + season(length) + noise(random, length), columns, np.zeros((length, 0))


def of_one_shop(random: np.random.Generator, length: int) -> Made:
    """Level and effect are its own: from nothing to 60% of the level."""
    level, promo = np.exp(random.normal(3, 0.8)), random.integers(0, 2, length).astype(float)
    share = 1 + season(length) / 20 + random.uniform(0, 0.6) * promo + random.normal(0, 0.03, length)
    return level * share, {"promo": promo}, promo[:, None]


def season(length: int) -> np.ndarray:
    return WEEK[np.arange(length) % 7]


def noise(random: np.random.Generator, length: int) -> np.ndarray:
    return random.normal(0, NOISE, length)


TRUTHS: dict[str, tuple[Callable[[np.random.Generator, int], Made], int, bool]] = {  # series; whether logarithms
    "promotions": (promotions, 1, False),
    "lower the day after": (lower_the_day_after, 1, False),
    "price, elasticity": (elasticity, 1, True),
    "two that correlate": (two_that_correlate, 1, False),
    "one that never varied": (one_that_never_varied, 1, False),
    "a holiday once a year": (holiday, 1, False),
    "mostly at weekends": (mostly_at_weekends, 1, False),
    "missing values": (with_gaps, 1, False),
    "five that do nothing": (useless, 1, False),
    "20 shops, each its own": (of_one_shop, SHOPS, False),
}


def known(name: str, days: int, seed: int) -> dict[str, float]:
    """Mean absolute errors over the next days, in units of each series' mean step, and over those of the baselines."""
    make, count, log = TRUTHS[name]
    random = np.random.default_rng([seed, 99])
    made = [make(random, days + AHEAD) for _ in range(count)]
    names = list(made[0][1])
    dates = [START + timedelta(days=day) for day in range(days + AHEAD)]
    tables = [
        pl.DataFrame({"shop": [f"s{number}"] * len(dates), "time": dates, "y": values, **beside})
        for number, (values, beside, _) in enumerate(made)
    ]
    frame = pl.concat(tables).with_columns(pl.col(names).fill_nan(None))
    past, ask = frame.filter(pl.col("time") < dates[days]), frame.filter(pl.col("time") >= dates[days])
    columns = {"time": "time", "target": ("y",), "series": "shop", "future": tuple(names)}
    model = Forecaster(**columns, horizon=AHEAD, threads=1, classical="none").fit(past)
    found: Any = model.predict(AHEAD, ask.with_columns(y=pl.lit(None, pl.Float64)))
    truth = np.array([values[days:] for values, _, _ in made])
    units = np.array([np.abs(np.diff(values[:days])).mean() for values, _, _ in made])[:, None]
    plain = np.array([least_squares(values, told, days, log) for values, _, told in made])
    low, high = (found[each].to_numpy().reshape(truth.shape) for each in ("q0.05", "q0.95"))
    results: Any = model.trained_.run.results()
    own, ridge = (
        next(each["metrics"]["mase"] for each in results[rows] if each["name"].startswith(start))
        for rows, start in (("contenders", "model"), ("baselines", "ridge"))
    )
    error = float((np.abs(found["forecast"].to_numpy().reshape(truth.shape) - truth) / units).mean())
    best = float((np.abs(plain - truth) / units).mean())
    inside = float(((low <= truth) & (truth <= high)).mean())
    return {"error": error, "least squares": best, "inside 90%": inside, "over ridge, test part": own / ridge}


def least_squares(values: np.ndarray, told: np.ndarray, days: int, log: bool) -> np.ndarray:
    """Forecasts of a regression on the day of the week and what it is told, of the days that are whole."""
    inputs = np.concatenate([np.eye(7)[np.arange(len(values)) % 7], told], axis=1)
    there = ~np.isnan(inputs[:days]).any(axis=1)
    outputs = np.log(values) if log else values
    weights = np.linalg.lstsq(inputs[:days][there], outputs[:days][there], rcond=None)[0]
    found = inputs[days:] @ weights
    return np.exp(found) if log else found


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


def table(days: list[int], seeds: list[int]) -> Iterator[tuple[str, dict[str, float]]]:
    for name in TRUTHS:
        for length in days:
            rows = [known(name, length, seed) for seed in seeds]
            means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
            yield f"{name}, {length} days:", means | {"ratio": means["error"] / means["least squares"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["promo", "known", "time"])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("GATEWORK_DATA", "../shared/data")))
    parser.add_argument("--days", type=lambda text: [int(each) for each in text.split(",")], default=[200, 730])
    parser.add_argument("--seeds", type=lambda text: [int(each) for each in text.split(",")], default=[40, 41, 42])
    given = parser.parse_args()
    rows: dict[str, Callable[[], Iterable[tuple[str, dict[str, float]]]]] = {
        "promo": lambda: ((f"{days} days", promo(days)) for days in (200, 730, 2000)),
        "known": lambda: table(given.days, given.seeds),
        "time": lambda: [("time", many(given.data))],
    }
    for name, found in rows[given.what]():
        print(name, ", ".join(f"{key} {value:.4g}" for key, value in found.items()), flush=True)


if __name__ == "__main__":
    main()
