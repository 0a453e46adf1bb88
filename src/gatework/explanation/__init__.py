"""Why a trained model answers as it does: attributions, gates and states over time, memory; as arrays and as a page.

Which file to open: attribution.py, path.py, places.py, memory.py, sentences.py, result.py, page.py. What is explained
is `tasks.subject.Subject`; each task makes one of what it was asked about.
"""

from __future__ import annotations

import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatework.errors import OptionError
from gatework.explanation.attribution import integrated_gradients, occlude
from gatework.explanation.memory import cut_off, layers_of
from gatework.explanation.result import Explanation
from gatework.explanation.sentences import sentences
from gatework.tasks.subject import Subject, fixed, recurrent_layers

if TYPE_CHECKING:
    from gatework.tasks.base import Source
    from gatework.tasks.estimator import Estimator
    from gatework.tasks.jobs import Trained

__all__ = ["Explanation", "explain"]


def explain(
    run: str | Path | Trained | Estimator, source: Source | None = None, *, window: int | None = None, **given: Any
) -> Explanation:
    """Why a run or a fitted estimator answers as it does.

        found = gatework.explain("runs/reviews", text="a stirring, funny film")
        found.attribution.steps                    # (T,): what each word adds to the log-odds of the answer
        found.occlusion.effect                     # (W,): how far they fall without it
        found.looked.weights                       # (R, T): where attention looked, of tasks that have it
        found.layers[0].values["f"]                # (T, H): a gate over time; found.layers[0].states has half-lives
        found.write("page.html")

    Arguments
        run         a run folder, what `jobs.load` gave, or a fitted estimator
        source      a file or frame: of the row, or of rows to go on from
        window      how many steps are taken away at once
        given       what names the input; each task takes its own (`Task.Explaining`):
            text    the text that is classified, or that goes on
            row     a row of `source`, or of what the run learned from, counted from 1
            target  the label, or unit of text, to explain in place of the model's answer
            series  the name of a series; may be left out where there is one
            step    the step ahead; without it the mean of all

    Raises DataError for an empty text, a row or series that is not there, or a series shorter than the lookback;
    OptionError for what the run's task cannot use; FileFormatError for a damaged run.
    """
    trained = opened(run)
    began = time.perf_counter()
    subject = subject_of(trained, source, given)
    if window is not None and window < 1:
        raise OptionError(f"window must be at least 1 step, not {window}")
    with fixed(subject.model):
        attribution, occlusion = integrated_gradients(subject), occlude(subject, window)
        layers, cut = layers_of(recurrent_layers(subject)), cut_off(subject)
    shown = float(subject.shown(subject.whole()[None])[0])
    return Explanation(
        run=str(trained.run.path),
        task=trained.run.task,
        source=subject.source,
        answer=subject.answer,
        target=subject.spoken,
        probability=shown,
        steps=subject.steps,
        series=None if subject.values is None else np.asarray(subject.values).reshape(len(subject), -1),
        channels=list(subject.channels),
        attribution=attribution,
        occlusion=occlusion,
        layers=layers,
        cut=cut,
        words=subject.words,
        looked=subject.looked,
        seconds=time.perf_counter() - began,
        sentences=sentences(subject, shown, attribution, occlusion, layers, cut),
    )


def opened(run: str | Path | Trained | Estimator) -> Trained:
    """A run with its model, from a path, a `Trained` or an estimator."""
    from gatework.tasks.jobs import Trained, load

    if isinstance(run, str | Path):
        return load(run)
    trained = run if isinstance(run, Trained) else getattr(run, "_fitted", lambda: None)()
    if trained is None:
        raise OptionError(f"{type(run).__name__} is neither a run folder nor a fitted estimator of gatework")
    return trained


def subject_of(trained: Trained, source: Source | None, given: dict[str, Any]) -> Subject:
    """What the arguments name, for the run's task; refuses those that mean nothing to it."""
    kind = type(trained.task).Explaining
    takes = [field.name for field in fields(kind)]
    given = {name: value for name, value in given.items() if value is not None}
    odd = [name for name in given if name not in takes]
    if odd:
        named = f"takes {', '.join(takes)}" if takes else "cannot be explained"
        raise OptionError(f"{odd[0]} means nothing for a run of {trained.run.task!r}; it {named}")
    return trained.task.subject(trained, kind(**given), source)
