"""From a run's results to HTML: what each part of the page shows; the words around it are in the templates.

All text is escaped by the templates, and the page's own policy forbids scripts and the network.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatework.pages import words
from gatework.pages.templating import WON, template
from gatework.report import equations, forecast_words
from gatework.report.plots import Picture

if TYPE_CHECKING:
    from gatework.training.run import Run

MODEL = "this model"
MOST_LABELS, MOST_CELLS = 30, 25  # classes listed, and classes of a confusion matrix written out
SHOWN = {"labels", "notes", "source", "sha256"}  # facts of the data with a place of their own
OWN_SECTIONS = {
    "classify": {"part", "classes", "confusion", "most_confused", "calibration", "worst"},
    "generate": {"samples", "cell", "counts"},
    "forecast": {"part", "interval", "naive", "by_horizon", "series", "residuals", "next"},
}


def render(
    run: Run, results: Mapping[str, Any], pictures: Mapping[str, Picture], before: Mapping[str, Any] | None = None
) -> str:
    """The whole page as text; where it is about an evaluation, `before` are the results of the training, if any."""
    return template("page.html", "gatework.report").render(
        **page(run, results, before), pictures=pictures, sections=results["sections"],
        calibrated=words.calibrated, legend=equations.LEGEND, forecast_words=forecast_words,
    )  # fmt: skip


def page(run: Run, results: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Everything that the templates show, by name."""
    data, course = results["data"], results.get("training", {})
    compared = None if before is None else beside_training(results, before)
    verdict = results["verdict"].replace(results["metric"]["name"], words.named(results["metric"]["name"]))
    unrivalled = compared and not results["baselines"]
    return {
        "task": run.task,
        "run": str(run.path),
        "before": compared,
        "source": Path(str(data["source"])).name,
        "created": run.config["created"],
        "verdict": " ".join(filter(None, (results.get("caution"), compared if unrivalled else verdict))),
        "judged": WON[None if results.get("caution") else won(results)],
        "result": result_table(results),
        "bars": bars(results),
        "asked": asked(run),
        "options": {key: words.plain(value) for key, value in run.options.items()},
        "data": {key: value for key, value in data.items() if key not in SHOWN and telling(value)},
        "origin": (str(data["source"]), str(data["sha256"])),
        "labels": label_counts(data.get("labels")),
        "notes": data.get("notes") or [],
        "gap": words.gap(results["history"], results),
        "course": course,
        "epochs": words.epochs(course.get("epochs", 0), results["history"]),
        "duration": words.duration(course.get("seconds", 0)),
        "cell": equations.of(run.options.get("cell")),
        "others": others(run.task, results["sections"]),
        "use": use(run),
        "environment": run.config["environment"],
        "seed": run.options["seed"],
        "keep": run.options["keep"],
        "most_cells": MOST_CELLS,
        "coverage": last_part(results)[1].get("coverage"),
        "series_count": data.get("series"),
    }


def telling(value: Any) -> bool:
    """Whether a fact says anything: not nothing, none of something, or many things of which there are none."""
    return any(map(telling, value.values())) if isinstance(value, Mapping) else bool(value)


def beside_training(results: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """The watched metric of an evaluation beside what it was after the training, in a sentence."""
    name = results["metric"]["name"]
    shown = words.named(name)[0].upper() + words.named(name)[1:]
    if not before:
        return f"{shown} is {words.number(results['test'][name])}; the training itself has not finished."
    (where, then), now = last_part(before), results["test"][name]
    part = {"valid": "validation", "test": "test"}[where]
    return (
        f"{shown} is {words.number(now)} here; after the training it was {words.number(then[name])} on the {part} part."
    )


def last_part(results: Mapping[str, Any]) -> tuple[str, Mapping[str, float]]:
    """The part that results are told on, and what was measured there."""
    return ("valid", results["valid"]) if results["test"] is None else ("test", results["test"])


def won(results: Mapping[str, Any]) -> bool | None:
    """Whether the model beats every baseline; None where there is none."""
    name, higher = results["metric"]["name"], results["metric"]["higher"]
    rivals = [each["metrics"][name] for each in results["baselines"] if name in each["metrics"]]
    value = last_part(results)[1][name]
    if not rivals:
        return None
    return value > max(rivals) if higher else value < min(rivals)


def result_table(results: Mapping[str, Any]) -> dict[str, Any]:
    """Columns (metrics), rows (model and baselines) with the best of each column marked; `alone`: the model's only."""
    where, measured = last_part(results)
    rows = [(MODEL, "", measured)] + [(each["name"], each["note"], each["metrics"]) for each in results["baselines"]]
    told = dict.fromkeys(key for _, _, metrics in rows for key in metrics)
    shared = [key for key in told if len(rows) == 1 or any(key in metrics for _, _, metrics in rows[1:])]
    names = dict.fromkeys([results["metric"]["name"], *shared])
    best = {name: words.best_of(name, [metrics.get(name) for _, _, metrics in rows]) for name in names}
    cells = [
        (who, note, [(metrics.get(name), name in metrics and metrics[name] == best[name]) for name in names])
        for who, note, metrics in rows
    ]
    alone = {key: value for key, value in measured.items() if key not in names}
    part = {"valid": "validation", "test": "test"}[where]
    return {"part": part, "columns": list(names), "rows": cells, "alone": alone}


def bars(results: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Name, value and length (percent) of a bar for the model and each baseline: the watched metric."""
    name = results["metric"]["name"]
    rows = [(MODEL, last_part(results)[1])] + [(each["name"], each["metrics"]) for each in results["baselines"]]
    values = [(who, float(metrics[name])) for who, metrics in rows if name in metrics]
    longest = max((abs(value) for _, value in values), default=0) or 1.0
    return [(who, value, round(100 * abs(value) / longest, 1)) for who, value in values]


def asked(run: Run) -> dict[str, str]:
    """The options that differ from the task's defaults."""
    from gatework import tasks

    defaults = tasks.get(run.task).Options().to_dict()
    return {key: words.plain(value) for key, value in run.options.items() if defaults.get(key) != value}


def label_counts(labels: Any) -> list[tuple[str, int, float]]:
    """Label, rows and length of its bar (percent), the most frequent first; [] where the task has none."""
    if not isinstance(labels, Mapping):
        return []
    most = max(labels.values(), default=0) or 1
    ordered = sorted(labels.items(), key=lambda item: -item[1])[:MOST_LABELS]
    return [(str(label), count, round(100 * count / most, 1)) for label, count in ordered]


def others(task: str, sections: Mapping[str, Any]) -> dict[str, Any]:
    """Sections that the task's own template does not know: as a table, or as one line."""
    own = OWN_SECTIONS.get(task, set())
    return {key: as_table(value) for key, value in sections.items() if key not in own}


def as_table(value: Any) -> Any:
    """Equal records as columns and rows; anything else as text."""
    if not (isinstance(value, Sequence) and value and all(isinstance(row, Mapping) for row in value)):
        return words.plain(value)
    columns = list(dict.fromkeys(key for row in value for key in row))
    return {"columns": columns, "rows": [[words.plain(row.get(key)) for key in columns] for row in value]}


def use(run: Run) -> dict[str, list[str]]:
    """Commands and Python that work on this run as they stand, given new data."""
    shell, text = shlex.quote(str(run.path)), repr(str(run.path))
    new = f"new{Path(str(run.config['data'].get('source'))).suffix or '.csv'}"
    if run.task == "generate":
        commands = [f'gatework generate {shell} --prompt "Once" --length 500 --temperature 0.8']
        python = [f"model = gatework.TextGenerator.load({text})", 'print(model.generate("Once", length=500))']
    elif run.task == "classify" and run.options.get("kind") == "sequences":
        commands = [f"gatework predict {shell} {new}"]
        python = [
            f"model = gatework.SequenceClassifier.load({text})",
            "model.predict(arrays)    # each (steps, channels)",
        ]
    elif run.task == "classify":
        commands = [f"gatework predict {shell} {new}", f'echo "a new text" | gatework predict {shell}']
        python = [f"model = gatework.TextClassifier.load({text})", 'model.predict(["a new text"])']
    elif run.task == "forecast":
        commands = [f"gatework predict {shell} > next.csv", f"gatework predict {shell} {new}"]
        python = [f"model = gatework.Forecaster.load({text})", "model.predict()    # a frame: the next steps"]
    else:
        commands = [f"gatework predict {shell}"]
        python = [f"trained = load({text})", "trained.predict(None)"]
    importing = "import gatework" if run.task in OWN_SECTIONS else "from gatework.tasks.jobs import load"
    commands.append(f"gatework evaluate {shell} other-data")
    return {"commands": commands, "python": [importing, *python]}
