"""What a decoder reads of texts that are given, and what it is to write: whole texts at once, as in training."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gatework.data.codecs import NOTHING
from gatework.data.ragged import Ragged


class Taught(NamedTuple):
    """Texts of B rows: `read` (T, B) begins with NOTHING, and `places` [M] are those of its T * B steps after which a
    symbol is written, these `written` [M], NOTHING at each end, `steps` [B] of each text."""

    read: Tensor
    places: Tensor
    written: Tensor
    steps: Tensor


def taught(texts: Ragged) -> Taught:
    """The texts' units, without their ends.

    taught(Ragged.of([[5, 6], [7]])).read              # [[0, 0], [5, 7], [6, 0]]; written are 5, 7, 6, 0 and 0
    """
    sizes = texts.lengths
    steps = int(sizes.max(initial=0)) + 1
    inside = np.arange(steps)[:, None] <= sizes
    padded = np.full((len(texts), steps + 1), NOTHING, np.int64)
    padded[:, 1:][np.arange(steps) < sizes[:, None]] = texts.values
    return Taught(
        read=torch.from_numpy(np.ascontiguousarray(padded[:, :-1].T)),
        places=torch.from_numpy(np.flatnonzero(inside)),
        written=torch.from_numpy(padded[:, 1:].T[inside]),
        steps=torch.from_numpy(sizes + 1),
    )
