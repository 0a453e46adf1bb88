"""How series are cut into windows of training, validation and test; and the options that the data decide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gatework.data.finding import Finding
from gatework.data.table import listed
from gatework.runtime.series.panel import Panel, shown_time
from gatework.runtime.series.windows import Shape, Windows
from gatework.tasks.forecast.holdout import held, span
from gatework.tasks.forecast.options import ForecastOptions

NOWHERE = np.zeros(0, np.int64)


def settled(panel: Panel, options: ForecastOptions) -> dict[str, Any]:
    """Values for the options that were left to be worked out."""
    time, targets, series = panel.columns
    longest = int(panel.lengths.max()) if len(panel) else 0
    season = options.season or panel.frequency.season
    horizon = options.horizon or max(min(season if season > 1 else 12, longest // 5), 1)
    windows = held(panel, options, horizon)
    chosen = replace(options, horizon=horizon, **windows)
    room = longest - horizon - sum(span(chosen, windows[name]) for name in ("valid_windows", "test_windows"))
    lookback = options.lookback or max(min(usual(season, horizon), room if season <= room else room // 2), 2)
    columns = {"time": time, "target": targets, "series": series, "frequency": str(panel.frequency)}
    read = {"date_format": panel.date_format, "zone": panel.zone}
    columns |= {name: text for name, text in read.items() if text}
    return {**columns, "season": season, "horizon": horizon, "lookback": lookback, **windows}


def ends_of_training(panel: Panel, options: ForecastOptions, counts: dict[str, int]) -> np.ndarray:
    """[S] steps of each series before the windows of validation and test, of which there are `counts`."""
    return ends_before(panel, options.split, sum(span(options, count) for count in counts.values()))


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


def finish(panel: Panel, split: str) -> np.ndarray:
    """[S] where the data end, in steps of each series: at its own end, or (split="date") where the last one ends."""
    there = np.flatnonzero(panel.lengths)
    if split == "ends" or not len(there):
        return panel.lengths
    return panel.frequency.steps(panel.starts, np.full(len(panel), last_times(panel).max()))[0] + 1


def last_times(panel: Panel) -> np.ndarray:
    """The time of the last value of each series that has one."""
    there = np.flatnonzero(panel.lengths)
    return panel.frequency.times(panel.starts[there], panel.lengths[there] - 1)


def ends_before(panel: Panel, split: str, steps: int) -> np.ndarray:
    """[S] steps of each series up to a number of steps before its end."""
    return np.clip(finish(panel, split) - steps, 0, panel.lengths)


def up_to_steps(panel: Panel, ends: np.ndarray) -> Panel:
    """The first steps of each series, up to `ends` [S]; covariates stay."""
    return panel.with_series([part[:end] for part, end in zip(panel, ends, strict=True)])


def cut_before(panel: Panel, split: str, steps: int) -> Panel:
    """A panel as it was a number of steps before its end."""
    return up_to_steps(panel, ends_before(panel, split, steps))


def uneven(panel: Panel, options: ForecastOptions, counts: dict[str, int]) -> list[Finding]:
    """What one has to know of a test part of series that have dates and do not end on the same one."""
    assert options.horizon
    if not panel.dates or not counts["test"] or not panel.lengths.any():
        return []
    if options.split == "date":
        return _untested(panel, span(options, counts["test"]))
    ends, there = last_times(panel), np.flatnonzero(panel.lengths)
    (apart,), _ = panel.frequency.steps(ends.min(keepdims=True), ends.max(keepdims=True))
    if apart <= span(options, counts["valid"]):
        return []
    first, last = (
        f"{shown_time(int(ends[k]), True)} ({panel.names[there[k]]})" for k in (ends.argmin(), ends.argmax())
    )
    message = f"series end at different dates, from {first} to {last}, and each is tested on its own end: the model "
    message += "learns from later days of some than those it is tested on in others"
    return [Finding("warning", f"{message}; split=date cuts all at the same dates")]


def _untested(panel: Panel, steps: int) -> list[Finding]:
    """A note of the series that end before the last steps of the data begin."""
    early = np.flatnonzero((panel.lengths > 0) & (panel.lengths <= finish(panel, "date") - steps))
    message = f"{len(early):,} of {len(panel):,} series end before the test part begins: "
    message += f"{listed([panel.names[s] for s in early], 5)}; they are learned from and forecast, not tested"
    return [Finding("note", message)] if len(early) else []


def training_cuts(shape: Shape, ends: np.ndarray, enough: np.ndarray) -> list[np.ndarray]:
    """Cuts of every training window of series that end at `ends` [S]; none where there are not `enough` points."""
    first = max(min(shape.season, shape.lookback), 2)
    return [np.arange(first, end - shape.horizon + 1) if ok else NOWHERE for end, ok in zip(ends, enough, strict=True)]


def mean_change(panel: Panel, log: bool, horizon: int) -> float:
    """The mean absolute change over a horizon, or of logarithms; the mean size, or 1, where nothing changes."""
    changes = [np.zeros(0)]
    for number in range(len(panel)):
        known = panel.worked_on(number, log)
        changes.append(known[horizon:] - known[:-horizon])
    for size in (np.concatenate(changes), np.zeros(0) if log else panel.values):
        size = np.abs(size[np.isfinite(size)])
        if len(size) and size.mean() > 0:
            return float(size.mean())
    return 1.0


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
    return with_truth(replace(valid, owners=owners, cuts=cuts, scales=np.full(len(owners), np.nan)))


def _begun_before(panel: Panel, longer: Panel) -> np.ndarray:
    """How many steps earlier each series of a panel begins in another one that holds the same and more."""
    same = longer.starts[: len(panel)]
    return (
        np.zeros(len(panel), np.int64) if (same == panel.starts).all() else panel.frequency.steps(same, panel.starts)[0]
    )
