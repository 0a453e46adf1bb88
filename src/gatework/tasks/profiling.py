"""Where the time of a training step of any task goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gatework.errors import OptionError
from gatework.tasks.base import Learner, Source, Task
from gatework.training.environment import contained
from gatework.training.profile import Profile, Spent
from gatework.training.trainer import Trainer

if TYPE_CHECKING:
    from gatework.training.options import TrainingOptions


@contained()
def profile(task: Task, source: Source, steps: int = 20) -> Spent:
    """Trains a few steps and says what they spend their time on. Nothing is written.

    profile(Generate(GenerateOptions(hidden_size=512)), "book.txt").step        # 0.043, seconds
    """
    options: TrainingOptions = task.options
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    parts = task.prepare(source)
    model, watch = task.build(), Profile(steps)
    trainer = Trainer(Learner(task, parts), model, task.options, callbacks=[watch])
    ended = trainer.fit()
    if trainer.step < watch.needed:
        done = f"{trainer.step} of the {watch.needed} steps that a profile needs"
        raise OptionError(f"{ended}, after {done}; profile fewer steps, with epochs=1 or more and no time_limit")
    return watch.spent()
