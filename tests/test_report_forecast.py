"""The report of forecasts and of evaluations: what it shows is what was measured, and the words fit the numbers."""

from __future__ import annotations

import copy
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from gatework import Forecaster, report
from gatework.cli import app
from gatework.errors import OptionError
from gatework.pages import words
from gatework.report import page
from gatework.runtime.series.frequency import Frequency
from gatework.tasks import jobs
from gatework.tasks.forecast import ForecastOptions, ForecastTask, measures, pictures, residuals, results, sentences
from gatework.training.run import Run

EVIL = "<b>shop</b> & $x$"
DAYS = 90


def sales(days: int = DAYS, first: int = 0) -> dict[str, list[Any]]:
    """Three shops with a week of their own, the last one noisy."""
    rng = np.random.default_rng(1)
    rows: dict[str, list[Any]] = {"day": [], "shop": [], "units": []}
    for place, shop in enumerate((EVIL, "north", "south")):
        for day in range(days):
            rows["day"].append((date(2024, 1, 1) + timedelta(days=first + day)).isoformat())
            rows["shop"].append(shop)
            noise = (0.1, 1.0, 8.0)[place] * rng.standard_normal()
            rows["units"].append(round(50 + 10 * place + 5 * ((first + day) % 7) + noise, 3))
    return rows


def write(path: Path, rows: dict[str, list[Any]]) -> Path:
    import polars as pl

    pl.DataFrame(rows).write_csv(path)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("forecast")
    source = write(folder / "sales.csv", sales())
    out = str(folder / "run")
    Forecaster(series="shop", horizon=5, test_windows=2, epochs=1, hidden_size=4, out=out).fit(source)
    report.write(out)
    return Run.open(out)


@pytest.fixture
def sections(run: Run) -> dict[str, Any]:
    return copy.deepcopy(run.results()["sections"])


def html(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# -- what the sections hold -------------------------------------------------------------------------------------


def test_series_hold_the_truth_and_forecasts_after_it(sections: dict[str, Any]) -> None:
    data = sales()
    for each in sections["series"]:
        known = {t: u for s, t, u in zip(data["shop"], data["day"], data["units"], strict=True) if s == each["series"]}
        assert each["truth"] == pytest.approx([known[time] for time in each["times"]], rel=1e-5)
        assert each["starts"] == [len(each["times"]) - 10, len(each["times"]) - 5], "two windows of five days"
        begin = each["starts"][0]
        assert each["forecast"][:begin] == [None] * begin
        rows = zip(each["lower"][begin:], each["forecast"][begin:], each["upper"][begin:], strict=True)
        assert all(low <= high and value is not None for low, value, high in rows)
    which = {each["which"]: each for each in sections["series"]}
    assert set(which) == {"best", "median", "worst"} and which["worst"]["mase"] >= which["median"]["mase"]
    assert which["median"]["mase"] >= which["best"]["mase"]


def test_errors_by_step_average_to_the_whole(run: Run, sections: dict[str, Any]) -> None:
    rows, metrics = sections["by_horizon"], run.results()["test"]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert np.mean([row["mase"] for row in rows]) == pytest.approx(metrics["mase"])
    assert np.mean([row["coverage"] for row in rows]) == pytest.approx(metrics["coverage"])
    naive = {each["name"]: each["metrics"]["mase"] for each in run.results()["contenders"]}
    assert np.mean([row["naive"] for row in rows]) == pytest.approx(naive[sections["naive"]])
    assert naive[sections["naive"]] == min(naive[name] for name in ("naive", "seasonal naive", "drift"))


def test_the_next_steps_are_those_of_predict(run: Run, sections: dict[str, Any]) -> None:
    rows = jobs.load(run.path).predict(None)
    for each in sections["next"]:
        begin = each["starts"][0]
        expected = [row for row in rows if row["series"] == each["series"]]
        assert each["times"][begin:] == [row["time"] for row in expected]
        assert each["forecast"][begin:] == pytest.approx([row["forecast"] for row in expected], rel=1e-4)
        assert each["upper"][begin:] == pytest.approx([row["q0.95"] for row in expected], rel=1e-4)
    assert len(sections["next"]) == 3


def test_one_series_is_the_only_one() -> None:
    class One:
        owners, scales = np.zeros(2, int), np.ones(2)
        panel = type("Panel", (), {"names": ("a",)})

    found = results.ranked(One, np.array([[1.0, 3.0], [2.0, np.nan]]), "mase")  # pyright: ignore[reportArgumentType]
    assert found == [{"which": "only", "series": "a", "mase": 2.0, "number": 0}]


def test_a_level_that_moved_away_asks_for_another_scale() -> None:
    (hint,) = residuals.leaning(-0.8, "deviation")
    assert "too high" in hint["what"] and hint["setting"] == "--set scale=last"
    assert residuals.leaning(-0.8, "last") == residuals.leaning(0.2, "deviation") == residuals.leaning(None, "") == []


def test_residuals_know_what_was_planted() -> None:
    assert residuals.persistence(np.array([[1.0, -1, 1, -1, 1]])) == pytest.approx(-1)
    assert residuals.persistence(np.array([[1.0, np.nan, 1]])) is None
    _, names, place = residuals.grouping(Frequency.parse("1d")) or pytest.fail("a day has its weekdays")
    moment = np.array(["2024-02-29T23:30"], "datetime64[us]").astype(np.int64)
    assert names[place(moment)[0]] == "Thursday"
    _, names, place = residuals.grouping(Frequency.parse("1w")) or pytest.fail("a week has its month")
    assert names[place(moment)[0]] == "February"
    _, names, place = residuals.grouping(Frequency.parse("15m")) or pytest.fail("a quarter of an hour has its hour")
    assert names[place(moment)[0]] == "23:00"
    assert residuals.grouping(Frequency.parse("1i")) is None and residuals.grouping(Frequency.parse("1y")) is None


def test_the_mean_of_the_calendar_is_the_mean_of_all(sections: dict[str, Any]) -> None:
    found = sections["residuals"]
    rows = found["calendar"]["rows"]
    assert found["calendar"]["name"] == "weekday" and sum(row["values"] for row in rows) == 30
    assert sum(row["mean"] * row["values"] for row in rows) / 30 == pytest.approx(found["of_scale"])


# -- what the page shows ----------------------------------------------------------------------------------------


def test_the_page_shows_all_of_it(run: Run, sections: dict[str, Any]) -> None:
    text = html(run.path / "report.html")
    for heading in ("Forecasts beside the truth", "Error by step ahead", "Errors that remain", "The next steps"):
        assert heading in text
    assert EVIL not in text and "&lt;b&gt;shop&lt;/b&gt; &amp; $x$" in text
    coverage = run.results()["test"]["coverage"]
    assert sentences.covered(sections["interval"], coverage) in text
    assert all(sentence in text for sentence in sentences.by_step(sections["by_horizon"], "mase", sections["naive"], 6))
    first = sections["next"][0]
    assert (
        f'<tr><th scope="row">{first["times"][first["starts"][0]]}</th>' in text and "gatework.Forecaster.load" in text
    )
    names = {path.name for path in (run.path / "plots").iterdir()}
    assert {"forecast.png", "horizon.png", "calendar.png", "series_best.png", "series_worst.png"} <= names
    assert (run.path / "forecast.png").read_bytes() == (run.path / "plots" / "forecast.png").read_bytes()


def test_what_only_the_model_has_stands_apart(run: Run) -> None:
    table = page.result_table(run.results())
    assert {"coverage", "wql", "msis"} <= set(table["alone"]) and "coverage" not in table["columns"]
    assert table["columns"][0] == "mase" and "owa" in table["columns"]


def test_numbers_instead_of_dates_and_holes_are_drawn(sections: dict[str, Any]) -> None:
    for each in (*sections["series"], *sections["next"]):
        each["times"] = list(range(len(each["times"])))
        each["truth"][3] = None
        del each["lower"], each["upper"]
    sections["residuals"]["calendar"] = None
    made = pictures.draw(sections)
    assert set(made) == {"series_best", "series_median", "series_worst", "forecast", "horizon"}


@pytest.mark.parametrize(
    ("ends", "coverage", "text"),
    [
        ((None, None), 0.2, "too few windows"),
        ((0.80, 0.95), 0.83, "agrees"),
        ((0.95, 0.99), 0.97, "wider than"),
        ((0.6, 0.8), 0.7, "too narrow"),
        ((0.91, 0.93), 0.915, "agrees"),
    ],
)
def test_coverage_in_words(ends: tuple[float | None, float | None], coverage: float, text: str) -> None:
    found = {"share": 0.9, "values": 60, "windows": 12, "low": ends[0], "high": ends[1]}
    said = sentences.covered(found, coverage)
    assert text in said and "of 60 in 12 windows" in said


@pytest.mark.parametrize(
    ("count", "share", "judged"), [(9, 0.5, None), (12, 1.0, True), (60, 0.5, False), (99, 1, False)]
)
def test_the_coverage_of_few_windows_proves_nothing(count: int, share: float, judged: bool | None) -> None:
    """`judged`: whether 90% is still possible where that share of each window was inside."""
    task = ForecastTask(
        ForecastOptions(time="t", season=1, lookback=2, horizon=10, valid_windows=1, test_windows=count)
    )
    windows = task.prepare(
        {"t": list(range(10 * count + 60)), "y": [float(k % 7) for k in range(10 * count + 60)]}
    ).test
    assert windows is not None
    quantiles = len(task.options.quantiles)
    truth = windows.truth()[:, :, None]
    forecasts = np.repeat(truth, 1 + quantiles, axis=2) + np.linspace(-1, 1, 1 + quantiles)
    forecasts[:, int(share * 10) :] += 100
    found = results.held(forecasts, windows, task.options)
    assert (found["values"], found["windows"]) == (10 * count, count)
    assert (found["low"] is None) == (judged is None)
    assert judged is None or (found["low"] <= 0.9 <= found["high"]) == judged


def test_steps_in_words() -> None:
    def said(*pairs: tuple[float | None, float]) -> str:
        rows = [{"step": place, "mase": mase, "naive": naive} for place, (mase, naive) in enumerate(pairs, 1)]
        return " ".join(sentences.by_step(rows, "mase", "drift", 10))

    assert "At every step" in said((0.5, 1), (0.6, 1)) and "0.5 at the first step and 0.6 at the last" in said(
        (0.5, 1), (0.6, 1)
    )
    assert "At no step" in said((2, 1), (1, 1)) and "prefer that one" in said((2, 1), (1, 1))
    assert "At 1 of 2 steps" in said((0.5, 1), (2, 1)) and "no value" in said((None, 1))
    rows = [{"step": 1, "mase": 0.5, "naive": 1.0}]
    assert "Too few windows" in sentences.by_step(rows, "mase", "drift", 9)[0]


def test_residuals_in_words() -> None:
    rows = [{"of": "May", "mean": 0.7, "values": 9}, {"of": "June", "mean": -0.1, "values": 9}]
    found = {"lean": 0.8, "mean": 3.0, "persistence": 0.9, "calendar": {"name": "month", "rows": rows}}
    said = " ".join(sentences.residuals(found, 10))
    assert "too low" in said and "tends to last" in said and "May stands out" in said
    calm = {"lean": -0.1, "mean": -0.2, "persistence": 0.1, "calendar": None}
    said = " ".join(sentences.residuals(calm, 10))
    assert "neither side" in said and "below the forecast" in said and "says little" in said
    assert sentences.residuals({"lean": None, "mean": None, "persistence": None, "calendar": None}, 10) == []
    assert "too few windows" in " ".join(sentences.residuals(found, 9))


# -- evaluations and notebooks ----------------------------------------------------------------------------------


def test_an_evaluation_writes_a_page(run: Run, tmp_path: Path) -> None:
    later = write(tmp_path / "later.csv", sales(7, DAYS))
    result = CliRunner().invoke(app, ["evaluate", str(run.path), str(later)], env={"COLUMNS": "300"})
    assert result.exit_code == 0, result.output
    path = run.path / "evaluation-later.html"
    assert f"page: {path}" in result.output and (run.path / "evaluation-later-forecast.png").exists()
    text, measured = html(path), jobs.load(run.path).evaluate(later)
    now, then = words.number(measured["mase"]), words.number(run.results()["test"]["mase"])
    assert f"MASE is {now} here; after the training it was {then} on the test part" in text
    assert "seasonal naive" in text and "What was asked" not in text
    assert "2024-04-07" in text, "the next steps come after the new rows"


def test_an_evaluation_goes_where_it_is_told(run: Run, tmp_path: Path) -> None:
    later, target = write(tmp_path / "later.csv", sales(5, DAYS)), tmp_path / "here.html"
    arguments = ["evaluate", str(run.path), str(later), "--page", str(target), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["mase"] > 0 and "MASE is" in html(target)


def test_naive_forecasts_need_no_training(run: Run, tmp_path: Path) -> None:
    trained = jobs.load(run.path)
    examples = trained.task.examples(write(tmp_path / "later.csv", sales(5, DAYS)))
    found = {each.name: each.metrics["mase"] for each in trained.task.simple(examples)}
    last = np.nan_to_num(examples.past(np.arange(len(examples))))[:, -1:]
    assert found["naive"] == pytest.approx(measures.mase(examples.truth() - last, examples.scales))


def test_notebooks_see_the_result(run: Run) -> None:
    model = Forecaster.load(run.path)
    text = model._repr_html_()
    assert run.results()["verdict"] in text and "<th>mase</th>" in text and "seasonal naive" in text
    assert "not fitted" in Forecaster()._repr_html_() and EVIL not in text


def test_estimators_write_their_report(run: Run, tmp_path: Path) -> None:
    model = Forecaster.load(run.path)
    assert model.report(tmp_path / "mine.html") == tmp_path / "mine.html"
    assert html(tmp_path / "mine.html") == html(run.path / "report.html")
    model.out = None
    with pytest.raises(OptionError, match="name a file"):
        model.report()


def test_intermittent_demand_is_told_as_a_whole_not_as_a_percentage_of_single_values() -> None:
    """A percentage leaves out all zeros."""
    shown = {"sections": {"interval": None}, "comparison": {"earned": "few"}}
    measured = {"mae": 1.754, "mape": 78.4}
    assert "78.4% of the true value" in sentences.plainly(shown, measured)
    told = sentences.plainly(shown, measured | {"bias": -0.366})
    assert "of the true value" not in told and "All forecasts together are 37% below the demand." in told
