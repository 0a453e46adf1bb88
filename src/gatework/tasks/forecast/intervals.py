"""Intervals that cover what they say: the adjustment by the errors on windows not trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from gatework.runtime.series.intervals import FLOOR, centers, followed, stretched
from gatework.runtime.series.windows import Windows
from gatework.tasks.forecast.windows import Batch, make_batch

ENOUGH = 200  # validation windows from which on intervals are adjusted for each step ahead on its own
FEW = 20  # draws below which intervals are widened, never narrowed: chance could have made them look wide
DOUBT = 0.25  # variance of the logarithm of a factor that was found on one window
SURE = 50  # windows from which on they may tell how far widths follow each window's own restlessness
POWERS = (0.0, 0.5, 1.0)  # how far: not at all, half, in proportion
MOST = 5_000  # training windows that quantiles start from
HIGHEST = 0.98  # share of the errors that count in full where their course is measured


class Raw(NamedTuple):
    """What a model says of n windows, in units of each one's scale: outputs [n, h, 1 + Q] and truth [n, h]; center and
    scale [n]; `own` [n], see `restlessness`; the loss."""

    outputs: np.ndarray
    truth: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    own: np.ndarray
    loss: float


@torch.no_grad()
def spread(
    start: Callable[[Batch], torch.Tensor], windows: Windows, levels: tuple[float, ...], seed: int
) -> np.ndarray:
    """[h, 1 + Q] quantiles of a starting forecast's errors on training windows, for each step ahead; 0 for the point.

    A network that has learned little yet has these intervals, not the width that its first steps happened to give.
    """
    rows = np.random.default_rng(seed).permutation(len(windows))[:MOST]
    batch = make_batch(windows, rows)
    errors = (batch.truth - start(batch)).numpy().astype(np.float64)
    result = np.zeros((errors.shape[1], 1 + len(levels)), np.float32)
    for step, here in enumerate(errors.T):
        known = here[np.isfinite(here)]
        if len(known) and levels:
            result[step, 1:] = np.quantile(known, levels)
    return result


def calibrated(
    quantiles: np.ndarray, truth: np.ndarray, own: np.ndarray, levels: tuple[float, ...], apart: int
) -> tuple[float, np.ndarray]:
    """The power of `followed` and the factors of `conformal` that fit quantiles [n, h, Q] to the truth [n, h].

    `apart` of the n windows have no value in common. The power is the one with the least interval score (Gneiting &
    Raftery 2007) in units of each window's own error scale, `own` [n]; 0 where there are too few windows to choose by.
    """
    found = {}
    for power in POWERS if apart >= SURE else POWERS[:1]:
        ready = followed(quantiles, own, power)
        factors = conformal(ready, truth, levels, apart)
        found[power] = interval_score(stretched(ready, factors), truth, own, levels), factors
    power = min(found, key=lambda each: found[each][0])
    return power, found[power][1]


def interval_score(quantiles: np.ndarray, truth: np.ndarray, own: np.ndarray, levels: tuple[float, ...]) -> float:
    """Of the outermost pair: its width and 2 / alpha of what lies outside, a mean in units of `own`; infinite where
    nothing is known."""
    low, high = quantiles[:, :, 0], quantiles[:, :, -1]
    outside = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    score = (high - low + outside / levels[0]) / own[:, None]
    known = np.isfinite(score)
    return float(score[known].mean()) if known.any() else np.inf


def conformal(
    quantiles: np.ndarray, truth: np.ndarray, levels: tuple[float, ...], apart: int | None = None
) -> np.ndarray:
    """Factors by which each pair of quantiles is stretched around its middle so that it covers what it says.

    Conformal prediction with scores weighted by the width that the model gives (Lei et al. 2018, section 5.2; Romano,
    Patterson & Candes 2019, section 3): a window with wide quantiles gets a wider change than one with narrow ones.
    Scaled quantiles [n, h, Q] and truth [n, h] of windows not trained on -> [h, Q]; `apart` of them (all, unless it is
    said) have no value in common. Many windows give each step ahead a factor of its own. Of few, all steps share one,
    shaped by `course`; they count as so many `draws`, and what could be chance is drawn towards 1: see `drawn`.
    """
    n, horizon, count = quantiles.shape
    windows = n if apart is None else apart
    each, n = windows >= ENOUGH, windows if windows >= ENOUGH else draws(quantiles, truth, windows)
    result = np.ones((horizon, count), np.float32)
    shape = np.ones(horizon) if each else drawn(course(quantiles, truth), windows / 2)
    groups = [[step] for step in range(horizon)] if each else [list(range(horizon))]
    for steps in groups:
        for low in range(count // 2):
            high = count - 1 - low
            middle, half = centers(quantiles[:, steps, low], quantiles[:, steps, high])
            scores = (np.abs(truth[:, steps] - middle) + FLOOR) / (half * shape[steps] + FLOOR)
            factor = _rank(scores[~np.isnan(scores)], levels[high] - levels[low], n)
            factor = max(factor, 1.0) if n < FEW else factor
            result[np.ix_(steps, [low, high])] = drawn(np.array([factor]), n) * shape[steps, None]
    return result


def draws(quantiles: np.ndarray, truth: np.ndarray, apart: int) -> int:
    """How many errors of their own there are in windows of h steps, `apart` of which have no value in common.

    That number, where the errors of a window are large or small together; h times as many, where each step goes its own
    way. Between them stands the design effect (Kish 1965, section 5.4): the variance of a window's sum beside the sum
    of variances, which is h or 1. As few windows tell it badly, its root is taken: half of the way.
    """
    middle, half = centers(quantiles[:, :, 0], quantiles[:, :, -1])
    sizes = np.abs(truth - middle) / (half + FLOOR)
    horizon, known = sizes.shape[1], ~np.isnan(sizes)
    if apart < 2 or not known.any():
        return max(apart, 1)
    sizes = np.where(known, sizes - sizes[known].mean(), 0.0)
    together = (sizes.sum(axis=1) ** 2).sum() / max((sizes**2).sum(), FLOOR) * apart / (apart - 1)
    return round(apart * np.sqrt(horizon / np.clip(together, 1, horizon)))


def drawn(factors: np.ndarray, windows: float) -> np.ndarray:
    """Factors drawn towards 1 as far as chance could have made them out of so many windows.

    L^2 / (L^2 + v) of each logarithm L is kept, v the variance that chance gives it (James & Stein 1961): a small
    change is not believed, a large one is.
    """
    logs = np.log(factors)
    return np.exp(logs**3 / (logs**2 + DOUBT / max(windows, 1)))


def course(quantiles: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[h] with mean logarithm 0: how the errors grow along the steps, beside the widest pair of quantiles.

    A mean over the windows and over the steps from t / sqrt(2) to t sqrt(2), as errors change more between the steps 1
    and 2 than between 21 and 22; taken beside a power of the step, without which the last one, that has neighbours on
    one side alone, would be too small. A few errors out of all proportion have no more say than the largest of the
    others.
    """
    middle, half = centers(quantiles[:, :, 0], quantiles[:, :, -1])
    sizes = np.abs(truth - middle) / (half + FLOOR)
    known = ~np.isnan(sizes)
    if not known.any():
        return np.ones(sizes.shape[1])
    sizes = np.where(known, np.minimum(sizes, np.quantile(sizes[known], HIGHEST)), 0.0)
    steps = np.arange(1, sizes.shape[1] + 1)
    near = np.abs(np.log2(steps[:, None] / steps)) <= 0.5
    total, count = sizes.sum(axis=0), known.sum(axis=0)
    rising = steps ** _slope(np.log(steps), np.log((total + FLOOR) / np.maximum(count, 1)))
    size = (near @ (total / rising) + FLOOR) / np.maximum(near @ count, 1) * rising
    return np.exp(np.log(size) - np.log(size).mean())


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """Of the straight line through points [n] by least squares; 0 for a single one."""
    x = x - x.mean()
    return float((x * y).sum() / max((x * x).sum(), FLOOR))


def _rank(scores: np.ndarray, share: float, count: int) -> float:
    """The score that share (n + 1) / n of all do not exceed, n the number of `draws`; the largest where they are too
    few, 1 where there are none."""
    if not len(scores):
        return 1.0
    count = max(count, 1)
    place = min(int(np.ceil(len(scores) * share * (count + 1) / count)), len(scores)) - 1
    return float(np.partition(scores, place)[place])
