"""The data side of the job: series read and refused, cut into parts by time, the end of each kept for `predict`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gatework.data.finding import Finding, refuse
from gatework.data.frequency import Frequency
from gatework.data.panel import Panel, inspect_panel, shown_time
from gatework.data.table import listed
from gatework.errors import DataError, GateworkError
from gatework.tasks.base import Metric, Parts, Source, Task
from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.parts import NOWHERE, origins, settled, short, with_truth
from gatework.tasks.forecast.results import plain
from gatework.tasks.forecast.windows import Shape, Windows, make_windows, positive, seasonal_scale


class SeriesTask(Task):
    """What `ForecastTask` does before and after its model."""

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
        found = short(panel, enough, first + shape.horizon + held)
        train = [
            np.arange(first, end - shape.horizon + 1) if ok else NOWHERE for end, ok in zip(ends, enough, strict=True)
        ]
        parts = {"train": with_truth(make_windows(panel, shape, train, scales=False))}
        last = panel.lengths.copy()
        for name, count in counts.items():
            back = shape.horizon * np.arange(count, 0, -1)
            if count:
                cuts = [end - back if ok else NOWHERE for end, ok in zip(last, enough, strict=True)]
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
        cuts = [origins(end, length, horizon) for end, length in zip(ends, joined.lengths, strict=True)]
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
                "scale": plain(self.scales[number]),
                "values": [plain(value) for value in last.series(number)],
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

    def facts(self, parts: Parts) -> dict[str, Any]:
        sizes = {name: len(part) for name, part in vars(parts).items() if part is not None}
        facts = {"series": len(self.last), "frequency": str(self.last.frequency), "windows": sizes}
        chosen = {"season": self.options.season, "lookback": self.options.lookback, "horizon": self.options.horizon}
        return {**facts, **chosen, "notes": self.notes}

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
