"""The loss of connectionist temporal classification, and which texts it can learn."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gatework.data.ragged import Ragged


class Told(Protocol):
    """What a batch says of its texts: `targets` [N] one after another, `target_lengths` [B]."""

    @property
    def targets(self) -> Tensor: ...
    @property
    def target_lengths(self) -> Tensor: ...


def negative_log_p(log_p: Tensor, lengths: Tensor, batch: Told) -> Tensor:
    """[B]: nats of each text, all paths that read as it together (Graves et al. 2006), of log_p (T, B, V).

    A text that has no room in its steps, as in a copy that was made faster, counts as 0 and teaches nothing.
    """
    told = batch.targets, lengths, batch.target_lengths
    return functional.ctc_loss(log_p, *told, reduction="none", zero_infinity=True)


def nats(log_p: np.ndarray, ids: np.ndarray) -> float:
    """The same of one text, of log_p (T, V)."""
    steps, count = torch.from_numpy(log_p)[:, None], torch.tensor([len(ids)])
    loss = functional.ctc_loss(
        steps, torch.from_numpy(ids), torch.tensor([len(steps)]), count, reduction="sum", zero_infinity=True
    )
    return float(loss)


def needed(targets: Ragged) -> np.ndarray:
    """[n]: the fewest steps that can say each text: one a symbol, and one between two equal ones.

    needed(Ragged.of([[1, 2], [1, 1]]))                               # [2, 3]
    """
    again = np.zeros(len(targets.values), np.int64)
    again[1:] = targets.values[1:] == targets.values[:-1]
    again[targets.offsets[:-1][targets.lengths > 0]] = 0
    return targets.lengths + np.bincount(targets.owners, again, len(targets)).astype(np.int64)


def steps(lengths: np.ndarray, stride: int) -> np.ndarray:
    """Steps that frames become."""
    return -(-lengths // stride)
