"""What columns known ahead do to each series, in closed form, from the training part.

Regression whose errors follow each other (Cochrane & Orcutt 1949): the values less the effects are forecast one step
ahead by a linear map, and the effects are what makes the errors of that map least. Map and effects are solved in turn.
What a promotion did is thus told from season, level and trend, which the map carries on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gatework.runtime.series.effects import LEAST, Effects, bent, deviation, lagged
from gatework.runtime.series.panel import Panel
from gatework.runtime.series.windows import Shape, Windows, filled, make_windows, seasonal_naive
from gatework.tasks.forecast.parts import training_cuts, up_to_steps, with_truth

MOST, MOST_NUMBERS = 60_000, 5_000_000  # windows that are read, and numbers of what is known ahead in them
ROUNDS = 5
SEASONS, SHORTEST, LONGEST = 2, 8, 200  # lags of the map
WILD = 3.0  # deviations beyond which an error counts less
SMALLEST = 1e-9
PENALTY, DOUBT = 1.0, 0.1  # of the mean square of each lag and input: as so many more windows that say 0
MIXING = 20  # rounds in which the spread of effects between series is found
MOST_TOLD = 5  # columns that a note tells of


@dataclass(frozen=True)
class Rows:
    """n windows: `gap` [n] from the naive forecast of one step to its value, `lags` [n, L] less their mean; and the
    same of each input, `inputs` [n, J] and `before` [n, L, J]; which series they are of."""

    gap: np.ndarray
    lags: np.ndarray
    inputs: np.ndarray
    before: np.ndarray
    owners: np.ndarray

    def first(self, count: int) -> Rows:
        """With the first inputs alone."""
        return replace(self, inputs=self.inputs[:, :count], before=self.before[:, :, :count])


@dataclass(frozen=True)
class Solved:
    """Effects that all series share [J] and those of each [S, J]; what they leave of the windows' errors [n], and how
    much each window counts [n]."""

    usual: np.ndarray
    each: np.ndarray
    errors: np.ndarray
    sure: np.ndarray


@dataclass(frozen=True)
class Mixed:
    """Effects that all series share [J], those of each [S, J], and the variance between series [J]."""

    usual: np.ndarray
    each: np.ndarray
    spread: np.ndarray


def estimated(panel: Panel, ends: np.ndarray, season: int, log: bool, seed: int) -> Effects | None:
    """From the first steps of each series, up to `ends` [S]; None where there is nothing to learn from."""
    extra = panel.covariates
    count = 0 if extra is None else len(extra.places("future"))
    longest = int(ends.max(initial=0))
    lookback = min(max(SEASONS * season, SHORTEST), LONGEST, longest // 3)
    if not count or lookback < 2:
        return None
    known = _without_unknown(replace(up_to_steps(panel, ends), effects=None))
    if known is None:
        return None
    shape = Shape(lookback, 1, season, log, calendar=False)
    cuts = training_cuts(shape, ends, ends > lookback)
    windows = with_truth(make_windows(known, shape, cuts, scales=False))
    begun = np.flatnonzero(windows.cuts >= lookback)  # in others the first value is repeated, which is no season
    windows = windows.take(begun) if 2 * len(begun) >= len(windows) else windows
    most = min(MOST, MOST_NUMBERS // (2 * count * lookback))
    windows = windows.take(np.sort(np.random.default_rng(seed).permutation(len(windows))[:most]))
    if len(windows) < 2 * count + 2:
        return None
    units, bends = np.array([deviation(part, log) for part in known]), np.zeros(count)
    rows = _rows(windows, units, bends)
    plain = _solved(rows.first(count), len(panel))
    curved = _bends(known) if log else bends
    if curved.any():
        other = _rows(windows, units, curved)
        found = _solved(other.first(count), len(panel))
        if _explains(plain, found, 0):
            plain, rows, bends = found, other, curved
    more = _solved(rows, len(panel))
    found = more if _explains(plain, more, count * len(panel)) else plain
    return Effects(found.each * units[:, None], found.usual, bends, log)


def _in_training(panel: Panel) -> np.ndarray:
    """[M, F]: what is known ahead, at the steps at which series have values."""
    extra = panel.covariates
    assert extra is not None
    parts = [extra.part(s)[:length, extra.places("future")] for s, length in enumerate(panel.lengths)]
    return np.concatenate(parts)


def _without_unknown(panel: Panel) -> Panel | None:
    """The panel without values of steps of which not all is known; None where these are most."""
    unknown = np.isnan(_in_training(panel)).any(axis=1)
    kept = replace(panel, values=np.where(unknown, np.nan, panel.values))
    before, after = ((~np.isnan(each.values)).sum() for each in (panel, kept))
    return kept if 2 * after > before else None


def _bends(panel: Panel) -> np.ndarray:
    """[F]: of columns that are numbers above 0, one over the mean in the channel's units; 0 of others."""
    extra, found = panel.covariates, []
    assert extra is not None
    for place, values in zip(extra.places("future"), _in_training(panel).T, strict=True):
        channel = extra.channels[place]
        bend = channel.scale / channel.shift if channel.label is None and channel.shift > 0 else 0.0
        found.append(bend if np.nanmin(1 + bend * values, initial=1.0) > LEAST else 0.0)
    return np.array(found)


def _explains(plain: Solved, more: Solved, count: int) -> bool:
    """Whether errors with `count` more weights are less than chance makes them (Schwarz 1978)."""
    before, after = ((plain.sure * each.errors**2).sum() for each in (plain, more))
    windows = len(plain.errors)
    return bool(windows * np.log((after + SMALLEST) / (before + SMALLEST)) < -count * np.log(windows))


def _rows(windows: Windows, units: np.ndarray, bends: np.ndarray) -> Rows:
    """Of values in units of each series."""
    places, lookback = windows.places(np.arange(len(windows))), windows.shape.lookback
    values = windows.worked_on(places) / units[windows.owners, None]
    marks = windows.calendar[:, windows.calendar.shape[1] - windows.ahead :]
    inputs = lagged(bent(marks, bends), windows.offsets, 2)
    there = np.where(np.isnan(values[:, :lookback]), np.nan, np.arange(lookback))
    lags, base = filled(there).astype(np.int64), seasonal_naive(there, 1, windows.shape.season).astype(np.int64)

    def told(each: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[n, L + 1, ...] -> the gap from the naive forecast [n, ...], and the lags less their mean [n, L, ...]."""
        wide = [part.reshape(*part.shape, *[1] * (each.ndim - 2)) for part in (lags, base)]
        seen = np.take_along_axis(each, wide[0], axis=1)
        return each[:, -1] - np.take_along_axis(each, wide[1], axis=1)[:, 0], seen - seen.mean(axis=1, keepdims=True)

    return Rows(*told(values), *told(inputs[places]), windows.owners)


def _solved(rows: Rows, series: int) -> Solved:
    count = rows.inputs.shape[1]
    mixed = Mixed(np.zeros(count), np.zeros((series, count)), np.ones(count))
    weights, sure = np.zeros(rows.lags.shape[1] + 1), np.ones(len(rows.gap))
    for number in range(ROUNDS):
        if number:
            weights = _map(rows, mixed.each, sure)
        errors = rows.gap - rows.lags @ weights[:-1] - weights[-1]
        inputs = rows.inputs - np.tensordot(rows.before, weights[:-1], axes=(1, 0))
        sure = _weights(errors - (inputs * mixed.each[rows.owners]).sum(axis=1), rows.owners, series)
        mixed = _mixed(_sums(inputs, errors, rows.owners, sure, series), len(errors), mixed.spread)
    return Solved(mixed.usual, mixed.each, errors - (inputs * mixed.each[rows.owners]).sum(axis=1), sure)


def _map(rows: Rows, each: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """[L + 1]: weights of lags less effects, and a constant."""
    own = each[rows.owners]
    lags = rows.lags - np.einsum("nlj,nj->nl", rows.before, own)
    lags = np.concatenate([lags, np.ones((len(lags), 1))], axis=1)
    products = (lags * sure[:, None]).T @ lags
    held = np.full(len(products), PENALTY * products.diagonal()[:-1].mean() / len(lags) + SMALLEST)
    held[-1] = SMALLEST
    gap = rows.gap - (rows.inputs * own).sum(axis=1)
    return np.linalg.solve(products + np.diag(held), lags.T @ (sure * gap))


def _weights(errors: np.ndarray, owners: np.ndarray, series: int) -> np.ndarray:
    """[n]: one over the variance of each series' errors; less for wild ones (Huber 1964)."""
    whole, count = np.square(errors).mean() + SMALLEST, np.bincount(owners, minlength=series)
    own = (np.bincount(owners, errors**2, series) + whole) / (count + 1)
    size = np.sqrt(own[owners])
    return np.minimum(1.0, WILD * size / np.maximum(np.abs(errors), SMALLEST)) / size**2


def _sums(
    inputs: np.ndarray, errors: np.ndarray, owners: np.ndarray, sure: np.ndarray, series: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of each series: products of inputs [S, J, J], and of inputs with errors [S, J]."""
    weighted, count = inputs * sure[:, None], inputs.shape[1]
    products = [[np.bincount(owners, left * right, series) for right in inputs.T] for left in weighted.T]
    sums = [np.bincount(owners, left * errors, series) for left in weighted.T]
    return np.array(products).reshape(count, count, series).transpose(2, 0, 1), np.array(sums).reshape(count, series).T


def _mixed(sums: tuple[np.ndarray, np.ndarray], windows: int, spread: np.ndarray) -> Mixed:
    """Effects of each series, drawn towards the shared ones as far as they do not surely differ (Laird & Ware 1982: the
    variance between series is found by EM). Errors have variance 1."""
    products, outputs = sums
    if len(products) == 1:
        usual = _held(products[0], outputs[0], windows)
        return Mixed(usual, usual[None], spread)
    for _ in range(MIXING):
        own = np.linalg.inv(products + np.diag(1 / spread))
        shared = ((own @ outputs[:, :, None])[:, :, 0] / spread).sum(axis=0)
        usual = _held((own @ products / spread[:, None]).sum(axis=0), shared, windows)
        each = usual + (own @ (outputs - products @ usual)[:, :, None])[:, :, 0]
        spread = ((each - usual) ** 2 + np.diagonal(own, axis1=1, axis2=2)).mean(axis=0) + SMALLEST
    return Mixed(usual, each, spread)


def _held(products: np.ndarray, outputs: np.ndarray, windows: int) -> np.ndarray:
    """[J]: the weights that products [J, J] and outputs [J] give, held back a little."""
    return np.linalg.solve(products + np.diag(DOUBT * products.diagonal() / windows + SMALLEST), outputs)


def in_words(panel: Panel, number: int | None = None) -> list[str]:
    """What each column known ahead does to one series, or (None) to all of them, one sentence each."""
    effects, extra = panel.effects, panel.covariates
    if effects is None or extra is None:
        return []
    places, found = extra.places("future"), []
    for place, channel in enumerate(extra.channels[each] for each in places):
        bend = effects.bends[place]
        steps = effects.each[:, place :: len(places)] / (100 * bend or channel.scale)
        said = [_does(each, effects.log) for each in (steps.mean(axis=0) if number is None else steps[number])]
        what = f"{channel.column} {channel.label}" if channel.label is not None else f"1 more of {channel.column}"
        what = f"1% more of {channel.column}" if bend else what
        low, high = (_size(each, effects.log) for each in np.quantile(steps[:, 0], (0.1, 0.9)))
        among = f" ({low} to {high} in most of {len(steps):,} series)" if number is None and len(steps) > 1 else ""
        found.append(f"{what} {said[0]} at its step{among}" + (f" and {said[1]} a step later" if len(said) > 1 else ""))
    return found


def _size(effect: float, log: bool) -> str:
    return f"{np.expm1(effect):+.2%}" if log else f"{effect:+.4g}"


def _does(effect: float, log: bool) -> str:
    size = _size(effect, log)
    return f"{'takes' if size[0] == '-' else 'adds'} {size[1:]}"


def told(panel: Panel, training: Panel) -> list[str]:
    """What was found of columns known ahead, and which of them say nothing in the training part."""
    said, extra = in_words(panel), training.covariates
    if extra is None:
        return []
    known = zip(extra.places("future"), _in_training(training).T, strict=True)
    same = [extra.channels[place].column for place, values in known if _constant(values)]
    found = [f"by the training part, {'; '.join(said[:MOST_TOLD])}"] if said else []
    text = "has one value in the whole training part: what another value does cannot be learned"
    return [*found, *(f"{name} {text}" for name in dict.fromkeys(same))]


def _constant(values: np.ndarray) -> bool:
    known = values[~np.isnan(values)]
    return len(known) == 0 or bool((known == known[0]).all())
