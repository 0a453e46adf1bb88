"""Windows over series: what the model sees before a cut, and the steps after it, each scaled by its own window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from gatework.runtime.series.frequency import calendar
from gatework.runtime.series.naive2 import naive2
from gatework.runtime.series.panel import Panel, logarithms

MANY, STRETCH = 10, 4  # series that are enough to judge by whole ones; horizons of a stretch of windows that overlap
FEW_ZEROS = 0.01  # share of values that may be 0, and count as missing, where logarithms are tried
SMALLEST = 1e-8  # of the level: a window that varies less is taken as constant
FINE, SURE = 2.0**-22, 2.0**-46  # steps of scaled values: of the largest in a window, at least of the window's level


@dataclass(frozen=True)
class Shape:
    """Lookback L, horizon h, season m; whether logarithms are forecast, and seen as differences; the unit of values
    counted from a window's last one (scale "last"), and of windows that do not vary (scale "deviation"); whether the
    model is told hour, weekday and season; the forecast that it corrects: "season" is the seasonal naive one, "last"
    the last value."""

    lookback: int
    horizon: int
    season: int
    log: bool = False
    difference: bool = False
    scale: str = "deviation"
    unit: float = 1.0
    calendar: bool = True
    base: str = "season"


@dataclass(frozen=True)
class Windows:
    """Windows of a panel: window i sees series `owners[i]` up to `cuts[i]` and forecasts the `horizon` steps after.

    `values`, `calendar` (all that is known ahead, covariates too) and `seen` (covariates known up to now) hold the
    series with L steps of padding before and h after, so that every window is there; `static` [S, K] goes with the
    series.
    `scales` are the denominators of MASE: the mean absolute seasonal difference before the cut. `effects`, laid out as
    `values`, are what columns known ahead add there, where the model sees and forecasts values (or logarithms) less
    these: NaN where one of the columns is missing.
    """

    panel: Panel
    shape: Shape
    values: np.ndarray
    calendar: np.ndarray
    seen: np.ndarray
    static: np.ndarray
    offsets: np.ndarray
    owners: np.ndarray
    cuts: np.ndarray
    scales: np.ndarray
    effects: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.owners)

    @property
    def channels(self) -> tuple[int, int, int]:
        """How many channels `Read.inputs` and `Read.future` have, and how many at the end of both are static."""
        static = self.static.shape[1]
        known = 2 + self.calendar.shape[1] + static
        return known + self.seen.shape[1], known, static

    @property
    def ahead(self) -> int:
        """K: how many covariates are known ahead; they stand at the end of `calendar`."""
        extra = self.panel.covariates
        return 0 if extra is None else len(extra.places("future"))

    @property
    def known_ahead(self) -> int:
        """How many of these the linear map reads: none whose effects are taken out of the values."""
        return self.ahead if self.effects is None else 0

    def take(self, rows: np.ndarray) -> Windows:
        return replace(self, owners=self.owners[rows], cuts=self.cuts[rows], scales=self.scales[rows])

    def with_scales(self) -> Windows:
        """The same windows with their denominators of MASE measured."""
        season = self.shape.season
        return replace(self, scales=np.array([seasonal_scale(self.history(row), season) for row in range(len(self))]))

    def places(self, rows: np.ndarray) -> np.ndarray:
        """[n, L + h] places in `values` of each window."""
        first = self.offsets[self.owners[rows]] + self.cuts[rows]
        return first[:, None] + np.arange(self.shape.lookback + self.shape.horizon)

    def past(self, rows: np.ndarray) -> np.ndarray:
        """[n, L] values before the cut, NaN where there is none."""
        return self.values[self.places(rows)[:, : self.shape.lookback]]

    def seen_as(self, rows: np.ndarray) -> np.ndarray:
        """`past` as the model sees it: in logarithms, or less what columns known ahead did."""
        return self.worked_on(self.places(rows)[:, : self.shape.lookback])

    def worked_on(self, places: np.ndarray) -> np.ndarray:
        """Values at some places as the model sees and forecasts them."""
        values = self.values[places]
        values = logarithms(values) if self.shape.log else values
        return values if self.effects is None else values - self.effects[places]

    def truth(self) -> np.ndarray:
        """[n, h] values after the cut."""
        return self.values[self.places(np.arange(len(self)))[:, self.shape.lookback :]]

    @cached_property
    def naive2(self) -> np.ndarray:
        """[n, h] of M4's benchmark, by which OWA divides: worked out once, as every epoch asks for it."""
        histories = (self.history(row) if self.cuts[row] else np.zeros(1) for row in range(len(self)))
        rows = [naive2(filled(values[None])[0], self.shape.horizon, self.shape.season) for values in histories]
        return np.array(rows).reshape(len(self), self.shape.horizon)

    @cached_property
    def memory(self) -> dict[object, Any]:
        """What was worked out for these windows and takes long, by what it is."""
        return {}

    @cached_property
    def squares(self) -> np.ndarray:
        """[n] mean squared step from one value to the next before each cut, by which RMSSE divides."""
        return np.array([squared_scale(self.history(row)) for row in range(len(self))]).reshape(len(self))

    def history(self, row: int) -> np.ndarray:
        """All of a window's series before its cut."""
        return self.panel.series(int(self.owners[row]))[: self.cuts[row]]


def blocks(windows: Windows) -> np.ndarray:
    """[n]: numbers of blocks of windows that do not depend on each other by their targets.

    Series, where there are some ten; else single windows, or stretches of four horizons where windows overlap.
    """
    owners, cuts, horizon = windows.owners, windows.cuts, windows.shape.horizon
    if len(np.unique(owners)) >= MANY:
        return owners
    order = np.lexsort((cuts, owners))
    gaps = np.diff(cuts[order])[np.diff(owners[order]) == 0]
    length = horizon if (gaps >= horizon).all() else STRETCH * horizon
    first = np.full(len(windows.panel), np.iinfo(np.int64).max)
    np.minimum.at(first, owners, cuts)
    places = (cuts - first[owners]) // length
    return owners * (places.max(initial=0) + 1) + places


def without_overlap(windows: Windows) -> int:
    """How many of the windows can be chosen so that no two have a value in common that they forecast."""
    first, last = np.full(len(windows.panel), np.iinfo(np.int64).max), np.full(len(windows.panel), -1)
    np.minimum.at(first, windows.owners, windows.cuts)
    np.maximum.at(last, windows.owners, windows.cuts)
    there = last >= 0
    room = int((1 + (last[there] - first[there]) // windows.shape.horizon).sum())
    return min(room, len(windows))


def lay_out(panel: Panel, shape: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Padded values, what is known ahead, what is not, static features, and where each series' padding begins."""
    lengths = panel.lengths + shape.lookback + shape.horizon
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = np.full(offsets[-1], np.nan)
    owners = np.repeat(np.arange(len(panel)), lengths)
    steps = np.arange(offsets[-1]) - offsets[owners] - shape.lookback
    inside = (steps >= 0) & (steps < panel.lengths[owners])
    values[inside] = panel.values
    marks = np.zeros((len(values), 0), np.float32)
    if shape.calendar and panel.frequency.kind != "number":
        times = panel.frequency.times(panel.starts[owners], steps)
        marks = calendar(times if panel.clock is None else panel.clock.local(times), panel.frequency)
    extra = panel.covariates
    if extra is None:
        return values, marks, marks[:, :0], np.zeros((len(panel), 0), np.float32), offsets
    ahead, seen = extra.laid_out(owners, steps, inside)
    return values, np.concatenate([marks, ahead], axis=1), seen, extra.static, offsets


def _effects(panel: Panel, shape: Shape, offsets: np.ndarray) -> np.ndarray:
    """What columns known ahead add at each padded place."""
    extra = panel.covariates
    assert panel.effects is not None and extra is not None
    owners = np.repeat(np.arange(len(panel)), np.diff(offsets))
    steps = np.arange(offsets[-1]) - offsets[owners] - shape.lookback
    there = (steps >= 0) & (steps < np.diff(extra.offsets)[owners])
    known = np.zeros((len(steps), len(extra.places("future"))))
    known[there] = extra.values[:, extra.places("future")][(extra.offsets[owners] + steps)[there]]
    return panel.effects.added(known, offsets)


def make_windows(
    panel: Panel, shape: Shape, cuts: Sequence[np.ndarray], known: np.ndarray | None = None, scales: bool = True
) -> Windows:
    """Windows at `cuts[s]` of each series; `known` [S] are denominators of MASE to use instead of measuring them."""
    values, marks, seen, static, offsets = lay_out(panel, shape)
    owners = np.repeat(np.arange(len(panel)), [len(each) for each in cuts])
    where = np.concatenate([np.zeros(0, np.int64), *cuts]).astype(np.int64)
    unscaled = np.full(len(owners), np.nan)
    windows = Windows(panel, shape, values, marks, seen, static, offsets, owners, where, unscaled)
    if panel.effects is not None:
        windows = replace(windows, effects=_effects(panel, shape, offsets))
    if not scales:
        return windows
    measured = windows.with_scales().scales
    if known is not None and len(owners):
        measured = np.where(np.isfinite(known[owners]), known[owners], measured)
    return replace(windows, scales=measured.reshape(len(owners)))


def seasonal_scale(values: np.ndarray, season: int) -> float:
    """Mean absolute difference to the value a season before (Hyndman & Koehler 2006, eq. 3); NaN where it is 0."""
    if len(values) <= season:
        season = 1
    gaps = np.abs(values[season:] - values[:-season])
    gaps = gaps[~np.isnan(gaps)]
    return float(gaps.mean()) if len(gaps) and gaps.mean() > 0 else np.nan


def squared_scale(values: np.ndarray) -> float:
    """Mean squared difference to the value before, from the first demand on, as in M5; NaN where it is 0."""
    steps = np.diff(values[int((values > 0).argmax()) if len(values) else 0 :]) ** 2
    steps = steps[~np.isnan(steps)]
    return float(steps.mean()) if len(steps) and steps.mean() > 0 else np.nan


def seasonal_naive(past: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The last value known at the same place of the season, else the last value: past [n, L] -> [n, h]."""
    n, lookback = past.shape
    last = filled(past)[:, -1]
    whole = lookback // season
    if not whole:
        return np.repeat(last[:, None], horizon, axis=1)
    seasons = past[:, lookback - whole * season :].reshape(n, whole, season)
    base = seasons[:, 0]
    for part in range(1, whole):
        base = np.where(np.isnan(seasons[:, part]), base, seasons[:, part])
    base = np.where(np.isnan(base), last[:, None], base)
    return base[:, np.arange(horizon) % season]


def filled(past: np.ndarray) -> np.ndarray:
    """Missing values replaced by the value before, or the first one known; 0 where nothing is known."""
    there = ~np.isnan(past)
    places = np.maximum.accumulate(np.where(there, np.arange(past.shape[1]), -1), axis=1)
    places = np.where(places < 0, there.argmax(axis=1)[:, None], places)
    return np.nan_to_num(np.take_along_axis(past, places, axis=1), nan=0.0)


class Read(NamedTuple):
    """n windows as the model reads them: inputs (T, n, I): value, mask, past covariates, all that is known ahead;
    window [n, L] filled; base [n, h]; ahead [n, h, 2K]: covariates known ahead, and the window's last ones, both less
    the window's mean; future [n, h, F]; truth [n, h]; center [n] (of each step ahead, [n, h], where these have effects)
    and scale [n]."""

    inputs: np.ndarray
    window: np.ndarray
    base: np.ndarray
    ahead: np.ndarray
    future: np.ndarray
    truth: np.ndarray
    center: np.ndarray
    scale: np.ndarray


def read(windows: Windows, rows: np.ndarray, change: Callable[[np.ndarray], np.ndarray] | None = None) -> Read:
    """Windows centred and scaled by what is known before the cut; then the change of whole windows [n, L + h]."""
    shape = windows.shape
    places = windows.places(rows)
    values = windows.worked_on(places)
    center, scale = shape_scale(values[:, : shape.lookback], shape)
    whole = in_steps((values - center[:, None]) / scale[:, None], shape.lookback, center / scale)
    whole = whole if change is None else change(whole)
    scaled, truth = whole[:, : shape.lookback], whole[:, shape.lookback :]
    base = seasonal_naive(scaled, shape.horizon, shape.season if shape.base == "season" else 1)
    marks = _marks(windows, rows, places)
    seen = windows.seen[places[:, : shape.lookback]]
    window = filled(scaled)
    lags = _season_before(window, shape)
    if shape.difference:
        scaled = np.diff(window, axis=1, prepend=np.nan) + 0 * scaled
        window = np.nan_to_num(scaled)
    mask = ~np.isnan(scaled)
    inputs = np.concatenate([np.stack([np.nan_to_num(scaled), mask], 2), seen, marks[:, : shape.lookback]], axis=2)
    future = np.concatenate([np.stack([base, lags], 2), marks[:, shape.lookback :]], axis=2)
    if windows.effects is not None:
        center = center[:, None] + np.nan_to_num(windows.effects[places[:, shape.lookback :]])
    arrays = (inputs.transpose(1, 0, 2), window, base, _ahead(windows, places), future, truth)
    return Read(*(np.ascontiguousarray(each, np.float32) for each in arrays), center=center, scale=scale)


def in_steps(whole: np.ndarray, lookback: int, level: np.ndarray) -> np.ndarray:
    """Scaled windows [n, L + h], from levels [n], in steps about as fine as float32's.

    Values that are 1000 times as large round differently in their last digits. Where a window hardly varies that is all
    that is left of it, and the slope of an absolute error of 1e-17 is as large as any: training would end elsewhere.
    """
    size = np.nan_to_num(np.abs(whole[:, :lookback])).max(axis=1)
    step = np.maximum(FINE * size, SURE * np.abs(level))
    step = np.ldexp(1.0, np.frexp(1.1 * step)[1])  # 1.1: sizes such as 1 and 2 are no borders
    step = np.where(size + np.abs(level) > 0, step, 2.0**-60)[:, None]
    return np.rint(whole / step) * step


def mostly_positive(values: np.ndarray) -> bool:
    """Whether values have logarithms, but for a few zeros that can count as missing."""
    known = values[~np.isnan(values)]
    return bool((known >= 0).all() and (known == 0).mean() <= FEW_ZEROS)


def _ahead(windows: Windows, places: np.ndarray) -> np.ndarray:
    """[n, h, 2K]: see `Read`."""
    lookback, own = windows.shape.lookback, windows.ahead
    values = windows.calendar[places][:, :, windows.calendar.shape[1] - own :]
    mean = values[:, :lookback].mean(axis=1, keepdims=True)
    last = np.repeat(values[:, lookback - 1 : lookback] - mean, places.shape[1] - lookback, axis=1)
    return np.concatenate([values[:, lookback:] - mean, last], axis=2)


def _marks(windows: Windows, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """[n, L + h, C]: what is known ahead at each place, static features among it."""
    marks = windows.calendar[places]
    if not windows.static.shape[1]:
        return marks
    static = np.repeat(windows.static[windows.owners[rows], None], places.shape[1], axis=1)
    return np.concatenate([marks, static], axis=2)


def shape_scale(past: np.ndarray, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Center and scale of each window [n, L]: its mean and deviation; or its last value and one unit for all. Of
    differences: the last value, and the root of their mean square."""
    last = filled(past)[:, -1]
    if shape.scale == "last":
        return last, np.full(len(past), shape.unit)
    if not shape.difference:
        return window_scale(past, shape.unit)
    steps = np.diff(past, axis=1)
    count = np.maximum((~np.isnan(steps)).sum(axis=1), 1)
    scale = np.sqrt(np.nansum(steps**2, axis=1) / count)
    return last, np.where(scale > SMALLEST * np.abs(last), scale, shape.unit)


def window_scale(past: np.ndarray, unit: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of what is known in each window [n, L]; the deviation of a constant window is the unit."""
    count = np.maximum((~np.isnan(past)).sum(axis=1), 1)
    center = np.nansum(past, axis=1) / count
    scale = np.sqrt(np.nansum((past - center[:, None]) ** 2, axis=1) / count)
    return center, np.where(scale > SMALLEST * np.abs(center), scale, unit)


def in_units(outputs: np.ndarray, center: np.ndarray, scale: np.ndarray, shape: Shape) -> np.ndarray:
    """Scaled outputs [B, h, ...] in units of the data; center [B] or [B, h], scale [B]."""
    wide = [each.reshape(*each.shape, *[1] * (outputs.ndim - each.ndim)) for each in (scale, center)]
    values = outputs * wide[0] + wide[1]
    return np.exp(values) if shape.log else values


def _season_before(past: np.ndarray, shape: Shape) -> np.ndarray:
    """[n, h]: two seasons before each step, or the nearest there is."""
    steps = np.arange(shape.horizon) % shape.season - 2 * shape.season
    return past[:, np.maximum(shape.lookback + steps, 0)]
