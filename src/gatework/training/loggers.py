"""Where a training is told beside its run folder: TensorBoard, MLflow, Weights & Biases; imported when asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatework.extras import EXTRAS, explained, require
from gatework.training.callbacks import Callback

if TYPE_CHECKING:
    from gatework.training.run import Run
    from gatework.training.trainer import Trainer

STEPS = 10  # between values of single steps
LONGEST = 250  # characters of a setting, which MLflow's older servers take


class Logger(Callback):
    """Tells the options once, the measures of every validation, and loss and norm of every tenth step."""

    def __init__(self, run: Run):
        self.run = run

    def started(self, trainer: Trainer) -> None:
        self.open(f"{self.run.task} {self.run.path.name}", trainer)

    def stepped(self, trainer: Trainer) -> None:
        if trainer.step % STEPS == 0:
            values = {"step/loss": trainer.loss, "step/gradient_norm": trainer.gradient_norm}
            self.tell(values, trainer.step)

    def validated(self, trainer: Trainer, row: dict[str, float]) -> None:
        self.tell({f"epoch/{key}": value for key, value in row.items() if key not in ("epoch", "step")}, trainer.step)

    def open(self, name: str, trainer: Trainer) -> None:
        """Begins a record; `trainer.step` is above 0 where the training is resumed."""

    def tell(self, values: Mapping[str, float], step: int) -> None:
        """Values at a step."""


class TensorBoard(Logger):
    """Scalars in the folder `tensorboard` of the run: `tensorboard --logdir runs` shows them."""

    def open(self, name: str, trainer: Trainer) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as error:
            raise explained(error) from error
        self.writer = SummaryWriter(str(self.run.path / "tensorboard"), purge_step=trainer.step or None)

    def tell(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def finished(self, trainer: Trainer) -> None:
        self.writer.close()


class MLflow(Logger):
    """A run of MLflow where its own settings say (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME); a resumed training
    makes another one."""

    def open(self, name: str, trainer: Trainer) -> None:
        self.mlflow = mlflow = import_module("mlflow")
        mlflow.start_run(run_name=name, nested=mlflow.active_run() is not None)
        mlflow.log_params({key: str(value)[:LONGEST] for key, value in self.run.options.items()})

    def tell(self, values: Mapping[str, float], step: int) -> None:
        self.mlflow.log_metrics(dict(values), step=step)

    def finished(self, trainer: Trainer) -> None:
        self.mlflow.end_run()


class WandB(Logger):
    """A run of Weights & Biases in the project WANDB_PROJECT, by default gatework; a resumed training goes on in it."""

    def open(self, name: str, trainer: Trainer) -> None:
        project = os.environ.get("WANDB_PROJECT", "gatework")
        own = hashlib.sha256(f"{self.run.path.resolve()} {self.run.config['created']}".encode()).hexdigest()[:16]
        about: dict[str, Any] = {"config": dict(self.run.options), "dir": str(self.run.path)}
        self.record = import_module("wandb").init(project=project, name=name, id=own, resume="allow", **about)

    def tell(self, values: Mapping[str, float], step: int) -> None:
        self.record.log(dict(values), step=step)

    def finished(self, trainer: Trainer) -> None:
        self.record.finish()


LOGGERS: dict[str, Callable[[Run], Logger]] = {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WandB}


def require_loggers(names: Sequence[str]) -> None:
    """A MissingExtraError where the package of one is not installed: before any data are read."""
    for name in names:
        require([name], EXTRAS[name])


def loggers(names: Sequence[str], run: Run) -> list[Callback]:
    """A callback for each name.

    loggers(("mlflow", "tensorboard"), run)
    """
    return [LOGGERS[name](run) for name in dict.fromkeys(names)]
