"""The study of a search: one of Optuna's, bound to one task, data, options and space.

A trial that was running when its process died is lost and does not count; everything else survives kill -9.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatework.errors import OptionError
from gatework.extras import import_bars
from gatework.training.run import CONFIG
from gatework.tuning.places import Place, quiet
from gatework.tuning.space import Choices, Range, Space, as_drawn

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, Trial

    from gatework.training.options import Options

ABOUT, DEFAULTS, ERROR, SPREAD, SECONDS = "about", "defaults", "error", "spread", "seconds"
SAMPLERS, PRUNERS = ("tpe", "random", "grid"), ("median", "hyperband", "none")
GRID_POINTS, MOST_GRID = 3, 5_000
STARTUP = 8  # trials drawn at random before TPE, and finished before the median prunes


@dataclass(frozen=True)
class Budget:
    """When the search ends: after a number of trials, or of seconds of searching in all sessions together."""

    trials: int | None = None
    seconds: float | None = None


def open_study(folder: Path, place: Place, about: Mapping[str, Any], higher: bool) -> optuna.Study:
    """The study of a place, made if there is none; one of another task, data, options or space is an OptionError."""
    import_bars()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if (folder / CONFIG).exists():
        raise OptionError(f"{folder} holds a run, not a study; choose another folder (--out)")
    folder.mkdir(parents=True, exist_ok=True)
    about = json.loads(json.dumps(about))
    with place.turn():
        study = optuna.create_study(
            storage=place.storage(),
            study_name=place.name,
            direction="maximize" if higher else "minimize",
            load_if_exists=True,
        )
        if ABOUT not in study.user_attrs:
            study.set_user_attr(ABOUT, about)
        _must_match(place.shown, study.user_attrs[ABOUT], about)
        return study


def _must_match(where: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    if there.get("task") != here["task"]:
        raise OptionError(f"{where} holds a study of {there.get('task')!r}, not of {here['task']!r}; {ANOTHER}")
    if there["data"] != here["data"]:
        raise OptionError(f"the data changed since the study in {where} was begun; {ANOTHER}")
    for what in ("space", "options"):
        old, new = there[what], here[what]
        for name in sorted(old.keys() | new.keys()):
            if old.get(name, ABSENT) != new.get(name, ABSENT):
                raise OptionError(
                    f"the study in {where} has another {'search space' if what == 'space' else 'set of options'}: "
                    f"{name} is {old.get(name, ABSENT)} there and {new.get(name, ABSENT)} here; {ANOTHER}"
                )
    for name in ("metric", "folds"):
        if there[name] != here[name]:
            raise OptionError(f"the study in {where} has {name}={there[name]}, not {here[name]}; {ANOTHER}")


ANOTHER, ABSENT = "choose another folder (--out)", "not set"


# -- trials -------------------------------------------------------------------------------------------------


def begin(study: optuna.Study, place: Place, space: Space, defaults: Options, sampler: str, seed: int) -> None:
    """Puts the defaults first in the queue, and with the grid all its points behind them; once per study."""
    with place.turn():
        place.forget_dead(study)
        trials = study.get_trials(deepcopy=False)
        if not any(DEFAULTS in trial.user_attrs and not lost(trial) for trial in trials):
            inside = {name: as_drawn(v) for name in space if space[name].holds(v := getattr(defaults, name))}
            study.enqueue_trial(inside, user_attrs={DEFAULTS: list(inside)})
        if sampler == "grid" and not trials:
            for point in grid(space, seed):
                study.enqueue_trial(point)


def grid(space: Space, seed: int) -> list[dict[str, Any]]:
    """Every combination of the choices and of three points of each range, in random order."""
    columns = [space[name].points(GRID_POINTS) for name in space]
    size = 1
    for column in columns:
        size *= len(column)
    if size > MOST_GRID:
        raise OptionError(f"the grid has {size:,} points, more than {MOST_GRID:,}; search fewer options, or use tpe")
    points = [dict(zip(space, values, strict=True)) for values in itertools.product(*columns)]
    random.Random(seed).shuffle(points)
    return points


def next_trial(
    study: optuna.Study, place: Place, budget: Budget, sampler: str, pruner: str, seed: int, worker: str
) -> Trial | None:
    """The next trial for a worker, or None where the search is over."""
    with place.turn():
        trials = study.get_trials(deepcopy=False)
        begun = [trial for trial in trials if finished(trial) or trial.state.name == "RUNNING"]
        waiting = [trial for trial in trials if trial.state.name == "WAITING"]
        first = [trial for trial in waiting if DEFAULTS in trial.user_attrs]
        if not first and (budget.trials is not None and len(begun) >= budget.trials):
            return None
        if sampler == "grid" and not waiting:
            return None
        study.sampler, study.pruner = make_sampler(sampler, seed * 100_003 + len(trials)), make_pruner(pruner, budget)
        with quiet():  # of Optuna's own loop, where it would send heartbeats
            trial = study.ask()
        place.began(study, trial, worker)
        return trial


def make_sampler(name: str, seed: int) -> Any:
    """A sampler that depends on the seed and the trials before it alone, so that a resumed search goes on unchanged."""
    from optuna.samplers import RandomSampler, TPESampler

    if name != "tpe":
        return RandomSampler(seed=seed)
    with quiet():
        return TPESampler(seed=seed, n_startup_trials=STARTUP, multivariate=True, constant_liar=True)


def make_pruner(name: str, budget: Budget) -> Any:
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

    if name == "none":
        return NopPruner()
    if name == "hyperband":
        return HyperbandPruner(min_resource=1)
    return MedianPruner(n_startup_trials=STARTUP // 2, n_warmup_steps=1)


def drawn(trial: Trial, space: Space) -> dict[str, Any]:
    """The values of a trial; the defaults are noted where they lie in the space, and stay as they are."""
    if DEFAULTS in trial.user_attrs:
        for name in trial.user_attrs[DEFAULTS]:
            space[name].suggest(trial, name)
        return {}
    return {name: dimension.suggest(trial, name) for name, dimension in space.items()}


def values_of(trial: FrozenTrial, space: Space) -> dict[str, Any]:
    """The options of a finished trial; {} are the defaults."""
    if DEFAULTS in trial.user_attrs:
        return {}
    return {name: _undrawn(space[name], value) for name, value in trial.params.items()}


def _undrawn(dimension: Range | Choices, value: object) -> Any:
    if isinstance(dimension, Range):
        return value
    return next(each for each in dimension.values if as_drawn(each) == value)


def lost(trial: FrozenTrial) -> bool:
    """Whether its process died, or was interrupted, before it had a result."""
    return trial.state.name == "FAIL" and ERROR not in trial.user_attrs


def finished(trial: FrozenTrial) -> bool:
    """Whether it counts: complete, pruned, or failed with a reason."""
    return trial.state.is_finished() and not lost(trial)


def spent(trials: list[FrozenTrial]) -> float:
    """Seconds in which at least one of the finished trials ran."""
    spans = [
        (trial.datetime_start.timestamp(), trial.datetime_complete.timestamp())
        for trial in trials
        if finished(trial) and trial.datetime_start and trial.datetime_complete
    ]
    total = until = 0.0
    for start, end in sorted(spans):
        total += max(end - max(start, until), 0.0)
        until = max(until, end)
    return total
