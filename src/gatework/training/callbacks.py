"""What watches a training: the base class, and TensorBoard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatework.extras import explained

if TYPE_CHECKING:
    from gatework.training.trainer import Trainer


class Callback:
    """Told of each event of a training; `trainer.stop("reason")` ends it, an exception passes through `fit`.

    class Printer(Callback):
        def validated(self, trainer, row):
            print(row["epoch"], row["valid_loss"])
    """

    def started(self, trainer: Trainer) -> None:
        """Before the first step; also of a resumed training."""

    def stepped(self, trainer: Trainer) -> None:
        """After a step; the parameters still hold its gradients, clipped."""

    def validated(self, trainer: Trainer, row: dict[str, float]) -> None:
        """After a validation; `row` is what metrics.csv gets."""

    def finished(self, trainer: Trainer) -> None:
        """At the end; the model holds the best weights."""


class TensorBoard(Callback):
    """Writes scalars of every validation, and of every tenth step, to a folder for TensorBoard."""

    def __init__(self, folder: str):
        self.folder = folder
        self.writer: Any = None

    def started(self, trainer: Trainer) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError as error:
            raise explained(error) from error
        self.writer = SummaryWriter(self.folder, purge_step=trainer.step or None)

    def stepped(self, trainer: Trainer) -> None:
        if trainer.step % 10 == 0:
            self.writer.add_scalar("step/loss", trainer.loss, trainer.step)
            self.writer.add_scalar("step/gradient_norm", trainer.gradient_norm, trainer.step)

    def validated(self, trainer: Trainer, row: dict[str, float]) -> None:
        for name, value in row.items():
            if name not in ("epoch", "step"):
                self.writer.add_scalar(f"epoch/{name}", value, trainer.step)

    def finished(self, trainer: Trainer) -> None:
        self.writer.close()
