"""Intermittent demand: many steps without any, between demands of whatever size. Noticed, and measured by what fits.

Where most values are 0, so is their median, and a forecast of nothing at all has the least absolute error. What stocks
are planned by is the mean, which squared errors look for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gatework.data.finding import Finding
from gatework.runtime.series.panel import Panel

INTERVAL, VARIATION = 1.32, 0.49  # Syntetos, Boylan & Croston 2005, "On the categorization of demand patterns"
BY_SEASON = 0.5  # of the variance of whether there is demand: below it the place in the season says when there is some


@dataclass(frozen=True)
class Demand:
    """The share of zeros among all values, and of the middle series the mean interval between demands (in steps, 1
    where there is always some) and the squared coefficient of variation of their sizes."""

    zeros: float
    interval: float
    variation: float
    by_season: bool = False

    @property
    def kind(self) -> str:
        """ "smooth", "erratic", "intermittent" or "lumpy"."""
        often, uneven = ("smooth", "erratic"), self.variation >= VARIATION
        return (often if self.interval < INTERVAL else ("intermittent", "lumpy"))[uneven]

    @property
    def intermittent(self) -> bool:
        return self.kind in ("intermittent", "lumpy") and not self.by_season

    def __str__(self) -> str:
        often = f"in the middle series a demand comes every {self.interval:.1f} steps"
        return (
            f"{self.zeros:.0%} of the values are 0; {often}, and the squared variation of sizes is "
            f"{self.variation:.2f}: {self.kind} demand (Syntetos, Boylan & Croston 2005)"
        )


def demand(panel: Panel, season: int) -> Demand | None:
    """What kind of demand these series are; None where a value is below 0, or none is 0, or none above it.

    Example: `demand(read_panel({"day": range(8), "sold": [0, 0, 3, 0, 0, 3, 0, 0]}, time="day"), 1)` has an interval of
    4 steps, 8 for 2 demands.
    """
    parts = [part[~np.isnan(part)] for part in panel]
    values = np.concatenate([np.zeros(0), *parts])
    if (values < 0).any() or not (values == 0).any() or not (values > 0).any():
        return None
    sold = [part[part > 0] for part in parts]
    there = [number for number, each in enumerate(sold) if len(each)]
    interval = np.median([len(parts[number]) / len(sold[number]) for number in there])
    variation = np.median([sold[number].var() / sold[number].mean() ** 2 for number in there])
    return Demand(float((values == 0).mean()), float(interval), float(variation), _by_season(panel, season))


def intermittent(panel: Panel, season: int) -> bool:
    """Whether the middle series is of intermittent or lumpy demand, and not by the season: no sun shines at night."""
    found = demand(panel, season)
    return found is not None and found.intermittent


def told(found: Demand | None, judged: bool) -> list[Finding]:
    """A note of intermittent demand, and what it is judged by."""
    if found is None or not (found.intermittent or judged):
        return []
    if not judged:
        return [Finding("note", f"{found}; judged by MASE, as intermittent=false says, which all zeros can make small")]
    how = "judged by squared errors (RMSSE) and bias, as all zeros could have the least absolute error"
    return [Finding("note", f"{found}; {how}")]


def _by_season(panel: Panel, season: int) -> bool:
    """Whether the place in the season explains most of whether there is any demand; from three seasons on."""
    inside = whole = 0.0
    for part in panel:
        there = ~np.isnan(part)
        if season > 1 and there.sum() >= 3 * season:
            places = np.flatnonzero(there) % season
            inside += _variance(part[there] > 0, places) * there.sum()
            whole += _variance(part[there] > 0, np.zeros_like(places)) * there.sum()
    return whole > 0 and inside < BY_SEASON * whole


def _variance(sold: np.ndarray, places: np.ndarray) -> float:
    """Mean over the values of the variance (with n - 1) of `sold` among those of the same place."""
    count = np.bincount(places)
    share = np.bincount(places, sold) / np.maximum(count, 1)
    return float((count**2 * share * (1 - share) / np.maximum(count - 1, 1)).sum() / count.sum())
