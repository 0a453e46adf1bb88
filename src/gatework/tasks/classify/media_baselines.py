"""What classifiers of sounds, pictures and films are compared with: models on a few numbers of each, and neighbours."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from gatework.data.ragged import Ragged
from gatework.data.splits import split_rows
from gatework.runtime.sounds.warping import distances
from gatework.tasks.base import Contender, Parts
from gatework.tasks.classify.examples import Examples
from gatework.tasks.classify.measures import hard_measures, score, sums
from gatework.tasks.classify.options import ClassifyOptions

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    Model = SVC | LogisticRegression

STRETCHES = 5  # of a sound, of each of which the mean is taken
SIDES = {"pictures": 16, "films": 8}  # points of a side that simple methods see
TOGETHER = 3  # frames of a sound that warping sees as one
MOST_CELLS = 200_000_000  # of warping: some seconds
MOST_ROWS = 5_000  # that a support vector machine learns from: its time grows with their square
HELD = 0.1  # of the training rows, where they must choose
SEEN = {
    "sounds": f"mean energies of {STRETCHES} stretches, and their deviation",
    "pictures": f"{SIDES['pictures']} by {SIDES['pictures']} points",
    "films": f"mean picture and mean change, {SIDES['films']} by {SIDES['films']} points each",
}


def media_baselines(parts: Parts, classes: int, options: ClassifyOptions, metric: str) -> list[Contender]:
    """The better of a support vector machine and logistic regression on a few numbers of each row, the nearest training
    row by the same numbers, and of sounds the nearest by dynamic time warping, where that takes seconds."""
    train, test = parts.train, parts.last[1]
    known, asked, judges = (numbers(part.inputs, options.kind) for part in (train, test, parts.valid))
    middle, spread = known.mean(0), known.std(0) + 1e-6
    known, asked, judges = ((each - middle) / spread for each in (known, asked, judges))
    found = [_linear(known, judges, asked, parts, options, metric), _nearest(known, asked, train)]
    if options.kind == "sounds" and (warped := _warped(train, test)) is not None:
        found.append(warped)
    return [
        Contender(name, hard_measures(said, test.labels, classes), note, sums=sums(said, test.labels, classes))
        for name, said, note in ((name, said, note or SEEN[options.kind]) for name, said, note in found)
    ]


Answers = tuple[str, np.ndarray, str]  # a method's name, the class of each row, and what to note ("": what it sees)


def numbers(frames: Ragged, kind: str) -> np.ndarray:
    """[n, D] of n sounds, pictures or films, whatever their lengths."""
    of = _of_sound if kind == "sounds" else _of_frames
    return np.stack([of(frames[row], kind) for row in range(len(frames))])


def _of_sound(frames: np.ndarray, kind: str) -> np.ndarray:
    cuts = np.linspace(0, len(frames), STRETCHES + 1).astype(int)
    stretches = [(min(start, len(frames) - 1), max(stop, start + 1)) for start, stop in itertools.pairwise(cuts)]
    means = [frames[start:stop].mean(0) for start, stop in stretches]
    return np.concatenate([*means, frames.std(0)])


def _of_frames(frames: np.ndarray, kind: str) -> np.ndarray:
    """The mean of frames (T, H, W, C) at few points, and of films how much each point changes."""
    values = torch.from_numpy(frames.astype(np.float32)).movedim(-1, 1)
    few = functional.adaptive_avg_pool2d(values, SIDES[kind])
    parts = [few.mean(0)]
    if kind == "films":
        parts.append(few.diff(dim=0).abs().sum(0) / max(len(few) - 1, 1))
    return torch.stack(parts).flatten().numpy()


def _linear(
    known: np.ndarray, judges: np.ndarray, asked: np.ndarray, parts: Parts, options: ClassifyOptions, metric: str
) -> Answers:
    """The method that is better on validation rows, or, where these are learned, on some that it has not learned."""
    labels, truth, rows = parts.train.labels, parts.valid.labels, np.arange(len(known))
    if options.refit:
        rows, held = split_rows(len(known), HELD, labels=labels, seed=options.seed)
        judges, truth = known[held], labels[held]
    classes = int(labels.max()) + 1
    tried = []
    for name, model in _methods(options, len(known)).items():
        fitted = _fit(model, known[rows], labels[rows])
        judged = sums(np.asarray(fitted.predict(judges)), truth, classes).sum(axis=0)
        tried.append((float(score(judged, metric)), name, fitted))
    _, name, fitted = max(tried, key=lambda each: each[0])
    if options.refit:
        _fit(fitted, known, labels)
    best = f"; best of {len(tried)} on validation rows" if len(tried) > 1 else ""
    return name, np.asarray(fitted.predict(asked)), f"{SEEN[options.kind]}{best}"


def _methods(options: ClassifyOptions, rows: int) -> dict[str, Model]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    weight: Any = "balanced" if options.class_weights == "balanced" else None
    found: dict[str, Model] = {"logistic regression": LogisticRegression(C=0.1, max_iter=200, class_weight=weight)}
    if rows <= MOST_ROWS:
        found["SVM"] = SVC(C=10.0, class_weight=weight)
    return found


def _fit(model: Model, features: np.ndarray, labels: np.ndarray) -> Model:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(features, labels)


def _nearest(known: np.ndarray, asked: np.ndarray, train: Examples) -> Answers:
    from sklearn.neighbors import KNeighborsClassifier

    return "1-NN", KNeighborsClassifier(1, algorithm="brute").fit(known, train.labels).predict(asked), ""


def _warped(train: Examples, test: Examples) -> Answers | None:
    """The label of the sound that is nearest where each may be slower here and faster there."""
    cells = train.inputs.lengths.sum() * test.inputs.lengths.sum() / TOGETHER**2
    if cells > MOST_CELLS:
        return None
    known, asked = ([_fewer(part.inputs[row]) for row in range(len(part))] for part in (train, test))
    nearest = np.array([distances(each, known).argmin() for each in asked])
    return "1-NN, warped", train.labels[nearest], f"dynamic time warping of every {TOGETHER} frames"


def _fewer(frames: np.ndarray) -> np.ndarray:
    """The means of every TOGETHER frames."""
    starts = np.arange(0, len(frames), TOGETHER)
    return np.add.reduceat(frames, starts) / np.diff(starts, append=len(frames))[:, None]
