"""Integrated gradients along a straight line, with the gradients taken where they are needed.

Points spread evenly miss where a recurrent network tips over, as at a watershed, and where a maximum over time changes
hands. So the outputs along the line are computed first, without gradients, and the line is divided at such places (see
places.py). The result is the plain integral: the gradients of each piece times its width, not scaled to fit the sum.
Where the output changes too fast for single precision, outputs and gradients are computed in double precision.

There is one exception, which the result tells: a leap, that is a change within a millionth of the line that gradients
do not add up to. The gradients at its two ends are perpendicular to the border that is crossed, so the change is
divided in proportion to them: the limit of the integral as outputs become steeper.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from torch import Tensor

from gatework.errors import DataError
from gatework.explanation.places import Samples, pieces
from gatework.tasks.subject import ROWS, Subject

LEAST, MOST, STEPS_RUN = 150, 2000, 60_000  # outputs along the line: that many steps, except for short and long inputs
CLOSER = 80  # outputs more in double precision
NARROWEST, NARROWER = 2.0**-17, 2.0**-44  # intervals are not halved further in single and in double precision
UNCLEAR = 2e-4  # of all changes: what bends more in the narrowest interval needs double precision
NEAR = 2.0**-13  # of a place that does
SUDDEN = 2.0**-20  # widest piece that may hold a leap
MISSED = 1e-3  # of all changes: a leap that is missed by less is none
STEEP = 10.0  # times the mean slope: from there on a gradient's direction is that of the leap


class Line:
    """The explained output and its gradients between the baseline (place 0) and the input (1)."""

    def __init__(self, subject: Subject, baseline: Tensor):
        self.subject, self.size = subject, max(ROWS // len(subject), 1)
        self.start, self.stop = baseline.double(), subject.entry.double()
        self.steep = np.zeros(0)  # places where double precision is used

    def entries(self, places: np.ndarray) -> Tensor:
        """Entries (S, T, I) in float64."""
        return self.start + torch.from_numpy(places).view(-1, 1, 1) * (self.stop - self.start)

    def close(self, places: np.ndarray) -> np.ndarray:
        """Which places (S,) are taken in double precision."""
        return np.any(np.abs(places[:, None] - self.steep) < NEAR, axis=1)

    @torch.no_grad()
    def outputs(self, places: np.ndarray) -> np.ndarray:
        """The explained output (S,)."""
        found, close = np.zeros(len(places)), self.close(places)
        for double in (False, True):
            for part in batches(close == double, self.size):
                found[part] = self._scores(self.entries(places[part]), double).numpy()
        if not np.isfinite(found).all():
            place, value = next(each for each in zip(places, found, strict=True) if not np.isfinite(each[1]))
            raise DataError(
                f"the model's output is {value} at {place:.0%} of the way from the baseline to this input, so that "
                "nothing can be attributed; look for extreme values in the input, and at `gatework diagnose` of the run"
            )
        return found

    def _scores(self, entries: Tensor, double: bool) -> Tensor:
        if not double:
            return self.subject.score(entries.to(self.subject.entry.dtype)).double()
        with self.subject.precisely():
            return self.subject.score(entries)

    def gradients(self, ends: np.ndarray, each: np.ndarray) -> np.ndarray:
        """The integrals (P, T, I) over pieces, with a number of gradients in each, times the distance."""
        from captum.attr import IntegratedGradients

        path, close = self.entries(ends), self.close((ends[:-1] + ends[1:]) / 2)
        found = np.zeros((len(each), *path.shape[1:]))
        for count, double in product((1, 2), (False, True)):
            method = IntegratedGradients(lambda entries, double=double: self._scores(entries, double))
            for part in batches((each == count) & (close == double), max(self.size // count, 1)):
                parts = method.attribute(path[part + 1], path[part], n_steps=count, method="gausslegendre")
                found[part] = parts.detach().numpy()
        return found

    def sampled(self) -> Samples:
        """Outputs closest together where they bend, in double precision where they leap."""
        count = int(np.clip(STEPS_RUN // len(self.subject), LEAST, MOST))
        found = Samples.even(self.outputs).closer(self.outputs, count, NARROWEST)
        missed = found.turns() > UNCLEAR * np.abs(np.diff(found.values)).sum()
        self.steep = found.places[:-1][missed & (np.diff(found.places) <= NARROWEST)]
        close = self.close(found.places)
        if not close.any():
            return found
        found.values[close] = self.outputs(found.places[close])
        return found.closer(self.outputs, CLOSER, NARROWER)


def batches(which: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The indices of True values, at most `size` at once."""
    numbers = np.flatnonzero(which)
    yield from (numbers[k : k + size] for k in range(0, len(numbers), size))


def integral(subject: Subject, baseline: Tensor, points: int) -> tuple[np.ndarray, float]:
    """The integrals (T, I) of the gradient from the baseline to the input, times the way, with `points` gradients; and
    how much of the output's change is leaps."""
    line = Line(subject, baseline)
    samples = line.sampled()
    ends, each = pieces(samples, points)
    found, changes = line.gradients(ends, each), np.diff(samples.between(ends))
    leaps = leaping(found.sum((1, 2)), changes, np.diff(ends))
    found[leaps] *= (changes[leaps] / found[leaps].sum((1, 2)))[:, None, None]
    return found.sum(0), float(changes[leaps].sum())


def leaping(sums: np.ndarray, changes: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Which pieces (n,) hold a leap: the narrowest, missed, and with gradients that point over the border."""
    whole = np.abs(changes).sum()
    missed = np.abs(sums - changes) > MISSED * whole
    return (widths <= SUDDEN) & missed & (sums * changes > 0) & (np.abs(sums) > STEEP * whole * widths)
