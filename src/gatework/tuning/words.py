"""What a search found, in sentences."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gatework.pages.words import named, number
from gatework.tasks.base import Metric
from gatework.tuning import finals
from gatework.tuning.finals import Comparison

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

ENDED = {
    "pruned": "was ended early because it lagged behind; its number is not final.|"
    "were ended early because they lagged behind; their numbers are not final.",
    "failed": "failed; the table says why.|failed; the table says why.",
    "lost": "was running when a process ended, and does not count.|"
    "were running when a process ended, and do not count.",
}
PARTS = {"test": "test rows, which the search never saw", "valid": "validation rows"}


def verdict(
    study: optuna.Study, trial: FrozenTrial, found: Comparison | None, metric: Metric, values: Iterable[str]
) -> str:
    """Who won, by how much, and whether that is more than noise."""
    if found is not None:
        return compared(found, values)
    defaults = finals.default_trial(study)
    if defaults is None:
        return "The defaults have not been trained to the end yet; there is nothing to compare."
    if trial.number != defaults.number:
        return (
            f"The best trial has {told(metric, trial)} on validation, the defaults {told(metric, defaults)}; they were "
            "not compared on held-out rows yet."
        )
    rivals = [each for each in finals.ranked(study, metric) if each.number != defaults.number]
    if not rivals:
        return f"The defaults stand alone, with {told(metric, defaults)} on validation: no other trial was completed."
    if metric.better(rivals[0].value or 0.0, defaults.value):
        return (
            f"The defaults win: {len(finals.finalists(study, metric)) - 1} of the trials looked better on validation, "
            "but not over fresh seeds. The run in best/ has the default settings."
        )
    if rivals[0].value == defaults.value:
        return (
            f"No difference: the best other trial and the defaults both have {told(metric, defaults)} on validation. "
            "The run in best/ has the default settings."
        )
    return (
        f"The defaults win: {told(metric, defaults)} on validation, and no trial was better (the best other: "
        f"{told(metric, rivals[0])}). The run in best/ has the default settings."
    )


def told(metric: Metric, trial: FrozenTrial) -> str:
    return f"{named(metric.name)} {number(trial.value)}"


def compared(found: Comparison, values: Iterable[str]) -> str:
    """The comparison with the defaults on held-out rows."""
    ours, theirs = statistics.fmean(found.best), statistics.fmean(found.defaults)
    both = (
        f"{named(found.metric)} {number(ours)} against {number(theirs)} (means of {len(found.seeds)} seeds on "
        f"{PARTS[found.part]}; {_chance(found)})"
    )
    changed = ", ".join(values) or "nothing"
    if found.verdict == "better":
        return f"The search won: {both}. Changed: {changed}."
    held = "The run in best/ has the found settings, which were chosen on validation rows"
    if found.verdict == "worse":
        return (
            f"The defaults win on held-out rows: {both}. What looked better on validation does not hold: keep the "
            f"defaults. {held}."
        )
    return f"No difference beyond the noise: {both}. These rows and seeds cannot tell the two apart. {held}."


def _chance(found: Comparison) -> str:
    """How far seeds alone would take the means apart; no t test says so where they change nothing."""
    return f"chance alone could bring {number(found.noise)}" if found.noise else "the seeds make no difference"


def notes(search_folds: int, study: optuna.Study, found: Comparison | None, states: dict[str, int]) -> list[str]:
    """What the reader must know to judge the numbers."""
    defaults = finals.default_trial(study)
    lines = [
        f"Trial {defaults.number if defaults else 0} has the defaults, so the best trial can never be worse than they "
        "on validation.",
        "The search saw training and validation rows only.",
    ]
    if found is not None:
        lines[-1] += (
            " The best of many trials is partly lucky: that is why the finalists were trained anew with other seeds, "
            "and compared on rows that chose nothing."
        )
        lines.append("Noise means what other seeds change. Other test rows would change more, the fewer there are.")
    if found is not None and found.part == "valid":
        lines.append(
            "There are no test rows: winner and defaults were compared on the validation rows that also chose the "
            "winner, which flatters it. Give a share (test_share, test_windows) or a file for the test."
        )
    if search_folds > 1:
        lines.append(f"A trial's number is the mean over {search_folds} folds; its spread stands beside it.")
    told = [_ended(states.get(name, 0), text) for name, text in ENDED.items()]
    return lines + [each for each in told if each]


def _ended(count: int, text: str) -> str:
    """What became of trials that were not completed, in the singular where it is one."""
    one, several = text.split("|")
    return f"1 trial {one}" if count == 1 else f"{count:,} trials {several}" if count else ""
