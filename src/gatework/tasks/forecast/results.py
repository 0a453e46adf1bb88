"""What the report shows of forecasts: errors by step ahead, the best and worst series, residuals."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatework.tasks.forecast import measures
from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.windows import Windows


def sections(part: str, forecasts: np.ndarray, windows: Windows, options: ForecastOptions) -> dict[str, Any]:
    """part; by_horizon (errors and coverage of each step ahead); series (best, median, worst); residuals."""
    truth = windows.truth()
    error = truth - forecasts[:, :, 0]
    scaled = measures.row_means(np.abs(error)) / windows.scales
    steps = range(truth.shape[1])
    return {
        "part": part,
        "by_horizon": [step_errors(forecasts, truth, windows.scales, step, options.bounds) for step in steps],
        "series": ranked(windows, scaled),
        "residuals": {
            "mean": plain(measures.mean(error)),
            "of_scale": plain(measures.mean(error / windows.scales[:, None])),
        },
    }


def step_errors(
    forecasts: np.ndarray, truth: np.ndarray, scales: np.ndarray, step: int, bounds: tuple[int, int] | None
) -> dict[str, Any]:
    row: dict[str, Any] = {"step": step + 1}
    values, here = forecasts[:, step], truth[:, step]
    row["mase"] = plain(measures.mean(np.abs(here - values[:, 0]) / scales))
    if bounds:
        low, high = (values[:, 1 + end] for end in bounds)
        row["coverage"] = plain(measures.coverage(low, high, here))
    return row


def ranked(windows: Windows, scaled: np.ndarray) -> list[dict[str, Any]]:
    """Best, median and worst series by MASE."""
    means = {number: measures.mean(scaled[windows.owners == number]) for number in np.unique(windows.owners)}
    order = sorted((value, number) for number, value in means.items() if np.isfinite(value))
    if not order:
        return []
    places = {"best": 0, "median": len(order) // 2, "worst": -1}
    return [{"which": w, "series": windows.panel.names[order[p][1]], "mase": order[p][0]} for w, p in places.items()]


def plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
