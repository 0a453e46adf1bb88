"""The job "forecast": how its pieces meet the training loop. See `gatework.tasks.base.Task`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatework.data.finding import Finding, refuse
from gatework.data.frequency import Frequency
from gatework.data.panel import Panel, inspect_panel, shown_time
from gatework.data.table import listed
from gatework.errors import DataError, GateworkError
from gatework.tasks.base import Baseline, Metric, Parts, Shard, Source, Step, Task
from gatework.tasks.forecast import baselines, measures
from gatework.tasks.forecast.model import Forecast, forecast_loss
from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.windows import Batches, Shape, Windows, make_batch, make_windows, positive, seasonal_scale

EVALUATION_BATCH = 512
ENOUGH = 200  # validation windows from which on intervals are adjusted for each step ahead on its own


class ForecastTask(Task):
    """Series of dates and numbers -> the next steps, with intervals."""

    name = "forecast"
    Options = ForecastOptions
    metric = Metric("mase", higher=False)
    reads_lines = False
    options: ForecastOptions  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, options: ForecastOptions):
        super().__init__(options)
        self.notes: list[str] = []
        self.last: Panel  # the end of each series: what predict goes on from
        self.scales: np.ndarray  # [S] denominators of MASE of all that was read
        self._valid: Windows | None = None
        self._benchmarks: list[tuple[Windows, np.ndarray]] = []

    # -- data -----------------------------------------------------------------------------------------------

    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts:
        """Reads and refuses, cuts windows by time: training before validation before test."""
        panel, found = self._inspected(source)
        refuse(found)
        assert panel is not None
        self.options = replace(self.options, **settled(panel, self.options))
        if self.options.transform == "log":
            positive(panel)
        more, parts = self._parts(panel, valid is not None, test is not None)
        refuse(more)
        self.notes = [finding.message for finding in found + more if finding.level != "error"]
        whole = panel
        for name, later in (("valid", valid), ("test", test)):
            if later is not None:
                whole, parts[name] = self._later(whole, later)
        self._remember(whole)
        self._valid = parts["valid"]
        return Parts(parts["train"], parts["valid"], parts.get("test"))

    def _inspected(self, source: Source, frequency: str | None = None) -> tuple[Panel | None, list[Finding]]:
        options = self.options
        reading = {name: getattr(options, name) for name in ("format", "encoding", "delimiter")}
        columns = {"time": options.time, "target": options.target, "series": options.series}
        return inspect_panel(source, **columns, frequency=frequency or options.frequency, **reading)

    def shape(self) -> Shape:
        options = self.options
        assert options.lookback and options.horizon and options.season
        return Shape(options.lookback, options.horizon, options.season, options.transform == "log")

    def _parts(self, panel: Panel, has_valid: bool, has_test: bool) -> tuple[list[Finding], dict[str, Windows]]:
        """Windows of training, validation and test, where these have no source of their own."""
        shape, options = self.shape(), self.options
        counts = {"test": 0 if has_test else options.test_windows, "valid": 0 if has_valid else options.valid_windows}
        first = max(min(shape.season, shape.lookback), 2)
        held = shape.horizon * sum(counts.values())
        ends = panel.lengths - held
        enough = ends >= first + shape.horizon
        found = _short(panel, enough, first + shape.horizon + held)
        train = [
            np.arange(first, end - shape.horizon + 1) if ok else _NONE for end, ok in zip(ends, enough, strict=True)
        ]
        parts = {"train": with_truth(make_windows(panel, shape, train, scales=False))}
        last = panel.lengths.copy()
        for name, count in counts.items():
            back = shape.horizon * np.arange(count, 0, -1)
            if count:
                cuts = [end - back if ok else _NONE for end, ok in zip(last, enough, strict=True)]
                parts[name] = with_truth(make_windows(panel, shape, cuts))
            last = last - shape.horizon * count
        if not len(parts["train"]) and enough.any():
            found.append(
                Finding("error", "no window of the training part has a value to forecast; see the missing values")
            )
        return found, parts

    def _later(self, panel: Panel, source: Source) -> tuple[Panel, Windows]:
        """Another source's series behind what is known of them, and windows over what is new."""
        later, found = self._inspected(source, str(panel.frequency))
        refuse(found)
        assert later is not None
        joined, ends = panel.followed_by(later)
        if self.shape().log:
            positive(joined)
        horizon = self.shape().horizon
        cuts = [_origins(end, length, horizon) for end, length in zip(ends, joined.lengths, strict=True)]
        scales = getattr(self, "scales", None)
        if scales is not None:
            numbers = {name: number for number, name in enumerate(self.last.names)}
            scales = np.array([scales[numbers[name]] if name in numbers else np.nan for name in joined.names])
        windows = with_truth(make_windows(joined, self.shape(), cuts, scales))
        if not len(windows):
            raise DataError(
                f"no series goes on for a step after what the model knows (to {self._ends()}); give later rows"
            )
        return joined, windows

    def _ends(self) -> str:
        if not hasattr(self, "last") or not len(self.last):
            return "the end of the training data"
        time = self.last.times(0, self.last.lengths[:1] - 1)[0]
        return f"{shown_time(time, self.last.dates)} in series {self.last.names[0]!r}"

    def _remember(self, panel: Panel) -> None:
        keep = np.minimum(panel.lengths, self.shape().lookback)
        moved = np.array([panel.times(s, panel.lengths[s : s + 1] - keep[s])[0] for s in range(len(panel))], np.int64)
        self.scales = np.array([seasonal_scale(part, self.shape().season) for part in panel])
        self.last = panel.with_series([part[len(part) - n :] for part, n in zip(panel, keep, strict=True)], moved)

    def check(self, source: Source) -> list[Finding]:
        """Every fault of the data at once, without training; what cannot be read is one error."""
        try:
            panel, found = self._inspected(source)
            if panel is None or any(finding.level == "error" for finding in found):
                return found
            self.options = replace(self.options, **settled(panel, self.options))
            if self.options.transform == "log":
                positive(panel)
            more, parts = self._parts(panel, False, False)
            shape = self.shape()
            chosen = f"season {shape.season}, lookback {shape.lookback}, horizon {shape.horizon}"
            sizes = ", ".join(f"{len(part):,} {name}" for name, part in parts.items())
            return [*found, *more, Finding("note", f"{chosen}; windows: {sizes}")]
        except GateworkError as error:
            return [Finding("error", str(error))]

    def examples(self, source: Source) -> Windows:
        """Windows over what a source adds to the series that the run knows."""
        return self._later(self.last, source)[1]

    def assets(self) -> dict[str, str]:
        """series.json: the end of each series and its scale."""
        last = self.last
        series = [
            {
                "name": name,
                "start": int(last.starts[number]),
                "scale": _plain(self.scales[number]),
                "values": [_plain(value) for value in last.series(number)],
            }
            for number, name in enumerate(last.names)
        ]
        frequency = {"kind": last.frequency.kind, "every": last.frequency.every}
        return {"series.json": json.dumps({"frequency": frequency, "dates": last.dates, "series": series})}

    def restore(self, assets: Mapping[str, str]) -> None:
        kept = json.loads(assets["series.json"])
        rows = kept["series"]
        values = [np.array(row["values"], np.float64) for row in rows]
        self.scales = np.array([row["scale"] for row in rows], np.float64)
        starts = np.array([row["start"] for row in rows], np.int64)
        names = tuple(row["name"] for row in rows)
        empty = Panel(names, np.zeros(0), np.zeros(1, np.int64), starts, Frequency(**kept["frequency"]), kept["dates"])
        self.last = empty.with_series(values)

    # -- model and training ---------------------------------------------------------------------------------

    def build(self) -> nn.Module:
        marks = make_windows(self.last, self.shape(), [_NONE] * len(self.last), scales=False).calendar.shape[1]
        return Forecast(self.options, self.shape(), marks)

    def batches(self, examples: Windows, epoch: int, shard: Shard) -> Batches:
        return Batches(examples, self.options.batch_size, self.options.windows, self.options.seed, epoch, shard)

    def loss(self, model: nn.Module, batch: Any, carry: dict[str, Tensor]) -> Step:
        levels = torch.tensor(self.options.quantiles)
        return Step(forecast_loss(model(batch), batch.truth, levels, self.options.loss), len(batch))

    # -- results --------------------------------------------------------------------------------------------

    def forecasts(self, model: nn.Module, windows: Windows) -> np.ndarray:
        """[n, h, 1 + Q] in units of the data: the point forecast, then the adjusted quantiles in rising order."""
        return self._outputs(model, windows, model.adjustment.numpy())[0]  # type: ignore[union-attr]

    def _outputs(
        self, model: nn.Module, windows: Windows, adjustment: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Forecasts in units of the data; scaled outputs and truth; the loss."""
        results, scaled, truths, losses = [], [], [], []
        levels = torch.tensor(self.options.quantiles)
        for start in range(0, len(windows), EVALUATION_BATCH):
            batch = make_batch(windows, np.arange(start, min(start + EVALUATION_BATCH, len(windows))))
            raw = model(batch)
            losses.append(float(forecast_loss(raw, batch.truth, levels, self.options.loss)) * len(batch))
            outputs = raw.numpy().astype(np.float64)
            outputs[:, :, 1:] = np.sort(outputs[:, :, 1:], axis=2)
            scaled.append(outputs.copy())
            truths.append(batch.truth.numpy())
            outputs[:, :, 1:] = np.sort(outputs[:, :, 1:] + adjustment, axis=2)
            values = outputs * batch.scale[:, None, None] + batch.center[:, None, None]
            results.append(np.exp(values) if windows.shape.log else values)
        loss = sum(losses) / max(len(windows), 1)
        return np.concatenate(results), np.concatenate(scaled), np.concatenate(truths), loss

    def measure(self, model: nn.Module, examples: Windows) -> dict[str, float]:
        """Measuring on the validation part also adjusts the intervals, which are saved with the weights."""
        if self.options.conformal and self.options.quantiles and examples is self._valid:
            _, scaled, truth, _ = self._outputs(model, examples, np.zeros(1))
            found = conformal(scaled[:, :, 1:], truth, self.options.quantiles)
            model.adjustment.copy_(torch.from_numpy(found))  # type: ignore[operator]
        forecasts, _, _, loss = self._outputs(model, examples, model.adjustment.numpy())  # type: ignore[union-attr]
        return {"loss": loss, **self._measured(forecasts, examples)}

    def _measured(self, forecasts: np.ndarray, windows: Windows) -> dict[str, float]:
        truth, bounds = windows.truth(), self.options.bounds
        found = measures.measures(forecasts[:, :, 0], truth, windows.scales, self._naive2(windows))
        if bounds is None:
            return found
        levels = self.options.quantiles
        return found | measures.quantile_measures(forecasts[:, :, 1:], truth, windows.scales, levels, bounds)

    def _naive2(self, windows: Windows) -> np.ndarray:
        for known, forecast in self._benchmarks:
            if known is windows:
                return forecast
        self._benchmarks.append((windows, baselines.naive2(windows)))
        return self._benchmarks[-1][1]

    def baselines(self, parts: Parts) -> list[Baseline]:
        """naive, seasonal naive, drift, Naive2 of M4, and ridge on the window's values."""
        windows = parts.last[1]
        second = self._naive2(windows)
        found = {**baselines.all_naive(windows), "Naive2": second}
        if len(parts.train):
            found["ridge on lags"] = baselines.ridge(parts.train, windows, self.options.seed)
        truth = windows.truth()
        return [Baseline(name, measures.measures(each, truth, windows.scales, second)) for name, each in found.items()]

    def sections(self, model: nn.Module, parts: Parts) -> dict[str, Any]:
        """part; by_horizon (errors and coverage of each step ahead); series (best, median, worst); residuals."""
        part, windows = parts.last
        forecasts, truth = self.forecasts(model, windows), windows.truth()
        error = truth - forecasts[:, :, 0]
        scaled = measures.row_means(np.abs(error)) / windows.scales
        return {
            "part": part,
            "by_horizon": [self._step(forecasts, truth, windows.scales, step) for step in range(truth.shape[1])],
            "series": _ranked(windows, scaled),
            "residuals": {
                "mean": _plain(measures.mean(error)),
                "of_scale": _plain(measures.mean(error / windows.scales[:, None])),
            },
        }

    def _step(self, forecasts: np.ndarray, truth: np.ndarray, scales: np.ndarray, step: int) -> dict[str, Any]:
        row: dict[str, Any] = {"step": step + 1}
        values, here = forecasts[:, step], truth[:, step]
        row["mase"] = _plain(measures.mean(np.abs(here - values[:, 0]) / scales))
        if self.options.bounds:
            low, high = (values[:, 1 + end] for end in self.options.bounds)
            row["coverage"] = _plain(measures.coverage(low, high, here))
        return row

    def facts(self, parts: Parts) -> dict[str, Any]:
        sizes = {name: len(part) for name, part in vars(parts).items() if part is not None}
        facts = {"series": len(self.last), "frequency": str(self.last.frequency), "windows": sizes}
        chosen = {"season": self.options.season, "lookback": self.options.lookback, "horizon": self.options.horizon}
        return {**facts, **chosen, "notes": self.notes}

    def predict(self, model: nn.Module, source: Source) -> list[dict[str, Any]]:
        """The next steps of each series: after what the run knows (None), or after new rows of a source."""
        panel = self.last if source is None else self._extended(source)
        windows = make_windows(
            panel, self.shape(), [np.array([n]) if n else _NONE for n in panel.lengths], scales=False
        )
        if not len(windows):
            return []
        forecasts = self.forecasts(model, windows)
        names = ["forecast", *(f"q{level:g}" for level in self.options.quantiles)]
        rows = []
        for number, cut, values in zip(windows.owners, windows.cuts, forecasts, strict=True):
            times = panel.times(number, cut + np.arange(len(values)))
            first = [{"series": panel.names[number], "time": shown_time(time, panel.dates)} for time in times]
            rows += [
                head | dict(zip(names, map(float, row), strict=True)) for head, row in zip(first, values, strict=True)
            ]
        return rows

    def _extended(self, source: Source) -> Panel:
        later, found = self._inspected(source, str(self.last.frequency))
        refuse(found)
        assert later is not None
        unseen = [name for name in later.names if name not in set(self.last.names)]
        if unseen:
            message = f"{len(unseen):,} series were not in the training data: {listed(unseen, 5)}"
            warnings.warn(f"{message}; they are forecast from these rows alone", stacklevel=2)
        panel = self.last.followed_by(later)[0]
        if self.shape().log:
            positive(panel)
        return panel


_NONE = np.zeros(0, np.int64)


def settled(panel: Panel, options: ForecastOptions) -> dict[str, Any]:
    """Values for the options that were left to be worked out."""
    time, targets, series = panel.columns
    longest = int(panel.lengths.max()) if len(panel) else 0
    season = options.season or panel.frequency.season
    horizon = options.horizon or max(min(season if season > 1 else 12, longest // 5), 1)
    room = longest - horizon * (options.valid_windows + options.test_windows + 1)
    lookback = options.lookback or max(min(max(3 * season, horizon, 8), room), 2)
    columns = {"time": time, "target": targets, "series": series, "frequency": str(panel.frequency)}
    return {**columns, "season": season, "horizon": horizon, "lookback": lookback}


def with_truth(windows: Windows) -> Windows:
    """Only windows with something to see and something to forecast."""
    known = np.concatenate([[0], np.cumsum(~np.isnan(windows.values))])
    first = windows.offsets[windows.owners] + windows.cuts
    cut = first + windows.shape.lookback
    there = (known[cut] > known[first]) & (known[cut + windows.shape.horizon] > known[cut])
    return windows if there.all() else windows.take(np.flatnonzero(there))


def conformal(quantiles: np.ndarray, truth: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """What to add to each quantile so that pairs cover what they say (Romano, Patterson & Candes 2019, section 3).

    Scaled quantiles [n, h, Q] and truth [n, h] of windows not trained on -> [h, Q]; for each step ahead where there are
    many windows, else one for all steps.
    """
    n, horizon, count = quantiles.shape
    result = np.zeros((horizon, count), np.float32)
    groups = [[step] for step in range(horizon)] if n >= ENOUGH else [list(range(horizon))]
    for steps in groups:
        for low in range(count // 2):
            high = count - 1 - low
            outside = np.maximum(
                quantiles[:, steps, low] - truth[:, steps], truth[:, steps] - quantiles[:, steps, high]
            )
            result[steps, high] = _rank(outside[~np.isnan(outside)], levels[high] - levels[low])
            result[steps, low] = -result[steps, high]
    return result


def _rank(scores: np.ndarray, share: float) -> float:
    """The ceil((n + 1) share)-th smallest score; the largest where there are too few."""
    if not len(scores):
        return 0.0
    place = min(int(np.ceil((len(scores) + 1) * share)), len(scores)) - 1
    return float(np.partition(scores, place)[place])


def _origins(end: int, length: int, horizon: int) -> np.ndarray:
    """Cuts from the end of what is known on; the last horizon where nothing is known."""
    if end == 0:
        return np.array([length - horizon]) if length - horizon >= 2 else _NONE
    return np.arange(end, length, horizon)


def _short(panel: Panel, enough: np.ndarray, need: int) -> list[Finding]:
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


def _ranked(windows: Windows, scaled: np.ndarray) -> list[dict[str, Any]]:
    """Best, median and worst series by MASE."""
    means = {number: measures.mean(scaled[windows.owners == number]) for number in np.unique(windows.owners)}
    order = sorted((value, number) for number, value in means.items() if np.isfinite(value))
    if not order:
        return []
    places = {"best": 0, "median": len(order) // 2, "worst": -1}
    return [{"which": w, "series": windows.panel.names[order[p][1]], "mase": order[p][0]} for w, p in places.items()]


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
