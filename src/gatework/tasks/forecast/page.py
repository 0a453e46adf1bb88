"""What pages show of forecasts beside pictures.py and sentences.py, and how a run is used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatework.pages import words
from gatework.pages.picture import Picture
from gatework.runtime.series.windows import Windows
from gatework.tasks.base import Page, Source, Task, Usage
from gatework.tasks.forecast import pictures, sentences
from gatework.tasks.forecast.model import Forecast
from gatework.tasks.forecast.options import ForecastExplaining
from gatework.tasks.forecast.windows import Batch
from gatework.training.options import Options

if TYPE_CHECKING:
    from gatework.tasks.jobs import Trained
    from gatework.tasks.subject import Subject

SECTIONS = frozenset(
    {"part", "blocks", "interval", "metric", "naive", "by_horizon", "series", "residuals", "next", "lacking", "hints"}
)
NAMES = {
    "mase": "MASE",
    "smape": "sMAPE",
    "rmse": "RMSE",
    "rmsse": "RMSSE",
    "mae": "MAE",
    "mse": "MSE",
    "owa": "OWA",
    "msis": "MSIS",
    "mape": "MAPE",
    "wql": "WQL",
}

words.know(NAMES, lower=NAMES)


class ForecastPages(Task[Windows, Batch, Forecast]):
    """The part of the task that pages and explanations ask for."""

    Explaining = ForecastExplaining

    @classmethod
    def page(cls, results: Mapping[str, Any], options: Mapping[str, Any]) -> Page:
        sections, measured = results["sections"], results["test"] or results["valid"]
        metric = sections.get("metric", "mase")
        told = {
            "covered": sections["interval"] and sentences.covered(sections["interval"], measured["coverage"]),
            "by_step": sentences.by_step(sections["by_horizon"], metric, sections["naive"], sections["blocks"]),
            "left_over": sentences.residuals(sections["residuals"], sections["blocks"]),
            "metric": metric,
            "measured_by": words.named(metric),
            "series_count": results["data"].get("series") or 0,
            "known_ahead": " and ".join(options.get("future") or ()),
            "steps": len(sections["by_horizon"]),
        }
        metrics = " ".join([sentences.METRICS, *([sentences.INTERMITTENT] if "rmsse" in measured else [])])
        example = sentences.WINDOW.format(len(sections["by_horizon"]))
        plainly = sentences.plainly(results, measured)
        return Page(
            "page.html", told, SECTIONS, metrics=metrics, beside=("forecast",), example=example, plainly=plainly
        )

    @classmethod
    def pictures(cls, sections: Mapping[str, Any]) -> dict[str, Picture]:
        return pictures.draw(sections)

    @classmethod
    def usage(cls, run: str, new: str, options: Mapping[str, Any]) -> Usage:
        quoted, suffix = shlex.quote(run), Path(new).suffix
        load = ["import gatework", f"model = gatework.Forecaster.load({run!r})"]
        if options.get("future"):  # rows that say what is known of the next steps
            plan = f"plan{suffix}"
            commands, asked = [f"gatework predict {quoted} {plan} --out next.csv"], f"X={plan!r}"
        else:
            commands, asked = [f"gatework predict {quoted} --out next.csv", f"gatework predict {quoted} {new}"], ""
        return Usage(commands, [*load, f"model.predict({asked})    # a frame: the next steps"], other=f"later{suffix}")

    def subject(self, trained: Trained, given: Options, source: Source | None) -> Subject:
        from gatework.tasks.forecast.explained import SeriesForecast

        assert isinstance(given, ForecastExplaining)
        return SeriesForecast(trained, given.series, source, given.step, given.lacking)
