"""Paths on which a recurrent network tips over: the output changes at one place, too fast for gradients at points.

At such a place the gradient grows without bound, but its direction settles: it stands on the border between what the
network does before and after. So what the output changes within a very short piece of the path is divided by the
gradient's direction there, which is the limit of integrated gradients; everywhere else it is their sum.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gatework.explanation.subject import ROWS, Subject

EACH = 2  # gradients in each piece of the path
FIRST = 8  # pieces of equal length to begin with
AT_ONCE = 2  # pieces that are halved before looking again
NARROW = 2.0**-11  # a piece that is shorter and still does not add up lies on a watershed
NARROWEST = 2.0**-16  # pieces are not halved further
STEEP = 10.0  # times the mean slope of the path: where the gradient is steeper, its direction is that of the change


def across(subject: Subject, baseline: Tensor, points: int) -> tuple[np.ndarray, float]:
    """The integral (T, I) over the path, piece by piece, and how much of it was divided by direction alone."""
    from captum.attr import IntegratedGradients

    ends, values = pieces(subject, baseline, max(points // EACH, FIRST))
    path = entries(subject, baseline, ends)
    method = IntegratedGradients(lambda each: subject.score(each.to(subject.entry.dtype)))
    size = max(ROWS // len(subject) // EACH, 1)
    parts = [
        method.attribute(path[k + 1 : k + 1 + size], path[k:-1][:size], n_steps=EACH, method="gausslegendre")
        for k in range(0, len(path) - 1, size)
    ]
    found = torch.cat(parts).detach().numpy()
    sums, changes = found.sum((1, 2)), np.diff(values)
    missed = np.abs(sums - changes)
    whole, widths = np.abs(changes).sum(), np.diff(ends)
    shown = (sums * changes > 0) & (np.abs(sums) > STEEP * whole * widths)
    steep = (widths <= NARROW) & (missed > 1e-3 * whole) & shown
    found[steep] *= (changes[steep] / sums[steep])[:, None, None]
    return found.sum(0), float(changes[steep].sum())


def entries(subject: Subject, baseline: Tensor, places: np.ndarray) -> Tensor:
    """Entries (S, T, I) in float64 at places between the baseline (0) and the input (1)."""
    start = baseline.double()
    return start + torch.from_numpy(places).view(-1, 1, 1) * (subject.entry.double() - start)


@torch.no_grad()
def pieces(subject: Subject, baseline: Tensor, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Ends of at most so many pieces of the path, and the output there: where it bends most, pieces are halved."""

    def outputs(at: np.ndarray) -> np.ndarray:
        return subject.score(entries(subject, baseline, at).to(subject.entry.dtype)).numpy()

    ends = np.linspace(0, 1, FIRST + 1)
    values, middles = outputs(ends), outputs((ends[1:] + ends[:-1]) / 2)
    while len(ends) <= most:
        bend = np.abs(values[1:] + values[:-1] - 2 * middles) * (np.diff(ends) > NARROWEST)
        worst = np.sort(np.argsort(-bend, kind="stable")[: min(AT_ONCE, most + 1 - len(ends))])
        halves = (ends[worst] + ends[worst + 1]) / 2
        quarters = outputs(np.stack([(ends[worst] + halves) / 2, (halves + ends[worst + 1]) / 2], 1).ravel())
        halved = middles[worst]
        middles[worst] = quarters[0::2]
        middles = np.insert(middles, worst + 1, quarters[1::2])
        ends, values = np.insert(ends, worst + 1, halves), np.insert(values, worst + 1, halved)
    return ends, values
