"""What forecasts are measured against: closed forms beside their definitions, and what each baseline sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gatework import report
from gatework.data.panel import read_panel
from gatework.runtime.series.mean import moved
from gatework.runtime.series.panel import Panel
from gatework.runtime.series.theta import theta
from gatework.runtime.series.windows import Shape, Windows, make_windows
from gatework.tasks import jobs
from gatework.tasks.forecast import ForecastOptions, ForecastTask, measures
from gatework.tasks.forecast.backtest import backtest, verdict
from gatework.tasks.forecast.classical import classical, classicals, methods
from gatework.tasks.forecast.combined import even
from gatework.tasks.forecast.demand import demand, intermittent
from gatework.tasks.forecast.parts import with_truth
from gatework.tasks.forecast.regression import Map, solved
from gatework.tasks.forecast.ridge import ridge
from small import CHOSEN

# -- least squares in closed form -------------------------------------------------------------------------------


def stacked(inputs: np.ndarray, ahead: np.ndarray, targets: np.ndarray, strength: float) -> np.ndarray:
    """Forecasts [n, h] of the same regression as one large system: a row for each window and step, columns for each
    step's inputs and constant, then those shared by all steps; the penalty as rows of their own."""
    n, size = inputs.shape
    horizon, shared = ahead.shape[1:]
    design = np.zeros((n, horizon, horizon * (size + 1) + shared))
    for step in range(horizon):
        at = step * (size + 1)
        design[:, step, at : at + size + 1] = np.concatenate([inputs, np.ones((n, 1))], axis=1)
    design[:, :, horizon * (size + 1) :] = ahead
    there = ~np.isnan(targets)
    centered = [(values - values.mean(axis=0)) for values in (inputs, ahead)]
    mean = (centered[0] ** 2).sum(axis=0).mean()
    own = (centered[1] ** 2).sum(axis=(0, 1)) / horizon
    held = np.concatenate([np.tile([mean] * size + [0.0], horizon), own]) * strength
    rows, values = np.concatenate([design[there], np.diag(np.sqrt(held))]), [*targets[there], *np.zeros(len(held))]
    return design @ np.linalg.lstsq(rows, values, rcond=None)[0]


@pytest.mark.parametrize("strength", [1e-8, 0.1])
def test_the_closed_form_is_least_squares_over_windows_and_steps(strength: float) -> None:
    """Inputs and what is known ahead depend on each other, so that neither can be fitted without the other."""
    generator = np.random.default_rng(1)
    inputs = generator.normal(2, 1, (60, 4)) * [1.0, 2.0, 1.0, 0.5]
    ahead = generator.normal(1, 1, (60, 3, 2)) + inputs[:, None, :2]
    targets = (inputs @ generator.normal(size=(4, 3))) + ahead @ [3.0, -1.0] + generator.normal(size=(60, 3))
    found = solved(lambda rows: (inputs[rows], ahead[rows], targets[rows]), targets, np.arange(60), 4, [9.0, strength])
    np.testing.assert_allclose(found[1](inputs, ahead), stacked(inputs, ahead, targets, strength), rtol=1e-6)
    assert np.abs(found[0].weights[:-1]).sum() < np.abs(found[1].weights[:-1]).sum()


def test_missing_targets_leave_out_their_own_step_alone() -> None:
    """Without a penalty: each step is the least squares of the windows that know it."""
    generator = np.random.default_rng(2)
    inputs, targets = generator.normal(size=(50, 3)), generator.normal(size=(50, 4))
    targets[::2, 1] = targets[5:9, 2] = targets[5:9, 3] = np.nan
    none = np.zeros((50, 4, 0))
    found = solved(lambda rows: (inputs[rows], none[rows], targets[rows]), targets, np.arange(50), 3, [1e-13])[0]
    for step, values in enumerate(targets.T):
        there = ~np.isnan(values)
        design = np.concatenate([inputs[there], np.ones((there.sum(), 1))], axis=1)
        np.testing.assert_allclose(found.weights[:, step], np.linalg.lstsq(design, values[there], rcond=None)[0])


def test_inputs_beside_the_lags_may_have_any_unit() -> None:
    """A penalty holds a covariate back alike in kilos and in grams."""
    generator = np.random.default_rng(3)
    inputs, targets = generator.normal(size=(40, 4)), generator.normal(size=(40, 2))
    none = np.zeros((40, 2, 0))

    def forecast(size: float) -> np.ndarray:
        here = inputs * [1.0, 1.0, 1.0, size]
        found: Map = solved(lambda rows: (here[rows], none[rows], targets[rows]), targets, np.arange(40), 3, [0.3])[0]
        return found(here, none)

    np.testing.assert_allclose(forecast(1000.0), forecast(1.0))


# -- ridge on all that the model sees ---------------------------------------------------------------------------


def promoted(days: int, **changes: Any) -> tuple[Windows, Windows]:
    """Training windows and eight test windows of y = 20 + 10 promo + noise, on random days."""
    generator = np.random.default_rng(4)
    promo = generator.integers(0, 2, days).astype(float)
    frame = pl.DataFrame(
        {"day": np.arange(days), "promo": promo, "y": 20 + 10 * promo + generator.normal(0, 0.3, days)}
    )
    options = {**CHOSEN, "time": "day", "target": ("y",), "horizon": 7, "season": 7, "test_windows": 8, **changes}
    parts = ForecastTask(ForecastOptions(**options)).prepare(frame)
    assert parts.test is not None
    return parts.train, parts.test


@pytest.mark.parametrize("days", [200, 730])
def test_ridge_reads_what_is_known_ahead(days: int) -> None:
    """The noise's mean size is 0.3 sqrt(2 / pi) = 0.24; without the column the error is that of a coin, 5."""
    train, test = promoted(days, future=("promo",))
    found, note = ridge(train, test, 1)
    assert np.abs(found - test.truth()).mean() < 0.29 and "what stands beside them" in note
    train, test = promoted(days)
    assert np.abs(ridge(train, test, 1)[0] - test.truth()).mean() > 3


def led(length: int, lag: int) -> pl.DataFrame:
    """Two shops whose sales follow visitors of some days before, and whose kind says by how much they change."""
    generator = np.random.default_rng(5)
    visitors = generator.normal(size=(2, length))
    sales = 3 * np.roll(visitors, lag, axis=1) + 0.05 * generator.normal(size=(2, length))
    return pl.DataFrame(
        {
            "day": np.tile(np.arange(length), 2),
            "shop": np.repeat(["a", "b"], length),
            "visitors": visitors.ravel(),
            "sales": sales.ravel(),
        }
    )


def test_ridge_reads_covariates_of_the_past() -> None:
    options = {
        **CHOSEN,
        "time": "day",
        "series": "shop",
        "target": ("sales",),
        "horizon": 3,
        "season": 1,
        "lookback": 8,
    }
    both = []
    for past in ((), ("visitors",)):
        parts = ForecastTask(ForecastOptions(**options, past=past, test_windows=5)).prepare(led(120, 3))
        assert parts.test is not None
        both.append(np.abs(ridge(parts.train, parts.test, 1)[0] - parts.test.truth()).mean())
    assert both[0] > 1.5 and both[1] < 0.2


def test_ridge_learns_where_no_window_is_whole() -> None:
    """Every third value is missing, so that each window of five steps misses one: the wave is learned all the same."""
    values = 10 + np.sin(2 * np.pi * np.arange(120) / 12)
    values[1::3] = np.nan
    panel = read_panel({"t": np.arange(120), "y": values}, time="t")
    train, test = (
        with_truth(make_windows(panel, Shape(24, 5, 12), [cuts])) for cuts in (np.arange(12, 100), np.array([110, 115]))
    )
    assert np.isnan(train.truth()).any(axis=1).all()
    found, note = ridge(train, test, 1)
    assert np.nanmax(np.abs(found - test.truth())) < 0.02 and "88 windows" in note


def test_windows_that_lack_some_steps_add_to_the_whole_ones() -> None:
    """A series with holes learns from more windows than those that have none; a few are not worth a fit of each step
    where whole windows abound."""
    generator = np.random.default_rng(6)
    values = generator.normal(size=400).cumsum()
    values[generator.random(400) < 0.1] = np.nan
    panel = read_panel({"t": np.arange(400), "y": values}, time="t")
    train, test = (
        with_truth(make_windows(panel, Shape(8, 6, 1), [cuts])) for cuts in (np.arange(8, 380), np.array([390]))
    )
    found, note = ridge(train, test, 1)
    assert np.isfinite(found).all() and f"{len(train)} windows" in note


# -- classical methods ------------------------------------------------------------------------------------------


def windows_at(values: np.ndarray, cuts: list[int], horizon: int = 4, season: int = 1) -> Windows:
    panel = read_panel({"t": np.arange(len(values)), "y": values}, time="t")
    return make_windows(panel, Shape(season + 1, horizon, season), [np.array(cuts)])


def test_two_seasons_are_enough_for_a_season() -> None:
    """Months of exactly two years, of which the third repeats the season. Theta is told of it, but its own test for a
    season finds none in so few."""
    season = 10 + 4 * np.sin(2 * np.pi * np.arange(12) / 12)
    values = np.tile(season, 3) + 0.01 * np.random.default_rng(7).normal(size=36)
    windows = windows_at(values, [24], 12, 12)
    found = classical(windows, "ets", 60, 1)
    assert np.abs(found.forecasts - windows.truth()).max() < 0.5, found.forecasts


def test_a_method_without_a_season_stands_in_where_one_with_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from statsforecast import models

    given = models.AutoETS.forecast

    def picky(self: Any, **data: Any) -> Any:
        if self.season_length > 1:
            raise ValueError("no season")
        return given(self, **data)

    monkeypatch.setattr(models.AutoETS, "forecast", picky)
    windows = windows_at(np.random.default_rng(8).uniform(5, 6, 40), [36], season=4)
    found = classical(windows, "ets", 60, 1)
    assert found.note == "each series on its own"
    expected = models.AutoETS(season_length=1).forecast(y=windows.history(0), h=4)["mean"]
    np.testing.assert_allclose(found.forecasts[0], expected)


def test_croston_is_by_hand_and_all_methods_share_the_time() -> None:
    """Croston's method: exponential smoothing (0.1) of sizes and of intervals; SBA takes 1 - 0.1 / 2 of their ratio."""
    values = np.array([0.0, 3, 0, 0, 5, 0, 2, 0, 0, 0, 4, 0, 0, 0, 0, 0])
    windows = windows_at(values, [12])
    size, interval, last = 3.0, 2.0, 1
    for place in (4, 6, 10):
        size, interval = 0.9 * size + 0.1 * values[place], 0.9 * interval + 0.1 * (place - last)
        last = place
    found = classical(windows, "croston", 60, 1)
    np.testing.assert_allclose(found.forecasts[0], 0.95 * size / interval)
    every = classicals(windows_at(values, [10, 11, 12]), methods("both", True), 0, 1)
    assert [len(each.rows) for each in every] == [1, 1, 1]
    assert [each.name.split(" ")[0] for each in every] == ["CrostonSBA", "DynamicOptimizedTheta", "AutoETS"]
    assert methods("none", True) == [] and methods("theta", False) == ["theta"]


# -- intermittent demand ----------------------------------------------------------------------------------------


def sold(values: Any) -> Panel:
    values = np.atleast_2d(values)
    table = {"t": np.arange(values.shape[1]), **{f"s{k}": row for k, row in enumerate(values)}}
    return read_panel(table, time="t", target=[name for name in table if name != "t"])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([4, 5, 4, 0, 5, 4, 5, 4, 4, 5], "smooth"),
        ([1, 9, 1, 0, 30, 1, 1, 1, 1, 9], "erratic"),
        ([4, 0, 0, 5, 0, 0, 4, 0, 0, 5], "intermittent"),
        ([1, 0, 0, 30, 0, 0, 1, 0, 0, 1], "lumpy"),
    ],
)
def test_the_kinds_of_demand(values: list[int], kind: str) -> None:
    found = demand(sold(np.array(values, float)), 1)
    assert found is not None and found.kind == kind
    assert found.intermittent == (kind in ("intermittent", "lumpy"))


def test_zeros_that_the_season_explains_are_no_intermittent_demand() -> None:
    """The sun does not shine at night, on any day; rain has no hour."""
    hours = np.arange(24 * 20)
    sun = np.maximum(np.sin(2 * np.pi * hours / 24), 0) * np.random.default_rng(9).uniform(0.5, 1, len(hours))
    rain = np.where(np.random.default_rng(9).random(len(hours)) < 0.5, 0, 1.0)
    assert not intermittent(sold(sun), 24) and intermittent(sold(sun), 1) and intermittent(sold(rain), 24)


def test_what_cannot_be_demand_is_none() -> None:
    assert demand(sold([1.0, -1, 0, 0, 0, 0]), 1) is None, "a value below 0"
    assert demand(sold([1.0, 2, 3]), 1) is None, "no value is 0"
    assert demand(sold([0.0, 0, 0]), 1) is None, "there is no demand"
    assert intermittent(sold([[0.0, 0, 0, 2, 0, 0], [0, 0, 0, 0, 0, 0]]), 1), "a series of zeros says nothing"


def test_rmsse_and_bias_by_loops() -> None:
    generator = np.random.default_rng(10)
    truth, forecast = generator.poisson(0.5, (5, 3)).astype(float), generator.uniform(0, 1, (5, 3))
    truth[0, 1], squares = np.nan, np.array([0.5, 2.0, 1.0, np.nan, 1.0])
    found = measures.measures(forecast, truth, np.ones(5), None, squares)
    errors = [
        (f - t) ** 2 / s
        for row, line, s in zip(truth, forecast, squares, strict=True)
        for t, f in zip(row, line, strict=True)
        if np.isfinite(t) and np.isfinite(s)
    ]
    assert found["rmsse"] == pytest.approx(np.sqrt(np.mean(errors)))
    there = ~np.isnan(truth)
    assert found["bias"] == pytest.approx((forecast[there].sum() - truth[there].sum()) / truth[there].sum())
    assert "rmsse" not in measures.measures(forecast, truth, np.ones(5))


def test_the_unit_of_rmsse_begins_with_the_first_demand() -> None:
    windows = windows_at(np.array([0.0, 0, 0, 2, 0, 0, 1, 5, 5, 5, 5]), [3, 4, 7])
    np.testing.assert_allclose(windows.squares, [np.nan, np.nan, (4 + 0 + 1) / 3])


RARE: dict[str, Any] = {
    **CHOSEN,
    "time": "t", "target": ("y",), "series": "item", "horizon": 6, "season": 1, "lookback": 24, "hidden_size": 8,
    "epochs": 4, "loss": "mse", "classical": "none", "windows": 4_000, "valid_windows": 4, "test_windows": 4,
}  # fmt: skip


def rare(length: int = 160) -> pl.DataFrame:
    """Forty items, sold one day in five, of sizes of their own."""
    generator = np.random.default_rng(11)
    sizes = generator.uniform(2, 8, (40, 1))
    values = (generator.random((40, length)) < 0.2) * generator.poisson(sizes, (40, length)).clip(1)
    names = np.repeat([f"i{k}" for k in range(40)], length)
    return pl.DataFrame({"t": np.tile(np.arange(length), 40), "item": names, "y": values.ravel().astype(float)})


@pytest.fixture(scope="module")
def intermittent_run(tmp_path_factory: pytest.TempPathFactory) -> jobs.Trained:
    out = tmp_path_factory.mktemp("rare") / "run"
    return jobs.train(ForecastTask(ForecastOptions(**RARE)), rare(), out=out, quiet=True)


def test_the_forecasts_of_rare_demand_sum_up_to_it(intermittent_run: jobs.Trained) -> None:
    results = intermittent_run.run.results()
    assert abs(results["test"]["bias"]) < 0.15
    zero = next(each for each in results["contenders"] if each["name"] == "zero")
    assert zero["metrics"]["bias"] == -1
    assert zero["metrics"]["mase"] < results["test"]["mase"], "nothing at all has the lower absolute error"
    assert zero["metrics"]["rmsse"] > results["test"]["rmsse"]
    assert results["metric"]["name"] == "rmsse" and results["comparison"]["metric"] == "rmsse"
    assert results["verdict"].find("RMSSE") >= 0 and "intermittent demand" in " ".join(results["data"]["notes"])


def test_pages_of_rare_demand_show_what_the_verdict_goes_by(intermittent_run: jobs.Trained) -> None:
    results = intermittent_run.run.results()
    rows = results["sections"]["by_horizon"]
    assert np.sqrt(np.mean([row["rmsse"] ** 2 for row in rows])) == pytest.approx(results["test"]["rmsse"])
    page = report.write(intermittent_run.run.path).read_text()
    assert ">model, RMSSE</th>" in page and "Error of each step ahead (RMSSE" in page and "model, MASE" not in page


def test_a_loaded_run_of_rare_demand_is_judged_alike(intermittent_run: jobs.Trained) -> None:
    loaded = jobs.load(intermittent_run.run.path)
    assert loaded.task.metric.name == "rmsse"
    later = rare(180).filter(pl.col("t") >= 160)
    assert loaded.evaluate(later)["rmsse"] == pytest.approx(intermittent_run.evaluate(later)["rmsse"])
    whole = loaded.task.examples(later)
    assert isinstance(whole, Windows)
    np.testing.assert_allclose(whole.squares[0], np.mean(np.diff(_from_first(whole.history(0))) ** 2))


def _from_first(values: np.ndarray) -> np.ndarray:
    assert len(values) >= 160, "the run keeps the whole series"
    return values[np.flatnonzero(values)[0] :]


def test_check_tells_of_rare_demand_and_who_says_no_keeps_mase() -> None:
    told = " ".join(found.message for found in ForecastTask(ForecastOptions(**RARE)).check(rare()))
    assert "% of the values are 0" in told and "judged by squared errors (RMSSE)" in told
    task = ForecastTask(ForecastOptions(**RARE, intermittent=False))
    assert "judged by MASE" in " ".join(found.message for found in task.check(rare()))
    assert task.metric.name == "mase"


def test_a_backtest_of_rare_demand_is_judged_by_rmsse(tmp_path: Path) -> None:
    task = ForecastTask(ForecastOptions(**{**RARE, "epochs": 1}))
    rows = backtest(task, rare(100), 2)
    assert "RMSSE" in verdict(rows) and "MASE" not in verdict(rows)


# -- the mean of model and classical methods --------------------------------------------------------------------

MIXED: dict[str, Any] = {
    **CHOSEN,
    "time": "t", "target": ("y",), "series": "shop", "horizon": 4, "season": 1, "lookback": 6, "hidden_size": 4,
    "epochs": 1, "keep": "last", "conformal": False, "classical": "theta", "valid_windows": 2, "test_windows": 2,
}  # fmt: skip


def shops(length: int = 60) -> pl.DataFrame:
    """Three shops whose sales wander above 0."""
    steps = np.random.default_rng(12).normal(0.01, 0.1, (3, length))
    values = 20 * np.exp(np.cumsum(steps, axis=1))
    return pl.DataFrame(
        {"t": np.tile(np.arange(length), 3), "shop": np.repeat(list("abc"), length), "y": values.ravel()}
    )


def run_of(out: Path, **changes: Any) -> jobs.Trained:
    return jobs.train(ForecastTask(ForecastOptions(**{**MIXED, **changes})), shops(), out=out, quiet=True)


def forecast_rows(trained: jobs.Trained, **how: Any) -> np.ndarray:
    """[rows, 1 + Q]."""
    rows = trained.predict(None, **how)
    return np.array([[value for name, value in row.items() if name not in ("series", "time")] for row in rows])


def by_theta(steps: int) -> np.ndarray:
    """The forecasts of the shops, one after the other."""
    return theta(list(read_panel(shops(), series="shop")), steps, 1).ravel()


def test_theta_is_that_of_its_authors_and_the_same_for_one_series_as_for_many() -> None:
    """On series that wander, and on some with a season that grows with the level, as near to the library's forecasts as
    the two forms of the method are to each other."""
    from statsforecast.models import OptimizedTheta

    steps, generator = np.arange(96), np.random.default_rng(5)
    walks = [100 + np.cumsum(generator.normal(0.3, 1, length)) for length in (30, 60, 96)]
    seasons = [(50 + 0.4 * steps) * (1 + 0.3 * np.sin(2 * np.pi * (steps + k) / 12)) for k in range(3)]
    seasons = [values * np.exp(generator.normal(0, 0.02, 96)) for values in seasons]
    for series, season in ((walks, 1), (seasons, 12)):
        found = theta(series, 12, season)
        known = np.array([OptimizedTheta(season_length=season).forecast(y=each, h=12)["mean"] for each in series])
        assert np.abs(found / known - 1).max() < 0.02
        np.testing.assert_allclose(found, np.concatenate([theta([each], 12, season) for each in series]), rtol=1e-10)


def test_theta_of_what_has_no_noise_is_exact() -> None:
    found = theta([np.arange(9.0), np.full(5, 3.0), np.zeros(0)], 2, 1)
    np.testing.assert_allclose(found, [[9, 10], [3, 3], [0, 0]], atol=1e-9)
    steps = np.arange(66)
    up_and_down = np.where(steps % 2, 3.0, -1.0)
    np.testing.assert_allclose(theta([up_and_down[:60]], 6, 2)[0], up_and_down[60:], atol=1e-9)


@pytest.mark.parametrize("transform", ["none", "log"])
def test_a_run_forecasts_the_mean_with_theta(tmp_path: Path, transform: str) -> None:
    """The same network with and without Theta: the mean of both, quantiles around it, saved and loaded; beyond the
    horizon, too."""
    free = {"transform": transform, "limits": "none", "combine_share": 0.5}
    alone, both = (run_of(tmp_path / c, combine=c, **free) for c in ("none", "theta"))
    np.testing.assert_array_equal(forecast_rows(jobs.load(tmp_path / "theta")), forecast_rows(both))
    for each in (alone, both):
        each.model.get_buffer("share").fill_(1.0)
    with pytest.warns(UserWarning, match="trained for 4 steps"):
        found = [forecast_rows(each, horizon=steps) for steps in (4, 7) for each in (alone, both)]
    for steps, (plain, mixed) in ((4, found[:2]), (7, found[2:])):
        np.testing.assert_allclose(mixed[:, 0], (plain[:, 0] + by_theta(steps)) / 2, rtol=1e-5)
        if transform == "log":
            np.testing.assert_allclose(mixed[:, 1:] / mixed[:, :1], plain[:, 1:] / plain[:, :1], rtol=1e-5)
        else:
            np.testing.assert_allclose(mixed[:, 1:] - mixed[:, :1], plain[:, 1:] - plain[:, :1], rtol=1e-4, atol=1e-4)


def test_the_mean_stands_in_every_report_and_says_whether_it_is_forecast(tmp_path: Path) -> None:
    """Without a step of training the network has corrected nothing, and its share is no matter."""
    half = {"combine_share": 0.5, "epochs": 0}
    plain, mixed = (run_of(tmp_path / c, combine=c, **half).run.results() for c in ("none", "simple"))
    rows = [{each["name"]: each for each in found["contenders"]} for found in (plain, mixed)]
    beside = rows[0]["mean of model, Theta and seasonal naive"]
    assert (beside["role"], beside["note"]) == ("combination", "not what the run forecasts: combine=simple would")
    assert rows[1]["model"]["metrics"]["mae"] == pytest.approx(beside["metrics"]["mae"], rel=1e-5)
    assert rows[1]["model without Theta and seasonal naive"]["metrics"]["mae"] == pytest.approx(
        rows[0]["model"]["metrics"]["mae"], rel=1e-5
    )
    assert "Theta" in rows[1]["linear map alone"]["note"], "the part without the network is combined, too"
    assert rows[1]["model"]["note"] == "50% the network's forecast, 25% Theta, 25% seasonal naive"
    assert {rows[1][name]["role"] for name in ("Theta", "naive")} == {"baseline"}
    assert "seasonal naive" in rows[1]["naive"]["note"], "the same forecasts, where there is no season"


def test_intervals_are_adjusted_to_the_mean(tmp_path: Path) -> None:
    """The adjustment follows the errors of what is forecast."""
    plain, mixed = (run_of(tmp_path / c, combine=c, conformal=True) for c in ("none", "theta"))
    first, second = (each.model.get_buffer("adjustment").numpy() for each in (plain, mixed))
    assert not np.allclose(first, second)


def test_forecasts_of_values_above_0_stay_above_it_whatever_theta_says() -> None:
    forecasts = np.array([[[2.0, 1.0, 4.0]]])
    found = moved(forecasts, [np.array([[-7.0]])], np.array([0.5]), log=True)
    np.testing.assert_allclose(found, forecasts / 2)
    others = [np.array([[6.0]]), np.array([[1.0]])]
    np.testing.assert_allclose(moved(forecasts, others, even("simple", 0.5), log=False), forecasts + 0.75)
    np.testing.assert_allclose(moved(forecasts, others, np.array([0.1, 0.3]), log=False), forecasts + 0.1)
