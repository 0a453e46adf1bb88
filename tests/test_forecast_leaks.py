"""Forecasts learn nothing of the test part: with other values there, all that is fitted has the same bits."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from gatework.errors import OptionError
from gatework.runtime.series import baselines
from gatework.tasks import jobs
from gatework.tasks.base import Parts
from gatework.tasks.forecast import ForecastOptions, ForecastTask, parts
from gatework.tasks.forecast.backtest import backtest
from gatework.tasks.forecast.classical import classical
from gatework.tasks.forecast.ridge import ridge

START, DAYS, HORIZON = datetime(2024, 1, 1), 70, 4
SMALL: dict[str, Any] = {
    "time": "day", "target": ("units",), "series": "store", "horizon": HORIZON, "season": 7, "lookback": 14,
    "epochs": 3, "hidden_size": 6, "width": 3, "past": ("visitors",), "future": ("price",), "classical_seconds": 1e9,
    "valid_windows": 1, "test_windows": 1,
}  # fmt: skip
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "changes, both parts learned": {"scale": "last", "refit_epochs": 1, "keep": "last", "test_windows": 2},
    "logarithms": {"transform": "log", "cell": "gru", "decoding": "recursive", "average": "ema"},
    "no map": {"linear": "none", "decoding": "segments", "ensemble": 2, "valid_windows": 2, "jitter": 0.1},
}


def sales(test: int = 0, begin: int = 0, days: int = DAYS, stores: int = 3) -> pl.DataFrame:
    """Sales above 0; those of the last `test` days, and visitors and prices there, are others, some of them below 0."""
    values, others = (np.random.default_rng(seed).uniform(5, 9, (3, stores, 400)) for seed in (1, 2))
    values[:, :, days - test : days] = 100 * others[:, :, days - test : days] - 600
    rows = [
        (f"store {s}", START + timedelta(days=day), *map(float, values[:, s, day]))
        for s in range(stores)
        for day in range(begin, days)
    ]
    return pl.DataFrame(rows, schema=["store", "day", "units", "visitors", "price"], orient="row")


def trained(frame: pl.DataFrame, folder: Path, **options: Any) -> tuple[jobs.Trained, Parts]:
    """A run, and its parts again."""
    task = ForecastTask(ForecastOptions(**{**SMALL, **options}))
    again = ForecastTask(ForecastOptions(**{**SMALL, **options}))
    return jobs.train(task, frame, out=folder, quiet=True), again.prepare(frame)


@pytest.mark.parametrize("way", WAYS)
def test_all_that_is_fitted_ignores_the_test_part(way: str, tmp_path: Path) -> None:
    options = WAYS[way]
    # logarithms refuse values below 0 wherever they stand
    shift = pl.col("units").abs() + 1 if way == "logarithms" else pl.col("units")
    days = HORIZON * options.get("test_windows", 1)
    first, second = (
        trained(sales(test).with_columns(units=shift), tmp_path / str(test), **options)[0] for test in (0, days)
    )
    assert first.run.results()["test"] != second.run.results()["test"]
    for name, tensor in first.model.state_dict().items():  # weights, and the intervals' adjustment
        assert torch.equal(tensor, second.model.state_dict()[name]), name
    left, right = (each.run.results() for each in (first, second))
    for key in ("train", "valid"):
        assert left[key] == right[key], key
    strip = [[{k: v for k, v in row.items() if k != "seconds"} for row in each["history"]] for each in (left, right)]
    assert strip[0] == strip[1]
    assert first.task.options == second.task.options
    assert first.task.channels == second.task.channels  # type: ignore[attr-defined]
    notes = [[(each["name"], each["note"]) for each in results["contenders"]] for results in (left, right)]
    assert notes[0] == notes[1]


def test_forecasts_of_the_test_part_see_nothing_of_it(tmp_path: Path) -> None:
    """Of the network and of every baseline: prices are known ahead, all else of the test part is not."""
    frame, other = sales(), sales(HORIZON)
    other = other.with_columns(frame["price"])
    found = []
    for name, each in (("a", frame), ("b", other)):
        run, made = trained(each, tmp_path / name)
        windows = made.test
        assert isinstance(run.task, ForecastTask)
        with torch.no_grad():
            forecasts = {"network": run.task.forecasts(run.model, windows)}
        forecasts |= baselines.all_naive(windows) | {"Naive2": windows.naive2}
        forecasts |= {"ridge": ridge(made.train, windows, 1)[0], "theta": classical(windows, "theta", 1e9, 1).forecasts}
        found.append(forecasts | {"scales": windows.scales})
    for name, values in found[0].items():
        assert np.array_equal(values, found[1][name]), name


def test_baselines_see_what_the_network_sees(tmp_path: Path) -> None:
    """With refit_epochs the network learns the validation part too, and so does ridge on lags: its forecasts move."""
    quiet = sales()
    late = pl.col("day") >= START + timedelta(days=DAYS - 2 * HORIZON)
    loud = quiet.with_columns(units=pl.when(late).then(pl.col("units") * 3).otherwise("units"))
    moved = []
    for options in ({}, {"refit_epochs": 1, "keep": "last"}):
        runs = [trained(frame, tmp_path / f"{len(options)}{k}", **options)[0] for k, frame in enumerate((quiet, loud))]
        notes = [{each["name"]: each["note"] for each in run.run.results()["contenders"]} for run in runs]
        moved.append(int(notes[0]["ridge on lags and covariates"].split("fitted to ")[1].split(" ")[0]))
    assert moved[1] == moved[0] + 3 * HORIZON  # windows with targets up to the end of the validation part


def test_the_seasonal_naive_forecast_looks_back_beyond_a_short_window() -> None:
    panel_of = ForecastTask(ForecastOptions(**{**SMALL, "lookback": 3}))
    windows = panel_of.prepare(sales()).test
    found = baselines.all_naive(windows)["seasonal naive"]
    for row in range(len(windows)):
        np.testing.assert_array_equal(found[row], windows.history(row)[-7 : -7 + HORIZON])


def test_an_earlier_origin_knows_nothing_of_later_values() -> None:
    options = ForecastOptions(**{**SMALL, "epochs": 1, "scale": "last", "classical": "none"})
    changed = {"origin": 2}
    tables = [
        [row for row in backtest(ForecastTask(options), frame, 2) if row["origin"] == changed["origin"]]
        for frame in (sales(), sales(HORIZON))
    ]
    assert tables[0] == tables[1]


def test_validation_behind_the_test_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="test_windows=0"):
        ForecastTask(ForecastOptions(**SMALL)).prepare(sales(), valid=sales(begin=60, days=90))
    later = sales(begin=60, days=90)
    made = ForecastTask(replace(ForecastOptions(**SMALL), test_windows=0)).prepare(sales(), valid=later)
    assert made.test is None and made.valid.cuts.min() == DAYS


def test_series_without_later_rows_are_kept_and_later_rows_may_come_in_any_order() -> None:
    """Validation and test in files of their own, in which a series lacks, one is new and the order is another."""
    later = sales(begin=DAYS, days=DAYS + 12)
    valid = later.filter((pl.col("store") != "store 0") & (pl.col("day") < START + timedelta(days=DAYS + 4)))
    new = sales(stores=1, days=DAYS + 12).with_columns(store=pl.lit("store 9"))
    test = later.filter((pl.col("store") != "store 1") & (pl.col("day") >= START + timedelta(days=DAYS + 4)))
    task = ForecastTask(ForecastOptions(**{**SMALL, "refit_epochs": 1, "keep": "last"}))
    new_one, gap = "not in the training data: store 9", "the most in 'store 0': 4 steps"
    with pytest.warns(UserWarning, match=new_one), pytest.warns(UserWarning, match=gap):
        made = task.prepare(
            sales(), valid=valid.sort("store", "day", descending=[True, False]), test=pl.concat([test, new])
        )
    assert task.last.names == ("store 0", "store 1", "store 2", "store 9")
    assert sorted(set(made.valid.owners.tolist())) == [1, 2] and sorted(set(made.test.owners.tolist())) == [0, 2, 3]
    both = parts.up_to(made.train, made.valid)
    units = sales(days=DAYS + 12).partition_by("store", as_dict=True)
    for row in range(len(both)):
        name, cut = both.panel.names[both.owners[row]], both.cuts[row]
        known = units[(name,)]["units"].to_numpy()
        np.testing.assert_array_equal(both.history(row), known[:cut])
    assert (both.owners == 0).sum() == (made.train.owners == 0).sum()


# -- series that end at different dates -------------------------------------------------------------------------


def uneven(later: float = 0.0) -> pl.DataFrame:
    """Store 0 ends 20 days before the others; `later` is added to all values from the test part of split=date on."""
    frame = sales().filter((pl.col("store") != "store 0") | (pl.col("day") < START + timedelta(days=DAYS - 20)))
    after = pl.col("day") >= START + timedelta(days=DAYS - HORIZON)
    return frame.with_columns(units=pl.when(after).then(pl.col("units") + later).otherwise(pl.col("units")))


def times_of_truth(windows: Any) -> tuple[int, int]:
    """The first and the last time that any window forecasts."""
    panel, step = windows.panel, windows.shape.horizon
    cuts = panel.frequency.times(panel.starts[windows.owners], windows.cuts)
    ends = np.minimum(windows.cuts + step, panel.lengths[windows.owners]) - 1
    return int(cuts.min()), int(panel.frequency.times(panel.starts[windows.owners], ends).max())


def test_parts_of_one_date_do_not_overlap_in_time() -> None:
    made = {}
    for split in ("ends", "date"):
        task = ForecastTask(ForecastOptions(**{**SMALL, "split": split}))
        made[split] = task.prepare(uneven())
        told = " ".join(task.notes)
        assert ("from 2024-02-19 (store 0) to 2024-03-10 (store 1)" in told) == (split == "ends")
        assert ("1 of 3 series end before the test part begins: store 0" in told) == (split == "date")
    assert times_of_truth(made["ends"].train)[1] > times_of_truth(made["ends"].test)[0]  # what the caution is about
    parts = made["date"]
    assert times_of_truth(parts.train)[1] < times_of_truth(parts.valid)[0]
    assert times_of_truth(parts.valid)[1] < times_of_truth(parts.test)[0]
    assert set(parts.train.owners) == {0, 1, 2} and set(parts.test.owners) == {1, 2}


def test_nothing_after_the_common_date_is_learned(tmp_path: Path) -> None:
    runs = [trained(uneven(later), tmp_path / f"{later:g}", split="date", scale="last")[0] for later in (0.0, 50.0)]
    weights = [run.model.state_dict() for run in runs]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_origins_of_one_date_are_that_date() -> None:
    rows = backtest(
        ForecastTask(ForecastOptions(**{**SMALL, "split": "date", "epochs": 1, "classical": "none"})), uneven(), 2
    )
    until = {row["origin"]: row["until"] for row in rows}
    assert until == {1: "2024-03-06", 2: "2024-03-02"}


def test_series_that_end_together_need_no_caution() -> None:
    task = ForecastTask(ForecastOptions(**SMALL))
    task.prepare(sales())
    assert "different dates" not in " ".join(task.notes)
