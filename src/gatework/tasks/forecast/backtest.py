"""A rolling-origin backtest: the same model trained on what was known at several earlier dates."""

from __future__ import annotations

import itertools
import math
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatework.data.finding import refuse
from gatework.errors import OptionError
from gatework.pages.words import named
from gatework.runtime.series.panel import Panel, shown_time
from gatework.tasks import jobs
from gatework.tasks.base import Contender, Evaluated, Metric, Source, ratio
from gatework.tasks.forecast.parts import cut_before, settled
from gatework.tasks.forecast.series import MASE, RMSSE
from gatework.tasks.verdict import FEWEST, Contest
from gatework.training.console import table
from gatework.training.files import write_json

if TYPE_CHECKING:
    from gatework.tasks.forecast.task import ForecastTask

BACKTEST = "backtest.json"  # in the run folder


def backtest(task: ForecastTask, source: Source, windows: int) -> list[dict[str, Any]]:
    """A row for each origin and method: origin, until (the last time known), method, and every error.

    Origin 1 is one horizon before the end of each series (of all, with split=date), origin 2 two, and so on (Tashman
    2000). Each trains anew on what was known then: nothing of the steps forecast has a say in weights, scaling,
    intervals or baselines. `summary` makes means of them.
    """
    if windows < 1:
        raise OptionError(f"windows must be 1 or more, not {windows}")
    panel, found = task.inspected(source)
    refuse(found)
    assert panel is not None
    options = task.options
    chosen = replace(
        options, **settled(panel, options) | {"unit": options.unit, "lookback": options.lookback, "test_windows": 1}
    )
    assert chosen.horizon
    rows = []
    for origin in range(1, windows + 1):
        known = cut_before(panel, chosen.split, chosen.horizon * (origin - 1))
        rows += [{"origin": origin, **row} for row in _at(type(task)(chosen), known)]
    return rows


def _at(task: ForecastTask, panel: Panel) -> list[dict[str, Any]]:
    """Errors over the last horizon of a panel, of a model trained on what is before, and of the baselines."""
    with tempfile.TemporaryDirectory(prefix="gatework-") as folder:
        results = jobs.train(task, panel, out=Path(folder) / "run", quiet=True).run.results()
    assert task.options.horizon
    before = [panel.times(s, np.array([n - task.options.horizon - 1]))[0] for s, n in enumerate(panel.lengths)]
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
    metric = watched(rows)
    counted = f"{len(origins)} {'origin' if len(origins) == 1 else 'origins'}"
    contest = Contest(found, [metric], measure_of_origins, len(origins), counted, f"mean over {counted}")
    best = contest.rival
    if best is None or best.sums is None or contest.model.sums is None:
        return contest.verdict.text
    ahead = int((contest.model.sums[:, 0] < best.sums[:, 0]).sum())
    name, told = named(metric.name), contest.verdict.text
    means = f"{name} {_spread(rows, 'model')} against {_spread(rows, best.name)}"
    more = f" A verdict takes {FEWEST} origins or more." if len(origins) < FEWEST else ""
    return f"{told} {means}; that of the model is the smaller one at {ahead} of {counted}.{more}"


def watched(rows: Sequence[Mapping[str, Any]]) -> Metric:
    """What a backtest is judged by: the models of intermittent demand have told RMSSE."""
    return RMSSE if any(RMSSE.name in row for row in rows) else MASE


def measure_of_origins(sums: np.ndarray, metric: str) -> np.ndarray:
    """The mean over origins, each of which counts once."""
    return ratio(sums[..., 0], sums[..., 1])


def _contender(rows: Sequence[Mapping[str, Any]], method: str, origins: list[int]) -> Contender:
    """A method over the origins: each its own training, and one value of the watched error."""
    own, name = [row for row in rows if row["method"] == method], watched(rows).name
    values = {row["origin"]: row.get(name, math.nan) for row in own}
    errors = np.array([values.get(origin, math.nan) for origin in origins], np.float64)
    mean = float(np.nanmean(errors)) if np.isfinite(errors).any() else math.nan
    return Contender(method, {name: mean}, "", own[0]["role"], np.stack([errors, np.ones(len(errors))], axis=1))


def _spread(rows: Sequence[Mapping[str, Any]], method: str) -> str:
    row = next(each for each in summary(rows) if each["method"] == method)
    name = watched(rows).name
    spread = row[f"{name}_spread"]
    return f"{row[name]:.3f}" + (f" ± {spread:.3f}" if spread is not None else "")


def evaluated(trained: jobs.Trained, source: Source | None, windows: int) -> Evaluated:
    """The backtest of a run's options, as it chose them on its own training part; also written into its folder."""
    if source is None:
        raise OptionError("--backtest trains anew on a file: gatework evaluate RUN FILE --backtest 10")
    task: Any = trained.task
    anew: dict[str, Any] = {"unit": None}  # what is found at each date
    if task.options.limits == "noticed":
        anew |= {"limits": "auto", "lowest": None, "highest": None}
    rows = backtest(type(task)(replace(task.options, **anew)), source, windows)
    found = {"summary": summary(rows), "verdict": verdict(rows)}
    path = trained.run.path / BACKTEST
    write_json(path, {"file": str(source), "windows": windows, "rows": rows, **found})
    return Evaluated("\n".join([*_tables(rows, windows), found["verdict"], f"written to {path}"]), [*rows, found])


def _tables(rows: Sequence[Mapping[str, Any]], windows: int) -> Iterator[str]:
    """Errors at each origin, then their means and spreads."""
    for (origin, until), group in itertools.groupby(rows, key=lambda row: (row["origin"], row["until"])):
        errors = {row["method"]: {k: v for k, v in row.items() if isinstance(v, float)} for row in group}
        yield f"origin {origin}: trained on what was known up to {until}\n{table(errors)}\n"
    for what, suffix in (("mean", ""), ("spread (standard deviation)", "_spread")):
        errors = {row["method"]: _errors(row, suffix) for row in summary(rows)}
        if any(errors.values()):
            yield f"{what} over {windows} origins\n{table(errors)}\n"


def _errors(row: Mapping[str, Any], suffix: str) -> dict[str, float]:
    """The means of a summary's row, or the spreads."""
    names = [name for name in row if f"{name}_spread" in row]
    return {name: row[name + suffix] for name in names if row[name + suffix] is not None}
