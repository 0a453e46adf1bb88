"""What a person sees of a training: a bar on a terminal, plain lines elsewhere, live curves in a notebook; tables."""

from __future__ import annotations

import io
import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TextIO

from gatework.data.progress import heard_by
from gatework.training.callbacks import Callback
from gatework.training.learner import LEARNED, NETWORK_LOSS, VALID, learned_too

if TYPE_CHECKING:
    from gatework.training.trainer import Trainer

LINE_EVERY = 30.0  # seconds between plain lines inside an epoch
FILES_EVERY = 5.0  # and while files are read


def watcher(quiet: bool) -> list[Callback]:
    """The callback that fits where we run; none when quiet."""
    if quiet:
        return []
    if in_notebook():
        return [Curves()]
    return [Bar()] if sys.stderr.isatty() else [Lines()]


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process."""
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


def told_to() -> TextIO:
    """Where notes go: a notebook shows what comes by stderr in red, as if it were a fault."""
    return sys.stdout if in_notebook() else sys.stderr


def summary(trainer: Trainer, row: dict[str, float]) -> str:
    """One line on a validation: `epoch 3/20  train loss 1.602  valid loss 1.701  accuracy 0.53  12 s  best`; "learned"
    stands for "valid" where the epoch learned the validation part too.

    Where a model is more than its network: `epoch 3/20  network: train loss 1.602  valid 1.721  model: valid loss 1.554
    ...`.
    """
    metric = trainer.learner.metric
    names = dict.fromkeys(["loss", metric.name])
    where = LEARNED if learned_too(row) else VALID
    measured = "  ".join(f"{name} {row[key]:.4g}" for name in names if (key := where + name) in row)
    chooses = trainer.options.keep == "best" or trainer.options.patience
    best = "  best" if chooses and trainer.progress.best_epoch == row["epoch"] else ""
    if metric.idle is not None and row.get(where + metric.name) == metric.idle:
        best = f"  says nothing yet{': early stopping waits' if trainer.options.patience else ''}"
    epoch = f"epoch {row['epoch']:.0f}/{trainer.options.epochs}"
    losses = f"train loss {row['train_loss']:.4g}  "
    if (alone := row.get(where + NETWORK_LOSS)) is not None:
        losses = f"network: {losses}{where[:-1]} {alone:.4g}  model: "
    return f"{epoch}  {losses}{where[:-1]} {measured}  {row['seconds']:.0f} s{best}"


def say(line: str, quiet: bool = False) -> None:
    """A line beside a training, on a terminal and elsewhere, but in a notebook, which shows what it needs itself."""
    if not quiet and not in_notebook():
        print(line, file=sys.stderr, flush=True)


@contextmanager
def waiting(text: str, quiet: bool = False) -> Iterator[None]:
    """Says what takes a while: a bar on a terminal, which goes with what it was there for; elsewhere a line, and more
    of them where many files are read."""
    if quiet:
        yield
        return
    if in_notebook() or not sys.stderr.isatty():
        print(f"{text} ...", file=told_to(), flush=True)
        with heard_by(Counted(text)):
            yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None)
        with heard_by(lambda done, total: bar.update(task, completed=done, total=total)):
            yield


class Counted:
    """A line now and then on how many files are read."""

    def __init__(self, text: str) -> None:
        self.text, self.said_at = text, time.perf_counter()

    def __call__(self, done: int, total: int) -> None:
        if time.perf_counter() - self.said_at > FILES_EVERY:
            self.said_at = time.perf_counter()
            print(f"{self.text} ... {done:,} of {total:,} files", file=told_to(), flush=True)


class Events(Callback):
    """Tells what was found in the data before the first step, and what the guard has to say as soon as it says it."""

    def __init__(self) -> None:
        self.told = 0

    def started(self, trainer: Trainer) -> None:
        self.told = len(trainer.progress.events)
        found = trainer.run.config["data"] if trainer.run else {}
        for level in ("note", "warning"):
            for message in found.get(f"{level}s") or []:
                self.say(f"{level}: {message}")

    def stepped(self, trainer: Trainer) -> None:
        for event in trainer.progress.events[self.told :]:
            self.say(f"warning: {event}")
        self.told = len(trainer.progress.events)

    def say(self, line: str) -> None:
        print(line, file=told_to(), flush=True)


class Lines(Events):
    """A line per validation, and one now and then inside a long epoch."""

    def started(self, trainer: Trainer) -> None:
        super().started(trainer)
        self.said_at = time.perf_counter()

    def stepped(self, trainer: Trainer) -> None:
        super().stepped(trainer)
        if time.perf_counter() - self.said_at > LINE_EVERY:
            done = f"{trainer.progress.index}/{trainer.epoch_steps}"
            self._line(f"epoch {trainer.progress.epoch + 1}  batch {done}  loss {trainer.loss:.4g}")

    def validated(self, trainer: Trainer, row: dict[str, float]) -> None:
        self._line(summary(trainer, row))

    def finished(self, trainer: Trainer) -> None:
        self._line(f"stopped: {trainer.stopped}")

    def _line(self, text: str) -> None:
        self.said_at = time.perf_counter()
        self.say(text)


class Bar(Events):
    """A bar for the epoch at hand, above it a line per validation."""

    def started(self, trainer: Trainer) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self.row = self.bar.add_task("training", total=None)
        super().started(trainer)
        self.bar.start()

    def stepped(self, trainer: Trainer) -> None:
        super().stepped(trainer)
        progress, epochs, steps = trainer.progress, trainer.options.epochs, trainer.epoch_steps
        self.bar.update(
            self.row,
            total=epochs * steps,
            completed=progress.epoch * steps + progress.index,
            description=f"epoch {progress.epoch + 1}/{epochs}  loss {trainer.loss:.3f}",
        )

    def validated(self, trainer: Trainer, row: dict[str, float]) -> None:
        self.say(summary(trainer, row))

    def finished(self, trainer: Trainer) -> None:
        self.bar.stop()
        print(f"stopped: {trainer.stopped}", file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        self.bar.console.print(line, highlight=False, markup=False)


class Curves(Events):
    """Learning curves in a notebook, drawn anew after each validation."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: Any = None

    def validated(self, trainer: Trainer, row: dict[str, float]) -> None:
        notebook = import_module("IPython.display")  # which only notebooks have
        picture = notebook.SVG(curves_svg(trainer.progress.history, trainer.learner.metric.name))
        if self.shown is None:
            self.shown = notebook.display(picture, display_id=True)
        else:
            self.shown.update(picture)


def curves_svg(history: list[dict[str, float]], watched: str) -> str:
    """The learning curves of some history as SVG text: the losses, and the watched metric beside them."""
    from matplotlib.figure import Figure

    losses = [key for key in ("train_loss", f"valid_{NETWORK_LOSS}", "valid_loss") if key in history[0]]
    names = [losses] + ([[f"valid_{watched}"]] if watched != "loss" else [])
    figure = Figure(figsize=(4 * len(names), 2.6), layout="constrained")
    for axes, keys in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for key in keys:
            axes.plot(
                [row["epoch"] for row in history], [row.get(key, math.nan) for row in history], label=key, marker="."
            )
        axes.set_xlabel("epoch")
        axes.legend()
    text = io.StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue()[text.getvalue().index("<svg") :]


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Names down, metrics across, aligned in plain text."""
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    lines = [["", *columns]]
    lines += [[name, *(f"{row[key]:.4f}" if key in row else "-" for key in columns)] for name, row in rows.items()]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns) + 1)]
    return "\n".join(
        "  ".join(cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(cells))
        for cells in (list(zip(line, widths, strict=True)) for line in lines)
    )
