"""The job "forecast": how its pieces meet the training loop. See `gatework.tasks.base.Task`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gatework.data.augment import Augmentation
from gatework.pages import words
from gatework.runtime.exported import Exported
from gatework.runtime.series import baselines
from gatework.runtime.series import mean as means
from gatework.runtime.series.further import beyond, checked, further
from gatework.runtime.series.intervals import followed, restlessness, stretched
from gatework.runtime.series.panel import Panel, shown_times
from gatework.runtime.series.windows import MANY, Windows, blocks, in_units, make_windows, without_overlap
from gatework.tasks.base import Contender, Evaluated, Parts, Round, Shard, Source, Step
from gatework.tasks.forecast import combined, folds, measures, results
from gatework.tasks.forecast.choosing import chosen
from gatework.tasks.forecast.classical import Classical, classicals, methods
from gatework.tasks.forecast.intervals import Raw, calibrated, spread
from gatework.tasks.forecast.linear import solve
from gatework.tasks.forecast.model import Forecast, forecast_loss
from gatework.tasks.forecast.options import ForecastEvaluating, ForecastOptions, ForecastPredicting
from gatework.tasks.forecast.page import ForecastPages
from gatework.tasks.forecast.parts import NOWHERE, up_to
from gatework.tasks.forecast.ridge import ridge
from gatework.tasks.forecast.sentences import MORE
from gatework.tasks.forecast.series import SeriesTask
from gatework.tasks.forecast.windows import Batches, make_batch
from gatework.tasks.verdict import FEWEST, Contest

if TYPE_CHECKING:
    from gatework.tasks.jobs import Trained

EVALUATION_BATCH = 512
FEW_STEPS = 500  # of training, in which a network cannot learn the width of quantiles that start from nothing
SQUARED = ("mse", "rmse", "rmsse")  # errors that squares make
CLEARLY = 0.8  # of the error of a network without a map: where windows are few, ridge must have less to be told of
SEVERAL = 3  # windows of a series that can say how much of the network's corrections is good
MOST_COMBINED = 100  # of these where exponential smoothing must forecast them, too
MOST_SEEN = 500  # training windows that are measured beside validation, and windows that weigh forecasts


class ForecastTask(ForecastPages, SeriesTask):
    """Series of dates and numbers -> the next steps, with intervals."""

    Predicting = ForecastPredicting
    Evaluating = ForecastEvaluating
    answers = "series, time, forecast, and a column for each quantile"

    def _choose(self, asked: ForecastOptions, training: Panel) -> list[str]:
        self.options, told, self.choices = chosen(self, asked, training)
        return told

    # -- model and training ---------------------------------------------------------------------------------

    def build(self) -> Forecast:
        known = self.training
        if known is None:
            known = make_windows(self.last, self.shape(), [NOWHERE] * len(self.last), scales=False)
        model = Forecast(self.options, self.shape(), *known.channels, known.known_ahead)
        if self.training is None:
            return model
        if model.linear is not None and self.options.linear != "learned":
            solve(model, self.training, self.options)
        if 0 < self._steps(self.training) < FEW_STEPS:
            found = spread(model.start, self.training, self.options.quantiles, self.options.seed)
            model.spread.copy_(torch.from_numpy(found))
        return model

    def _steps(self, examples: Windows) -> int:
        """Of a whole training."""
        options = self.options
        assert options.epochs is not None and options.batch_size
        return -(-min(len(examples), options.windows) // options.batch_size) * max(options.epochs, 1)

    def learns_validation(self, epoch: int) -> bool:
        options = self.options
        assert options.epochs is not None
        return bool(options.refit_epochs) and epoch >= options.epochs - options.refit_epochs

    def joined(self, parts: Parts) -> Windows:
        return up_to(parts.train, parts.valid)

    def batches(self, examples: Windows, epoch: int, shard: Shard) -> Batches:
        options, changes = self.options, Augmentation.of(self.options)
        assert options.batch_size
        return Batches(examples, options.batch_size, options.windows, options.seed, epoch, shard, changes)

    def loss(self, model: Forecast, batch: Any, carry: dict[str, Tensor]) -> Step:
        levels = torch.tensor(self.options.quantiles)
        return Step(forecast_loss(model.each(batch), batch, levels, self.options.loss), len(batch))

    # -- results --------------------------------------------------------------------------------------------

    def forecasts(self, model: Forecast, windows: Windows) -> np.ndarray:
        """[n, h, 1 + Q] in units of the data: the point forecast, then the adjusted quantiles in rising order."""
        return self._adjusted(model, self._raw(model, windows))

    def _raw(self, model: Forecast, windows: Windows) -> Raw:
        """What the run forecasts, in units of each window's scale: what the model says, or its mean with others."""
        raw, beside = self._alone(model, windows), self._others(model, windows)
        if not beside:
            return raw
        point = self._in_units(raw.outputs[:, :, :1], raw.center, raw.scale)[:, :, 0]
        by = means.move(point, beside, model.beside.numpy(), self.shape().log) / raw.scale[:, None]
        return raw._replace(outputs=raw.outputs + by[:, :, None])

    def _alone(self, model: Forecast, windows: Windows) -> Raw:
        """What the model says, in units of each window's scale."""
        found: list[tuple[np.ndarray, ...]] = []
        loss, levels = 0.0, torch.tensor(self.options.quantiles)
        for start in range(0, len(windows), EVALUATION_BATCH):
            rows = np.arange(start, min(start + EVALUATION_BATCH, len(windows)))
            batch = make_batch(windows, rows)
            made = model(batch)
            loss += float(forecast_loss(made, batch, levels, self.options.loss)) * len(batch) / len(windows)
            outputs = made.numpy().astype(np.float64)
            outputs[:, :, 1:] = np.sort(outputs[:, :, 1:], axis=2)
            own = restlessness(windows.seen_as(rows), windows.shape.season) / batch.scale
            found.append((outputs, batch.truth.numpy(), batch.center, batch.scale, own))
        return Raw(*(np.concatenate(each) for each in zip(*found, strict=True)), loss=loss)

    def _others(self, model: Forecast, windows: Windows) -> list[np.ndarray]:
        """Forecasts [n, h] of the methods that the model is combined with; none where these have no say."""
        if not model.beside.any():
            return []
        return combined.others(windows, self.options.combine)

    def _adjusted(self, model: Forecast, raw: Raw) -> np.ndarray:
        """[n, h, 1 + Q] in units of the data."""
        outputs = raw.outputs.copy()
        widths = followed(outputs[:, :, 1:], raw.own, float(model.follow))
        outputs[:, :, 1:] = stretched(widths, model.adjustment.numpy())
        return self._in_units(outputs, raw.center, raw.scale)

    def _in_units(self, outputs: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Scaled outputs [B, h, ...] in units of the data, within the limits."""
        return self.options.limited(in_units(outputs, center, scale, self.shape()))

    def settle(self, model: Forecast, examples: Windows) -> None:
        """How much the network's corrections and other methods say, and the adjustment of the intervals."""
        self._weigh(model, examples)
        if self.options.conformal and self.options.quantiles:
            raw, apart = self._raw(model, examples), without_overlap(examples)
            power, factors = calibrated(raw.outputs[:, :, 1:], raw.truth, raw.own, self.options.quantiles, apart)
            model.follow.fill_(power)
            model.adjustment.copy_(torch.from_numpy(factors))

    def _weigh(self, model: Forecast, examples: Windows) -> None:
        """Weights of the model, of what its network corrects, and of the methods beside it, in their mean.

        The windows had no say in the settings, which those of the backtest had. Of many series the backtest has settled
        the methods; and where none has several windows all corrections stay, as one date may be odd for all.
        """
        options, few = self.options, len(examples.panel) < MANY
        usual = combined.usual(options)
        model.share.fill_(1.0)
        model.beside.copy_(torch.from_numpy(usual))
        if not len(examples) or (not few and np.bincount(examples.owners).max() < SEVERAL):
            return
        rows = np.unique(np.linspace(0, len(examples) - 1, MOST_SEEN).astype(np.int64))
        some = examples.memory.setdefault("some", examples.take(rows))
        whole, start, _ = self._apart(model, some)
        others = combined.others(examples, options.combine)
        made = np.stack([whole, start, *(each[rows] for each in others)])

        def error(weights: np.ndarray) -> float:
            return self._error(options.limited(np.tensordot(weights, made, 1)), some)

        fixed = 0 if few and options.combine_share is None else len(usual)
        own = (1 - usual.sum()) / 2
        weights = combined.weighed(error, np.array([own, own, *usual]), fixed, without_overlap(examples))
        model.share.fill_(weights[0] / weights[:2].sum() if weights[0] else 0.0)
        model.beside.copy_(torch.from_numpy(weights[2:]))

    def _error(self, forecasts: np.ndarray, windows: Windows) -> float:
        sums = measures.sums(forecasts, windows.truth(), windows.scales, windows.naive2, self._squares(windows))
        return float(self.score(sums.sum(axis=0), self.metric.name))

    def measure(self, model: Forecast, examples: Windows) -> dict[str, float]:
        raw = self._raw(model, examples)
        return {"loss": raw.loss, **self._measured(self._adjusted(model, raw), examples)}

    def _measured(self, forecasts: np.ndarray, windows: Windows) -> dict[str, float]:
        truth, bounds = windows.truth(), self.options.bounds
        found = measures.measures(forecasts[:, :, 0], truth, windows.scales, windows.naive2, self._squares(windows))
        if bounds is None:
            return found
        levels = self.options.quantiles
        return found | measures.quantile_measures(forecasts[:, :, 1:], truth, windows.scales, levels, bounds)

    def some(self, examples: Windows, count: int) -> Windows:
        most = MOST_COMBINED if "ETS" in combined.MEMBERS[self.options.combine] else MOST_SEEN
        return super().some(examples, min(count, most)).with_scales()

    def contenders(self, model: Forecast, examples: Windows) -> list[Contender]:
        """The model; the forecast that the network corrects; where that has a linear map, the network without it."""
        alone, simple, network = self._apart(model, examples)
        beside, weights = self._others(model, examples), model.beside.numpy()
        named = combined.named(self.options.combine)
        note = f"{1 - weights.sum():.0%} the network's forecast, {combined.told(self.options.combine, weights)}"
        values = means.mean(alone, beside, weights) if beside else alone
        made = self._contender("model", values, examples, note if beside else "", role="model")
        found = [replace(made, metrics=self.measure(model, examples))]
        if beside:
            found.append(self._contender(f"model without {named}", alone, examples, role="combination"))
        kind = "season" if self.options.base == "season" else "last value"
        name = f"repeated {kind} alone" if model.linear is None else "linear map alone"
        note = f"its mean with {named}: the model without its network" if beside else ""
        values = means.mean(simple, beside, weights) if beside else simple
        found.append(self._contender(name, values, examples, note, role="simple"))
        if self.options.combine == "none":
            found.append(self._mixture(alone, examples))
        if model.linear is not None:
            note = "its corrections of the naive forecast, without the linear map that they were learned with"
            note += "" if model.share == 1 else f"; validation left {float(model.share):.0%} of them"
            found.append(self._contender("network alone", network, examples, note, role="network"))
        return found

    def _mixture(self, alone: np.ndarray, windows: Windows) -> Contender:
        """The mean of the model and of simple methods, where the run does not forecast it."""
        beside = combined.others(windows, "simple")
        values = means.mean(alone, beside, combined.even("simple", combined.HALF))
        note = "not what the run forecasts: combine=simple would"
        name = f"mean of model, {combined.named('simple')}"
        return self._contender(name, values, windows, note, role="combination")

    def _classicals(self, windows: Windows) -> list[Classical]:
        """Within the time that the options allow; once for the same windows."""
        options = self.options
        names = methods(options.classical, bool(options.intermittent))
        what = (*names, options.classical_seconds, options.seed)
        if what not in windows.memory:
            windows.memory[what] = classicals(windows, names, options.classical_seconds, options.seed)
        return windows.memory[what]

    def _apart(self, model: Forecast, windows: Windows) -> list[np.ndarray]:
        """Point forecasts [n, h] of the model, of what its network corrects, and of the network without linear map."""
        whole, start, base, center, scale = self._points(model, windows)
        return [
            self._in_units(each[:, :, None], center, scale)[:, :, 0] for each in (whole, start, whole - start + base)
        ]

    def _points(self, model: Forecast, windows: Windows) -> list[np.ndarray]:
        """Scaled point forecasts [n, h] of the model, of what its network corrects, and of the naive forecast below
        both; center and scale [n] of each window."""
        found: list[tuple[np.ndarray, ...]] = []
        for first in range(0, len(windows), EVALUATION_BATCH):
            batch = make_batch(windows, np.arange(first, min(first + EVALUATION_BATCH, len(windows))))
            steps = (model(batch)[:, :, 0], model.start(batch), batch.base)
            found.append((*(each.numpy().astype(np.float64) for each in steps), batch.center, batch.scale))
        return [np.concatenate(each) for each in zip(*found, strict=True)]

    def score(self, sums: np.ndarray, metric: str) -> np.ndarray:
        return measures.score(sums, metric)

    def blocks(self, examples: Windows) -> np.ndarray:
        return blocks(examples)

    def remarks(self, examples: Windows) -> list[str]:
        squares = self._squares(examples)
        unscaled = np.isnan(examples.scales if squares is None else squares)
        few = [MORE] if len(np.unique(self.blocks(examples))) < FEWEST else []
        if not unscaled.any():
            return few
        series = len(np.unique(examples.owners[unscaled]))
        which = f"{unscaled.sum():,} of {len(examples):,} windows, of {series:,} series,"
        return [f"{words.named(self.metric.name)} leaves out {which} whose naive error is zero or not known.", *few]

    def baselines(self, parts: Parts) -> list[Contender]:
        """naive, seasonal naive, drift, Naive2 of M4, ridge on what the model sees, and classical methods."""
        windows, options = parts.last[1], self.options
        found = self.simple(windows)
        if len(parts.train):
            squared = options.loss == "mse" or self.metric.name in SQUARED
            both = options.refit_epochs and parts.test is not None  # what the network learned
            learned = up_to(parts.train, parts.valid) if both else parts.train
            values, note = ridge(learned, windows, options.seed, squared)
            name = "ridge on lags" if windows.panel.covariates is None else "ridge on lags and covariates"
            windows.memory["ridge"] = self._contender(name, values, windows, note)
            found.append(windows.memory["ridge"])
        for each in self._classicals(windows):
            found.append(self._contender(each.name, each.whole(len(windows)), windows, each.note, each.rows))
        return found

    def simple(self, examples: Windows) -> list[Contender]:
        """The forecasts that learn nothing."""
        found = {**baselines.all_naive(examples), "Naive2": examples.naive2}
        if "Theta" in combined.MEMBERS[self.options.combine]:
            found["Theta"] = combined.others(examples, "theta")[0]
        if self.options.intermittent:
            found["zero"] = np.zeros((len(examples), examples.shape.horizon))
        return [self._contender(name, found[name], examples, note) for name, note in once(found).items()]

    def _contender(
        self,
        name: str,
        values: np.ndarray,
        windows: Windows,
        note: str = "",
        rows: np.ndarray | None = None,
        role: str = "baseline",
    ) -> Contender:
        """Of forecasts [n, h]; its metrics are those of some rows, where it has forecast only these."""
        squares = self._squares(windows)
        beside = [windows.truth(), windows.scales, windows.naive2, *([] if squares is None else [squares])]
        values, here = self.options.limited(values), slice(None) if rows is None else rows
        measured = rows is None or len(rows)
        found = measures.measures(values[here], *(each[here] for each in beside)) if measured else {}
        return Contender(name, found, note, role, measures.sums(values, *beside))

    def _squares(self, windows: Windows) -> np.ndarray | None:
        """What RMSSE divides by, where it decides."""
        return windows.squares if self.options.intermittent else None

    def sections(self, model: Forecast, parts: Parts) -> dict[str, Any]:
        """`results.sections` of the last part, and `next`: the steps after the end of the data for the same series."""
        part, windows = parts.last
        found = results.sections(part, self.forecasts(model, windows), windows, self.options)
        found["hints"] += self._of_linear_map(model, windows)
        found["lacking"] = self._lacking(windows.panel)
        ahead = self._ahead(windows.panel, {each["series"] for each in found["series"]})
        if not len(ahead):
            return found | {"next": []}
        return found | {"next": results.coming(ahead, self.forecasts(model, ahead), self.options.bounds)}

    def _of_linear_map(self, model: Forecast, windows: Windows) -> list[dict[str, Any]]:
        """A hint where a map is missing that would help, or is there and does harm: by more than chance, or by
        much."""
        whole, _, network = self._apart(model, windows)
        own = self._contender("model", whole, windows, role="model")
        if model.linear is None:
            other, wanted = windows.memory.get("ridge"), "solved"
            what, advice = "Ridge errs less than the network, which starts from no linear map", "start from one"
        else:
            other, wanted = self._contender("network", network, windows), "none"
            what, advice = "The network errs less without the linear map that it corrects", "leave the map out"
        if other is None:
            return []
        found = Contest.of(self, [own, other], windows, "").difference(other, own)
        few = found.blocks < FEWEST and model.linear is None and found.value < CLEARLY * found.other
        if found.sign < 1 and not few:
            return []
        what += ", by much, though windows are too few to be sure" if few else ""
        return [{"what": what, "advice": advice, "setting": f"--set linear={wanted}"}]

    def _ahead(self, panel: Panel, names: set[str] | None = None) -> Windows:
        """A window at the end of each series, or of those with these names."""
        chosen = [
            n and (names is None or name in names) and self._knows_ahead(panel, s)
            for s, (n, name) in enumerate(zip(panel.lengths, panel.names, strict=True))
        ]
        cuts = [np.array([n]) if there else NOWHERE for n, there in zip(panel.lengths, chosen, strict=True)]
        return make_windows(panel, self.shape(), cuts, scales=False)

    def evaluated(self, trained: Trained, source: Source | None, how: ForecastEvaluating) -> Evaluated:
        from gatework.tasks.forecast.backtest import evaluated

        assert how.backtest
        return evaluated(trained, source, how.backtest)

    def rounds(self, source: Source, count: int, hold_out: bool) -> list[Round]:
        return folds.rounds(self, source, count, hold_out)

    def predict(
        self, model: Forecast, source: Source, horizon: int | None = None, lacking: str = "refuse"
    ) -> list[dict[str, Any]]:
        """The next steps of each series: after what the run knows (None), or after new rows of a source.

        As many as the model was trained for, or `horizon`; of more it warns, see `further`. `lacking`: what becomes of
        series that lack what is known ahead, see `later.with_known_ahead`.
        """
        steps = checked(self.options.horizon if horizon is None else horizon)
        panel = self._continued(source, steps, lacking)
        forecasts = self._next(model, panel, steps)
        names = ["forecast", *(f"q{level:g}" for level in self.options.quantiles)]
        rows = []
        for number, values in enumerate(forecasts):
            times = panel.times(number, panel.lengths[number] + np.arange(len(values)))
            shown = shown_times(times, panel.dates, not panel.frequency.whole_days, panel.clock)
            first = [{"series": panel.names[number], "time": time} for time in shown]
            rows += [
                head | dict(zip(names, map(float, row), strict=True)) for head, row in zip(first, values, strict=True)
            ]
        return rows

    def exported(self, model: Forecast) -> Exported:
        from gatework.tasks.forecast.exported import exported

        return exported(self, model)

    def _next(self, model: Forecast, panel: Panel, steps: int) -> np.ndarray:
        """[S, steps, 1 + Q] after the end of each series."""
        trained, options = self.shape().horizon, self.options

        def ends(known: Panel, horizon: int) -> Windows:
            cuts = [np.array([length]) for length in known.lengths]
            return make_windows(known, replace(self.shape(), horizon=horizon), cuts, scales=False)

        def forecast(known: Panel) -> np.ndarray:
            return self._adjusted(model, self._alone(model, ends(known, trained)))

        if steps <= trained:
            return self.forecasts(model, ends(panel, trained))[:, :steps]
        warnings.warn(beyond(trained, steps, bool(options.quantiles)), stacklevel=4)
        beside, log = self._others(model, ends(panel, steps)), self.shape().log
        panel = panel.ends(self.shape().lookback + 1)
        found = further(forecast, panel, steps, options.quantiles, log, options.seed)
        return options.limited(means.moved(found, beside, model.beside.numpy(), log) if beside else found)


def once(forecasts: Mapping[str, np.ndarray]) -> dict[str, str]:
    """The names of forecasts that differ, each with a note of those that are the same."""
    found: dict[str, list[str]] = {}
    for name, values in forecasts.items():
        same = next((each for each in found if np.array_equal(forecasts[each], values, equal_nan=True)), None)
        if same is None:
            found[name] = []
        else:
            found[same].append(name)
    return {name: f"the same here: {', '.join(others)}" if others else "" for name, others in found.items()}
