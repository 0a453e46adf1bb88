"""The search itself: workers that draw trials from the study, train them, and tell what came out."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatework.errors import GateworkError, TrainingError
from gatework.tasks.base import Metric, Round, Task
from gatework.training import locks
from gatework.training.callbacks import Callback
from gatework.training.interrupts import Interrupts
from gatework.training.options import TrainingOptions
from gatework.training.trainer import INTERRUPTED, Trainer
from gatework.tuning import study as studies
from gatework.tuning.evaluate import Evaluator, mean_and_spread
from gatework.tuning.places import Place, place_of
from gatework.tuning.space import Space
from gatework.tuning.study import Budget

if TYPE_CHECKING:
    import optuna
    from optuna.trial import Trial


@dataclass(frozen=True)
class Search:
    """All that a worker must know; it travels to other processes."""

    folder: Path
    task: type[Task]
    options: TrainingOptions
    space: Space
    metric: Metric
    data: Round
    rounds: list[Round]
    about: dict[str, Any]
    budget: Budget
    sampler: str
    pruner: str
    quiet: bool = False
    storage: str | None = field(default=None, repr=False)  # may hold a password

    @cached_property
    def place(self) -> Place:
        return place_of(self.folder, self.storage)

    def open(self) -> optuna.Study:
        return studies.open_study(self.folder, self.place, self.about, self.metric.higher)


class Watch(Callback):
    """Tells the study how a trial comes along, and ends it when it lags behind, time is up, or nobody waits for it."""

    def __init__(self, trial: Trial, metric: Metric, deadline: float, reports: bool, first: bool):
        self.trial, self.metric, self.deadline, self.reports, self.first = trial, metric, deadline, reports, first

    def stepped(self, trainer: Trainer) -> None:
        if orphaned():
            trainer.stop(INTERRUPTED)
        if not self.first and time.monotonic() > self.deadline:
            self._prune("time is up")

    def validated(self, trainer: Trainer, row: dict[str, float]) -> None:
        value = row[f"valid_{self.metric.name}"]
        if not self.reports or not math.isfinite(value):
            return
        self.trial.report(value, int(row["epoch"]))
        if not self.first and self.trial.should_prune():
            self._prune(f"behind the others in epoch {row['epoch']:.0f}")

    def _prune(self, why: str) -> None:
        from optuna import TrialPruned

        self.trial.set_user_attr("pruned", why)
        raise TrialPruned


def orphaned() -> bool:
    """Whether this is a worker whose parent was killed."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def work(search: Search, evaluator: Evaluator | None = None, say: Callable[[str], None] | None = None) -> bool:
    """Runs trials until the budget is used up; whether it was interrupted."""
    say = say or (speak if not search.quiet else _silent)
    with search.place.guarded():
        return _work(search, search.open(), evaluator or Evaluator(search.task, search.rounds), say)


def _work(search: Search, study: optuna.Study, evaluator: Evaluator, say: Callable[[str], None]) -> bool:
    deadline = time.monotonic() + left(study, search.budget)
    with locks.present(search.folder) as worker, Interrupts() as interrupts:
        while not interrupts.wanted and not orphaned():
            if time.monotonic() >= deadline and has_defaults(study):
                return False
            trial = studies.next_trial(
                study, search.place, search.budget, search.sampler, search.pruner, search.options.seed, worker
            )
            if trial is None:
                return False
            try:
                with search.place.running(study, trial):
                    attempt(search, study, trial, evaluator, deadline)
            except KeyboardInterrupt:
                return True
            say(line(study, trial.number, search))
    return True


def left(study: optuna.Study, budget: Budget) -> float:
    """Seconds of the budget that no session has used."""
    if budget.seconds is None:
        return math.inf
    return budget.seconds - studies.spent(study.get_trials(deepcopy=False))


def has_defaults(study: optuna.Study) -> bool:
    """Whether the defaults were drawn, so that a search without time left may end."""
    trials = study.get_trials(deepcopy=False)
    return any(studies.DEFAULTS in t.user_attrs and t.state.name != "WAITING" and not studies.lost(t) for t in trials)


def attempt(search: Search, study: optuna.Study, trial: Trial, evaluator: Evaluator, deadline: float) -> None:
    """One trial. What fails is noted and the search goes on; the defaults must succeed."""
    from optuna import TrialPruned
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    first = studies.DEFAULTS in trial.user_attrs
    try:
        began = time.perf_counter()
        value, spread = _value(search, trial, evaluator, deadline, first)
        trial.set_user_attr(studies.SECONDS, round(time.perf_counter() - began, 2))
        trial.set_user_attr(studies.SPREAD, spread)
        study.tell(trial, value)
    except TrialPruned:
        trial.set_user_attr(studies.SECONDS, round(time.perf_counter() - began, 2))
        study.tell(trial, state=TrialState.PRUNED)
    except UpdateFinishedTrialError:  # our heartbeat had stopped, and others took the trial for lost
        pass
    except Exception as error:  # a setting may be too large for the memory, or make the loss infinite
        if not first:
            trial.set_user_attr(studies.ERROR, f"{type(error).__name__}: {error}")
        study.tell(trial, state=TrialState.FAIL)
        if first or not isinstance(error, GateworkError | RuntimeError | MemoryError | ValueError):
            raise
    except BaseException:
        study.tell(trial, state=TrialState.FAIL)
        raise


def _value(
    search: Search, trial: Trial, evaluator: Evaluator, deadline: float, first: bool
) -> tuple[float, float | None]:
    options = replace(search.options, **studies.drawn(trial, search.space))
    watch = Watch(trial, search.metric, deadline, len(search.rounds) == 1, first)
    rows = []
    for number in range(len(search.rounds)):
        rows.append(evaluator.fit(options, number, callbacks=[watch]).valid)
        if len(search.rounds) > 1 and number + 1 < len(search.rounds):
            _report_fold(trial, statistics.fmean(row[search.metric.name] for row in rows), number, first)
    return mean_and_spread(rows, search.metric)


def _report_fold(trial: Trial, mean: float, number: int, first: bool) -> None:
    from optuna import TrialPruned

    if math.isfinite(mean):
        trial.report(mean, number + 1)
        if not first and trial.should_prune():
            trial.set_user_attr("pruned", f"behind the others after {number + 1} folds")
            raise TrialPruned


# -- what a person sees -------------------------------------------------------------------------------------


def speak(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _silent(text: str) -> None:
    pass


def line(study: optuna.Study, number: int, search: Search) -> str:
    """`trial 7: accuracy 0.861, the best so far; cell=gru hidden_size=64 (12 s)`."""
    trials = study.get_trials(deepcopy=False)
    trial = trials[number]
    values = " ".join(f"{name}={_short(value)}" for name, value in trial.params.items())
    what = "the defaults" if studies.DEFAULTS in trial.user_attrs else values
    if trial.state.name != "COMPLETE":
        return f"trial {number}: {trial.user_attrs.get(studies.ERROR) or trial.user_attrs.get('pruned', '')}; {what}"
    done = [each for each in trials if each.state.name == "COMPLETE"]
    best = (max if search.metric.higher else min)(done, key=lambda each: each.value or 0.0)
    place = "the best so far" if best.number == number else f"best {best.value:.4g} of trial {best.number}"
    seconds = trial.user_attrs[studies.SECONDS]
    return f"trial {number}: {search.metric.name} {trial.value:.4g}, {place}; {what} ({seconds:.0f} s)"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


# -- several processes --------------------------------------------------------------------------------------


def together(job: Callable[..., Any], jobs: Sequence[tuple[Any, ...]]) -> bool:
    """Runs `job(*arguments)` for each arguments in a process of its own with one thread; whether any was interrupted.

    Raises: what a process raised, as a TrainingError with its words.
    """
    context = multiprocessing.get_context("spawn")
    with one_thread_each(), Interrupts() as interrupts:
        answers = context.SimpleQueue()
        processes = [context.Process(target=_answering, args=(answers, job, arguments)) for arguments in jobs]
        with _ctrl_c_ignored():
            for process in processes:
                process.start()
        asked = False
        while any(process.is_alive() for process in processes):
            if not asked and (interrupts.wanted or any(process.exitcode for process in processes)):
                asked = True
                for process in processes:
                    process.terminate()  # SIGTERM: they end after the step at hand
            time.sleep(0.05)
        found = [answers.get() for _ in range(len(processes)) if not answers.empty()]
    failed = [text for kind, text in found if kind == "error"]
    if failed:
        raise TrainingError(failed[0])
    dead = [process.exitcode for process in processes if process.exitcode]
    if dead and not interrupts.wanted:
        raise TrainingError(f"a worker ended with code {dead[0]}; the same command goes on where the study stands")
    return interrupts.wanted or any(text == "true" for kind, text in found if kind == "done")


def _answering(answers: Any, job: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    import torch

    torch.set_num_threads(1)
    try:
        answers.put(("done", json.dumps(bool(job(*arguments)))))
    except KeyboardInterrupt:
        answers.put(("done", "true"))
    except GateworkError as error:
        answers.put(("error", str(error)))
        sys.exit(1)


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Processes begun inside leave Ctrl-C to us while they load their libraries."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes begun inside have one thread; libraries read this when they are loaded."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
