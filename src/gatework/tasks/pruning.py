"""Whole units of a run cut away before a training starts from it: those with the smallest weights (Li et al. 2017).

A unit of `hidden_size` is the same place in every gate, layer, direction and map that reads it, so all layers lose the
same ones. Where units stand, a model of the same run built with fewer units says itself: an axis that is shorter there
holds blocks of units, and behind them what else was joined, as in [h; context]. What is left computes what the run's
model would compute with all weights of the units that went at zero; only norms over the units of a layer, and attention
scaled by their number, shift.

Source: Li et al., "Pruning filters for efficient ConvNets", ICLR 2017, section 3.1, with units in place of filters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gatework.errors import OptionError
from gatework.training.options import TrainingOptions

if TYPE_CHECKING:
    from gatework.tasks.jobs import Trained

SIZE = "hidden_size"


@dataclass(frozen=True)
class Cut:
    """A run's weights without some units: the numbers of those that are left, and the share of squares that went."""

    weights: Mapping[str, Tensor]
    kept: Tensor
    before: int
    lost: float

    def told(self) -> str:
        """In a sentence, for the notes of the run."""
        went = self.before - len(self.kept)
        return (
            f"cut {went} of {self.before} units of each layer, with {self.lost:.1%} of the squared weights: "
            f"{SIZE} is {len(self.kept)}"
        )


@torch.no_grad()
def pruned(other: Trained, share: float) -> Cut:
    """A run's weights without this share of its units: those that all weights to and from them are smallest of.

    Raises: OptionError for a share that leaves none or all, and for a task whose weights do not hang on hidden_size.
    """
    weights = dict(other.model.named_parameters())
    before, left = _sizes(other, share)
    shapes = _shapes(other, left)
    axes = {name: list(_axes(weight.shape, shapes[name], before, left)) for name, weight in weights.items()}
    squares = [
        _squares(weights[name], axis, blocks, before)
        for name, found in axes.items()
        for axis, blocks in found
        if weights[name].ndim > 1
    ]
    if not squares:
        raise OptionError(f"no weight of {other.run.path} hangs on {SIZE}: there are no units to cut")
    sizes = torch.stack(squares).sum(0)
    kept = sizes.topk(left).indices.sort().values
    less = {name: _without(weight, axes[name], kept, before) for name, weight in weights.items()}
    return Cut(less, kept, before, 1 - float(sizes[kept].sum() / sizes.sum()))


def smaller(options: TrainingOptions, cut: Cut) -> TrainingOptions:
    """The options with as many units as are left. Raises OptionError for a size that says otherwise."""
    left, asked = len(cut.kept), getattr(options, SIZE)
    if asked not in (cut.before, left, getattr(type(options)(), SIZE)):
        raise OptionError(f"{SIZE}={asked}, but {left} of {cut.before} units are left after the cut: leave {SIZE} out")
    return replace(options, **{SIZE: left})


def _sizes(other: Trained, share: float) -> tuple[int, int]:
    """Units before and after."""
    before = other.run.options.get(SIZE)
    if before is None:
        raise OptionError(f"the runs of {other.run.task} have no {SIZE}, so that there are no units to cut")
    if not 0 < share < 1:
        raise OptionError(f"prune={share}: the share of units that go lies between 0 and 1")
    left = before - round(share * before)
    if not 0 < left < before:
        raise OptionError(f"prune={share} of {before} units leaves {left}: choose another share")
    return before, left


def _shapes(other: Trained, left: int) -> dict[str, torch.Size]:
    """Of the weights of the same run with fewer units."""
    twin = type(other.task)(replace(other.task.options, **{SIZE: left}))
    twin.restore(other.run.assets)
    with torch.device("meta"):
        return {name: weight.shape for name, weight in twin.build().named_parameters()}


def _axes(there: torch.Size, here: torch.Size, before: int, left: int) -> Iterator[tuple[int, int]]:
    """The axes of a weight that hold units, with how many blocks of them."""
    for axis, (large, small) in enumerate(zip(there, here, strict=True)):
        blocks, rest = divmod(large - small, before - left)
        if rest or blocks * before > large:
            raise OptionError(
                f"{SIZE} {before} makes a weight of {tuple(there)} and {left} one of {tuple(here)}: no cut"
            )
        if blocks:
            yield axis, blocks


def _squares(weight: Tensor, axis: int, blocks: int, before: int) -> Tensor:
    """The sum of squares that each unit has along an axis."""
    own = weight.movedim(axis, 0)[: blocks * before]
    return own.reshape(blocks, before, -1).square().sum((0, 2))


def _without(weight: Tensor, axes: list[tuple[int, int]], kept: Tensor, before: int) -> Tensor:
    for axis, blocks in axes:
        units = (torch.arange(blocks)[:, None] * before + kept).flatten()
        others = torch.arange(blocks * before, weight.shape[axis])
        weight = weight.index_select(axis, torch.cat([units, others]))
    return weight
