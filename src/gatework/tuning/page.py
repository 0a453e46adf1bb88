"""From a study to tune.html: what each part of the page shows; the words around it are in the template."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatework.pages import words as report_words
from gatework.pages.templating import WON, template
from gatework.tuning import plots, words
from gatework.tuning import study as studies

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from gatework.tuning.finals import Comparison
    from gatework.tuning.search import Search

MOST_ROWS = 200  # trials in the table; of more, the best
ENDS = {"complete": "complete", "pruned": "ended early", "failed": "failed", "lost": "lost"}


def render(search: Search, study: optuna.Study, best: FrozenTrial, found: Comparison | None, verdict: str) -> str:
    """The whole page as text."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    return template("tune.html", "gatework.tuning").render(
        **page(search, study, trials, best, found),
        verdict=verdict,
        judged=WON[{"better": True, "worse": False}.get(found.verdict if found else "")],
        pictures=plots.draw(trials, search.space, search.metric),
    )


def page(
    search: Search, study: optuna.Study, trials: Sequence[FrozenTrial], best: FrozenTrial, found: Comparison | None
) -> dict[str, Any]:
    """Everything that the template shows, by name."""
    counts = states(trials)
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    weights = plots.importances(done, search.space, search.metric)
    return {
        "task": search.task.name,
        "source": str(search.about["source"]),
        "metric": search.metric,
        "counts": ended(counts),
        "seconds": report_words.duration(studies.spent(list(trials))),
        "changes": changes(search, best),
        "comparison": comparison(found),
        "importance": importance(weights),
        "trials": table(search, trials),
        "hidden": max(len(done) - MOST_ROWS, 0),
        "names": list(search.space),
        "space": studied(search),
        "how": how(search),
        "notes": words.notes(len(search.rounds), study, found, counts),
        "commands": commands(search, best),
    }


def ended(counts: Mapping[str, int]) -> str:
    """`8 trials: 6 complete, 2 lost`."""
    total = sum(counts.values())
    several = ", ".join(f"{count:,} {ENDS[name]}" for name, count in counts.items() if count)
    return f"{total:,} trial{'' if total == 1 else 's'}: {several}"


def states(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """How many trials ended in which way."""
    found = [state(trial) for trial in trials]
    return {name: found.count(name) for name in ("complete", "pruned", "failed", "lost")}


def state(trial: FrozenTrial) -> str:
    if studies.lost(trial):
        return "lost"
    return {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}[trial.state.name]


def changes(search: Search, best: FrozenTrial) -> list[tuple[str, Any, Any]]:
    """Option, its default and the found value, where they differ."""
    found = studies.values_of(best, search.space)
    rows = [(name, getattr(search.options, name), value) for name, value in found.items()]
    return [(name, before, after) for name, before, after in rows if before != after]


def comparison(found: Comparison | None) -> dict[str, Any] | None:
    """Rows of the table of seeds, and means with spread."""
    if found is None:
        return None
    both = {"found settings": found.best, "defaults": found.defaults}
    longest = max(abs(statistics.fmean(values)) for values in both.values()) or 1.0
    rows = [(who, values, statistics.fmean(values), statistics.stdev(values)) for who, values in both.items()]
    return {
        "part": {"test": "test", "valid": "validation"}[found.part],
        "seeds": found.seeds,
        "rows": rows,
        "bars": [(who, mean, round(100 * abs(mean) / longest, 1)) for who, _, mean, _ in rows],
        "noise": found.noise,
    }


def importance(weights: Mapping[str, float]) -> str:
    """The most important options in a sentence."""
    if not weights:
        return ""
    order = sorted(weights, key=lambda name: -weights[name])
    least = [name for name in order if weights[name] < 0.02]
    text = f"Most depended on {order[0].replace('_', ' ')} ({weights[order[0]]:.0%})"
    text += f", then {order[1].replace('_', ' ')} ({weights[order[1]]:.0%})."
    return text + (f" Hardly anything on {', '.join(name.replace('_', ' ') for name in least)}." if least else "")


def table(search: Search, trials: Sequence[FrozenTrial]) -> list[dict[str, Any]]:
    """A row per trial, complete ones first and the best on top."""
    order = sorted(trials, key=lambda t: _rank(t, search.metric.higher))[:MOST_ROWS]
    return [row(search, trial) for trial in order]


def row(search: Search, trial: FrozenTrial) -> dict[str, Any]:
    """One trial as plain values; the options of the defaults are those that were asked for."""
    given = studies.values_of(trial, search.space)
    first = studies.DEFAULTS in trial.user_attrs
    attributes = trial.user_attrs
    return {
        "number": trial.number,
        "state": state(trial),
        "defaults": first,
        "value": trial.value,
        "spread": attributes.get(studies.SPREAD),
        "seconds": attributes.get(studies.SECONDS),
        "note": attributes.get(studies.ERROR) or attributes.get("pruned") or "",
        "options": {n: getattr(search.options, n) if first else given.get(n) for n in search.space},
    }


def _rank(trial: FrozenTrial, higher: bool) -> tuple[int, float, int]:
    place = ("complete", "pruned", "failed", "lost").index(state(trial))
    value = trial.value if trial.value is not None and place == 0 else 0.0
    return place, -value if higher else value, trial.number


def studied(search: Search) -> list[tuple[str, str, str]]:
    """Option, what it means, and its range or choices."""
    fields = type(search.options).__dataclass_fields__
    return [(name, fields[name].metadata["help"], str(search.space[name])) for name in search.space]


def how(search: Search) -> dict[str, Any]:
    """The search in facts."""
    budget = search.budget
    limits = [f"{budget.trials:,} trials"] if budget.trials is not None else []
    limits += [report_words.duration(budget.seconds)] if budget.seconds is not None else []
    return {
        "sampler": search.sampler,
        "pruner": search.pruner,
        "budget": " or ".join(limits) or "the whole grid",
        "folds": len(search.rounds) if len(search.rounds) > 1 else "none: one validation part",
        "seed": search.options.seed,
    }


def commands(search: Search, best: FrozenTrial) -> list[str]:
    """How to use the run, and how to train these settings again."""
    run = shlex.quote(str(search.folder / "best"))
    fields = type(search.options).__dataclass_fields__
    given = {name: value for name, value in vars(search.options).items() if value != fields[name].default}
    chosen = {**given, **studies.values_of(best, search.space)}
    source = search.data.source if isinstance(search.data.source, str | Path) else "FILE"
    flags = [f"--set {shlex.quote(f'{name}={as_setting(value)}')}" for name, value in chosen.items()]
    return [
        f"gatework predict {run} NEW-DATA",
        f"gatework evaluate {run} OTHER-DATA",
        " ".join([f"gatework train {search.task.name} {shlex.quote(str(source))}", *flags]),
    ]


def as_setting(value: object) -> str:
    """A value as --set reads it."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
