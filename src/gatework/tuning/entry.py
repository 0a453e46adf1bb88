"""`gatework.tune`: what the command line calls too."""

from __future__ import annotations

import dataclasses
import html
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gatework import report, tasks
from gatework.errors import OptionError, TrainingError
from gatework.pages.templating import framed
from gatework.tasks import jobs
from gatework.tasks.base import Round, Source, Task
from gatework.tasks.origin import files_of, fingerprint, named, shown
from gatework.training import locks
from gatework.training.environment import contained
from gatework.training.files import read_json, write_bytes, write_json
from gatework.training.options import TrainingOptions, known_names
from gatework.training.run import CONFIG, RESULTS, Run
from gatework.tuning import finals, page, search, words
from gatework.tuning import space as spaces
from gatework.tuning import study as studies
from gatework.tuning.evaluate import Evaluator, make_rounds
from gatework.tuning.search import Search

if TYPE_CHECKING:
    import optuna
    import polars as pl

BEST, PAGE, NUMBERS, TRAINED = "best", "tune.html", "tune.json", "trained.json"
TRIALS = 20  # where neither trials nor minutes are given


@dataclass(frozen=True)
class Tuned:
    """What a search left behind: `options` of the best settings, `trials` as a frame, `run` (None when interrupted).

    `verdict` says in words whether the found settings beat the defaults; `comparison` holds the numbers behind it.
    """

    path: Path
    study: optuna.Study
    options: TrainingOptions
    changed: dict[str, Any]
    verdict: str
    comparison: finals.Comparison | None
    run: Run | None
    interrupted: bool
    rows: list[dict[str, Any]]

    def _repr_html_(self) -> str:
        page = self.path / PAGE
        if not page.exists():
            return f"<p>{html.escape(self.verdict)} {html.escape(str(self.path))}</p>"
        return framed(page.read_text(encoding="utf-8"))

    @cached_property
    def trials(self) -> pl.DataFrame:
        """A row per trial: number, state, value, spread, seconds, note and the option's values."""
        import polars as pl

        flat = [{**{k: v for k, v in row.items() if k != "options"}, **row["options"]} for row in self.rows]
        return pl.DataFrame(flat, infer_schema_length=None, strict=False)


@contained()
def tune(
    task: str | type[Task],
    source: Source,
    *,
    out: str | Path,
    valid: Source | None = None,
    test: Source | None = None,
    options: Mapping[str, Any] | TrainingOptions | None = None,
    space: Mapping[str, Any] | str | Path | None = None,
    edits: Mapping[str, Any] | None = None,
    only: bool = False,
    trials: int | None = None,
    minutes: float | None = None,
    workers: int = 1,
    sampler: str = "tpe",
    pruner: str = "median",
    folds: int = 0,
    seeds: int = 3,
    storage: str | None = None,
    quiet: bool = True,
) -> Tuned:
    """Searches for good settings, and leaves a run trained with the best ones and a page about the search.

        tuned = gatework.tune(task, "reviews.csv", out="runs/tuned", minutes=20, workers=2)
        tuned.options.learning_rate, tuned.verdict, tuned.run.path

    The first trial has the defaults. The search sees training and validation rows; at its end the best trials and the
    defaults are trained anew with fresh seeds, and compared on the test rows. A search that was killed goes on when
    it is called again with the same arguments.

    Args:
        task: the name of a task, or its class.
        source: the data; `valid` and `test` as for training.
        out: the folder of the study: journal, tune.html, and best/, a run folder.
        options: what holds in every trial; options named here are not searched, unless `space` names them.
        space: option -> "LOW..HIGH", "LOW..HIGH log" or a list; or a TOML file; None takes the task's default space.
        edits: further such options, which are added to the space or replace its entries; `only`: they are all of it.
        trials, minutes: when the search ends, over all sessions; without both, after 20 trials (grid: the whole grid).
        workers: processes, each with one thread.
        sampler: "tpe" (Bergstra et al. 2011), "random" or "grid" (three points of each range).
        pruner: "median", "hyperband" (Li et al. 2018) or "none": how trials that lag behind are ended.
        folds: cross-validation in each trial; 0 takes the one validation part.
        seeds: trainings of each finalist at the end.
        storage: postgresql://USER@HOST/NAME: the study is kept there, under the name of the folder, in place of the
            journal, and the same call on other machines takes part in it; sqlite:///FILE for one machine. A password
            stands in the URL, in ~/.pgpass or in PGPASSWORD, and is written nowhere.

    Raises: DataError and OptionError for bad input, a bad space, or a folder with another study; TrainingError where
        the database fails.
    """
    kind = tasks.get(task) if isinstance(task, str) else task
    _check(trials, minutes, workers, sampler, pruner, seeds)
    base, given = base_options(kind, options)
    if base.threads:
        torch.set_num_threads(base.threads)
    data = Round(source, valid, test)
    probe = Evaluator(kind, [data])
    ready = probe.ready(base)
    start = {} if only else _start(kind, space, given, ready.task.variant)
    searched = spaces.space_of(kind.Options, {**start, **(edits or {})})
    if not searched:
        raise OptionError("the search space is empty; name an option, such as learning_rate='0.001..0.01 log'")
    rounds = _rounds(ready.task, data, folds)
    if trials is None and minutes is None and sampler != "grid":
        trials = TRIALS
    budget = studies.Budget(trials, None if minutes is None else 60 * minutes)
    about = {
        "task": kind.name,
        "data": [_print(each) for each in (source, valid, test)],
        "source": _name(source),
        "space": spaces.as_text(searched),
        "options": base.to_dict(),
        "metric": ready.task.metric.name,
        "folds": len(rounds),
    }
    plan = Search(
        Path(out), kind, base, searched, ready.task.metric, data, rounds, about, budget, sampler, pruner, quiet, storage
    )
    with plan.place.guarded():
        study = plan.open()
        studies.begin(study, plan.place, searched, ready.task.options, sampler, base.seed)
        interrupted = _searched(plan, study, probe if not folds else None, workers)
        return _finished(plan, study, workers, seeds, interrupted)


def _check(trials: int | None, minutes: float | None, workers: int, sampler: str, pruner: str, seeds: int) -> None:
    for name, value, known in (("sampler", sampler, studies.SAMPLERS), ("pruner", pruner, studies.PRUNERS)):
        if value not in known:
            raise OptionError(f"there is no {name} {value!r}{known_names(value, known)}")
    for name, value, least in (("trials", trials, 1), ("workers", workers, 1), ("seeds", seeds, 2)):
        if value is not None and value < least:
            raise OptionError(f"{name}={value}: give at least {least}")
    if minutes is not None and not minutes > 0:
        raise OptionError(f"minutes={minutes}: give a time above 0")


def base_options(
    kind: type[Task], options: Mapping[str, Any] | TrainingOptions | None
) -> tuple[TrainingOptions, set[str]]:
    """The options of every trial, and the names of those that were given."""
    if isinstance(options, TrainingOptions):
        fields = dataclasses.fields(options)
        base, given = options, {f.name for f in fields if getattr(options, f.name) != f.default}
    else:
        base, given = kind.Options.of(options or {}), set(options or ())
    if base.find_rate:
        raise OptionError("find_rate=true has no place in a search: it chooses the rate itself; leave it out")
    for name in base.with_role("refit"):
        if getattr(base, name):
            raise OptionError(f"{name} learns the validation part, on which settings are chosen; leave it out")
    return base, given


def _start(kind: type[Task], asked: Any, given: set[str], variant: str | None) -> Mapping[str, Any]:
    """The space asked for, or the default one without the options that were given."""
    if asked is None:
        return {name: each for name, each in spaces.default(kind, variant).items() if name not in given}
    return spaces.read(Path(asked), kind, variant) if isinstance(asked, str | Path) else asked


def _rounds(task: Task, data: Round, folds: int) -> list[Round]:
    if not folds:
        return [data]
    if data.valid is not None:
        raise OptionError("folds divide the data themselves; leave out the validation file (valid)")
    return make_rounds(task, data.source, folds, hold_out=data.test is None)


def _print(source: Source | None) -> str | None:
    return None if source is None else fingerprint(source)


def _name(source: Source) -> str:
    return shown(named(source)) if files_of(source) else "data in memory"


# -- the course of a search ---------------------------------------------------------------------------------


def _searched(plan: Search, study: optuna.Study, evaluator: Evaluator | None, workers: int) -> bool:
    """The trials; whether they were interrupted. Where all of them were lost with another command, there are others."""
    if _worked(plan, evaluator, workers):
        return True
    if finals.complete(study):
        return False
    try:
        _wait_for_others(plan, study)
    except KeyboardInterrupt:
        return True
    return not finals.complete(study) and _worked(plan, evaluator, workers)


def _worked(plan: Search, evaluator: Evaluator | None, workers: int) -> bool:
    if workers == 1:
        return search.work(plan, evaluator)
    return search.together(search.work, [(plan,)] * workers)


def _finished(plan: Search, study: optuna.Study, workers: int, seeds: int, interrupted: bool) -> Tuned:
    """The finals, the run and the page; after an interruption the page alone, of what there is."""
    run = None
    try:
        if not interrupted:
            _wait_for_others(plan, study)
            with locks.FileLock(plan.folder / "finish.lock"):
                interrupted = finals.hold(plan, study, seeds, workers)
                if not interrupted:
                    run = _run(plan, study)
                    interrupted = run is None
    except KeyboardInterrupt:
        interrupted = True
    return _written(plan, study, run, interrupted)


def _wait_for_others(plan: Search, study: optuna.Study) -> None:
    """Other commands may still be in their last trials."""
    while True:
        with plan.place.turn():
            plan.place.forget_dead(study)
        if all(trial.state.name != "RUNNING" for trial in study.get_trials(deepcopy=False)):
            return
        time.sleep(0.2)


def _run(plan: Search, study: optuna.Study) -> Run | None:
    """The run folder of the winner: trained, taken up where it was left, or found finished; None when interrupted."""
    if not finals.complete(study):
        raise TrainingError("no trial of this search came to an end; the same command goes on with it")
    winner, folder, noted = finals.winner(study, plan.metric), plan.folder / BEST, plan.folder / TRAINED
    if folder.exists() and not (noted.exists() and read_json(noted, "the trial of best/") == winner.number):
        shutil.rmtree(folder)  # of settings that were the best until the search went on
    write_json(noted, winner.number)
    if not (folder / RESULTS).exists():
        if not plan.quiet:
            search.speak(f"training the run in {folder} with the settings of trial {winner.number}")
        task = plan.task(finals.options_of(plan, winner))
        data, resume = plan.data, (folder / CONFIG).exists()
        trained = jobs.train(task, data.source, valid=data.valid, test=data.test, out=folder, resume=resume, quiet=True)
        if trained.interrupted:
            return None
    if plan.task.name in tasks.names():  # a task of one's own has no report
        report.write(folder)
    return Run.open(folder, plan.task.name)


def _written(plan: Search, study: optuna.Study, run: Run | None, interrupted: bool) -> Tuned:
    if not finals.complete(study):
        return Tuned(plan.folder, study, plan.options, {}, "No trial is complete.", None, None, interrupted, [])
    best = finals.winner(study, plan.metric)
    found = finals.compare(study, best, plan.metric)
    if run is None and not finals.results(study, best.number, "valid", plan.metric):
        best = finals.ranked(study, plan.metric)[0]
    changed = {name: after for name, _, after in page.changes(plan, best)}
    verdict = words.verdict(study, best, found, plan.metric, changed)
    rows = page.table(plan, [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()])
    write_bytes(plan.folder / PAGE, page.render(plan, study, best, found, verdict).encode())
    write_json(
        plan.folder / NUMBERS,
        {
            **plan.about,
            "verdict": verdict,
            "best": best.number,
            "changed": changed,
            "comparison": found and {**dataclasses.asdict(found), "verdict": found.verdict},
            "trials": rows,
        },
    )
    options = finals.options_of(plan, best)
    return Tuned(plan.folder, study, options, changed, verdict, found, run, interrupted, rows)
