"""The course of the learning rate: pure functions of progress, so that a resumed run needs no more than its step.

`progress` runs from 0 to 1 over the training; each course gives the factor on `learning_rate`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from gatework.training.options import TrainingOptions

ONE_CYCLE_RISE, ONE_CYCLE_START, ONE_CYCLE_END = 0.3, 1 / 25, 1e-4


def constant(progress: float, final: float) -> float:
    """The same rate to the end."""
    return 1.0


def cosine(progress: float, final: float) -> float:
    """Half a cosine from 1 down to `final` (Loshchilov & Hutter 2017, section 3, without restarts)."""
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2


def one_cycle(progress: float, final: float) -> float:
    """Up from 1/25 in the first 30%, then down (Smith & Topin 2018, with cosine flanks)."""
    if progress < ONE_CYCLE_RISE:
        return 1 - (1 - ONE_CYCLE_START) * (1 + math.cos(math.pi * progress / ONE_CYCLE_RISE)) / 2
    return cosine((progress - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE), max(final, ONE_CYCLE_END))


# Plateau is constant here: what validation says comes in through `Plateau`.
COURSES: dict[str, Callable[[float, float], float]] = {
    "constant": constant,
    "cosine": cosine,
    "one-cycle": one_cycle,
    "plateau": constant,
}


def factor(options: TrainingOptions, progress: float) -> float:
    """The factor on the learning rate: a straight warm-up, then the course over what is left."""
    progress = min(max(progress, 0.0), 1.0)
    if options.schedule == "one-cycle":  # it has its own rise
        return one_cycle(progress, options.final_rate)
    if progress < options.warmup:
        return progress / options.warmup
    rest = max(1 - options.warmup, 1e-12)
    return COURSES[options.schedule]((progress - options.warmup) / rest, options.final_rate)


class Plateau:
    """Lowers the rate when validation has not improved for `plateau_patience` epochs."""

    def __init__(self, options: TrainingOptions):
        self.options = options
        self.factor, self.waited = 1.0, 0

    def validated(self, improved: bool) -> None:
        """Tells it of one validation."""
        if self.options.schedule != "plateau":
            return
        self.waited = 0 if improved else self.waited + 1
        if self.waited > self.options.plateau_patience:
            self.factor, self.waited = self.factor * self.options.plateau_factor, 0
