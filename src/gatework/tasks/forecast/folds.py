"""The rounds of a cross-validation: a rolling origin (Tashman 2000); each is judged on what comes after it learned."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gatework.data.finding import refuse
from gatework.errors import OptionError
from gatework.tasks.base import Round, Source
from gatework.tasks.forecast.holdout import span
from gatework.tasks.forecast.parts import cut_before

if TYPE_CHECKING:
    from gatework.tasks.forecast.task import ForecastTask


def rounds(task: ForecastTask, source: Source, count: int, hold_out: bool) -> list[Round]:
    """See `Task.rounds`; a fold has one window of each series, unless `valid_windows` asked for more."""
    options = task.options
    panel, found = type(task)(options).inspected(source)  # a new task: what this one learned scales no covariate
    refuse(found)
    assert panel is not None
    assert options.horizon and options.test_windows is not None
    each = {"valid_windows": task.given.valid_windows or 1, "stride": task.given.stride or options.horizon}
    last = span(options, options.test_windows) if hold_out else 0
    step = span(replace(options, **each), each["valid_windows"])
    settled = {name: getattr(options, name) for name in ("season", "horizon", "intermittent")} | each
    cuts = [last + step * back for back in reversed(range(count))]
    longest = int(panel.lengths.max())
    if longest - cuts[0] < 2 * options.horizon:
        raise OptionError(
            f"the longest series has {longest} points, too few for {count} folds of {step} steps each; take fewer "
            "folds or a shorter horizon"
        )
    return [Round(cut_before(panel, options.split, cut), None, None, {**settled, "test_windows": 0}) for cut in cuts]
