"""A training that starts from another run's weights: each fits as it is, by its units, or not at all, and is told so.

Vocabularies and labels of two runs differ, also in their order; so a weight whose places stand for units (`Task.axes`)
takes over those of units that both runs know. Buffers are the new data's own: what was counted, scaled or settled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gatework.errors import OptionError
from gatework.tasks.base import Axes, Task
from gatework.tasks.pruning import Cut

if TYPE_CHECKING:
    from gatework.tasks.jobs import Trained


@dataclass
class Fitted:
    """Names of weights: taken over as they are; in part, with (taken, all) places; left as they start."""

    whole: list[str] = field(default_factory=list)
    part: dict[str, tuple[int, int]] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def told(self, run: str) -> str:
        """In a sentence, for the notes of the run."""
        found = [f"{len(self.whole)} weights as they were"] if self.whole else []
        found += [f"{taken:,} of {places:,} places of {name}" for name, (taken, places) in self.part.items()]
        left = "; not taken: " + ", ".join(f"{name} ({why})" for name, why in self.left.items()) if self.left else ""
        return f"started from the weights of {run}: {', '.join(found)}{left}"


@torch.no_grad()
def started(task: Task, model: nn.Module, other: Trained, cut: Cut | None = None) -> str:
    """Gives a fresh model the weights of a run that fit it, or what a cut left of them; says which did, and which did
    not.

    Raises: OptionError where none fits.
    """
    there, fitted = dict(other.model.named_parameters()) if cut is None else cut.weights, Fitted()
    mine, theirs = task.axes(), other.task.axes()
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            continue
        if name not in there:
            fitted.left[name] = "the run has none"
        else:
            _take(name, weight, there[name], mine.get(name), theirs.get(name), fitted)
    if not fitted.whole and not fitted.part:
        raise OptionError(
            f"no weight of {other.run.path} fits the new model: {fitted.told('it').partition('; not taken: ')[2]}; "
            f"train with its options, or begin with --config {other.run.path}"
        )
    told = fitted.told(str(other.run.path))
    return told if cut is None else f"{cut.told()}; {told}"


def _take(name: str, weight: Tensor, other: Tensor, mine: Axes | None, theirs: Axes | None, fitted: Fitted) -> None:
    """One weight, by its units where its places stand for some."""
    shapes = f"{tuple(other.shape)} there, {tuple(weight.shape)} here"
    if mine is None or theirs is None or weight.ndim != other.ndim:
        if weight.shape != other.shape:
            fitted.left[name] = shapes
        else:
            weight.copy_(other)
            fitted.whole.append(name)
        return
    pairs = [_common(*each) for each in zip(mine, theirs, weight.shape, other.shape, strict=True)]
    if any(pair is None for pair in pairs):
        fitted.left[name] = shapes
        return
    here, there = (torch.meshgrid(*(pair[k] for pair in pairs if pair), indexing="ij") for k in (0, 1))
    weight[tuple(here)] = other[tuple(there)]
    taken = here[0].numel()
    if taken == weight.numel():
        fitted.whole.append(name)
    elif taken:
        wide = max(weight.numel() // len(weight), 1)
        fitted.part[name] = (taken // wide, len(weight))
    else:
        fitted.left[name] = "no unit in common"


def _common(
    mine: Sequence[str] | None, theirs: Sequence[str] | None, here: int, there: int
) -> tuple[Tensor, Tensor] | None:
    """The places along one axis of what both know; all of them where they stand for no units, if there are as many."""
    if mine is None or theirs is None:
        return (torch.arange(here), torch.arange(here)) if here == there else None
    known = {unit: place for place, unit in enumerate(theirs)}
    pairs = [(place, known[unit]) for place, unit in enumerate(mine) if unit in known]
    both = torch.tensor(pairs, dtype=torch.long).view(-1, 2)
    return both[:, 0], both[:, 1]
