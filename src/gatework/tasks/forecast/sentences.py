"""What the numbers of a forecast say in sentences: intervals, error by step ahead, residuals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gatework.pages.words import number
from gatework.tasks.verdict import FEWEST

NEAR = 0.02  # between the coverage that was asked for and the one that was found: a trifle
LEANS, LASTS, STANDS_OUT = 0.3, 0.5, 0.5  # from which on a residual check is worth a warning
METRICS = (
    "MASE is the mean absolute error divided by that of the seasonal naive forecast (the value of one season before) "
    "in the known data: below 1 is better than that forecast. sMAPE is an error in percent; OWA is the mean of MASE "
    "and sMAPE, each divided by that of M4's benchmark Naive2; MAE and RMSE are in the data's own units. WQL and MSIS "
    "judge quantiles and intervals."
)
INTERMITTENT = (
    "RMSSE is the root of the mean squared error, divided by the mean squared step from one value to the next, as in "
    "M5; bias is the sum of the forecasts less that of the truth, as a share of it: -0.9 is a forecast of a tenth."
)


WINDOW = "A window is one forecast: a series up to some date, and the {} steps after it that it is compared with."
ADVICE = {  # by what earned the result
    "network": "Use the model: no simpler method that was tried errs as little.",
    "both": "Use the model: no simpler method that was tried errs as little.",
    "simple": "Use the model, which errs less than the simpler methods; its network adds nothing that can be shown.",
    "even": "Use it or the simpler method {against}: neither is shown to be better.",
    "baseline": "Do not rely on it as it is: the simpler method {against} errs less.",
    "few": "Whether a simpler method does as well cannot be told yet.",
}
MORE = (
    "Windows near each other in time are one block: a longer table or a shorter --horizon would give more blocks, and "
    "so a verdict."
)


def plainly(results: Mapping[str, Any], measured: Mapping[str, float]) -> str:
    """How far forecasts are off, whether the interval holds what it says, and what to do, for those in a hurry."""
    interval, compared = results["sections"]["interval"], results["comparison"]
    if not math.isfinite(measured.get("mae", math.nan)):
        return ""
    percent, bias = measured.get("mape", math.nan), measured.get("bias", math.nan)
    known = math.isfinite(percent) and 0 < percent < 100 and not math.isfinite(bias)
    share = f", {percent:.3g}% of the true value" if known else ""
    told = [f"A forecast is off by {number(measured['mae'])} on average{share}."]
    if math.isfinite(bias):  # of intermittent demand, where a percentage would leave out all zeros
        told.append(f"All forecasts together are {abs(bias):.0%} {'below' if bias < 0 else 'above'} the demand.")
    if interval and math.isfinite(measured.get("coverage", math.nan)):
        told.append(f"{measured['coverage']:.0%} of the values lay in the {interval['share']:.0%} interval.")
    told.append(ADVICE.get(compared["earned"], "").format(against=compared.get("against")))
    return " ".join(filter(None, told))


def covered(interval: Mapping[str, Any], coverage: float) -> str:
    """Whether the interval holds as many values as it says."""
    share, values, windows = interval["share"], interval["values"], interval["windows"]
    text = f"The interval that should hold {share:.0%} of the values held {coverage:.1%} of {number(values)}"
    text += f" in {number(windows)} window{'s' if windows != 1 else ''}"
    low, high = interval["low"], interval["high"]
    if low is None or high is None:
        return f"{text}: too few windows that do not depend on each other to judge it by."
    text += f" (in other windows {low:.0%} to {high:.0%} may be found)"
    if low <= share <= high or abs(coverage - share) <= NEAR:
        return f"{text}: that agrees with what it says."
    if coverage < share:
        return f"{text}: it is too narrow, the future is less certain than it says."
    return f"{text}: it is wider than needed, which is the safe side."


def by_step(rows: Sequence[Mapping[str, Any]], metric: str, naive: str, blocks: int) -> list[str]:
    """Where the model beats the best naive forecast, if there are enough blocks of windows, and how the error grows."""
    known = [row for row in rows if row[metric] is not None and row["naive"] is not None]
    if not known:
        return ["There was no value to measure errors by."]
    ahead = [row["step"] for row in known if row[metric] < row["naive"]]
    first, last = known[0], known[-1]
    grows = f"The error is {number(first[metric])} at the first step and {number(last[metric])} at the last."
    if blocks < FEWEST:
        return [f"Too few windows to say at which steps the model errs less than the best naive one ({naive}).", grows]
    if len(ahead) == len(known):
        return [f"At every step the model errs less than the best naive forecast ({naive}).", grows]
    if not ahead:
        return [f"At no step does the model err less than the best naive forecast ({naive}): prefer that one.", grows]
    return [f"At {len(ahead)} of {len(known)} steps the model errs less than the best naive forecast ({naive}).", grows]


def residuals(found: Mapping[str, Any], blocks: int) -> list[str]:
    """Whether the errors lean to a side, last from step to step, or belong to a part of the calendar: said of enough
    blocks of windows."""
    if blocks < FEWEST:
        return ["There are too few windows to tell a pattern of the errors from chance."]
    sentences = [_lean(found["lean"], found["mean"]), _lasting(found["persistence"])]
    if found["calendar"]:
        sentences.append(_standing_out(**found["calendar"]))
    return [sentence for sentence in sentences if sentence]


def _lean(lean: float | None, mean: float | None) -> str:
    if lean is None or mean is None:
        return ""
    opening = f"On average the truth lies {number(abs(mean))} {'above' if mean > 0 else 'below'} the forecast"
    if abs(lean) < LEANS:
        return f"{opening}, little beside the usual error: the forecasts lean to neither side."
    side = "low" if lean > 0 else "high"
    return f"{opening}: most forecasts were too {side}, as happens where a level or a trend changed."


def _lasting(persistence: float | None) -> str:
    if persistence is None:
        return ""
    opening = f"Errors of neighbouring steps of one forecast correlate at {round(persistence, 2) + 0.0:.2f}"
    if persistence < LASTS:
        return f"{opening}: a miss says little about the next one."
    return f"{opening}: a miss tends to last for some steps, as is usual for forecasts made from one point."


def _standing_out(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    most = max(rows, key=lambda row: abs(row["mean"]))
    if abs(most["mean"]) < STANDS_OUT:
        return f"No {name} stands out."
    side = "low" if most["mean"] > 0 else "high"
    return (
        f"{most['of']} stands out: its forecasts were too {side} by {number(abs(most['mean']))} (in units of MASE, "
        f"{number(most['values'])} values)."
    )
