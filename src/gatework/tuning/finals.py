"""The finals: the best trials and the defaults trained anew with seeds that no trial had, and what that says in words.

A trial that came out best of many was partly lucky. So the finalists are ranked by their mean over fresh seeds, still
on validation rows; the test rows say at the end, and of winner and defaults alone, what the search was worth.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from gatework.tasks.base import Metric
from gatework.training.interrupts import Interrupts
from gatework.tuning import search as searching
from gatework.tuning import study as studies
from gatework.tuning.evaluate import Evaluator
from gatework.tuning.search import Search, orphaned, together

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

    from gatework.training.options import TrainingOptions

FINALISTS = 3  # trials that are trained anew beside the defaults
LEVEL = 0.05  # of the t test: how often chance alone may look like a difference
FINAL = "final"
WORTH = 20.0  # seconds of training below which no process is begun for it


@dataclass(frozen=True)
class Comparison:
    """The winner beside the defaults: the metric of each over the same seeds, on rows that chose nothing.

    `part` is "test", or "valid" where there are no test rows; `noise` is the difference that chance alone would bring.
    """

    metric: str
    part: str
    seeds: list[int]
    best: list[float]
    defaults: list[float]
    gain: float
    noise: float

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `even`, beyond the noise."""
        if abs(self.gain) <= self.noise:
            return "even"
        return "better" if self.gain > 0 else "worse"


def default_trial(study: optuna.Study) -> FrozenTrial | None:
    """The complete trial of the defaults."""
    found = [trial for trial in complete(study) if studies.DEFAULTS in trial.user_attrs]
    return found[0] if found else None


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """Complete trials, by number."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]


def ranked(study: optuna.Study, metric: Metric) -> list[FrozenTrial]:
    """Complete trials, the best first; of equals the earlier."""
    sign = -1 if metric.higher else 1
    return sorted(complete(study), key=lambda t: (sign * (t.value or 0.0), t.number))


def finalists(study: optuna.Study, metric: Metric) -> list[FrozenTrial]:
    """The defaults, then the trials that beat them on validation, the best first and no settings twice."""
    defaults = default_trial(study)
    chosen = [] if defaults is None else [defaults]
    seen: list[Mapping[str, Any]] = []
    for trial in ranked(study, metric):
        ahead = defaults is None or metric.better(trial.value or 0.0, defaults.value)
        if ahead and trial.params not in seen and len(seen) < FINALISTS:
            seen.append(trial.params)
            chosen.append(trial)
    return chosen


def options_of(search: Search, trial: FrozenTrial) -> Any:
    """The options of a trial, as `train` takes them."""
    return replace(search.options, **studies.values_of(trial, search.space))


def hold(search: Search, study: optuna.Study, seeds: int, workers: int) -> bool:
    """Trains every finalist with every fresh seed, where that has not been done; whether it was interrupted."""
    trials = finalists(study, search.metric)
    if len(trials) < 2:
        return False
    fresh = [search.options.seed + 1 + place for place in range(seeds)]
    open_ones = [(t.number, seed) for seed in fresh for t in trials if key(t.number, seed) not in study.user_attrs]
    if not open_ones:
        return False
    if not search.quiet:
        searching.speak(f"training the defaults and {len(trials) - 1} of the best with {seeds} fresh seeds each")
    if len(open_ones) * (trials[0].user_attrs[studies.SECONDS] or 0) < WORTH:
        workers = 1
    shares = [open_ones[place::workers] for place in range(min(workers, len(open_ones)))]
    if len(shares) == 1:
        return train_all(search, shares[0])
    return together(train_all, [(search, share) for share in shares])


def key(number: int, seed: int) -> str:
    return f"{FINAL} {number} {seed}"


def train_all(search: Search, pairs: Sequence[tuple[int, int]]) -> bool:
    """Trains (trial, seed) pairs, each noted in the study when it is done; whether it was interrupted."""
    with search.place.guarded():
        return _train_all(search, search.open(), pairs)


def _train_all(search: Search, study: optuna.Study, pairs: Sequence[tuple[int, int]]) -> bool:
    trials = study.get_trials(deepcopy=False)
    evaluator = Evaluator(search.task, [search.data])
    with Interrupts() as interrupts:
        for number, seed in sorted(pairs):
            if key(number, seed) in study.user_attrs:  # another machine was faster
                continue
            try:
                measured = measure(evaluator, options_of(search, trials[number]), seed)
            except KeyboardInterrupt:
                return True
            with search.place.turn():
                study.set_user_attr(key(number, seed), measured)
            if interrupts.wanted or orphaned():
                return True
    return False


@torch.no_grad()
def measure(evaluator: Evaluator, options: TrainingOptions, seed: int) -> dict[str, Any]:
    """The metrics of one training on validation and test rows."""
    with torch.enable_grad():
        fitted = evaluator.fit(options, seed=seed)
    test = evaluator.ready(options).parts.test
    found = {"valid": fitted.valid, "test": None, "seconds": round(fitted.seconds, 2)}
    if test is not None:
        found["test"] = fitted.task.measure(fitted.model, test)
    return found


def results(study: optuna.Study, number: int, part: str, metric: Metric) -> dict[int, float]:
    """Seed -> the metric of a finalist, for the seeds that were trained."""
    found = {}
    for name, measured in study.user_attrs.items():
        words = name.split()
        if words[0] == FINAL and int(words[1]) == number and measured[part] is not None:
            found[int(words[2])] = measured[part][metric.name]
    return found


def winner(study: optuna.Study, metric: Metric) -> FrozenTrial:
    """The finalist with the best mean over fresh seeds on validation rows; the defaults where none is better."""
    trials = finalists(study, metric)
    if len(trials) == 1:
        return trials[0]
    best, best_mean = trials[0], None
    for trial in trials:
        values = results(study, trial.number, "valid", metric)
        if values and metric.better(statistics.fmean(values.values()), best_mean):
            best, best_mean = trial, statistics.fmean(values.values())
    return best


def compare(study: optuna.Study, trial: FrozenTrial, metric: Metric) -> Comparison | None:
    """The winner beside the defaults; None where these are the winner, or where too few seeds were trained."""
    defaults = default_trial(study)
    if defaults is None or trial.number == defaults.number:
        return None
    part = "test" if results(study, trial.number, "test", metric) else "valid"
    ours, theirs = (results(study, t.number, part, metric) for t in (trial, defaults))
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < 2:
        return None
    best, other = [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]
    sign = 1 if metric.higher else -1
    gain = sign * (statistics.fmean(best) - statistics.fmean(other))
    return Comparison(metric.name, part, seeds, best, other, gain, noise_of(best, other))


def noise_of(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The difference of means that a two-sided t test at 5% takes for chance (Welch 1947)."""
    from scipy.stats import t

    parts = [statistics.variance(values) / len(values) for values in (ours, theirs)]
    if not sum(parts):
        return 0.0
    degrees = sum(parts) ** 2 / sum(p**2 / (len(v) - 1) for p, v in zip(parts, (ours, theirs), strict=True))
    return float(t.ppf(1 - LEVEL / 2, degrees)) * sum(parts) ** 0.5
