"""Commands as functions of the same names: `gatework.check`, `train`, `resume`, `evaluate`, `predict`, `validate`.

    trained = gatework.train(gatework.TextClassifier.Task, "reviews.csv", label="stars", epochs=5)
    gatework.evaluate(trained, "other.csv")["accuracy"]
    gatework.predict("runs/reviews", ["a superb film"])

Options are keywords, under their names; a run is a folder, or what `train` gave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gatework import report, tasks
from gatework.data.finding import Finding, in_order
from gatework.tasks import jobs
from gatework.tasks.base import Source, Task
from gatework.tasks.jobs import Trained
from gatework.training.callbacks import Callback
from gatework.training.run import Run
from gatework.training.settings import read

TaskName = str | type[Task]


def check(task: TaskName, source: Source, **options: object) -> list[Finding]:
    """What is wrong with data, and where, before any training: errors first.

    gatework.check(gatework.TextClassifier.Task, "reviews.csv", label="stars")
    """
    return in_order(_job(task, options).check(source))


def train(
    task: TaskName,
    source: Source,
    *,
    valid: Source | None = None,
    test: Source | None = None,
    out: str | Path | None = None,
    config: str | Path | None = None,
    start: str | Path | None = None,
    prune: float | None = None,
    overwrite: bool = False,
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
    **options: object,
) -> Trained:
    """Trains a model and leaves a run folder with a report; see `gatework.tasks.jobs.train` for the arguments.

        gatework.train(gatework.Forecaster.Task, "sales.csv", out="runs/sales", horizon=12).run.results()["verdict"]

    Args:
        task: its name, as on the command line, or its class.
        config: a file of options, or a run, whose options hold where the keywords name no others.
        start: the run from whose weights the training starts: --from on the command line.
        prune: the share of that run's units, those with the smallest weights, that are cut away first.
    """
    job = _job(task, options, config)
    how = {"out": out, "start": start, "prune": prune, "overwrite": overwrite, "callbacks": callbacks, "quiet": quiet}
    return _reported(jobs.train(job, source, valid=valid, test=test, **how))


def resume(
    run: str | Path | Trained,
    source: Source | None = None,
    *,
    valid: Source | None = None,
    test: Source | None = None,
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
    **options: object,
) -> Trained:
    """Goes on with a training, from the run folder alone; `options` are those that `gatework resume --help` lists.

    gatework.resume("runs/sales", epochs=30)

    A training that is done goes on only where it was begun with keep_state=True.
    """
    how = {"valid": valid, "test": test, "callbacks": callbacks, "quiet": quiet}
    return _reported(jobs.resume(_path(run), source, changes=options, **how))


def evaluate(
    run: str | Path | Trained, source: Source | None = None, *, reading: Sequence[str] = ()
) -> dict[str, float]:
    """The metrics of a trained model on other data; without data, those of its last part when it was trained.

        gatework.evaluate("runs/reviews", "other.csv", reading=["label=rating"])["accuracy"]

    `reading`: "key=value" for how these data are read, where that differs.
    """
    if source is not None:
        return _trained(run, reading).evaluate(source)
    results = Run.open(_path(run)).results()
    return results["test"] or results["valid"]


def predict(
    run: str | Path | Trained, source: Source = None, *, reading: Sequence[str] = (), **how: object
) -> list[dict]:
    """One answer for each row of some data; `how` is what the task takes beside them, such as a horizon.

    gatework.predict("runs/sales", "sales.csv", horizon=24)
    """
    return _trained(run, reading).predict(source, **how)


def _job(task: TaskName, options: Mapping[str, object], config: str | Path | None = None) -> Task:
    kind = tasks.get(task) if isinstance(task, str) else task
    base = {} if config is None else read(config, kind.Options, kind.name)
    return kind(kind.Options.of({**base, **options}))


def _reported(trained: Trained) -> Trained:
    """With its page, where the training has come to its end and this process has the results."""
    if trained.leads and not trained.interrupted and trained.task.name in tasks.names():
        report.write(trained.run)
    return trained


def _path(run: str | Path | Trained) -> str | Path:
    return run.run.path if isinstance(run, Trained) else run


def _trained(run: str | Path | Trained, reading: Sequence[str]) -> Trained:
    return run if isinstance(run, Trained) and not reading else jobs.load(_path(run), reading=reading)
