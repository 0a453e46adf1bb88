"""Pictures of forecasts: series beside the truth, what comes next, the error by step ahead and by the calendar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gatework.pages.picture import FAINT, OTHER, OURS, SIZE, Picture, picture
from gatework.pages.words import named

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WHICH = {
    "only": "The series",
    "best": "The series with the smallest error",
    "median": "A series in the middle",
    "worst": "The series with the largest error",
}


def draw(sections: Mapping[str, Any]) -> dict[str, Picture]:
    """All pictures that a forecast's sections have the numbers for, by name."""
    share = sections["interval"] and f"{sections['interval']['share']:.0%} interval"
    metric = sections.get("metric", "mase")  # of runs made before there were others
    shown = [{**each, "interval": share, "metric": metric} for each in sections["series"]]
    made = {f"series_{each['which']}": beside_truth(each) for each in shown}
    if sections.get("next"):
        made["forecast"] = ahead([{**each, "interval": share} for each in sections["next"]])
    made["horizon"] = by_horizon(sections["by_horizon"], sections["naive"], metric)
    if sections["residuals"]["calendar"]:
        made["calendar"] = by_calendar(**sections["residuals"]["calendar"])
    return made


def beside_truth(series: Mapping[str, Any]) -> Picture:
    """The end of a series with its forecasts, made one after the other, and their intervals."""
    metric = series["metric"]
    caption = f"{WHICH[series['which']]}: {series['series']}, {named(metric)} {series[metric]:.3g}"
    return picture(f"series_{series['which']}", caption, lambda axes: _series(axes, series))


def ahead(shown: Sequence[Mapping[str, Any]]) -> Picture:
    """What comes after the data: a part of the picture for each series."""
    names = ", ".join(str(each["series"]) for each in shown)
    caption = f"The end of the data and the next {_steps(shown[0])} steps: {names}"

    def paint(axes: Any) -> None:  # one Axes, or an array of them
        rows = axes if len(shown) > 1 else [axes]
        for at, each in zip(rows, shown, strict=True):
            _series(at, each)
            if len(shown) > 1:
                at.set_title(_short(str(each["series"])), loc="left", parse_math=False)
            if at is not rows[0]:
                at.get_legend().remove()
            elif len(shown) > 1:  # above the title
                at.get_legend().set_bbox_to_anchor((0, 1.1), transform=at.transAxes)

    return picture("forecast", caption, paint, (SIZE[0], SIZE[1] * (0.35 + 0.65 * len(shown))), rows=len(shown))


def _steps(series: Mapping[str, Any]) -> int:
    return len(series["times"]) - series["starts"][0]


def _short(name: str) -> str:
    return name if len(name) <= 50 else name[:49] + "…"


def _series(axes: Axes, series: Mapping[str, Any]) -> None:
    times, dated = _times(series["times"])
    truth, forecast = _floats(series["truth"]), _floats(series["forecast"])
    joined = len(truth) > 80
    axes.plot(times, truth, color=FAINT, linewidth=1.2, marker="" if joined else ".", markersize=4, label="measured")
    for number, (begin, end) in enumerate(_spans(series["starts"], len(times))):
        here = slice(begin, end)
        if "lower" in series:
            low, high = _floats(series["lower"])[here], _floats(series["upper"])[here]
            label = series.get("interval", "interval") if not number else None
            axes.fill_between(times[here], low, high, color=OURS, alpha=0.18, linewidth=0, label=label)
            if end - begin == 1:
                axes.vlines(times[here], low, high, color=OURS, alpha=0.4)
        point = "." if end - begin <= 40 else ""
        label = "forecast" if not number else None
        axes.plot(times[here], forecast[here], color=OURS, linewidth=1.6, marker=point, markersize=4, label=label)
        axes.axvline(times[begin], color=FAINT, linewidth=0.8, linestyle=":")
    axes.set_ylabel(_short(str(series["series"]))[:30], parse_math=False)
    axes.legend(frameon=False, fontsize=9, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.1)
    if dated:
        _date_labels(axes)


def _spans(starts: Sequence[int], length: int) -> list[tuple[int, int]]:
    return list(zip(starts, [*starts[1:], length], strict=True))


def _times(values: Sequence[Any]) -> tuple[list[Any], bool]:
    if any(isinstance(value, str) for value in values):
        return [datetime.fromisoformat(str(value)) for value in values], True
    return list(values), False


def _date_labels(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def _floats(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def by_horizon(rows: Sequence[Mapping[str, Any]], naive: str, metric: str) -> Picture:
    """The errors of the model and of the best naive forecast for each step ahead."""
    caption = f"Error of each step ahead ({named(metric)}; lower is better), beside the best naive forecast ({naive})"

    def paint(axes: Axes) -> None:
        steps = [row["step"] for row in rows]
        point = "o" if len(rows) <= 40 else ""
        for key, color, label in (("naive", OTHER, naive), (metric, OURS, "this model")):
            values = _floats([row[key] for row in rows])
            axes.plot(steps, values, color=color, marker=point, markersize=3.5, label=label)
        axes.set(xlabel="steps ahead", ylabel=named(metric))
        axes.set_ylim(bottom=0)
        axes.set_xlim(0.5, len(rows) + 0.5)  # there is no step 0
        _whole_numbers(axes)
        axes.legend(frameon=False)

    return picture("horizon", caption, paint)


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def by_calendar(name: str, rows: Sequence[Mapping[str, Any]]) -> Picture:
    """Mean error (truth minus forecast) by hour, weekday or month; bars above 0: forecasts were too low."""
    caption = f"Mean error by {name}, in units of MASE: above 0 the forecasts were too low, below 0 too high"

    def paint(axes: Axes) -> None:
        places = range(len(rows))
        axes.bar(places, [row["mean"] for row in rows], color=OURS, width=0.7)
        axes.axhline(0, color=FAINT, linewidth=0.8)
        every = 3 if name == "hour" else 1
        labels = [str(row["of"])[: 5 if name == "hour" else 3] for row in rows]
        axes.set_xticks(list(places)[::every], labels[::every])
        axes.set(xlabel=name, ylabel="mean error (MASE)")

    return picture("calendar", caption, paint)
