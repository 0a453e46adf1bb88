"""The verbs: what the command line, the estimators and the search for settings all call.

`train` reads downwards: prepare, run folder, model, loop, results.
"""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gatework import tasks
from gatework.data.stored import restoring
from gatework.errors import GateworkError, OptionError
from gatework.tasks.base import Contender, Finding, Learner, Parts, Source, Task
from gatework.tasks.kept import keep
from gatework.tasks.origin import learned_from, named, origin, other_files, shown, title, training_file
from gatework.tasks.pruning import pruned, smaller
from gatework.tasks.transfer import started
from gatework.tasks.verdict import Contest, Verdict, told
from gatework.training import processes
from gatework.training.callbacks import Callback
from gatework.training.console import say, waiting, watcher
from gatework.training.environment import contained
from gatework.training.finder import find_rate
from gatework.training.folders import RUNS, free, numbered
from gatework.training.learner import Shard
from gatework.training.locks import alone
from gatework.training.loggers import loggers, require_loggers
from gatework.training.options import Options, TrainingOptions, setting_name
from gatework.training.run import Run
from gatework.training.state import shapes
from gatework.training.trainer import INTERRUPTED, Trainer, parameter_count

LEARNED = "The model learned from this very data: the figures do not say how good it is on other data."


@dataclass
class Trained:
    """A run with its model, ready for use.

    trained = load("runs/reviews")
    trained.evaluate("test.csv")["accuracy"]
    """

    run: Run
    task: Task
    model: nn.Module
    stopped: str | None = None
    leads: bool = True  # of several processes, only the first has results to show

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the training; then there are no results yet."""
        return self.stopped == INTERRUPTED

    @torch.no_grad()
    def evaluate(self, source: Source) -> dict[str, float]:
        """The task's metrics on other data."""
        return self._measured(self._examples(source)[0])

    @torch.no_grad()
    def assessed(self, source: Source) -> dict[str, Any]:
        """All that a report of an evaluation shows, in the form of `run.results()`: "test" holds the metrics."""
        examples, caution = self._examples(source)
        contenders = [*self.task.contenders(self.model, examples), *self.task.simple(examples)]
        judged = Contest.of(self.task, contenders, examples, shown(named(source))).verdict
        return {
            "task": self.task.name,
            "metric": vars(self.task.metric),
            "data": origin(source),
            "history": [],
            "valid": None,
            "test": contenders[0].metrics | self.task.final_measures(self.model, examples),
            **_standing(contenders, judged),
            "caution": caution,
            "sections": self.task.sections(self.model, Parts(None, None, examples)),
        }

    def _examples(self, source: Source) -> tuple[Any, str]:
        """New data, and what makes a measurement on it flatter; of learned examples in another file a warning tells."""
        examples = self.task.examples(source)
        if self.learned_from(source):
            return examples, LEARNED
        if caution := self.task.caution(examples):
            warnings.warn(caution, stacklevel=4)
        return examples, caution

    def learned_from(self, source: Source) -> bool:
        """Whether this is the data of the training itself, so that figures on it say little of new data."""
        return self.task.learns_all and learned_from(self.run, source)

    @torch.no_grad()
    def predict(self, source: Source, **how: Any) -> list[dict[str, Any]]:
        """One answer per row of the source; `how` is what the task takes beside it: the fields of `Task.Predicting`."""
        return self.task.predict(self.model, source, **vars(self.task.Predicting.of(how)))

    @torch.no_grad()
    def written(self, source: Source, how: Options | None = None) -> str | Iterator[str] | None:
        """The answers as a file in the task's own form, for tasks that have one: columns, spans; whole or in pieces."""
        return self.task.written(self.model, source, self.task.Predicting() if how is None else how)

    @torch.no_grad()
    def saved(self, source: Source, out: Path, how: Options) -> list[dict[str, Any]] | None:
        """Writes answers that are no text to `out`, for tasks that have such, and gives their rows; None of others."""
        return self.task.saved(self.model, source, out, how)

    def _measured(self, examples: object) -> dict[str, float]:
        return self.task.measure(self.model, examples) | self.task.final_measures(self.model, examples)

    def _repr_html_(self) -> str:
        return self.run._repr_html_()


@contained()
def train(
    task: Task,
    source: Source,
    *,
    valid: Source | None = None,
    test: Source | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    start: str | Path | None = None,
    prune: float | None = None,
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
) -> Trained:
    """Trains a task on data and leaves a run folder; Ctrl-C saves, and `resume` goes on bit for bit.

        trained = train(Generate(GenerateOptions(epochs=5)), "book.txt", out="runs/book")

    Args:
        task: the task with its options.
        source: the data; `valid` and `test` are further files, else parts of `source` where the task splits.
        out: the run folder; without it runs/NAME, or the first of runs/NAME-2, ... that is free. One process at a time
            trains in it.
        resume: go on with the training in the run folder; without `out`, in the newest of runs/NAME, runs/NAME-2, ...
        overwrite: replace the run in the folder, once the data of the new one are read.
        start: a run of the same task, from whose weights the training starts: see `gatework.tasks.transfer`.
        prune: the share of that run's units, those with the smallest weights, that are cut away first: see
            `gatework.tasks.pruning`. hidden_size follows.
        callbacks: further watchers; see `gatework.training.callbacks`.

    Raises: DataError or OptionError for bad input before anything is trained; TrainingError where it cannot go on.
    """
    which = partial(_newest, task.name, source) if resume else Path if overwrite else free
    out = _folder(out, task.name, source, which)
    asked = Asked(source, valid, test, out, resume, overwrite, start, prune)
    asked.refuse_contradictions()
    shard = processes.join()
    with nullcontext() if shard.rank else alone(out):  # only the first process writes
        return _train(task, asked, callbacks, quiet, shard)


@dataclass(frozen=True)
class Asked:
    """What a training was asked for beside its task: see `train`."""

    source: Source
    valid: Source | None
    test: Source | None
    out: Path
    resume: bool
    overwrite: bool
    start: str | Path | None
    prune: float | None = None

    def refuse_contradictions(self) -> None:
        if self.resume and self.overwrite:
            raise OptionError("resume goes on with a run, overwrite replaces it; leave one of them out")
        if self.resume and self.start is not None:
            raise OptionError(
                "a resumed training goes on from its own weights; leave the run to start from (--from) out"
            )

        if self.prune is not None and self.start is None:
            raise OptionError("prune cuts units of a run to start from: name it with start (--from)")

    def apart(self, part: str) -> Source | None:
        """The data of a part, where they were given apart from the source."""
        return {"valid": self.valid, "test": self.test}[part]


def _train(task: Task, asked: Asked, callbacks: Sequence[Callback], quiet: bool, shard: Shard) -> Trained:
    """Prepares, opens the run folder, trains, measures."""
    source, out, resume = asked.source, asked.out, asked.resume
    require_loggers(task.options.loggers())
    if not (resume or asked.overwrite or shard.rank):
        Run.refuse_taken(out)
    if resume:
        task.options = _as_begun(task.options, _unfinished(Run.open(out, task.name)))
    if task.options.threads:
        torch.set_num_threads(task.options.threads)
    other = None if asked.start is None else load(asked.start, task.name)
    cut = None if other is None or asked.prune is None else pruned(other, asked.prune)
    if cut is not None:
        task.options = smaller(task.options, cut)
    torch.manual_seed(task.options.seed)
    with waiting("reading the data and choosing settings", quiet or shard.rank > 0):
        parts = task.prepare(source, asked.valid, asked.test)
    model = task.build()
    data = {**origin(source, asked.valid, asked.test), **task.facts(parts)}  # after `build`, which may tell something
    if other is not None:
        data["notes"] = [*data.get("notes", ()), started(task, model, other, cut)]
    if task.options.find_rate:
        _use_found_rate(task, parts, model, Run.open(out) if resume else None)
    run = _open_run(task, data, asked, shard)
    say(f"run: {out}", quiet or shard.rank > 0)
    watchers = _watchers(task, run, callbacks, quiet, shard)
    trainer = Trainer(Learner(task, parts), model, task.options, run, watchers, shard)
    torch.manual_seed(task.options.seed + shard.rank)
    if resume and run.has_state():
        with restoring(str(run.path)):
            trainer.restore(*run.state())
    trained = Trained(run, task, model, trainer.fit(), shard.rank == 0)
    if shard.rank == 0 and not trained.interrupted:
        with waiting("measuring the model, its parts and simple methods", quiet):
            _finish(trainer, trained, parts, asked)
    return trained


def resume(
    path: str | Path,
    source: Source | None = None,
    *,
    valid: Source | None = None,
    test: Source | None = None,
    changes: Mapping[str, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
) -> Trained:
    """Goes on with the training in a run folder, on the data that it began with.

        resume("runs/book", changes={"epochs": 30})

    Args:
        path: the run folder.
        source: the data, where they lie elsewhere by now, as do `valid` and `test`.
        changes: options that a resumed training may change: those with the role "resumable".

    Raises: OptionError where the data are gone or changed, and for a training that is done and kept no state.
    """
    run = Run.open(path)
    kind = tasks.get(run.task)
    options = kind.Options.of({**_unfinished(run).options, **(changes or {})})
    beside = other_files(run, valid, test)
    source = training_file(run) if source is None else source
    others = dict(zip(("valid", "test"), beside, strict=True))
    return train(kind(options), source, out=path, resume=True, callbacks=callbacks, quiet=quiet, **others)


def load(path: str | Path, task: str | None = None, reading: Sequence[str] = ()) -> Trained:
    """A run folder's task and best weights, verified.

    Args:
        path: the run folder.
        task: refuses a run of another task.
        reading: "key=value" for options of the data that other files need: ["encoding=cp1252", "text=Review"].
    """
    run = Run.open(path, task)
    kind = tasks.get(run.task)
    with restoring(str(path)):
        loaded = kind(_reading(kind.Options.of(run.options), reading))
        loaded.restore(run.assets)
        with torch.device("meta"):  # shapes without memory: a config can ask for any size, and the weights must have it
            weights = run.weights("best", shapes(loaded.build()))
        model = loaded.build()
        model.load_state_dict(weights)
    return Trained(run, loaded, model.eval())


def _reading(options: TrainingOptions, settings: Sequence[str]) -> TrainingOptions:
    """The options, with others of how a file is read; the rest belongs to the training that is over."""
    there = options.with_role("reading")
    for text in settings:
        name = setting_name(text)
        if name not in there:
            raise OptionError(
                f"{name!r} says nothing of how a file is read; of a trained run there are: {', '.join(there)}"
            )
    return options.with_settings(settings)


def check(task: Task, source: Source) -> list[Finding]:
    """What is wrong with the data, and where, before any training."""
    return task.check(source)


def _as_begun(options: TrainingOptions, begun: Run) -> TrainingOptions:
    """Options that are left to be worked out are those that the run worked out when it was begun."""
    left = [name for name, value in vars(options).items() if value in (None, "auto")]
    return replace(options, **{name: begun.options[name] for name in left if name in begun.options})


def begun(task: type[Task], source: Source, out: str | Path | None = None) -> Run:
    """The run that a training with `resume` goes on with."""
    return Run.open(_folder(out, task.name, source, partial(_newest, task.name, source)), task.name)


def _newest(task: str, source: Source, folder: Path) -> Path:
    """Of `folder`, folder-2, ... the newest that holds a run of the task on these data; `folder` where none does."""
    return next((path for path in numbered(folder) if _is_of(path, task, source)), folder)


def _is_of(path: Path, task: str, source: Source) -> bool:
    try:
        return learned_from(Run.open(path, task), source)
    except GateworkError:
        return False


def _folder(out: str | Path | None, task: str, source: Source, which: Callable[[Path], Path]) -> Path:
    """The run folder: the one that was named, or one of those that belong to the data."""
    return which(RUNS / (title(source) or task)) if out is None else Path(out)


def _unfinished(run: Run) -> Run:
    """The run, if its training can go on: a done one has dropped what that needs, unless it was told to keep it."""
    if run.finished and not run.has_state():
        path = shlex.quote(str(run.path))
        raise OptionError(
            f"the training in {run.path} is done, and its state was not kept, so that it cannot go on: start a new one "
            f"from its weights (gatework train {run.task} ... --from {path}), and keep the state with --keep-state "
            "where more epochs may follow"
        )
    return run


def _use_found_rate(task: Task, parts: Parts, model: nn.Module, begun: Run | None) -> None:
    """Sets the rate that a range test suggests, or that it suggested when the training was begun. That it was asked for
    stays in the options, so that the same options take the training up again."""
    if begun is None:
        rate = find_rate(Learner(task, parts), model, task.options).suggestion
    else:
        rate = begun.options.get("learning_rate", task.options.learning_rate)
    task.options = replace(task.options, learning_rate=rate)


def _open_run(task: Task, data: Mapping[str, Any], asked: Asked, shard: Shard) -> Run:
    if not asked.resume and shard.rank:  # only the first process writes
        return Run(asked.out, {"task": task.name})
    if asked.overwrite:
        Run(asked.out, {}).remove()
    if not asked.resume:
        options, assets = task.options.to_dict(), task.assets()
        return Run.create(asked.out, task=task.name, options=options, data=data, assets=assets)
    run = Run.open(asked.out, task.name)
    _must_match(run, task.options, data)
    if shard.rank == 0:
        run.change_options(task.options.to_dict())
        run.drop_results()
    return run


def _must_match(run: Run, options: Options, data: Mapping[str, Any]) -> None:
    changed, free = (
        [key for key, value in options.to_dict().items() if run.options.get(key) != value],
        options.with_role("resumable"),
    )
    for key in changed:
        if key not in free:
            raise OptionError(
                f"{run.path} was trained with {key}={run.options.get(key)!r}, not {getattr(options, key)!r}; a resumed "
                f"training may change only {', '.join(free)}"
            )
    if run.config["data"]["sha256"] != data["sha256"]:
        raise OptionError(f"the data changed since {run.path} was begun; train anew in another folder (--out)")


def _watchers(task: Task, run: Run, callbacks: Sequence[Callback], quiet: bool, shard: Shard) -> list[Callback]:
    if shard.rank:
        return []
    return [*watcher(quiet), *loggers(task.options.loggers(), run), *callbacks]


@torch.no_grad()
def _finish(trainer: Trainer, trained: Trained, parts: Parts, asked: Asked) -> None:
    """Measures, and writes what the run is known by; last the state goes, as a training without results must go on."""
    task, run, (where, last) = trained.task, trained.run, parts.last
    contenders = [*task.contenders(trained.model, last), *task.baselines(parts)]
    contest, given = Contest.of(task, contenders, last, where), asked.apart(where)
    keep(run, contest, asked.source if given is None else given, given is not None)
    run.write_results(_results(trainer, trained, parts, contest))
    if not task.options.keep_state:
        run.drop_state()


def _results(trainer: Trainer, trained: Trained, parts: Parts, contest: Contest) -> dict[str, Any]:
    """Everything the report shows."""
    task, model = trained.task, trained.model
    where, last = parts.last
    seen = task.some(parts.train, len(parts.valid))  # in evaluation mode, unlike the losses in the history
    measured = {"train": task.measure(model, seen), "valid": task.watched(model, parts.valid), "test": None}
    measured[where] = {**(measured[where] or {}), **contest.model.metrics, **task.final_measures(model, last)}
    return {
        "task": task.name,
        "metric": vars(task.metric),
        "data": trained.run.config["data"],
        "training": _course(trainer),
        "history": trainer.progress.history,
        **measured,
        **_standing(contest.contenders, contest.verdict),
        "caution": LEARNED if where == "valid" and trainer.learner.learned else "",
        "sections": task.sections(model, parts),
    }


def _standing(contenders: Sequence[Contender], judged: Verdict) -> dict[str, Any]:
    """Who stands where; "baselines", those of the contenders, are for programs that read what version 0.1 wrote."""
    rows = [told(each) for each in contenders]
    baselines = [row for row in rows if row["role"] == "baseline"]
    return {"contenders": rows, "baselines": baselines, "verdict": judged.text, "comparison": judged.to_dict()}


def _course(trainer: Trainer) -> dict[str, Any]:
    progress = trainer.progress
    return {
        "parameters": parameter_count(trainer.model),
        "epochs": progress.epoch,
        "steps": progress.step,
        "seconds": round(progress.seconds, 1),
        "stopped": trainer.stopped,
        "best_epoch": progress.best_epoch,
        "events": progress.events,
    }
