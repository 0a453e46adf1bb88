"""Classical forecasts of each series on its own, by statsforecast: within a time limit, and never the end of a run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatework.runtime.series.classical import MODELS, MOST_POINTS, imported, one
from gatework.runtime.series.windows import Windows


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
    try:
        model = imported(method)
    except Exception as error:
        why = f"not measured: {error}"
        return Classical(name, np.zeros(0, np.int64), np.zeros((0, windows.shape.horizon)), why, method)
    order = np.random.default_rng(seed).permutation(len(windows))
    end, done, failed = time.monotonic() + seconds, [], 0
    for row in order:
        if time.monotonic() > end and done:
            break
        values, fine = one(model, windows, int(row), MOST_POINTS[method])
        done.append(values)
        failed += not fine
    note = "each series on its own"
    if len(done) < len(order):
        allowed = "all that the time allowed (classical_seconds)"
        note = f"measured on {len(done):,} of {len(order):,} windows, drawn at random: {allowed}"
    note += f"; {failed:,} on which it failed have the seasonal naive forecast" if failed else ""
    values = np.array(done).reshape(len(done), windows.shape.horizon)
    return Classical(name, order[: len(done)], values, note, method)
