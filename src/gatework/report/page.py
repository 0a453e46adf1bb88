"""From a run's results to HTML: what each part of the page shows; the words around it are in the templates.

All text is escaped by the templates, and the page's own policy forbids scripts and the network.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatework import tasks
from gatework.errors import OptionError
from gatework.pages import words
from gatework.pages.templating import WON, template
from gatework.report import equations, plots
from gatework.tasks.base import Page, Task, Usage
from gatework.tasks.origin import shown
from gatework.tasks.verdict import of_role

if TYPE_CHECKING:
    from jinja2 import Template

    from gatework.pages.picture import Picture
    from gatework.training.run import Run

MODEL = "this model"
MOST_COUNTS = 30  # names whose counts are drawn
SHOWN = {"notes", "warnings", "choices", "source", "sha256", "train_sha256"}  # facts with a place of their own


def installed(name: str) -> type[Task]:
    """The task of that name; where it is not installed, one whose runs have a plain page."""
    try:
        return tasks.get(name)
    except OptionError:
        return Task


class Report:
    """The page of a run or, where there is `before`, of an evaluation of it.

    `results` are those of the training or of the evaluation (`Trained.assessed`); `before` those of the training, {}
    where it has not finished.
    """

    def __init__(self, run: Run, results: Mapping[str, Any], before: Mapping[str, Any] | None = None):
        self.run, self.results, self.before = run, results, before
        self.task = installed(run.task)
        self.own: Page = self.task.page(results, run.options)
        self.pictures = {**plots.draw(results), **self.task.pictures(results["sections"])}

    def render(self) -> str:
        """The whole page as text."""
        return template("page.html", "gatework.report").render(**self.own.names, **self.names())

    def beside(self) -> list[Picture]:
        """The pictures that lie beside the page as files, too."""
        return [self.pictures[name] for name in self.own.beside if name in self.pictures]

    def own_template(self) -> Template | None:
        """The task's part of the page."""
        return template(self.own.template, self.task.folder()) if self.own.template else None

    def names(self) -> dict[str, Any]:
        """Everything that the templates show beside the task's own part, by name."""
        run, results, data = self.run, self.results, self.results["data"]
        course = results.get("training", {})
        return {
            "task": run.task,
            "run": str(run.path),
            "source": shown(data["source"]),
            "created": run.config["created"][:16],
            **self.verdict(),
            "result": result_table(results),
            "bars": bars(results),
            "watched": results["metric"],
            "better": words.HIGHER.get(results["metric"]["name"], results["metric"]["higher"]),
            "examples": results["comparison"].get("n"),
            "counted": self.task.counted,
            "metrics": self.own.metrics,
            "example": self.own.example,
            "plainly": self.own.plainly,
            "asked": asked(run, self.task),
            "options": {key: words.plain(value) for key, value in run.options.items()},
            "data": self.facts(),
            "origin": (shown(data["source"], folders=True), str(data["sha256"])),
            "counts": {title: counted(data[key]) for key, title in self.own.counts.items() if data.get(key)},
            "choices": data.get("choices"),
            "notes": [*(data.get("warnings") or []), *(data.get("notes") or [])],
            "gap": words.gap(results["history"], results),
            "course": course,
            "epochs": words.epochs(course.get("epochs", 0), results["history"]),
            "duration": words.duration(course.get("seconds", 0)),
            "cell": equations.of(run.options.get("cell")),
            "legend": equations.LEGEND,
            "own": self.own_template(),
            "sections": results["sections"],
            "pictures": self.pictures,
            "others": others(results["sections"], self.own.sections),
            "use": use(run, self.task),
            "environment": run.config["environment"],
            "seed": run.options["seed"],
            "keep": run.options["keep"],
        }

    def facts(self) -> dict[str, Any]:
        """What is told of the data, without what has a place of its own or is empty."""
        apart = {*SHOWN, *self.own.counts}
        return {key: value for key, value in self.results["data"].items() if key not in apart and telling(value)}

    def verdict(self) -> dict[str, Any]:
        """The sentence at the head of the page, its colour, and how an evaluation compares with the training."""
        results = self.results
        compared = None if self.before is None else beside_training(results, self.before)
        alone = compared and len(results["contenders"]) == 1
        return {
            "before": compared,
            "verdict": " ".join(filter(None, (results.get("caution"), compared if alone else results["verdict"]))),
            "judged": WON[None if results.get("caution") else won(results)],
        }


def telling(value: object) -> bool:
    """Whether a fact says anything: it is neither empty nor zero, nor a record of facts that all are."""
    return any(map(telling, value.values())) if isinstance(value, Mapping) else bool(value)


def beside_training(results: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """The watched metric of an evaluation beside what it was after the training, in a sentence."""
    name = results["metric"]["name"]
    shown = words.named(name)[0].upper() + words.named(name)[1:]
    if not before:
        return f"{shown} is {words.measured(name, results['test'][name])}; the training itself has not finished."
    (where, then), now = last_part(before), results["test"][name]
    part = {"valid": "validation", "test": "test"}[where]
    now, then = words.measured(name, now), words.measured(name, then[name])
    return f"{shown} is {now} here; after the training it was {then} on the {part} part."


def last_part(results: Mapping[str, Any]) -> tuple[str, Mapping[str, float]]:
    """The part that results are told on, and what was measured there."""
    return ("valid", results["valid"]) if results["test"] is None else ("test", results["test"])


def won(results: Mapping[str, Any]) -> bool | None:
    """Whether the network earned the result, alone or with the simple part; False where a baseline is better, None
    where neither is shown."""
    return {"network": True, "both": True, "baseline": False}.get(results["comparison"]["earned"])


def beside(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows beside the model's: its parts, each alone, and the baselines."""
    return of_role(results, "combination", "simple", "network", "baseline")


def result_table(results: Mapping[str, Any]) -> dict[str, Any]:
    """Columns (metrics), rows (model, parts, baselines) the best of each column marked; `alone`: the model's only."""
    where, measured = last_part(results)
    rows = [(MODEL, "", measured)] + [(each["name"], each["note"], each["metrics"]) for each in beside(results)]
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
    """Name, value and length (percent) of a bar for the model, its parts and the baselines: the watched metric."""
    name = results["metric"]["name"]
    rows = [(MODEL, last_part(results)[1])] + [(each["name"], each["metrics"]) for each in beside(results)]
    values = [(who, float(metrics[name])) for who, metrics in rows if math.isfinite(metrics.get(name, math.nan))]
    longest = max((abs(value) for _, value in values), default=0) or 1.0
    return [(who, value, round(100 * abs(value) / longest, 1)) for who, value in values]


def asked(run: Run, task: type[Task]) -> dict[str, str]:
    """The options that differ from the task's defaults."""
    defaults = task.Options().to_dict()
    return {key: words.plain(value) for key, value in run.options.items() if defaults.get(key) != value}


def counted(counts: Mapping[str, int]) -> list[tuple[str, int, float]]:
    """Name, count and length of its bar (percent), the most frequent first."""
    most = max(counts.values(), default=0) or 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])[:MOST_COUNTS]
    return [(str(name), count, round(100 * count / most, 1)) for name, count in ordered]


def others(sections: Mapping[str, Any], own: frozenset[str]) -> dict[str, Any]:
    """Sections that the task's own template does not show: as a table, or as one line."""
    return {key: as_table(value) for key, value in sections.items() if key not in own and value not in ([], {}, None)}


def as_table(value: object) -> str | dict[str, list]:
    """Equal records as columns and rows; anything else as text."""
    if not (isinstance(value, Sequence) and value and all(isinstance(row, Mapping) for row in value)):
        return words.plain(value)
    columns = list(dict.fromkeys(key for row in value for key in row))
    return {"columns": columns, "rows": [[words.plain(row.get(key)) for key in columns] for row in value]}


def use(run: Run, task: type[Task]) -> Usage:
    """Commands and Python that work on this run as they stand, given new data."""
    source, _, _ = shown(run.config["data"].get("source", "")).partition(" + ")
    new = f"new{Path(source).suffix or '.csv'}"
    found = task.usage(str(run.path), new, run.options)
    evaluate = f"gatework evaluate {shlex.quote(str(run.path))} {found.other}"
    return Usage([*found.commands, evaluate], found.python)
