"""How series are cut into windows of training, validation and test; and the options that the data decide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gatework.data.finding import Finding
from gatework.data.panel import Panel
from gatework.data.table import listed
from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.windows import Windows

NOWHERE = np.zeros(0, np.int64)


def settled(panel: Panel, options: ForecastOptions) -> dict[str, Any]:
    """Values for the options that were left to be worked out."""
    time, targets, series = panel.columns
    longest = int(panel.lengths.max()) if len(panel) else 0
    season = options.season or panel.frequency.season
    horizon = options.horizon or max(min(season if season > 1 else 12, longest // 5), 1)
    room = longest - horizon * (options.valid_windows + options.test_windows + 1)
    lookback = options.lookback or max(min(usual(season, horizon), room if season <= room else room // 2), 2)
    columns = {"time": time, "target": targets, "series": series, "frequency": str(panel.frequency)}
    unit = options.unit or (mean_change(panel, options, horizon) if options.scale == "last" else None)
    if panel.date_format:
        columns["date_format"] = panel.date_format
    return {**columns, "season": season, "horizon": horizon, "lookback": lookback, "unit": unit}


def usual(season: int, horizon: int) -> int:
    """The lookback where there is enough data."""
    return max(3 * season, horizon, 8)


def reduced(panel: Panel, options: ForecastOptions) -> list[Finding]:
    """A note where the model sees less than usual, as the series are short; `options` are settled."""
    assert options.season and options.horizon and options.lookback
    if options.lookback >= options.season:
        return []
    message = (
        f"the longest series has {int(panel.lengths.max()):,} points: the model sees {options.lookback} at a time, "
    )
    message += f"less than a season of {options.season}, and cannot learn what repeats by it"
    return [Finding("note", f"{message}; more data, or a shorter horizon than {options.horizon}, would help")]


def mean_change(panel: Panel, options: ForecastOptions, horizon: int) -> float:
    """The mean absolute change over a horizon, or of logarithms, before what is held back; 1 where there is none."""
    held = horizon * (options.valid_windows + options.test_windows)
    changes = [np.zeros(0)]
    for values in panel:
        known = values[: max(len(values) - held, 0)]
        known = np.log(np.where(known > 0, known, np.nan)) if options.transform.startswith("log") else known
        changes.append(known[horizon:] - known[:-horizon])
    size = np.abs(np.concatenate(changes))
    size = size[np.isfinite(size)]
    return float(size.mean()) if len(size) and size.mean() > 0 else 1.0


def with_truth(windows: Windows) -> Windows:
    """Only windows with something to see and something to forecast."""
    known = np.concatenate([[0], np.cumsum(~np.isnan(windows.values))])
    first = windows.offsets[windows.owners] + windows.cuts
    cut = first + windows.shape.lookback
    there = (known[cut] > known[first]) & (known[cut + windows.shape.horizon] > known[cut])
    return windows if there.all() else windows.take(np.flatnonzero(there))


def origins(end: int, length: int, horizon: int) -> np.ndarray:
    """Cuts from the end of what is known on; the last horizon where nothing is known."""
    if end == 0:
        return np.array([length - horizon]) if length - horizon >= 2 else NOWHERE
    return np.arange(end, length, horizon)


def short(panel: Panel, enough: np.ndarray, need: int) -> list[Finding]:
    short = [panel.names[number] for number in np.flatnonzero(~enough)]
    if not short:
        return []
    message = (
        f"{len(short):,} of {len(panel):,} series have fewer than the {need} points that training, validation and "
    )
    message += f"test take: {listed(short, 5)}"
    if enough.any():
        return [Finding("warning", f"{message}; they are left out there, and forecast all the same")]
    return [
        Finding("error", f"{message}; take a shorter horizon, fewer windows (valid_windows, test_windows) or more data")
    ]


def up_to(train: Windows, valid: Windows) -> Windows:
    """The training windows and all between them and the end of the validation part, series by series."""
    end = np.full(len(valid.panel), -1)
    np.maximum.at(end, valid.owners, valid.cuts)
    known = train.cuts + _begun_before(train.panel, valid.panel)[train.owners]
    last = np.full(len(valid.panel), -1)
    np.maximum.at(last, train.owners, known)
    more = [np.arange(last[s] + 1, end[s] + 1) if last[s] >= 0 else NOWHERE for s in range(len(end))]
    owners = np.concatenate([train.owners, np.repeat(np.arange(len(end)), [len(each) for each in more])])
    cuts = np.concatenate([known, *more])
    return replace(valid, owners=owners, cuts=cuts, scales=np.full(len(owners), np.nan))


def _begun_before(panel: Panel, longer: Panel) -> np.ndarray:
    """How many steps earlier each series of a panel begins in another one that holds the same and more."""
    same = longer.starts[: len(panel)]
    return (
        np.zeros(len(panel), np.int64) if (same == panel.starts).all() else panel.frequency.steps(same, panel.starts)[0]
    )
