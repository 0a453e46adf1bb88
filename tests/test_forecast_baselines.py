"""What forecasts are measured against: closed forms beside their definitions, and what each baseline sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from gatework.data.panel import read_panel
from gatework.tasks.forecast import ForecastOptions, ForecastTask
from gatework.tasks.forecast.parts import with_truth
from gatework.tasks.forecast.regression import Map, solved
from gatework.tasks.forecast.ridge import ridge
from gatework.tasks.forecast.windows import Shape, Windows, make_windows

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
    options = {"time": "day", "target": ("y",), "horizon": 7, "season": 7, "test_windows": 8, **changes}
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
    options = {"time": "day", "series": "shop", "target": ("sales",), "horizon": 3, "season": 1, "lookback": 8}
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
