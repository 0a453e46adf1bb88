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
from gatework.pages.words import named
from gatework.tasks import jobs
from gatework.tasks.base import Contender, Source, ratio
from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.parts import cut_before, settled
from gatework.tasks.forecast.task import ForecastTask
from gatework.tasks.verdict import Contest


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
    return [
        {"until": until, "method": each["name"], "role": each["role"], **each["metrics"]}
        for each in results["contenders"]
    ]


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
    """What earned the result over all origins, and how often the model was ahead, in a sentence or two."""
    origins = sorted({row["origin"] for row in rows})
    found = [_contender(rows, method, origins) for method in dict.fromkeys(row["method"] for row in rows)]
    name = ForecastTask.metric.name
    counted = f"{len(origins)} {'origin' if len(origins) == 1 else 'origins'}"
    contest = Contest(found, [ForecastTask.metric], measure_of_origins, len(origins), counted, f"mean over {counted}")
    best = contest.rival
    if best is None or best.sums is None or contest.model.sums is None:
        return contest.verdict.text
    ahead = int((contest.model.sums[:, 0] < best.sums[:, 0]).sum())
    means = f"{named(name)} {_spread(rows, 'model')} against {_spread(rows, best.name)}"
    return f"{contest.verdict.text} {means}; less at {ahead} of {len(origins)}."


def measure_of_origins(sums: np.ndarray, metric: str) -> np.ndarray:
    """The mean over origins, each of which counts once."""
    return ratio(sums[..., 0], sums[..., 1])


def _contender(rows: Sequence[Mapping[str, Any]], method: str, origins: list[int]) -> Contender:
    """A method over the origins: each its own training, and one value of the watched error."""
    own, name = [row for row in rows if row["method"] == method], ForecastTask.metric.name
    values = {row["origin"]: row.get(name, math.nan) for row in own}
    errors = np.array([values.get(origin, math.nan) for origin in origins], np.float64)
    mean = float(np.nanmean(errors)) if np.isfinite(errors).any() else math.nan
    return Contender(method, {name: mean}, "", own[0]["role"], np.stack([errors, np.ones(len(errors))], axis=1))


def _spread(rows: Sequence[Mapping[str, Any]], method: str) -> str:
    row = next(each for each in summary(rows) if each["method"] == method)
    spread = row["mase_spread"]
    return f"{row['mase']:.3f}" + (f" ± {spread:.3f}" if spread is not None else "")
