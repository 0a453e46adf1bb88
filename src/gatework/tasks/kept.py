"""What a finished run keeps for comparisons with other runs: the model's sums over the examples that it was judged on.

sums.safetensors holds `Contender.sums` of the model as float32 [G, k] and the blocks int64 [G], where there are some;
beside them stands which examples these are: the part, a digest of the data that it is from, and whether it was given
apart or held out of the training data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch

from gatework.data.stored import conform
from gatework.errors import FileFormatError
from gatework.tasks.base import Source
from gatework.tasks.origin import fingerprint
from gatework.tasks.verdict import Contest
from gatework.training.run import SUMS, Run


class About(TypedDict):
    """Which examples the sums are of."""

    part: str
    data: str
    apart: bool
    metric: str
    counted: str


@dataclass(frozen=True)
class Kept:
    """A run's sums [G, k], the blocks [G] of their rows, and which examples they are of."""

    sums: np.ndarray
    blocks: np.ndarray | None
    about: About


def keep(run: Run, contest: Contest, source: Source, apart: bool) -> None:
    """Writes the model's sums; nothing where it has none. `source`: the data that the examples are from."""
    sums, blocks = contest.model.sums, contest.blocks
    if sums is None:
        return
    tensors = {"sums": torch.from_numpy(np.asarray(sums, np.float32))}
    if blocks is not None:
        tensors["blocks"] = torch.from_numpy(np.asarray(blocks, np.int64))
    about = About(
        part=contest.where,
        data=fingerprint(source),
        apart=apart,
        metric=contest.metric.name,
        counted=contest.examples,
    )
    run.save_sums(tensors, dict(about))


def kept(run: Run) -> Kept | None:
    """What `keep` wrote; None for a run that has no such file.

    Raises: FileFormatError for a file that is damaged, of another run, or no such sums.
    """
    if not (run.path / SUMS).exists():
        return None
    tensors, about = run.sums()
    known = conform(about.get("about"), About, str(run.path / SUMS))
    sums, blocks = tensors.get("sums"), tensors.get("blocks")
    fits = sums is not None and sums.ndim == 2 and sums.dtype == torch.float32
    if (
        sums is None
        or not fits
        or (blocks is not None and (blocks.dtype, blocks.shape) != (torch.int64, sums.shape[:1]))
    ):
        raise FileFormatError(f"{run.path / SUMS} does not hold what it should: fetch it anew, or train again")
    return Kept(sums.numpy().astype(np.float64), None if blocks is None else blocks.numpy(), known)
