"""How much each step contributes: integrated gradients, and what happens when steps are taken away."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gatework.explanation.path import integral
from gatework.tasks.subject import Subject

STEPS = 64  # points of the path at which gradients are taken
RELIABLE = 0.01  # an error that is small enough not to look for another baseline
MOST_WINDOWS = {"text": 160}  # windows that are taken away, one after another
MOST_OTHERS = 48  # of what is no text
FLOOR = 0.05  # a difference below it is not worth a relative error


@dataclass(frozen=True)
class Attribution:
    """Integrated gradients along the straight line from an empty input to this one (Sundararajan et al., ICML 2017).

    `steps` (T,) add up to `output - start`, where `start` is the output at the `baseline`; `parts` divide them among
    the parts of the model. `error` is how far they are from adding up, as a part of the difference (of 0.05 at least).
    `leap` is the part of the difference that happens at once, see path.py; 0 unless the network tips over on the path.
    """

    steps: np.ndarray
    channels: np.ndarray
    parts: dict[str, np.ndarray]
    output: float
    start: float
    error: float
    points: int
    baseline: str
    leap: float = 0.0

    @classmethod
    def of(cls, subject: Subject, name: str, baseline: Tensor, points: int = STEPS) -> Attribution:
        """The network's integrals with the parts of the model that the subject attributes itself."""
        channels, leap = integral(subject, baseline, points)
        linear, exact = (sum(each.values(), np.zeros(len(subject))) for each in (subject.linear, subject.exact))
        parts = {"network": channels.sum(1) - linear, **subject.linear, **subject.exact}
        steps = channels.sum(1) + exact
        output = float(subject.whole() @ subject.contrast.numpy())
        with torch.no_grad():
            start = float(subject.score(baseline.unsqueeze(0))[0]) + subject.constant
        error = abs(float(steps.sum()) - (output - start)) / max(abs(output - start), FLOOR)
        return cls(steps, channels, parts, output, start, error, points, name, leap)

    @property
    def difference(self) -> float:
        return self.output - self.start


@dataclass(frozen=True)
class Occlusion:
    """`effect` (W,): how far the explained output falls when the steps of a window are taken away; `shown` (W,): the
    probability or forecast that is left."""

    windows: list[tuple[int, int]]
    effect: np.ndarray
    shown: np.ndarray
    width: int

    def per_step(self, steps: int) -> np.ndarray:
        """(T,): each step's window's effect."""
        return np.repeat(self.effect, [stop - start for start, stop in self.windows])[:steps]


def integrated_gradients(subject: Subject, points: int = STEPS) -> Attribution:
    """Attributions of the explained output, the whole model's, to the T steps.

    The path starts at the first baseline, or at another if the sum differs from the output's change by more than 1%.
    """
    best: Attribution | None = None
    for name, baseline in baselines(subject):
        found = Attribution.of(subject, name, baseline, points)
        best = found if best is None or found.error < best.error else best
        if best.error <= RELIABLE:
            break
    assert best is not None
    return best


def baselines(subject: Subject) -> list[tuple[str, Tensor]]:
    """Where a path may begin: nothing at every step; the input's own mean at every step; zeros."""
    own = subject.entry.mean(0, keepdim=True).expand_as(subject.entry)
    means = [(f"the mean of this {subject.words.what}", own)] if len(subject) > 2 else []
    found: list[tuple[str, Tensor]] = []
    for name, other in [(subject.words.absent, subject.baseline), *means, ("zeros", torch.zeros_like(own))]:
        if not any(torch.allclose(other, known, atol=1e-6) for _, known in found):
            found.append((name, other))
    return found


def windows_of(subject: Subject, width: int | None = None) -> list[tuple[int, int]]:
    """Windows side by side; of one step where there are few."""
    width = width or math.ceil(len(subject) / MOST_WINDOWS.get(subject.words.what, MOST_OTHERS))
    return [(start, min(start + width, len(subject))) for start in range(0, len(subject), width)]


def occlude(subject: Subject, width: int | None = None) -> Occlusion:
    """Takes each window of steps away and runs the whole model again."""
    windows = windows_of(subject, width)
    outputs = subject.without(windows)
    contrast = subject.contrast.numpy()
    before = float(subject.whole() @ contrast)
    size = windows[0][1] - windows[0][0]
    return Occlusion(windows, before - outputs @ contrast, subject.shown(outputs), size)
