"""The pictures of a search: its history, which options mattered, and which values good trials share."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gatework.pages.picture import FAINT, OTHER, OURS, Picture, in_percent, picture
from gatework.pages.words import named, number
from gatework.tasks.base import Metric
from gatework.tuning.space import Choices, Range, Space
from gatework.tuning.study import DEFAULTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from optuna.trial import FrozenTrial

FEWEST = 6  # complete trials below which importances are guesses


def draw(trials: Sequence[FrozenTrial], space: Space, metric: Metric) -> dict[str, Picture]:
    """All pictures that there are trials for, by name."""
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    made: dict[str, Picture] = {}
    if done:
        made["history"] = history(trials, metric)
    weights = importances(done, space, metric)
    if weights:
        made["importances"] = bars(weights)
    varied = {name: space[name] for name in space if len({trial.params.get(name) for trial in done} - {None}) > 1}
    if len(done) > 2 and varied:
        order = sorted(varied, key=lambda name: -weights.get(name, 0.0))
        made["parallel"] = parallel(done, {name: varied[name] for name in order}, metric)
    return made


def importances(done: Sequence[FrozenTrial], space: Space, metric: Metric) -> dict[str, float]:
    """Option -> its share in what made trials good or bad (PED-ANOVA, Watanabe et al. 2023); {} for too few trials."""
    import optuna

    names = [name for name in space if len({trial.params[name] for trial in done if name in trial.params}) > 1]
    whole = [trial for trial in done if all(name in trial.params for name in names)]
    if len(whole) < FEWEST or len(names) < 2 or len({trial.value for trial in whole}) < 2:
        return {}
    study = optuna.create_study(direction="maximize" if metric.higher else "minimize")
    study.add_trials(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = optuna.importance.get_param_importances(study, params=names)
        except (ValueError, RuntimeError):  # all good trials alike
            return {}
    return {name: float(share) for name, share in found.items() if share == share}


def reached(trials: Iterable[FrozenTrial]) -> list[float]:
    """The values of trials that have one."""
    return [trial.value for trial in trials if trial.value is not None]


def history(trials: Sequence[FrozenTrial], metric: Metric) -> Picture:
    """Each trial's value, the best so far as a line, and the defaults."""

    def paint(axes: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        done = [trial for trial in trials if trial.state.name == "COMPLETE"]
        pruned = [t for t in trials if t.state.name == "PRUNED" and t.value is not None]
        axes.plot([t.number for t in pruned], reached(pruned), "x", color=FAINT, label="ended early")
        values = reached(done)
        axes.plot([t.number for t in done], values, "o", color=OURS, alpha=0.6, label="trial")
        best = max if metric.higher else min
        sofar = [best(values[: place + 1]) for place in range(len(done))]
        axes.step([t.number for t in done], sofar, where="post", color=OURS, label="best so far")
        own = reached([trial for trial in done if DEFAULTS in trial.user_attrs])
        for value in own:
            axes.axhline(value, color=OTHER, linestyle="--", linewidth=1.2, label="defaults")
        _limits(axes, values, own, metric)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="trial", ylabel=f"{named(metric.name)} (validation)")
        axes.figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)

    return picture("history", "Every trial in the order in which they began; the line is the best so far", paint)


def _limits(axes: Axes, values: Sequence[float], own: Sequence[float], metric: Metric) -> None:
    """The defaults and the good half of the values fill the picture; what went very wrong lies outside."""
    ordered = sorted(values, reverse=metric.higher)
    best, middle, worst = ordered[0], ordered[len(ordered) // 2], ordered[-1]
    edge = best + 3 * (middle - best)
    outer = edge if abs(edge - best) < abs(worst - best) else worst
    outer = (min if metric.higher else max)([outer, *own])
    margin = 0.08 * abs(outer - best) or 0.01 * abs(best) or 0.01
    low, high = sorted((best, outer))
    axes.set_ylim(low - margin, high + margin)


def bars(weights: Mapping[str, float]) -> Picture:
    """Importances as bars, the largest on top."""

    def paint(axes: Axes) -> None:
        order = sorted(weights, key=lambda name: weights[name])
        names = [name.replace("_", " ") for name in order]
        axes.barh(names, [weights[name] for name in order], color=OURS, height=0.6)
        axes.set_xlabel("share of what made trials differ")
        in_percent(axes.xaxis)
        axes.grid(axis="y", visible=False)

    caption = "How much each option decided whether a trial was good (PED-ANOVA over the complete trials)"
    return picture("importances", caption, paint, (5.0, 0.9 + 0.28 * len(weights)))


def parallel(done: Sequence[FrozenTrial], space: Space, metric: Metric) -> Picture:
    """Parallel coordinates, read downwards: a line is a trial, a row an option; good trials are blue."""
    ordered = sorted(done, key=lambda trial: trial.value or 0.0, reverse=not metric.higher)
    names = list(space)

    def paint(axes: Axes) -> None:
        for place, trial in enumerate(ordered):
            share = place / max(len(ordered) - 1, 1)  # 1 for the best
            spots = [
                (_place(space[name], trial.params[name]), row) for row, name in enumerate(names) if name in trial.params
            ]
            color, width = (OURS, 1.3) if share > 0.8 else (FAINT, 0.8)
            style = {"color": OTHER, "linewidth": 1.6, "linestyle": "--"} if DEFAULTS in trial.user_attrs else {}
            style = style or {"color": color, "linewidth": width, "alpha": 0.25 + 0.6 * share}
            axes.plot([x for x, _ in spots], [y for _, y in spots], **style)
        for row, name in enumerate(names):
            _axis(axes, row, name, space[name])
        axes.set(ylim=(len(names) - 0.35, -0.75), xlim=(-0.04, 1.04))
        axes.set_axis_off()

    caption = (
        "Parallel coordinates, read downwards: a line is a trial, each row an option. Blue: the best fifth; "
        "dashed: the defaults"
    )
    return picture("parallel", caption, paint, (5.2, 0.6 + 0.62 * len(names)))


def _place(dimension: Range | Choices, value: Any) -> float:
    if isinstance(dimension, Choices):
        texts = [str(each) for each in dimension.points(0)]
        return texts.index(str(value)) / max(len(texts) - 1, 1)
    if dimension.log:
        from math import log

        return log(value / dimension.low) / log(dimension.high / dimension.low)
    return (value - dimension.low) / (dimension.high - dimension.low)


def _axis(axes: Axes, row: int, name: str, dimension: Range | Choices) -> None:
    axes.plot([0, 1], [row, row], color="#1b2330", linewidth=0.8, zorder=3)
    axes.text(0.5, row - 0.3, name.replace("_", " "), ha="center", va="bottom", fontsize=9, zorder=4, bbox=BOX)
    points = dimension.points(3)
    for place, value in enumerate(points):
        x = _place(dimension, value)
        side = "left" if place == 0 else "right" if place == len(points) - 1 else "center"
        axes.plot([x], [row], "|", color="#1b2330", markersize=6, zorder=3)
        axes.text(x, row + 0.1, number(value), ha=side, va="top", fontsize=7.5, color="#5b6675", zorder=4, bbox=BOX)


BOX = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6}
