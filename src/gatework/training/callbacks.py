"""What watches a training: the base class; others are in console.py and loggers.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatework.training.trainer import Trainer


class Callback:
    """Told of each event of a training; `trainer.stop("reason")` ends it, an exception passes through `fit`.

    class Printer(Callback):
        def validated(self, trainer, row):
            print(row["epoch"], row["train_loss"])
    """

    def started(self, trainer: Trainer) -> None:
        """Before the first step; also of a resumed training."""

    def stepped(self, trainer: Trainer) -> None:
        """After a step; the parameters still hold its gradients, clipped."""

    def validated(self, trainer: Trainer, row: dict[str, float]) -> None:
        """After a validation; `row` is what metrics.csv gets: `valid_loss` and the like, or `learned_loss` and the like
        in an epoch that learned the validation part too."""

    def finished(self, trainer: Trainer) -> None:
        """At the end; the model holds the best weights."""
