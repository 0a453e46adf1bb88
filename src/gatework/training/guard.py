"""The guard against NaN: keeps good weights, and goes back to them when the loss or a gradient is no number."""

from __future__ import annotations

import math

from torch import nn

from gatework.errors import TrainingError
from gatework.training.state import Progress, Tensors, copy

KEEP_EVERY = 100  # steps between two copies of the weights
STRIKES = 5  # bad losses in one epoch after which it gives up


class Guard:
    """Watches one training; `good` is part of its saved state."""

    def __init__(self, model: nn.Module):
        self.model = model
        self.good: Tensors = {}

    def before_step(self, progress: Progress) -> None:
        """Keeps the weights now and then; those of a step that began well, as a bad step is never applied."""
        if not self.good or progress.step >= progress.good_step + KEEP_EVERY:
            weights = copy(self.model)
            if all(tensor.isfinite().all() for tensor in weights.values() if tensor.is_floating_point()):
                self.good, progress.good_step = weights, progress.step

    def go_back(self, progress: Progress, loss: float, norm: float, rate: float) -> TrainingError | None:
        """Restores the good weights and halves the rate; gives the error to raise when that was tried too often."""
        self.model.load_state_dict(self.good)
        progress.rate_scale /= 2
        progress.strikes += 1
        what = "gradient" if math.isfinite(loss) else "loss"
        value = norm if math.isfinite(loss) else loss
        progress.events.append(
            f"at step {progress.step} of epoch {progress.epoch + 1} (batch {progress.index}) the {what} was {value} at "
            f"learning rate {rate:g}; went back to the weights of step {progress.good_step} and halved the rate"
        )
        return self._advice(progress, rate) if progress.strikes >= STRIKES else None

    def _advice(self, progress: Progress, rate: float) -> TrainingError:
        return TrainingError(
            f"training gave up: {progress.events[-1]}, the {STRIKES}th time in this epoch. Look for NaN or huge values "
            f"in the data (gatework check), try learning_rate={rate / 10:.1g} or clip=0.5; "
            "the last good weights are kept"
        )
