"""Classical forecasts of each series on its own, by statsforecast: within a time limit, and never the end of a run."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatework.extras import explained, import_bars
from gatework.runtime.series.windows import Windows, filled, seasonal_naive

MODELS = {"theta": "DynamicOptimizedTheta", "ets": "AutoETS", "croston": "CrostonSBA"}
MOST_POINTS = {"theta": 2_000, "ets": 500, "croston": 2_000}  # the end of each series; more gain little and cost much
KEPT = max(MOST_POINTS.values())  # of a series: what any of them looks at


@dataclass(frozen=True)
class Classical:
    """Forecasts [n, h] of the windows `rows`; `note` says which, and what was done where the method failed."""

    name: str
    rows: np.ndarray
    forecasts: np.ndarray
    note: str
    method: str

    def whole(self, count: int) -> np.ndarray:
        """[count, h]: NaN in the windows that have got no turn."""
        values = np.full((count, self.forecasts.shape[1]), np.nan)
        values[self.rows] = self.forecasts
        return values


def methods(option: str, intermittent: bool) -> list[str]:
    """The methods that an option asks for, the quick ones first: Croston's where demand is intermittent."""
    if option == "none":
        return []
    return [*(["croston"] if intermittent else []), *(("theta", "ets") if option == "both" else (option,))]


def classicals(windows: Windows, names: Sequence[str], seconds: float, seed: int) -> list[Classical]:
    """Each of the methods, one after the other, within a time for all of them."""
    end, found = time.monotonic() + seconds, []
    for name in names:
        found.append(classical(windows, name, max(end - time.monotonic(), 0.0), seed))
    return found


def classical(windows: Windows, method: str, seconds: float, seed: int) -> Classical:
    """A method ("theta", "ets" or "croston") on the history of as many windows, drawn by the seed, as the time allows.

    Sources: Fiorucci et al. 2016 (dynamic optimised theta), Hyndman et al. 2002 (ETS), Syntetos & Boylan 2005
    (Croston's method without its bias).
    """
    name = f"{MODELS[method]} (statsforecast)"
    import_bars()
    try:
        from statsforecast import models
    except Exception as error:
        cause = explained(error) if isinstance(error, ImportError) else error
        why = f"not measured: {cause}"
        return Classical(name, np.zeros(0, np.int64), np.zeros((0, windows.shape.horizon)), why, method)
    order = np.random.default_rng(seed).permutation(len(windows))
    end, done, failed = time.monotonic() + seconds, [], 0
    for row in order:
        if time.monotonic() > end and done:
            break
        values, fine = one(getattr(models, MODELS[method]), windows, int(row), MOST_POINTS[method])
        done.append(values)
        failed += not fine
    note = "each series on its own"
    if len(done) < len(order):
        allowed = "all that the time allowed (classical_seconds)"
        note = f"measured on {len(done):,} of {len(order):,} windows, drawn at random: {allowed}"
    note += f"; {failed:,} on which it failed have the seasonal naive forecast" if failed else ""
    values = np.array(done).reshape(len(done), windows.shape.horizon)
    return Classical(name, order[: len(done)], values, note, method)


def one(model: type, windows: Windows, row: int, most: int) -> tuple[np.ndarray, bool]:
    """The forecast [h] after one window's history, and whether the method gave it."""
    horizon, season = windows.shape.horizon, windows.shape.season
    values = filled(windows.history(row)[None, -most:])[0]
    for period in dict.fromkeys([season if len(values) >= 2 * season else 1, 1]):
        found = _forecast(model, values, horizon, period)
        if found is not None:
            return found, True
    return seasonal_naive(values[None], horizon, season)[0] if len(values) else np.zeros(horizon), False


def _forecast(model: type, values: np.ndarray, horizon: int, period: int) -> np.ndarray | None:
    """[h]; None where the method fails, whatever it is: a run's result must not be lost for a row beside it."""
    seasonal = {} if model.__name__ == MODELS["croston"] else {"season_length": period}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = np.asarray(model(**seasonal).forecast(y=values, h=horizon)["mean"], np.float64)
    except Exception:
        return None
    return found if found.shape == (horizon,) and np.isfinite(found).all() else None
