"""What is explained of a forecaster: what the values of the window do to the forecast.

The window's level and scale, the calendar and covariates are held fixed; the entry is the scaled value of each step,
through every path on which the model reads it (network, linear map, seasonal naive forecast).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from gatework.data.table import listed
from gatework.errors import DataError
from gatework.runtime.series.panel import shown_time
from gatework.runtime.series.windows import Shape, Windows, make_windows, shape_scale
from gatework.tasks.forecast import effects
from gatework.tasks.forecast.windows import Batch, make_batch
from gatework.tasks.subject import Subject, Wording
from gatework.training.options import known_names

if TYPE_CHECKING:
    from gatework.runtime.series.panel import Panel
    from gatework.tasks.base import Source
    from gatework.tasks.forecast.model import Forecast
    from gatework.tasks.forecast.task import ForecastTask
    from gatework.tasks.jobs import Trained

ONE = np.zeros(1, np.int64)
COMBINED = "What is explained is the network's own forecast; the run forecasts its mean with simple methods (combine)."
LOGARITHMS = "Contributions are to its logarithm: +0.1 is about 10% more."
NEAR = 0.05  # of the window's spread: by how much a forecast that counts as the same may differ


class SeriesForecast(Subject):
    """The forecast at the end of one series: of one step ahead, or the mean of all of them."""

    values: np.ndarray

    def __init__(
        self,
        trained: Trained,
        series: str | None,
        source: Source | None = None,
        step: int | None = None,
        lacking: str = "refuse",
    ):
        self.model, self.job = cast("Forecast", trained.model), cast("ForecastTask", trained.task)
        self.exact, self.contrast, self.step = {}, torch.ones(1, dtype=torch.float64), step
        panel = self.job.last if source is None else self.job._extended(source)
        panel, number = panel.take(np.array([self._number(panel, series)])), 0
        self.shape = self.job.shape()
        self._must_fill(panel, number)
        panel = self.job._refuse_unknown_ahead(panel, self.shape.horizon, lacking)
        if step is not None and not 1 <= step <= self.shape.horizon:
            raise DataError(f"the run forecasts the steps 1 to {self.shape.horizon}; there is no step {step}")
        cuts = [np.array([n]) if s == number else ONE[:0] for s, n in enumerate(panel.lengths)]
        self.windows: Windows = make_windows(panel, self.shape, cuts, scales=False)
        self.batch = make_batch(self.windows, ONE)
        self._read()
        times = panel.times(number, panel.lengths[number] + np.arange(-self.shape.lookback, 0))
        self.steps = [str(shown_time(int(time), panel.dates)) for time in times]
        self.values = self.windows.past(ONE)[0]
        self._settle(panel.names[number], self._beside(panel))

    def _number(self, panel: Panel, series: str | None) -> int:
        if series is None and len(panel) == 1:
            return 0
        if series is None:
            raise DataError(
                f"the run knows {len(panel):,} series; choose one with --series{known_names('', panel.names[:20])}"
            )
        if series not in panel.names:
            raise DataError(f"there is no series {series!r}{known_names(series, panel.names)}")
        return panel.names.index(series)

    def _must_fill(self, panel: Panel, number: int) -> None:
        have, need = int(panel.lengths[number]), self.shape.lookback
        if have < need:
            raise DataError(
                f"series {panel.names[number]!r} has {have} points, but the model looks at {need} (lookback); give a "
                "file with more rows of it, or explain another series"
            )

    def _read(self) -> None:
        """The entry, and from which places of the window the model's other paths read."""
        back, places = self.shape.lookback, self.windows.places(ONE)[0]
        past = self.windows.seen_as(ONE)
        (center,), (scale,) = shape_scale(past, self.shape)
        past, scaled = past[0], (past[0] - center) / scale
        self.entry = torch.from_numpy(np.nan_to_num(scaled).astype(np.float32)).unsqueeze(1)
        self.known = torch.from_numpy(~np.isnan(past))
        self.baseline = torch.full_like(self.entry, float(np.nanmean(scaled)))
        numbered = np.full(len(self.windows.values), np.nan)
        numbered[places[:back]] = np.where(np.isnan(past), np.nan, np.arange(back))
        plain = Shape(back, self.shape.horizon, self.shape.season, base=self.shape.base)
        coded = make_batch(replace(self.windows, values=numbered, shape=plain, effects=None), ONE)

        def where(part: Tensor) -> Tensor:
            return (part[0] * coded.scale[0] + coded.center[0]).round().long()

        self.read = {"filled": where(coded.window), "base": where(coded.base), "lags": where(coded.future[:, :, 1])}

    @torch.no_grad()
    def _beside(self, panel: Panel) -> tuple[str, ...]:
        """What columns beside the target do, which attributions hold as they are."""
        found: list[str] = []
        extra = panel.covariates
        if extra is None:
            return ()
        names = list(dict.fromkeys(each.column for each in extra.channels))
        for name in dict.fromkeys(extra.channels[place].column for place in extra.places("future")):
            places = [place for place in extra.places("future") if extra.channels[place].column == name]
            part = extra.part(0).copy()
            part[int(panel.lengths[0]) :, places] = 0.0  # the mean of the training part
            usual = replace(panel, covariates=extra.with_parts([part], extra.static))
            windows = make_windows(usual, self.shape, [panel.lengths], scales=False)
            outputs = [self._said(batch)[None] for batch in (self.batch, make_batch(windows, ONE))]
            now, then = (f"{float(self.shown(each)[0]):.4g}" for each in outputs)
            found.append(f"With the usual {name} (its mean in training) ahead it would be {then} in place of {now}.")
        found += [f"By the training part, {each}." for each in effects.in_words(panel, 0)]
        held = "Below, only past values are weighed; held as they are: "
        return (*found, f"{held}{listed(names)}.")

    def _settle(self, name: str, beside: tuple[str, ...]) -> None:
        self.outputs = self.whole()
        self.linear = self._linear()
        self.answer = f"{float(self.shown(self.outputs[None])[0]):.4g}"
        self.source = f"series {name}"
        horizon = self.shape.horizon
        said = f"forecast of step {self.step}" if self.step else f"mean forecast of the next {horizon} steps"
        self.spoken = said
        output = f"the logarithm of the {said}" if self.shape.log else f"the {said}"
        note = "Attributions hold the window's own level and scale, the calendar and all covariates fixed."
        mixed = self.job.options.combine != "none"
        notes = (note, *([COMBINED] if mixed else []))
        beside = (*beside, *([LOGARITHMS] if self.shape.log else []))
        self.words = Wording("series", "step", output, said, "the window's mean", notes, "", "forecast", beside=beside)
        spread = float(np.nanstd(self.values)) or abs(float(np.nanmean(self.values))) or 1.0
        self.near = NEAR * spread

    def _variant(self, entries: Tensor) -> Batch:
        """The batch of entries (S, T, 1)."""
        count, values = len(entries), entries[:, :, 0]

        def many(part: Tensor, at: int) -> Tensor:
            return part.repeat(*(count if d == at else 1 for d in range(part.dim())))

        inputs = many(self.batch.inputs, 1)
        seen = self._seen(values)
        inputs = torch.cat([(seen.t() * inputs[:, :, 1]).unsqueeze(2), inputs[:, :, 1:]], 2)
        base, lags = values[:, self.read["base"]], values[:, self.read["lags"]]
        future = torch.cat([base.unsqueeze(2), lags.unsqueeze(2), many(self.batch.future, 0)[:, :, 2:]], 2)
        changed = {"inputs": inputs, "window": seen, "base": base, "future": future}
        return Batch(**{**self.batch._asdict(), **changed})

    def _seen(self, values: Tensor) -> Tensor:
        """Values (S, T) as network and linear map read them: gaps filled; as differences where these are forecast."""
        filled = values[:, self.read["filled"]]
        if not self.shape.difference:
            return filled
        return torch.diff(filled, dim=1, prepend=filled[:, :1]) * self.known

    def network(self, entries: Tensor) -> Tensor:
        scaled = self._chosen(self.model(self._variant(entries))[:, :, 0]).double()
        return (scaled * float(self.batch.scale[0]) + float(self._level(self.batch)[0])).unsqueeze(1)

    def _chosen(self, steps: Tensor) -> Tensor:
        return steps[:, self.step - 1] if self.step else steps.mean(1)

    def _linear(self) -> dict[str, np.ndarray]:
        """What the two linear paths give to each step."""
        entry = self.entry[:, 0].clone().requires_grad_(True)
        base = self._chosen(entry[self.read["base"]].unsqueeze(0))
        paths = {"seasonal naive": base}
        if self.model.linear is not None:
            paths["linear map"] = self._chosen(self.model.linear(self._seen(entry.unsqueeze(0))))
        change = (self.entry - self.baseline)[:, 0] * float(self.batch.scale[0])
        found = {name: torch.autograd.grad(path.sum(), entry)[0] for name, path in paths.items()}
        return {name: (each * change).detach().double().numpy() for name, each in found.items()}

    @torch.no_grad()
    def whole(self) -> np.ndarray:
        return self._said(self.batch)

    def _said(self, batch: Batch) -> np.ndarray:
        scaled = self._chosen(self.model(batch)[:, :, 0]).double().numpy()
        return scaled * batch.scale + self._level(batch)

    def _level(self, batch: Batch) -> np.ndarray:
        """[B]: what scaled values are counted from, of the steps that are explained."""
        if batch.center.ndim == 1:
            return batch.center
        return batch.center[:, self.step - 1] if self.step else batch.center.mean(axis=1)

    @torch.no_grad()
    def last(self, lengths: list[int]) -> tuple[np.ndarray, list[str]]:
        """Older values are missing, as they are at the beginning of a series; level and scale are those of the rest."""
        places, found = self.windows.places(ONE)[0], []
        for length in lengths:
            values = self.windows.values.copy()
            values[places[: self.shape.lookback - length]] = np.nan
            found.append(self._said(make_batch(replace(self.windows, values=values), ONE)))
        numbers = self.shown(np.array(found))
        return numbers, [f"{number:.4g}" for number in numbers]

    def shown(self, outputs: np.ndarray) -> np.ndarray:
        return np.exp(outputs[:, 0]) if self.shape.log else outputs[:, 0]
