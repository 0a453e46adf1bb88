"""A rolling-origin backtest: the same model trained on what was known at several earlier dates."""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Mapping, Sequence
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
from gatework.tasks.forecast.parts import cut_before, settled
from gatework.tasks.forecast.task import ForecastTask


def backtest(options: ForecastOptions, source: Source, windows: int) -> list[dict[str, Any]]:
    """A row for each origin and method: origin, until (the last time known), method, and every error.

    Origin 1 is one horizon before the end of each series (of all, with split=date), origin 2 two, and so on (Tashman
    2000). Each trains anew on what was known then: nothing of the steps forecast has a say in weights, scaling,
    intervals or baselines. `summary` makes means of them.
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
        known = cut_before(panel, chosen.split, chosen.horizon * (origin - 1))
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


def summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each method of a backtest: each error's mean over the origins, and its spread.

    The spread is the standard deviation over the origins, with n - 1; None for a single origin. What has no value at
    an origin (no scale, no time left) does not count there; `origins` says at how many there was one.
    """
    found = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        line: dict[str, Any] = {"method": method, "origins": len(own)}
        for name in dict.fromkeys(key for row in own for key, value in row.items() if isinstance(value, float)):
            values = [row[name] for row in own if math.isfinite(row.get(name, math.nan))]
            line[name] = statistics.mean(values) if values else None
            line[f"{name}_spread"] = statistics.stdev(values) if len(values) > 1 else None
        found.append(line)
    return found


def verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """Whether the model beats the best baseline over all origins, and how often, in a sentence."""
    means = {row["method"]: row for row in summary(rows) if row.get("mase") is not None}
    count = len({row["origin"] for row in rows})
    rivals = {name: row["mase"] for name, row in means.items() if name != "model" and row["origins"] == count}
    if "model" not in means or not rivals:
        return "There is no error to compare by: no series has a scale."
    best = min(rivals, key=lambda name: rivals[name])
    errors = {name: {row["origin"]: row["mase"] for row in rows if row["method"] == name} for name in ("model", best)}
    ahead = sum(errors["model"][origin] < errors[best][origin] for origin in errors["model"])
    words = "The model wins" if means["model"]["mase"] < rivals[best] else "The baseline is as good or better"
    against = f"MASE {_spread(means['model'])} against {_spread(means[best])} of the best baseline, {best}"
    return f"{words} over {count} {'origin' if count == 1 else 'origins'}: {against}; less at {ahead} of {count}."


def _spread(row: Mapping[str, Any]) -> str:
    spread = row["mase_spread"]
    return f"{row['mase']:.3f}" + (f" ± {spread:.3f}" if spread is not None else "")
