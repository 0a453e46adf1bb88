"""What the options called "auto" become: the best of a backtest inside the training part.

`chosen` reads downwards. The ends of the training series are held back. The linear map, which is solved in a moment,
tries ways to scale, lookbacks and penalties, beside the naive forecasts; then a few short trainings of whole networks
try what only they can show, and how much simple methods shall say beside them. Nothing of the validation or test part
is read, and no clock decides: the same data give the same choice.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gatework.errors import OptionError
from gatework.pages import words
from gatework.runtime.series import mean as means
from gatework.runtime.series.panel import Panel
from gatework.runtime.series.windows import (
    MANY,
    Windows,
    in_units,
    make_windows,
    mostly_positive,
    seasonal_scale,
    squared_scale,
    without_overlap,
)
from gatework.tasks.base import Learner, Parts
from gatework.tasks.forecast import combined, measures
from gatework.tasks.forecast.linear import solved
from gatework.tasks.forecast.options import AUTO, ForecastOptions
from gatework.tasks.forecast.parts import mean_change, training_cuts, with_truth
from gatework.tasks.forecast.windows import make_batch, positive
from gatework.training.trainer import INTERRUPTED, Trainer

if TYPE_CHECKING:
    from gatework.tasks.forecast.task import ForecastTask

Measure = Callable[[ForecastOptions], float]

ORIGINS, FEWEST_ORIGINS = 20, 3  # windows held back: of all series, and of each, as one date may be odd for all
JUDGED = 200  # of them, at least, where few series have them overlap
MOST_HELD, MOST_FITTED = 2_000, 8_000
FEWEST = 10  # windows to fit, below which nothing is tried
FORM_GAIN = 0.03  # share by which values must be better than their logarithms, which suit most that is never below 0
NEAR = 0.1  # share by which forms may be behind the best for the network to try them too, or the map behind naive ones
GAIN = 0.005  # share of the error that another lookback, penalty, decoding or loss must save
STRENGTHS = (0.1, 10.0, 100.0)  # penalties of the linear map beside the usual one
LONG = 128  # steps of a window, from which on it is read in segments alone: step by step takes too long
SHARES = (0.0, 0.25, 0.5, 0.75)  # of simple methods in the mean
FEWEST_APART = 3  # windows without a common value, below which no share is chosen
TRIAL_STEPS = 150  # of a short training
STEPS = 1_000  # of a training, where EPOCHS have fewer
WORKS_ON = {  # by transform
    "none": "the values as they are",
    "log": "logarithms",
    "difference": "steps between values",
    "log-difference": "steps between logarithms",
}
LESS = " less what columns known ahead do to them"
EPOCHS, MOST_EPOCHS = 10, 60
SEASONS, MOST_STEPS = (1, 2, 3, 5, 7, 12, 14), 1_000  # lookbacks in seasons (or horizons), up to so many steps
FEW, SMALL, USUAL = 1_000, 32, 128  # windows below which a batch is small; small and usual batches
# Where nothing can be tried
PLAIN: dict[str, Any] = {
    "transform": "none",
    "scale": "deviation",
    "effects": "none",
    "base": "season",
    "linear": "solved",
    "ridge": 1.0,
    "decoding": "direct",
    "loss": "mae",
    "combine": "simple",
}


@dataclass(frozen=True)
class Backtest:
    """Errors of settings on the ends of the training series, in the task's metric; see `windows`."""

    task: ForecastTask
    panel: Panel  # the training part alone
    made: dict[ForecastOptions, np.ndarray] = field(default_factory=dict)  # forecasts of networks
    panels: dict[tuple[str, bool], Panel] = field(default_factory=dict)  # with effects and without

    @cached_property
    def held(self) -> np.ndarray:
        """[S] steps at the end of each series that are held back; 0 where it is too short."""
        horizon, lengths = self._horizon, self.panel.lengths
        origins = max(-(-ORIGINS // max(len(self.panel), 1)), FEWEST_ORIGINS)
        most = np.maximum(lengths // 4, horizon)
        return np.where(lengths >= 2 * horizon + 2, np.minimum(origins * horizon, most), 0)

    @cached_property
    def scales(self) -> tuple[np.ndarray, np.ndarray]:
        """[S] denominators of MASE and of RMSSE, of what comes before."""
        season = self.task.options.season or 1
        known = [part[: len(part) - held] for part, held in zip(self.panel, self.held, strict=True)]
        return np.array([seasonal_scale(part, season) for part in known]), np.array([squared_scale(p) for p in known])

    @property
    def _horizon(self) -> int:
        assert self.task.options.horizon
        return self.task.options.horizon

    def windows(self, options: ForecastOptions) -> tuple[Windows, Windows]:
        """Windows to fit, and those to judge by, whose targets all come later."""
        shape = self._as(options).shape()
        ends = self.panel.lengths - self.held
        fit = training_cuts(shape, ends, self.held > 0)
        dense = -(-JUDGED // max(len(self.panel), 1))
        judged = [
            np.unique(np.linspace(end, length - shape.horizon, max(held // shape.horizon, dense)).astype(np.int64))
            for end, length, held in zip(ends, self.panel.lengths, self.held, strict=True)
        ]
        judged = [each if held else each[:0] for each, held in zip(judged, self.held, strict=True)]
        panel = self._seen(options)
        found = [with_truth(make_windows(panel, shape, cuts, scales=False)) for cuts in (fit, judged)]
        few = [self._some(windows, most) for windows, most in zip(found, (MOST_FITTED, MOST_HELD), strict=True)]
        return few[0], replace(few[1], scales=self.scales[0][few[1].owners])

    def _seen(self, options: ForecastOptions) -> Panel:
        """The panel with what columns known ahead did before the ends that are held back."""
        key = options.effects, options.transform.startswith("log")
        if key not in self.panels:
            self.panels[key] = self._as(options).with_effects(self.panel, self.panel.lengths - self.held)
        return self.panels[key]

    def unit(self, options: ForecastOptions) -> float:
        """The mean change over a horizon in what the model works on."""
        return mean_change(self._seen(options), options.transform.startswith("log"), self._horizon)

    def _some(self, windows: Windows, most: int) -> Windows:
        rows = np.random.default_rng(self.task.options.seed).permutation(len(windows))[:most]
        return windows.take(np.sort(rows))

    def _as(self, options: ForecastOptions) -> ForecastTask:
        """The task with other options; its own are as they were."""
        task = copy.copy(self.task)
        task.options = options
        return task

    def error(self, values: np.ndarray, windows: Windows) -> float:
        """Of forecasts [n, h]; infinite where there is none."""
        return self.errors(values, windows)[0]

    def errors(self, values: np.ndarray, windows: Windows) -> tuple[float, np.ndarray]:
        """The error of all and that of each window [n], by the first metric that has a value."""
        values = self.task.options.limited(values)
        squares = self.scales[1][windows.owners]
        sums = measures.sums(values, windows.truth(), windows.scales, squares=squares)
        for name in (self.task.metric.name, "mase", *(each.name for each in self.task.fallbacks)):
            whole = float(measures.score(sums.sum(axis=0), name))
            if np.isfinite(whole):
                return whole, measures.score(sums, name)
        return np.inf, np.full(len(windows), np.nan)

    def simple(self, options: ForecastOptions) -> float:
        """Of the linear map, solved on the windows to fit, or (linear=none) of the naive forecast alone."""
        fit, held = self.windows(options)
        batch = make_batch(held, np.arange(len(held)))
        outputs = batch.base.double()
        if options.linear != "none":
            assert options.ridge is not None
            outputs = outputs + solved(fit, options.ridge, options.loss != "mse", options.seed, rounds=3)(batch)
        return self.error(in_units(outputs.numpy(), batch.center, batch.scale, held.shape), held)

    def network(self, options: ForecastOptions) -> float:
        """Of a short training of the whole model."""
        fit, held = self.windows(options)
        batch_size = _batch_size(options, len(fit))
        steps = -(-min(len(fit), options.windows) // batch_size)
        short = {"epochs": -(-TRIAL_STEPS // steps), "windows": batch_size * min(steps, TRIAL_STEPS)}
        plain = {"average": "none", "refit_epochs": 0, "ensemble": 1, "time_limit": 0.0, "schedule_by": "auto"}
        plain |= {"combine": "none", "conformal": False}  # neither has a say in the network's point forecast
        task = self._as(replace(options, batch_size=batch_size, **short, **plain))
        task.training = fit
        torch.manual_seed(options.seed)
        model = task.build()
        if Trainer(Learner(task, Parts(fit, held)), model, task.options).fit() == INTERRUPTED:
            raise KeyboardInterrupt
        model.share.fill_(1.0)  # which these windows have settled
        with torch.no_grad():
            self.made[options] = task.forecasts(model, held)[:, :, 0]
        return self.error(self.made[options], held)

    def beside(self, options: ForecastOptions) -> float:
        """Of the simple methods that options combine the model with."""
        held = self.windows(options)[1]
        return self.error(np.mean(combined.others(held, options.combine), axis=0), held)

    def shares(self, point: np.ndarray, options: ForecastOptions) -> tuple[np.ndarray, np.ndarray, int]:
        """Errors [K] of a network's forecasts [n, h] with each of SHARES of simple ones, and those of each window
        [K, n]; how many windows have no value in common."""
        held = self.windows(options)[1]
        beside = combined.others(held, options.combine)
        found = [
            self.errors(means.mean(point, beside, combined.even(options.combine, share)), held) for share in SHARES
        ]
        return np.array([whole for whole, _ in found]), np.array([each for _, each in found]), without_overlap(held)


def course(options: ForecastOptions, windows: int) -> dict[str, int]:
    """Batches of as many training windows, epochs that make enough steps, and those that learn the validation part."""
    batch_size = _batch_size(options, windows)
    steps = max(-(-min(windows, options.windows) // batch_size), 1)
    epochs = min(max(EPOCHS, -(-STEPS // steps)), MOST_EPOCHS) if options.epochs is None else options.epochs
    chooses = options.keep == "best" or options.patience
    refit = (0 if chooses else epochs // 5) if options.refit_epochs is None else options.refit_epochs
    return {"batch_size": batch_size, "epochs": epochs, "refit_epochs": refit}


def _batch_size(options: ForecastOptions, windows: int) -> int:
    return options.batch_size or (SMALL if windows < FEW else USUAL)


def chosen(task: ForecastTask, asked: ForecastOptions, panel: Panel) -> tuple[ForecastOptions, list[str], list[str]]:
    """The task's options with a value for each that was `asked` to be chosen; what they are, in sentences; and the
    figures by which they were chosen.

    `panel` is the training part; season and horizon are settled.
    """
    if asked.loss == "mape" and not mostly_positive(panel.values):
        positive(panel)
    backtest = Backtest(task, panel)
    options = replace(task.options, **_plain(asked, bool(task.options.intermittent)))
    options = options if asked.unit else replace(options, unit=backtest.unit(options))
    free = [name for name in PLAIN if getattr(asked, name) in (AUTO, None) and (name != "effects" or asked.future)]
    if asked.lookback and not free:
        return options, [], []
    windows = len(backtest.windows(options)[0])
    if windows < FEWEST:
        return options, ["the series are too short to choose settings by a backtest; plain ones were taken"], []
    if windows < FEW and asked.linear == AUTO:  # training on would undo the penalty
        options = replace(options, linear="fixed")
    search = Search(backtest, asked, options)
    for step in (search.forms, search.lookbacks, search.penalties, search.naive, search.networks, search.shares):
        step()
    zeros = int((panel.values <= 0).sum()) if search.options.transform.startswith("log") else 0
    many = "1 value of 0 has" if zeros == 1 else f"{zeros:,} values of 0 have"
    told = [f"{many} no logarithm: the model reads what has none as missing"] if zeros else []
    return search.options, [in_words(search.options), *told], search.told


def in_words(options: ForecastOptions) -> str:
    """What was chosen, for those who do not know the options' names."""
    back = f"{options.lookback:,} steps of the past"
    parts = [
        WORKS_ON[options.transform] + (LESS if options.effects == "solved" else ""),
        "no linear map" if options.linear == "none" else "a linear map that the network corrects",
        f"{back} {'in pieces of ' + str(options.segment) if options.decoding == 'segments' else 'step by step'}",
        *([f"the mean with {combined.named(options.combine)}"] if options.combine != "none" else []),
    ]
    return f"chosen on the training part: {', '.join(parts)}"


def _plain(asked: ForecastOptions, intermittent: bool) -> dict[str, Any]:
    """The plain value of each option that is to be chosen, as far as the others allow it.

    The mean of intermittent demand is what is asked; least absolute errors would give its median, which is 0. Simple
    methods know nothing of it, nor of what is known ahead.
    """
    plain = PLAIN | ({"loss": "mse"} if intermittent else {})
    plain |= {"combine": "none"} if intermittent or asked.future else {}
    values = {name: value for name, value in plain.items() if getattr(asked, name) in (AUTO, None)}
    if asked.segment and asked.decoding == AUTO:
        values["decoding"] = "segments"
    if asked.loss == "mape" and asked.transform == AUTO:
        values["transform"] = "log"
    return values


class Search:
    """Goes from setting to setting; each step keeps what is best so far, and is told."""

    def __init__(self, backtest: Backtest, asked: ForecastOptions, options: ForecastOptions):
        self.backtest, self.asked, self.options = backtest, asked, options
        self.error = np.inf
        self.known: dict[tuple[str, ForecastOptions], float] = {}
        self.near: list[dict[str, Any]] = []  # forms that are about as good as the best
        windows = len(backtest.windows(options)[1])
        metric = words.named(backtest.task.metric.name)
        self.told = [f"settings were chosen on {windows:,} windows at the end of the training part, by {metric}"]

    def _free(self, name: str) -> bool:
        return getattr(self.asked, name) in (AUTO, None)

    def _try(
        self, what: str, changes: Iterable[dict[str, Any]], measured: Measure, gain: float = 0.0
    ) -> list[tuple[dict[str, Any], float]]:
        """Takes each change that saves a share `gain` of the error so far, or the first; gives all errors."""
        begun, found = self.options, []
        for change in changes:
            try:
                options = replace(begun, **change)
            except OptionError:  # an option that was asked for forbids it
                continue
            if self.asked.unit is None:
                options = replace(options, unit=self.backtest.unit(options))
            error = self._once(measured, options)
            found.append((change, error))
            if error < self.error * (1 - gain) or not np.isfinite(self.error):
                self.options, self.error = options, error
        if found:
            rows = (f"{_shown(change)} {error:.4g}" for change, error in sorted(found, key=lambda row: row[1]))
            self.told.append(f"{what}: {', '.join(rows)}")
        return found

    def _once(self, measured: Measure, options: ForecastOptions) -> float:
        """An error, which a later step may ask for again."""
        key = (measured.__name__, options)
        if key not in self.known:
            self.known[key] = measured(options)
        return self.known[key]

    def forms(self) -> None:
        """Ways to scale windows, by the linear map."""
        both = self._free("transform") and mostly_positive(self.backtest.panel.values)
        transforms = ["log", "none"] if both else [self.options.transform]
        scales = ["last", "deviation"] if self._free("scale") else [self.options.scale]
        both = self._free("effects") and self.asked.future
        effects = [{"effects": each} for each in ("solved", "none")] if both else [{}]
        ways = [
            {**each, "transform": transform, "scale": scale}
            for each, transform, scale in itertools.product(effects, transforms, scales)
        ]
        found = self._try("the linear map alone", ways, self.backtest.simple, FORM_GAIN)
        near = [change for change, error in found if error < (1 + NEAR) * self.error]
        own = self.options.effects
        self.near = [change for change in near if change.get("effects", own) == own]

    def lookbacks(self) -> None:
        if self.asked.lookback is None:
            several = [{"lookback": each} for each in self._lengths()]
            self._try("its lookback", several, self.backtest.simple, GAIN)

    def _lengths(self) -> list[int]:
        """Lookbacks to try, the shortest first; the longest leaves half of the longest series to learn from."""
        season, horizon, usual = self.options.season or 1, self.options.horizon or 1, self.options.lookback or 2
        longest = int((self.backtest.panel.lengths - self.backtest.held).max()) // 2
        unit, least = (season, horizon) if season > 1 else (horizon, 2)
        several = {max(unit * k, least) for k in SEASONS if unit * k <= MOST_STEPS}
        return sorted({each for each in several if 2 <= each <= longest} | {usual})

    def penalties(self) -> None:
        if self._free("ridge") and self.options.linear in ("solved", "fixed"):
            self._try("its penalty", [{"ridge": each} for each in STRENGTHS], self.backtest.simple, GAIN)

    def naive(self) -> None:
        """Whether the naive forecasts alone are better: then no map stands between them and the network."""
        bases = ["season", "last"] if self._free("base") else [self.options.base]
        if self._free("linear"):
            several = [{"linear": "none", "base": base} for base in bases]
            self._try("without it", several, self.backtest.simple, NEAR)

    def networks(self) -> None:
        """Forms that the linear map could not tell apart, decoding, then the loss, by short trainings."""
        network, segments = self.backtest.network, self._segments()
        if len(self.near) > 1:
            self.error = np.inf
            self._try("short trainings", [form | segments for form in self.near], network, FORM_GAIN)
        self.error = np.inf
        if self._free("decoding"):
            long = (self.options.lookback or 0) > LONG and segments
            direct = {"decoding": "direct", "segment": self.asked.segment}
            kinds = [segments] if long else [direct, segments]
            self._try("of the way to decode", [each for each in kinds if each], network, GAIN)
        if self._free("loss") and self.options.loss == "mae" and self.options.transform.startswith("log"):
            self._try("of the loss", [{"loss": "mae"}, {"loss": "mape"}], network, GAIN)

    def shares(self) -> None:
        """Which simple methods the network's forecast is combined with, and how much they say. Of few series the
        validation part says it after training: these windows flatter what was chosen on them, the more the fewer.

        A share is taken in the place of the usual one only where it is better by more than a standard error (the rule
        of Breiman et al. 1984, section 3.4.3): between methods about as good as each other, the mean is the best.
        """
        alone = self.options
        if not self._free("combine") or alone.intermittent or len(self.backtest.panel) < MANY:
            return
        if alone not in self.backtest.made:
            self._once(self.backtest.network, alone)
        self.error = np.inf
        ways = [{"combine": each} for each in ("simple", "theta")]
        self._try("simple methods beside it", ways, self.backtest.beside, NEAR)
        errors, each, apart = self.backtest.shares(self.backtest.made[alone], self.options)
        share = sure(errors, each, apart, 0.0 if self.asked.future else combined.HALF)
        rows = (f"{share:.0%} {error:.4g}" for share, error in zip(SHARES, errors, strict=True))
        self.told.append(f"their share of the mean: {', '.join(rows)}; taken: {share:.0%}")
        self.options = replace(self.options, **({"combine_share": share} if share else {"combine": "none"}))

    def _segments(self) -> dict[str, Any]:
        """Segments that fit season and lookback; nothing where they cannot be had."""
        lookback, season = self.options.lookback or 2, self.options.season or 1
        length = self.asked.segment or (season if season > 1 and 3 <= lookback / season <= 20 else -(-lookback // 8))
        fit = self._free("decoding") and self.asked.cell != "gru_d" and 2 * length <= lookback
        return {"decoding": "segments", "segment": length} if fit else {}


def sure(errors: np.ndarray, each: np.ndarray, apart: int, usual: float) -> float:
    """The one of SHARES next to the usual one that is not worse than the best by more than a standard error.

    Errors [K], and those [K, n] of windows, `apart` of which have no value in common; the usual one, where these are
    too few.
    """
    if apart < FEWEST_APART or not np.isfinite(errors).all():
        return usual
    behind = each - each[errors.argmin()]
    chance = np.nanstd(behind, axis=1, ddof=1) / np.sqrt(apart)
    near = np.where(errors - errors.min() <= chance, np.abs(np.array(SHARES) - usual), np.inf)
    return SHARES[int(near.argmin())]


def _shown(change: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in change.items())
