"""Cross-validation: how good settings are on rows they did not learn from, beside simple methods on the same rows."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from gatework import tasks
from gatework.pages.templating import table
from gatework.pages.words import measured, named
from gatework.tasks.base import Contender, Metric, Round, Source, Task
from gatework.tasks.verdict import Contest, Verdict
from gatework.training.options import TrainingOptions
from gatework.tuning.entry import base_options
from gatework.tuning.evaluate import Evaluator, make_rounds, mean_and_spread


@dataclass(frozen=True)
class Across:
    """A method over the folds: mean and standard deviation of its watched metric."""

    name: str
    role: str
    mean: float
    spread: float


@dataclass(frozen=True, repr=False)
class CrossValidated:
    """The metrics of the model on each fold, mean and spread of the watched one, and who stands beside it.

    `methods` are the model, its parts and the baselines; `verdict` compares them on the rows of all folds.
    """

    metric: Metric
    folds: list[dict[str, float]]
    mean: float
    spread: float | None
    methods: list[Across]
    verdict: Verdict

    def _repr_html_(self) -> str:
        """For notebooks: the verdict, each method over the folds, the model on each of them."""
        name = self.metric.name
        methods = [(each.name, measured(name, each.mean), measured(name, each.spread)) for each in self.methods]
        folds = [(f"fold {number}", measured(name, row.get(name))) for number, row in enumerate(self.folds, 1)]
        return (
            f"<p>{html.escape(self.verdict.text)}</p>"
            + table(("", f"{named(name)}, mean of {len(folds)} folds", "standard deviation"), methods)
            + table(("", f"{named(name)} of the model"), folds)
        )

    def __repr__(self) -> str:
        mean = f"{self.metric.name}={self.mean:.4g}, spread={self.spread or 0:.2g}, folds={len(self.folds)}"
        return f"CrossValidated({mean}, earned={self.verdict.earned!r})"


@dataclass(frozen=True)
class Fold:
    """What one training gave on its fold: contenders, and the blocks of their `sums` (see `Task.blocks`)."""

    contenders: list[Contender]
    blocks: np.ndarray | None
    rows: int


def cross_validate(
    task: str | type[Task],
    source: Source,
    options: Mapping[str, Any] | TrainingOptions | None = None,
    folds: int = 5,
) -> CrossValidated:
    """How good settings are on data they did not learn from, and how far that varies: every row is tested once.

        found = gatework.cross_validate(task, "reviews.csv", {"epochs": 5}, folds=5)
        found.mean, found.spread, found.folds[0]["accuracy"]
        found.verdict.text                              # the model beside the best simple method, on the same rows

    How rows are divided is the task's choice (`Task.rounds`). Where folds are rows, what has to be chosen (the best
    epoch, the baseline) is chosen on rows held out of the others, so that nothing has seen the fold that it is judged
    on; the windows of a fold of series choose the epoch too, which flatters the model slightly.

    Raises: OptionError for fewer than 2 folds or too few rows; DataError for bad data.
    """
    kind = tasks.get(task) if isinstance(task, str) else task
    base, _ = base_options(kind, options)
    whole = Evaluator(kind, [Round(source)]).ready(base).task
    rounds = [_judged(each) for each in make_rounds(whole, source, folds)]
    evaluator = Evaluator(kind, rounds)
    found = [_fold(evaluator, base, number) for number in range(len(rounds))]
    same = _same([each.contenders for each in found])
    rows = [each.contenders[0].metrics for each in found]
    methods = [_across(each, whole.metric) for each in same]
    verdict = _contest(whole, [_joined(each) for each in same], found).verdict
    return CrossValidated(whole.metric, rows, *mean_and_spread(rows, whole.metric), methods, verdict)


def _judged(each: Round) -> Round:
    """A fold's rows as the test part, so that none of them chooses anything."""
    return each if each.valid is None else replace(each, valid=None, test=each.valid)


def _fold(evaluator: Evaluator, options: TrainingOptions, number: int) -> Fold:
    """Trains on a round and measures on its fold."""
    fitted, parts = evaluator.fit(options, number), evaluator.ready(options, number).parts
    task, (_, last) = fitted.task, parts.last
    with torch.no_grad():
        contenders = [*task.contenders(fitted.model, last), *task.baselines(parts)]
    return Fold(contenders, task.blocks(last), len(last))


def _same(folds: Sequence[Sequence[Contender]]) -> list[tuple[Contender, ...]]:
    """The methods that every fold has, by role and name. Baselines that have another name in each fold, as they are
    chosen there, go by their order; what is missing in a fold (no time was left) is left out."""
    known = [{(each.role, each.name): each for each in fold} for fold in folds]
    common = [key for key in known[0] if all(key in fold for fold in known)]
    others = [[each for key, each in fold.items() if key not in common and key[0] == "baseline"] for fold in known]
    alike = len({len(each) for each in others}) == 1
    return [tuple(fold[key] for fold in known) for key in common] + (list(zip(*others, strict=True)) if alike else [])


def _joined(same: Sequence[Contender]) -> Contender:
    """One method on the examples of all folds; a baseline that is chosen may be another in each."""
    sums = [each.sums for each in same if each.sums is not None]
    metrics = {name: _values(same, name).mean() for name in same[0].metrics}
    whole = np.concatenate(sums) if len(sums) == len(same) else None
    return Contender(_name(same), metrics, role=same[0].role, sums=whole)


def _name(same: Sequence[Contender]) -> str:
    return " or ".join(dict.fromkeys(each.name for each in same))


def _values(same: Sequence[Contender], metric: str) -> np.ndarray:
    """A method's metric on each fold, NaN where it has none."""
    return np.array([each.metrics.get(metric, float("nan")) for each in same])


def _across(same: Sequence[Contender], metric: Metric) -> Across:
    values = _values(same, metric.name)
    return Across(_name(same), same[0].role, float(values.mean()), float(values.std(ddof=1)))


def _contest(task: Task, contenders: Sequence[Contender], folds: Sequence[Fold]) -> Contest:
    """On the examples of all folds. Blocks with the same number in several folds are one: they are of one series."""
    blocks = [each.blocks for each in folds if each.blocks is not None]
    joined = np.concatenate(blocks) if len(blocks) == len(folds) else None
    rows = sum(each.rows for each in folds)
    where, metrics = f"{len(folds)} folds", (task.metric, *task.fallbacks)
    return Contest(contenders, metrics, task.score, rows, f"{rows:,} {task.counted}", where, joined)
