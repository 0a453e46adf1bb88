"""A classical forecast of each series on its own, by statsforecast: within a time limit, and never the end of a run."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatework.extras import explained
from gatework.tasks.forecast.windows import Windows, filled, seasonal_naive

MODELS = {"theta": "DynamicOptimizedTheta", "ets": "AutoETS"}
MOST_POINTS = 2_000  # the end of each series; longer ones gain little and cost much


@dataclass(frozen=True)
class Classical:
    """Forecasts [n, h] of the windows `rows`; `note` says which, and what was done where the method failed."""

    name: str
    rows: np.ndarray
    forecasts: np.ndarray
    note: str


def classical(windows: Windows, method: str, seconds: float, seed: int) -> Classical:
    """The method ("theta" or "ets") on the history of as many windows, drawn by the seed, as the time allows.

    Sources: Fiorucci et al. 2016 (dynamic optimised theta), Hyndman et al. 2002 (ETS).
    """
    name = f"{MODELS[method]} (statsforecast)"
    try:
        from statsforecast import models
    except Exception as error:
        cause = explained(error) if isinstance(error, ImportError) else error
        why = f"not measured: {cause}"
        return Classical(name, np.zeros(0, np.int64), np.zeros((0, windows.shape.horizon)), why)
    order = np.random.default_rng(seed).permutation(len(windows))
    end, done, failed = time.monotonic() + seconds, [], 0
    for row in order:
        if time.monotonic() > end and done:
            break
        values, fine = one(getattr(models, MODELS[method]), windows, int(row))
        done.append(values)
        failed += not fine
    note = (
        "each series on its own"
        if len(done) == len(order)
        else (f"measured on {len(done):,} of {len(order):,} windows, drawn at random: all that {seconds:g} s allowed")
    )
    note += f"; {failed:,} on which it failed have the seasonal naive forecast" if failed else ""
    return Classical(name, order[: len(done)], np.array(done).reshape(len(done), -1), note)


def one(model: Any, windows: Windows, row: int) -> tuple[np.ndarray, bool]:
    """The forecast [h] after one window's history, and whether the method gave it."""
    horizon, season = windows.shape.horizon, windows.shape.season
    values = filled(windows.history(row)[None, -MOST_POINTS:])[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            period = season if len(values) > 2 * season else 1
            found = np.asarray(model(season_length=period).forecast(y=values, h=horizon)["mean"], np.float64)
        if found.shape == (horizon,) and np.isfinite(found).all():
            return found, True
    except Exception:  # whatever it is, the run's result must not be lost for the sake of a row beside it
        pass
    return seasonal_naive(values[None], horizon, season)[0] if len(values) else np.zeros(horizon), False
