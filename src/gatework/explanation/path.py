"""Integrated gradients along a straight line, with the gradients taken where the output bends.

A recurrent network can tip over at one place of the line, as at a watershed, and points spread evenly miss that place.
So the output is run along the line first (no gradients), and pieces of it are halved where two Gauss-Legendre points
would miss their change most. What is then added up is the plain integral: each piece's two gradients with the weights
of its width, whatever they add up to.

The one exception is told with the result: a leap, a change within a millionth of the line that gradients do not add
up to, as single precision cannot follow it. The gradients at its two ends stand across the border that is crossed, so
the change is divided in proportion to them: the limit of the integral for ever steeper outputs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gatework.explanation.subject import ROWS, Subject

EACH = 2  # gradients in each piece
PLACES = np.array([0.5 - 0.5 / np.sqrt(3), 0.5 + 0.5 / np.sqrt(3)])  # of them in a piece of width 1
FIRST = 16  # pieces of equal width to begin with, at most half of all
AT_ONCE, ALIKE = 4, 0.3  # pieces that are halved before looking again: those that miss this part of the most
NARROWEST = 2.0**-20  # pieces are not halved further: single precision knows some 16 places in one
MISSED = 1e-3  # of all changes: a leap that is missed by less is none
STEEP = 10.0  # times the mean slope: from there on a gradient's direction is that of the leap
CLOSE = 1 / 40  # of a piece's width: between outputs whose difference is taken as the slope

Outputs = Callable[[np.ndarray], np.ndarray]


def integral(subject: Subject, baseline: Tensor, points: int) -> tuple[np.ndarray, float]:
    """The integrals (T, I) of the gradient from the baseline to the input, times the way, with so many gradients; and
    how much of the output's change are leaps."""
    from captum.attr import IntegratedGradients

    outputs = outputs_of(subject, baseline)
    ends = pieces(outputs, max(points // EACH, 1))
    path = entries(subject, baseline, ends)
    method = IntegratedGradients(lambda each: subject.score(each.to(subject.entry.dtype)))
    size = max(ROWS // len(subject) // EACH, 1)
    parts = [
        method.attribute(path[k + 1 : k + 1 + size], path[k:-1][:size], n_steps=EACH, method="gausslegendre")
        for k in range(0, len(path) - 1, size)
    ]
    found, changes = torch.cat(parts).detach().numpy(), np.diff(outputs(ends))
    leaps = leaping(found.sum((1, 2)), changes, np.diff(ends))
    found[leaps] *= (changes[leaps] / found[leaps].sum((1, 2)))[:, None, None]
    return found.sum(0), float(changes[leaps].sum())


def leaping(sums: np.ndarray, changes: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Which pieces (n,) hold a leap: the narrowest, missed, and with gradients that point over the border."""
    whole = np.abs(changes).sum()
    missed = np.abs(sums - changes) > MISSED * whole
    return (widths <= NARROWEST) & missed & (sums * changes > 0) & (np.abs(sums) > STEEP * whole * widths)


def entries(subject: Subject, baseline: Tensor, places: np.ndarray) -> Tensor:
    """Entries (S, T, I) in float64 at places between the baseline (0) and the input (1)."""
    start = baseline.double()
    return start + torch.from_numpy(places).view(-1, 1, 1) * (subject.entry.double() - start)


def outputs_of(subject: Subject, baseline: Tensor) -> Outputs:
    """The explained output (S,) at places (S,) of the line."""
    size = max(ROWS // len(subject), 1)

    @torch.no_grad()
    def outputs(places: np.ndarray) -> np.ndarray:
        parts = [places[k : k + size] for k in range(0, len(places), size)]
        found = [subject.score(entries(subject, baseline, part).to(subject.entry.dtype)) for part in parts]
        return torch.cat(found).double().numpy()

    return outputs


def pieces(outputs: Outputs, count: int) -> np.ndarray:
    """Ends (count + 1,) of pieces from 0 to 1: those are halved whose change is missed most."""
    ends = np.linspace(0, 1, max(min(FIRST, count // 2), 1) + 1)
    missed = misses(outputs, ends)
    while len(ends) <= count:
        room = min(AT_ONCE, count + 1 - len(ends))
        gain = missed * (np.diff(ends) > NARROWEST)
        worst = np.argsort(-gain, kind="stable")[:room]
        worst = np.sort(worst[gain[worst] >= ALIKE * gain[worst[0]]])
        halves = (ends[worst] + ends[worst + 1]) / 2
        each = np.stack([ends[worst], halves, ends[worst + 1]], 1)
        found = misses(outputs, each)
        missed[worst] = found[:, 0]
        missed, ends = np.insert(missed, worst + 1, found[:, 1]), np.insert(ends, worst + 1, halves)
    return ends


def misses(outputs: Outputs, ends: np.ndarray) -> np.ndarray:
    """By how much two points miss the output's change over each piece; `ends` (..., n + 1) gives (..., n).

    Slopes at the points are differences of outputs close by, so that no gradient is spent on looking.
    """
    widths = np.diff(ends)
    points = ends[..., :-1, None] + widths[..., None] * PLACES
    near = CLOSE * widths[..., None]
    around = np.stack([points - near, points + near])
    values = outputs(np.concatenate([ends.ravel(), around.ravel()]))
    changes = np.diff(values[: ends.size].reshape(ends.shape))
    before, after = values[ends.size :].reshape(around.shape)
    return np.abs(((after - before) / (2 * CLOSE)).mean(-1) - changes)
