"""A rolling-origin backtest: the same model trained on what was known at several earlier dates."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gatework.data.dates import shown_time
from gatework.data.finding import refuse
from gatework.data.panel import Panel
from gatework.errors import OptionError
from gatework.tasks import jobs
from gatework.tasks.base import Source
from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.parts import settled
from gatework.tasks.forecast.task import ForecastTask


def backtest(options: ForecastOptions, source: Source, windows: int) -> list[dict[str, Any]]:
    """A row for each origin and method: origin, until (the last time known), method, and every error.

    Origin 1 is one horizon before the end of each series, origin 2 two, and so on (Tashman 2000). Each trains anew on
    what was known then: nothing of the steps forecast has a say in weights, scaling, intervals or baselines.
    """
    if windows < 1:
        raise OptionError(f"windows must be 1 or more, not {windows}")
    panel, found = ForecastTask(options).inspected(source)
    refuse(found)
    assert panel is not None
    chosen = replace(options, **settled(panel, options) | {"unit": options.unit}, test_windows=1)
    assert chosen.horizon
    rows = []
    for origin in range(1, windows + 1):
        known = panel.without_last(chosen.horizon * (origin - 1))
        rows += [{"origin": origin, **row} for row in _at(chosen, known)]
    return rows


def _at(options: ForecastOptions, panel: Panel) -> list[dict[str, Any]]:
    """Errors over the last horizon of a panel, of a model trained on what is before, and of the baselines."""
    with tempfile.TemporaryDirectory(prefix="gatework-") as folder:
        results = jobs.train(ForecastTask(options), panel, out=Path(folder) / "run", quiet=True).run.results()
    assert options.horizon
    before = [panel.times(s, np.array([n - options.horizon - 1]))[0] for s, n in enumerate(panel.lengths)]
    until = shown_time(max(before), panel.dates)
    methods = [("model", results["test"]), *((each["name"], each["metrics"]) for each in results["baselines"])]
    return [{"until": until, "method": name, **metrics} for name, metrics in methods]
