"""Why a trained model answers as it does: attributions, gates and states over time, memory; as arrays and as a page.

Which file to open: subject.py (what is explained; classified.py, written.py and forecast.py make one of each task's
inputs, tokens.py and shares.py help), attribution.py, path.py, places.py, memory.py, sentences.py, result.py,
page.py.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from gatework.errors import OptionError
from gatework.explanation.attribution import integrated_gradients, occlude
from gatework.explanation.memory import cut_off, layers_of
from gatework.explanation.result import Explanation
from gatework.explanation.sentences import sentences
from gatework.tasks.subject import Subject, fixed, recurrent_layers

__all__ = ["Explanation", "explain"]

A_ROW = "FILE --row 3"


def explain(
    run: Any, text: str | None = None, *, row: int | None = None, source: Any = None, series: str | None = None,
    target: str | None = None, step: int | None = None, window: int | None = None,
) -> Explanation:  # fmt: skip
    """Why a run or a fitted estimator answers as it does.

        found = gatework.explain("runs/reviews", text="a stirring, funny film")
        found.attribution.steps                    # (T,): what each word adds to the log-odds of the answer
        found.occlusion.effect                     # (W,): how far they fall without it
        found.layers[0].values["f"]                # (T, H): a gate over time; found.layers[0].states has half-lives
        found.write("page.html")

    Arguments
        run         a run folder, what `jobs.load` gave, or a fitted estimator
        text        classify: the text; generate: the text whose next unit is explained
        row         classify: a row of `source`, counted from 1
        source      a file or frame: of the row, or (forecast) of rows to go on from
        series      forecast: the name of a series; may be left out where there is one
        target      the label or unit to explain in place of the model's answer
        step        forecast: the step ahead; without it the mean of all steps
        window      how many steps are taken away at once

    Raises DataError for an empty text, a row or series that is not there, or a series shorter than the lookback;
    OptionError for what the run's task cannot use; FileFormatError for a damaged run.
    """
    trained = opened(run)
    began = time.perf_counter()
    given = {"text": text, "row": row, "source": source, "series": series, "target": target, "step": step}
    subject = subject_of(trained, given)
    if window is not None and window < 1:
        raise OptionError(f"window must be at least 1 step, not {window}")
    with fixed(subject.model):
        attribution, occlusion = integrated_gradients(subject), occlude(subject, window)
        layers, cut = layers_of(recurrent_layers(subject)), cut_off(subject)
    shown = float(subject.shown(subject.whole()[None])[0])
    values = getattr(subject, "values", None)
    return Explanation(
        str(trained.run.path), subject.task, subject.source, subject.answer, subject.spoken, shown, subject.steps,
        values if values is None else np.asarray(values).reshape(len(subject), -1),
        list(getattr(subject, "channels", ())), attribution, occlusion, layers, cut, subject.words,
        time.perf_counter() - began, sentences(subject, shown, attribution, occlusion, layers, cut),
    )  # fmt: skip


def opened(run: Any) -> Any:
    """A run with its model, from a path, a `Trained` or an estimator."""
    from gatework.tasks.jobs import Trained, load

    if isinstance(run, str | Path):
        return load(run)
    trained = run if isinstance(run, Trained) else getattr(run, "_fitted", lambda: None)()
    if trained is None:
        raise OptionError(f"{type(run).__name__} is neither a run folder nor a fitted estimator of gatework")
    return trained


def subject_of(trained: Any, given: dict[str, Any]) -> Subject:
    """What the arguments name, for the run's task; refuses those that mean nothing to it."""
    task, text = trained.run.task, given["text"]
    uses = {"classify": ("text", "row", "source", "target"), "generate": ("text", "target"),
            "forecast": ("series", "source", "step")}  # fmt: skip
    if task not in uses:
        raise OptionError(f"{trained.run.path} is a run of {task!r}, which cannot be explained; see {', '.join(uses)}")
    odd = [name for name, value in given.items() if value is not None and name not in uses[task]]
    if odd:
        raise OptionError(f"{odd[0]} means nothing for a run of {task!r}; it takes {', '.join(uses[task])}")
    if text is not None and not text.strip():
        raise OptionError("the text is empty; give at least one word")
    return _MAKERS[task](trained, **{name: given[name] for name in uses[task]})


def _of_classify(trained: Any, text: str | None, row: int | None, source: Any, target: str | None) -> Subject:
    from gatework.explanation.classified import Text, text_row

    kind = trained.task.encoder.kind
    if text is not None and kind != "texts":
        raise OptionError(f"the run classifies numeric sequences, not texts; give a row of a file: {A_ROW}")
    if (text is None) == (row is None):
        either = f"either a text or a row of a file: --text TEXT or {A_ROW}; in Python text=... or "
        alone = f"a row of a file: {A_ROW}; in Python "
        raise OptionError(f"give {either if kind == 'texts' else alone}source=..., row=3")
    if text is not None:
        return Text(trained, text, shortened(text), target)
    return text_row(trained, trained_on(trained) if source is None else source, int(row or 0), target)


def _of_generate(trained: Any, text: str | None, target: str | None) -> Subject:
    from gatework.explanation.written import NextUnit

    if text is None:
        raise OptionError(
            "a run of 'generate' has no labels; give a text whose next unit is to be explained: --text TEXT"
        )
    return NextUnit(trained, text, target)


def _of_forecast(trained: Any, series: str | None, source: Any, step: int | None) -> Subject:
    from gatework.explanation.forecast import SeriesForecast

    return SeriesForecast(trained, series, source, step)


def shortened(text: str, most: int = 90) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def trained_on(trained: Any) -> Path:
    """The file that a run learned from, where it still is and is still the same."""
    from gatework.tasks.jobs import fingerprint

    data = trained.run.config["data"]
    path = Path(str(data["source"]))
    if data["source"] == "memory" or not path.exists():
        raise OptionError(f"the data of the run ({data['source']}) is not at hand; name a file")
    if fingerprint(path) != data["sha256"]:
        raise OptionError(f"{path} is not, or not all of, what the run learned from; name a file")
    return path


_MAKERS: dict[str, Any] = {"classify": _of_classify, "generate": _of_generate, "forecast": _of_forecast}
