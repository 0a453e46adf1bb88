"""The data side of the job: series read and refused, cut into parts by time, the end of each kept for `predict`."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gatework.data.finding import Finding, by_level, refuse
from gatework.data.panel import inspect_panel
from gatework.data.table import listed
from gatework.errors import DataError, GateworkError, OptionError
from gatework.runtime.series.classical import KEPT
from gatework.runtime.series.covariates import Channel
from gatework.runtime.series.frequency import Frequency
from gatework.runtime.series.panel import Panel, shown_time
from gatework.runtime.series.windows import Shape, Windows, make_windows, seasonal_scale
from gatework.tasks.base import Metric, Parts, Source, Task
from gatework.tasks.forecast import effects, kept
from gatework.tasks.forecast.choosing import course
from gatework.tasks.forecast.combined import kept as kept_by
from gatework.tasks.forecast.demand import demand, told
from gatework.tasks.forecast.holdout import span
from gatework.tasks.forecast.later import (
    absent,
    counted_on,
    followed,
    gaps_ahead,
    lacking_lines,
    named,
    news,
    with_known_ahead,
)
from gatework.tasks.forecast.limits import noticed
from gatework.tasks.forecast.model import Forecast
from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.parts import (
    NOWHERE,
    ends_of_training,
    finish,
    last_times,
    origins,
    reduced,
    settled,
    short,
    training_cuts,
    uneven,
    up_to_steps,
    with_truth,
)
from gatework.tasks.forecast.windows import Batch, positive, within

MASE, RMSSE = Metric("mase", higher=False), Metric("rmsse", higher=False)
READING = ("format", "encoding", "delimiter", "header", "bad_rows", "quote")
READING += ("date_format", "zone", "round", "bad_series")
PARTS = {"train": "training", "valid": "validation", "test": "test"}
NO_VALUE = "has a value to forecast and one to go on from; choose other valid_windows or test_windows"


class SeriesTask(Task[Windows, Batch, Forecast]):
    """What `ForecastTask` does before and after its model."""

    name = "forecast"
    Options = ForecastOptions
    metric = MASE
    fallbacks = (Metric("mae", higher=False),)
    counted = "windows"
    reads_lines, learns_all, draws_parts = False, False, False
    options: ForecastOptions

    def __init__(self, options: ForecastOptions):
        super().__init__(options)
        self.given = options  # before the data settled some of them
        self.found: list[Finding] = []  # what is worth knowing of the data and of what was chosen by them
        self.choices: list[str] = []  # the figures by which settings were chosen
        self.last: Panel  # the end of each series: what predict goes on from
        self.scales: np.ndarray  # [S] denominators of MASE of all that was read
        self.channels: tuple[Channel, ...] | None = None  # of the covariates, scaled by the training part
        self.training: Windows | None = None  # of a run that begins; saved weights need none
        self._judge_by_demand()

    def _judge_by_demand(self) -> None:
        """Squared errors decide where demand is intermittent: the least absolute ones would be those of all zeros."""
        if self.options.intermittent and self.metric == MASE:
            self.metric = RMSSE

    def prepare(self, source: Source, valid: Source | None = None, test: Source | None = None) -> Parts:
        """Reads and refuses, cuts windows by time: training before validation before test."""
        if valid is not None and test is None and self.options.test_windows != 0:
            raise OptionError(
                "the validation part lies behind the test part, which is the end of the training data: give test data "
                "of a later time too (--test), or test_windows=0"
            )
        self.channels = None
        panel, found = self.inspected(source)
        refuse(found)
        assert panel is not None
        asked = self.options
        self.options = replace(asked, **settled(panel, asked))
        self._refuse_values(panel)
        counts = self._counts(valid is not None, test is not None)
        ends = ends_of_training(panel, self.options, counts)
        panel = panel.scaled(ends)  # covariates: by the training part
        self.channels = panel.covariates and panel.covariates.channels
        training = up_to_steps(panel, ends)
        more = self._notice(training)
        chosen = self._choose(asked, training)
        panel = self.with_effects(panel, ends)
        chosen += effects.told(panel, training)
        some, parts = self._parts(panel, counts)
        refuse(some)
        more += some + reduced(panel, self.options)
        self.found = [*found, *more, *(Finding("note", each) for each in chosen)]
        whole = panel
        for name, later in (("valid", valid), ("test", test)):
            if later is not None:
                whole, parts[name] = self._later(whole, later, union=True)
        self._remember(whole)
        self.training = parts["train"]
        self.options = replace(self.options, **course(self.options, len(self.training)))
        return Parts(parts["train"], parts["valid"], parts.get("test"))

    def with_effects(self, panel: Panel, ends: np.ndarray) -> Panel:
        """With what columns known ahead do, where that is taken out of values: told by the steps up to `ends` [S]."""
        options = self.options
        if options.effects != "solved":
            return panel
        assert options.season
        log = options.transform.startswith("log")
        return replace(panel, effects=effects.estimated(panel, ends, options.season, log, options.seed))

    def _notice(self, training: Panel) -> list[Finding]:
        """Options that a training part shows: whether demand is intermittent, and bounds; both are told."""
        options = self.options
        assert options.season
        found = demand(training, options.season)
        if options.intermittent is None:
            options = replace(options, intermittent=found is not None and found.intermittent)
        self.options, notes = noticed(training, options)
        self._judge_by_demand()
        return told(found, bool(options.intermittent)) + notes

    def inspected(self, source: Source, frequency: Frequency | None = None) -> tuple[Panel | None, list[Finding]]:
        """The series of a source (None where a fault forbids it), and every finding."""
        if isinstance(source, Panel):
            return source, []
        options = self.options
        reading = {name: getattr(options, name) for name in READING}
        columns = {"time": options.time, "target": options.target, "series": options.series}
        extra = {"covariates": options.covariates, "channels": self.channels, "identity": options.identity}
        return inspect_panel(source, **columns, **extra, frequency=frequency or options.frequency, **reading)

    def _refuse_values(self, panel: Panel) -> None:
        """An error where the options forbid a value of the first data."""
        if self.options.transform.startswith("log"):
            positive(panel)
        self._refuse_outside(panel)

    def _refuse_outside(self, panel: Panel) -> None:
        """An error for a value beyond the limits."""
        if self.options.limits != "noticed":
            within(panel, self.options.lowest, self.options.highest)

    @abstractmethod
    def _choose(self, asked: ForecastOptions, training: Panel) -> list[str]:
        """Settles the options that were `asked` to be chosen by the training part, and tells how."""

    def _counts(self, has_valid: bool, has_test: bool) -> dict[str, int]:
        """How many windows at the end of each series are for test and validation."""
        options = self.options
        assert options.valid_windows and options.test_windows is not None
        return {"test": 0 if has_test else options.test_windows, "valid": 0 if has_valid else options.valid_windows}

    def shape(self) -> Shape:
        options = self.options
        assert options.lookback and options.horizon and options.season
        size = (options.lookback, options.horizon, options.season)
        kind = options.transform
        ways = (options.scale, options.unit or 1.0, options.calendar, options.base)
        return Shape(*size, kind.startswith("log"), kind.endswith("difference"), *ways)

    def _parts(self, panel: Panel, counts: dict[str, int]) -> tuple[list[Finding], dict[str, Windows]]:
        """Windows of training, validation and test, where these have no source of their own."""
        shape, last = self.shape(), finish(panel, self.options.split)
        first = max(min(shape.season, shape.lookback), 2)
        stride = self.options.stride
        assert stride
        spans = {name: span(self.options, count) for name, count in counts.items()}
        held, ends = sum(spans.values()), ends_of_training(panel, self.options, counts)
        enough = ends >= first + shape.horizon
        found = short(panel, enough, first + shape.horizon + held) + uneven(panel, self.options, counts)
        train = training_cuts(shape, ends, enough)
        parts = {"train": with_truth(make_windows(panel, shape, train, scales=False))}
        for name, count in counts.items():
            back = shape.horizon + stride * np.arange(count)[::-1]
            if count:
                cuts = [end - back if ok else NOWHERE for end, ok in zip(last, enough, strict=True)]
                cuts = [each[each < length] for each, length in zip(cuts, panel.lengths, strict=True)]
                parts[name] = with_truth(make_windows(panel, shape, cuts))
            last = last - spans[name]
        empty = [PARTS[name] for name, part in parts.items() if not len(part)] if enough.any() else []
        return [*found, *(Finding("error", f"no window of the {name} part {NO_VALUE}") for name in empty)], parts

    def _later(self, panel: Panel, source: Source, union: bool = False) -> tuple[Panel, Windows]:
        """Another source's series behind what is known of them, and windows over what is new; with `union`, the series
        that the source has not are there too."""
        later = self._read_later(panel, source)
        joined, ends = followed(panel, later, source)
        if union:
            joined, numbers = panel.renewed(joined)
            ends = np.where(numbers >= 0, ends[numbers], joined.lengths)
        self._refuse_outside(joined)
        horizon = self.shape().horizon
        cuts = [origins(end, length, horizon) for end, length in zip(ends, joined.lengths, strict=True)]
        scales = getattr(self, "scales", None)
        if scales is not None:
            numbers = {name: number for number, name in enumerate(self.last.names)}
            scales = np.array([scales[numbers[name]] if name in numbers else np.nan for name in joined.names])
        windows = with_truth(make_windows(joined, self.shape(), cuts, scales))
        if not len(windows):
            raise DataError(
                f"{named(source)}: no series goes on for a step after what the model knows ({self._ends()}); give "
                "later rows"
            )
        return joined, windows

    def origin(self) -> str:
        return f"no file given: each series goes on from its end, which the run keeps ({self._ends()})"

    def _ends(self) -> str:
        if not hasattr(self, "last") or not self.last.lengths.any():
            return "the end of the training data"
        ends, there = last_times(self.last), np.flatnonzero(self.last.lengths)
        first, last = (
            f"{shown_time(int(ends[k]), self.last.dates)} in series {self.last.names[there[k]]!r}"
            for k in (ends.argmin(), ends.argmax())
        )
        return f"to {first}" if ends.min() == ends.max() else f"from {first} to {last}"

    def _remember(self, panel: Panel) -> None:
        self.scales = np.array([seasonal_scale(part, self.shape().season) for part in panel])
        self.last = panel.ends(self._kept())

    def _kept(self) -> int:
        """How many steps of each series a run goes on from: what is seen of them, or what RMSSE divides by."""
        shape = self.shape()
        lookback = kept_by(self.options.combine, shape.lookback, shape.season)
        lookback = max(lookback, KEPT) if self.options.intermittent else lookback
        return lookback + (self.options.effects == "solved")  # what the step before the window does in it

    def check(self, source: Source) -> list[Finding]:
        """Every fault of the data at once, without training; what cannot be read is one error."""
        try:
            panel, found = self.inspected(source)
            if panel is None or (np.isnan(panel.values).all() and any(each.level == "error" for each in found)):
                return found
            self.options = replace(self.options, **settled(panel, self.options))
            self._refuse_values(panel)
            counts = self._counts(False, False)
            beside = self._notice(up_to_steps(panel, ends_of_training(panel, self.options, counts)))
            more, parts = self._parts(panel, counts)
            more += beside
            more += [] if any(each.level == "error" for each in more) else reduced(panel, self.options)
            shape = self.shape()
            chosen = f"season {shape.season}, horizon {shape.horizon}, lookback "
            chosen += f"{shape.lookback}" if self.given.lookback else "chosen by the training"
            sizes = ", ".join(f"{len(part):,} {name}" for name, part in parts.items())
            return [*found, *more, Finding("note", f"{chosen}; windows: {sizes}")]
        except GateworkError as error:
            return [Finding("error", str(error))]

    def examples(self, source: Source) -> Windows:
        """Windows over what a source adds to the series that the run knows."""
        return self._later(self.last, source)[1]

    def assets(self) -> dict[str, str]:
        """series.json: the end of each series and its scale; see `kept`."""
        return {"series.json": kept.to_json(self.last, self.scales)}

    def restore(self, assets: Mapping[str, str]) -> None:
        self.last, self.scales = kept.from_json(assets["series.json"])
        self.channels = self.last.covariates and self.last.covariates.channels

    def facts(self, parts: Parts) -> dict[str, Any]:
        sizes = {name: len(part) for name, part in vars(parts).items() if part is not None}
        facts = {"series": len(self.last), "frequency": str(self.last.frequency), "windows": sizes}
        chosen = {"season": self.options.season, "lookback": self.options.lookback, "horizon": self.options.horizon}
        return {**facts, **chosen, "choices": self.choices, **by_level(self.found)}

    @property
    def notes(self) -> list[str]:
        """What was found, in words."""
        return [*(each.message for each in self.found if each.level != "error"), *self.choices]

    def _continued(self, source: Source, steps: int, lacking: str = "refuse") -> Panel:
        """What predict goes on from: the ends that the run kept, with the rows of a source where there is one, and
        with what must be known of the next `steps` steps; see `with_known_ahead` for where that is lacking."""
        panel = self.last if source is None else self._extended(source)
        empty = [panel.names[number] for number in np.flatnonzero(panel.lengths == 0)]
        if len(empty) == len(panel):
            raise DataError(
                f"no series has a value to go on from ({listed(empty, 5)}); give rows with the target filled in"
            )
        if empty:
            what = f"{len(empty):,} series without a value to go on from, not forecast: {listed(empty, 5)}"
            warnings.warn(what, stacklevel=3)
            panel = panel.take(np.flatnonzero(panel.lengths))
        return self._refuse_unknown_ahead(panel, self._whole_segments(steps), lacking)

    def _whole_segments(self, steps: int) -> int:
        """Up to which step a forecast of `steps` reads what is known ahead."""
        options, shape = self.options, self.shape()
        size = min(options.segment or shape.season, shape.lookback) if options.decoding == "segments" else 1
        return min(-(-steps // size) * size, shape.horizon) if steps < shape.horizon else steps

    def _extended(self, source: Source) -> Panel:
        later = self._read_later(self.last, source)
        for each in absent(self.last, later, source):
            warnings.warn(each, stacklevel=4)
        panel = followed(self.last, later, source)[0]
        self._refuse_outside(panel)
        return panel

    def _read_later(self, known: Panel, source: Source) -> Panel:
        """Rows of later times than a panel's; warns of rows that deserve a look, and of what contradicts the panel."""
        later, found = self.inspected(source, known.frequency)
        refuse(found)
        assert later is not None
        later = counted_on(known, later)
        said = [each.message for each in found if each.level == "warning" and (each.row is not None or each.series)]
        without = int((later.values <= 0).sum()) if self.options.transform.startswith("log") else 0
        if without:
            said.append(f"{without:,} values of 0 or below have no logarithm, on which it works: read as missing")
        for each in [*said, *news(known, later, source)]:
            warnings.warn(each, stacklevel=4)
        return later

    def _knows_ahead(self, panel: Panel, number: int) -> bool:
        """Whether all columns known ahead are there for a series' next steps."""
        extra = panel.covariates
        return extra is None or not extra.lacking(number, int(panel.lengths[number]), self.shape().horizon)

    def _refuse_unknown_ahead(self, panel: Panel, horizon: int, lacking: str = "refuse") -> Panel:
        """The panel; an error that names series, times and columns where what is known ahead is not there."""
        return with_known_ahead(panel, horizon, lacking, self.options.future, ", ".join(self._columns_ahead()))

    def _columns_ahead(self) -> list[str]:
        """What a row says that tells something known ahead."""
        return [name for name in (self.options.time, self.options.series, *self.options.future) if name]

    def _lacking(self, panel: Panel) -> dict[str, Any] | None:
        """Why the next steps of some series are not forecast: the columns that rows must have, and a line for each of
        the first series; None where nothing lacks."""
        gaps = gaps_ahead(panel, self.shape().horizon)
        lines = [each.strip() for each in lacking_lines(panel, gaps)]
        return {"columns": self._columns_ahead(), "series": lines} if gaps else None
