"""The errors of forecasts: whether they lean to one side, last from step to step, or belong to an hour or a month."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from typing import Any

import numpy as np

from gatework.runtime.series.frequency import DAY, UNITS, WEEK, Frequency
from gatework.runtime.series.windows import Windows

HOUR = UNITS["h"]
LEANING = 0.5  # of the errors' mean size, from which on their mean is worth another scale
FEWEST = 3  # values for each hour, weekday or month on average, below which a mean says nothing
MONTHS, WEEKDAYS = list(calendar.month_name)[1:], list(calendar.day_name)


def residuals(windows: Windows, error: np.ndarray) -> dict[str, Any]:
    """Of errors [n, h] (truth - forecast): mean, in the data's units and in MASE's; lean; persistence; by the calendar.

    `lean` is the mean divided by the mean size: 1 where all forecasts are too low, -1 where all are too high.
    `persistence` is the correlation of the errors of neighbouring steps of one forecast.
    """
    scaled = error / windows.scales[:, None]
    size = known_mean(np.abs(scaled))
    return {
        "mean": finite(known_mean(error)),
        "of_scale": finite(known_mean(scaled)),
        "lean": finite(known_mean(scaled) / size) if size else None,
        "persistence": persistence(scaled),
        "calendar": by_calendar(windows, scaled),
    }


def leaning(lean: float | None, scale: str) -> list[dict[str, Any]]:
    """A hint where windows are scaled around their mean and the level has left it."""
    if lean is None or abs(lean) < LEANING or scale == "last":
        return []
    side = "low" if lean > 0 else "high"
    what = f"Most forecasts were too {side}: the mean error is {abs(lean):.0%} of the mean size of errors, as happens "
    what += "where a level has changed, and windows are scaled around their mean"
    return [{"what": what, "advice": "count from each window's last value", "setting": "--set scale=last"}]


def persistence(scaled: np.ndarray) -> float | None:
    """The correlation at lag 1 along the steps; None for fewer than three pairs."""
    left, right = scaled[:, :-1].ravel(), scaled[:, 1:].ravel()
    there = np.isfinite(left) & np.isfinite(right)
    left, right = left[there], right[there]
    if len(left) < 3 or left.std() == 0 or right.std() == 0:
        return None
    return float(np.corrcoef(left, right)[0, 1])


def by_calendar(windows: Windows, scaled: np.ndarray) -> dict[str, Any] | None:
    """Mean error and mean size of error (in MASE's units) by hour, weekday or month.

    None where the step has no such part of the calendar, or where there are too few values.
    """
    kind = grouping(windows.panel.frequency) if windows.panel.dates else None
    if kind is None:
        return None
    name, labels, place = kind
    panel, steps = windows.panel, windows.cuts[:, None] + np.arange(scaled.shape[1])
    starts = np.repeat(panel.starts[windows.owners], scaled.shape[1])
    groups = place(panel.frequency.times(starts, steps.ravel()))
    flat = scaled.ravel()
    rows = []
    for group, label in enumerate(labels):
        here = flat[(groups == group) & np.isfinite(flat)]
        if len(here):
            rows.append(
                {"of": label, "mean": float(here.mean()), "mase": float(np.abs(here).mean()), "values": len(here)}
            )
    enough = sum(row["values"] for row in rows) >= FEWEST * len(rows)
    return {"name": name, "rows": rows} if len(rows) > 1 and enough else None


def grouping(frequency: Frequency) -> tuple[str, list[str], Callable[[np.ndarray], np.ndarray]] | None:
    """The part of the calendar by which errors may differ: its name, its values, and the place of times."""
    if frequency.kind == "number" or (frequency.kind == "month" and frequency.every >= 12):
        return None
    if frequency.kind == "time" and frequency.every < DAY:
        return "hour", [f"{hour}:00" for hour in range(24)], lambda times: times % DAY // HOUR
    if frequency.kind == "business" or (frequency.kind == "time" and frequency.every < WEEK):
        return "weekday", WEEKDAYS, lambda times: (times // DAY + 3) % 7  # 1970 began on a Thursday
    return "month", MONTHS, lambda times: times.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64) % 12


def known_mean(values: np.ndarray) -> float:
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else float("nan")


def finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
