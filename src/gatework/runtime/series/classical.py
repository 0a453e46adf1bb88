"""Classical forecasts of a series on its own, by statsforecast, which is imported when one is asked for."""

from __future__ import annotations

import warnings

import numpy as np

from gatework.errors import OptionError
from gatework.extras import explained, import_bars
from gatework.runtime.series.windows import Windows, filled, seasonal_naive

MODELS = {"theta": "DynamicOptimizedTheta", "ets": "AutoETS", "croston": "CrostonSBA"}
MOST_POINTS = {"theta": 2_000, "ets": 500, "croston": 2_000}  # the end of each series; more gain little and cost much
KEPT = max(MOST_POINTS.values())  # of a series: what any of them looks at


def imported(method: str) -> type:
    """The class of a method. Raises what its import raises, with the command to type where it is not installed."""
    import_bars()
    try:
        from statsforecast import models
    except ImportError as error:
        raise explained(error) from error
    return getattr(models, MODELS[method])


def ets(windows: Windows) -> np.ndarray:
    """[n, h] after the history of each window: exponential smoothing of the kind that fits best (Hyndman et al. 2002).

    Raises OptionError where statsforecast cannot be had.
    """
    try:
        model = imported("ets")
    except Exception as error:
        raise OptionError(f"a forecaster that is combined with ETS needs statsforecast: {error}") from error
    rows = [one(model, windows, row, MOST_POINTS["ets"])[0] for row in range(len(windows))]
    return np.array(rows, np.float64).reshape(len(windows), windows.shape.horizon)


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
