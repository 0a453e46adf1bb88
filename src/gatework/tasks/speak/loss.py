"""What training makes small: frames that are wrong, ends that are missed, looks far from the diagonal."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gatework.tasks.speak.examples import AFTER, Batch
from gatework.tasks.speak.model import Outputs

WIDTH = 0.2  # of the diagonal, in shares of text and sound


class Losses(NamedTuple):
    """Sums over a batch: `frames`, of the mean over F of absolute and squared error, rough and finished; `ends`, nats;
    `looks`, shares of attention off the diagonal. `counts` (3,) are the frames and steps that each is of."""

    frames: Tensor
    ends: Tensor
    looks: Tensor
    counts: Tensor

    def total(self, guided: float) -> Tensor:
        """The means, added up."""
        return (torch.stack(self[:3]) / self.counts * self.counts.new_tensor([1.0, 1.0, guided])).sum()


def losses(outputs: Outputs, batch: Batch, stop_weight: float) -> Losses:
    """Sums over what was recorded; of ends, also over AFTER steps behind it."""
    step, dtype = torch.arange(outputs.ends.shape[1]), outputs.ends.dtype
    inside, asked = ((step < batch.steps[:, None] + more).to(dtype) for more in (0, AFTER))
    frames = inside.repeat_interleave(batch.frames.shape[1] // len(step), 1)
    errors = (each - batch.frames for each in (outputs.rough, outputs.frames))
    wrong = sum((error.abs() + error.square()).mean(2) for error in errors)
    over = (step >= batch.steps[:, None] - 1).to(dtype)
    weight = outputs.ends.new_tensor(stop_weight)
    ends = functional.binary_cross_entropy_with_logits(outputs.ends, over, reduction="none", pos_weight=weight)
    looks = (outputs.weights * off_diagonal(batch.steps, batch.lengths, len(step))).sum(2)
    counts = torch.stack([frames.sum(), asked.sum(), inside.sum()])
    return Losses((wrong * frames).sum(), (ends * asked).sum(), (looks * inside).sum(), counts)


def off_diagonal(steps: Tensor, lengths: Tensor, most: int) -> Tensor:
    """(B, most, S): 0 where a step of `steps` [B] looks at its own share of a text of `lengths` [B] units, towards 1
    where it looks elsewhere (Tachibana, Uenoyama & Aihara 2018, section 4.1).

    >>> (off_diagonal(torch.tensor([2]), torch.tensor([2]), 2) > 0.5).tolist()
    [[[False, True], [True, False]]]
    """
    spoken = torch.arange(most)[None, :, None] / steps[:, None, None]
    read = torch.arange(int(lengths.max()))[None, None] / lengths[:, None, None]
    return 1 - torch.exp(-((spoken - read) ** 2) / (2 * WIDTH**2))
