"""The next steps of series: after what the model knows of them, or after further rows."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gatework.errors import DataError, OptionError
from gatework.extras import installed
from gatework.runtime.answers.given import count, rows_of
from gatework.runtime.exported import Exported
from gatework.runtime.model import Model
from gatework.runtime.series import mean as means
from gatework.runtime.series.ends import panel_of
from gatework.runtime.series.further import beyond, checked, further
from gatework.runtime.series.intervals import followed, restlessness, stretched
from gatework.runtime.series.later import IDENTITY, ROWS, LaterRows
from gatework.runtime.series.panel import Panel, shown_times
from gatework.runtime.series.windows import Shape, Windows, in_units, make_windows, read

BATCH, MOST_STEPS = 512, 1_000_000


class Horizon(Model):
    """The series, the time, the point and the quantiles of each step ahead of each series.

    `predict()` goes on from the ends that the model keeps; `predict(rows)` from those and further rows, dicts under the
    names of the columns: `{"date": "2026-03-01", "units": 12.0, "shop": "a"}`, the target None where only what is known
    ahead is told. `horizon=` asks for another number of steps.
    """

    kind, together = "horizon", True

    def __init__(self, exported: Exported, hash: str = ""):
        super().__init__(exported, hash)
        said = exported.settings
        for name in ("lookback", "horizon", "season"):
            count(said["shape"], name, MOST_STEPS)
        self.shape = Shape(**said["shape"])
        self.quantiles = tuple(said["quantiles"])
        self.weights = np.array(said["weights"])
        if "ETS" in said["beside"] and self.weights.any() and not installed("statsforecast"):
            raise OptionError(
                "its forecasts are combined with ETS, which statsforecast makes: pip install statsforecast"
            )
        self.net = exported.bound("whole")
        self.known = panel_of(json.loads(exported.texts["series.json"]))
        self.later = LaterRows(self.known, said["columns"], said["date_format"], said.get("zone"))
        self.inputs = self.later.inputs

    @property
    def schema(self) -> dict[str, Any]:
        return self.later.schema

    @property
    def example(self) -> object:
        """The next row of the first series."""
        panel, later = self.known, self.later
        times = panel.times(0, panel.lengths[0] + np.arange(1))
        (time,) = shown_times(times, panel.dates, not panel.frequency.whole_days, panel.clock)
        named = {} if later.time == ROWS else {later.time: time}
        others = {each.column: each.label or 0.0 for each in later.channels if each.column != IDENTITY}
        series = {later.series: panel.names[0]} if later.series else {}
        return others | named | dict.fromkeys(later.targets, 1.0) | series

    @property
    def why_no_stream(self) -> str:
        return "it reads windows of series, and keeps their ends itself"

    def predict(self, rows: Sequence[Any] = (), horizon: int | None = None) -> list[dict[str, Any]]:
        steps = checked(self.shape.horizon if horizon is None else horizon)
        panel = self.later.joined(rows_of(rows, self.inputs)) if len(rows) else self.known
        panel = panel.take(np.flatnonzero(panel.lengths))
        self._refuse_unknown(panel, steps)
        forecasts, names = self._next(panel, steps), self.exported.settings["names"]
        found = []
        for number, values in enumerate(forecasts):
            times = panel.times(number, panel.lengths[number] + np.arange(len(values)))
            shown = shown_times(times, panel.dates, not panel.frequency.whole_days, panel.clock)
            heads = [{"series": panel.names[number], "time": time} for time in shown]
            found += [
                head | dict(zip(names, map(float, row), strict=True)) for head, row in zip(heads, values, strict=True)
            ]
        return found

    def _refuse_unknown(self, panel: Panel, steps: int) -> None:
        """What is known ahead must be there for the steps that are read."""
        size = min(self.exported.settings["segment"] or self.shape.season, self.shape.lookback)
        whole = min(-(-steps // size) * size, self.shape.horizon) if steps < self.shape.horizon else steps
        for number, name in enumerate(panel.names):
            gaps = panel.covariates.lacking(number, int(panel.lengths[number]), whole) if panel.covariates else []
            if gaps:
                columns = sorted({column for _, lacked in gaps for column in lacked})
                raise DataError(
                    f"series {name!r} lacks {', '.join(columns)} at {len(gaps)} of the {whole} steps ahead; give rows "
                    "for these times with the target None"
                )

    # -- forecasts ------------------------------------------------------------------------------------------

    def _next(self, panel: Panel, steps: int) -> np.ndarray:
        """[S, steps, 1 + Q] after the end of each series."""
        said, trained = self.exported.settings, self.shape.horizon
        if steps <= trained:
            return self._forecasts(self._ends(panel, trained))[:, :steps]
        warnings.warn(beyond(trained, steps, bool(self.quantiles)), stacklevel=3)
        beside = self._beside(self._ends(panel, steps))
        alone = lambda known: self._forecasts(self._ends(known, trained), alone=True)  # noqa: E731
        found = further(alone, panel.ends(self.shape.lookback + 1), steps, self.quantiles, self.shape.log, said["seed"])
        return self._limited(means.moved(found, beside, self.weights, self.shape.log) if beside else found)

    def _ends(self, panel: Panel, horizon: int) -> Windows:
        cuts = [np.array([length]) for length in panel.lengths]
        return make_windows(panel, replace(self.shape, horizon=horizon), cuts, scales=False)

    def _forecasts(self, windows: Windows, alone: bool = False) -> np.ndarray:
        """[n, h, 1 + Q] in units of the data, of the model or of its network alone."""
        parts = []
        for start in range(0, len(windows), BATCH):
            rows = np.arange(start, min(start + BATCH, len(windows)))
            parts.append(self._of_rows(windows, rows, [] if alone else self._beside(windows.take(rows))))
        return np.concatenate(parts)

    def _of_rows(self, windows: Windows, rows: np.ndarray, beside: list[np.ndarray]) -> np.ndarray:
        given = read(windows, rows)
        arrays = given._asdict() | {"lengths": np.full(len(rows), len(given.inputs), np.int64)}
        outputs = self.net(**{name: arrays[name] for name in self.net.net.inputs})["made"].astype(np.float64)
        outputs[:, :, 1:] = np.sort(outputs[:, :, 1:], axis=2)
        own = restlessness(windows.seen_as(rows), self.shape.season) / given.scale
        if beside:
            point = self._in_units(outputs[:, :, :1], given.center, given.scale)[:, :, 0]
            by = means.move(point, beside, self.weights, self.shape.log) / given.scale[:, None]
            outputs += by[:, :, None]
        widths = followed(outputs[:, :, 1:], own, self.exported.settings["follow"])
        outputs[:, :, 1:] = stretched(widths, self.exported.arrays["adjustment"])
        return self._in_units(outputs, given.center, given.scale)

    def _beside(self, windows: Windows) -> list[np.ndarray]:
        """Forecasts [n, h] of the methods that the model is combined with."""
        names = self.exported.settings["beside"] if self.weights.any() else ()
        return [means.member(windows, name) for name in names]

    def _in_units(self, outputs: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return self._limited(in_units(outputs, center, scale, self.shape))

    def _limited(self, values: np.ndarray) -> np.ndarray:
        low, high = self.exported.settings["lowest"], self.exported.settings["highest"]
        return values if low is None and high is None else np.clip(values, low, high)
