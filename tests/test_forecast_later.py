"""What predict says of later rows: statics, ends, revised values, what is known ahead, hopeless series."""

from __future__ import annotations

import re
import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import gatework
from gatework import cli
from gatework.data.panel import inspect_panel
from gatework.errors import DataError, OptionError

START = datetime(2024, 1, 1)
SMALL: dict[str, Any] = {"horizon": 3, "season": 7, "lookback": 14, "epochs": 1, "hidden_size": 4, "width": 2}
SMALL |= {"windows": 100, "classical": "none", "threads": 1}
COLUMNS: dict[str, Any] = {"time": "day", "target": ("units",), "series": "shop"}
NAMES = ("1", "4", "7")


def day(number: int) -> str:
    return f"{START + timedelta(days=number):%Y-%m-%d}"


def rows(first: int, last: int, **columns: Any) -> pl.DataFrame:
    """Days of three shops: a price known ahead, a region and an area."""
    found = [
        {
            "shop": name,
            "day": day(k),
            "units": 10.0 * s + k % 7 + (k * 7919 % 13) / 4,
            "price": 1.0 + s + k % 3,
            "region": ("north", "south")[s % 2],
            "area": 100.0 * (s + 1),
        }
        for s, name in enumerate(NAMES)
        for k in range(first, last)
    ]  # fmt: skip (a record)
    return pl.DataFrame(found).with_columns(**columns)


@pytest.fixture(scope="module")
def plain() -> gatework.Forecaster:
    return gatework.Forecaster(**SMALL, **COLUMNS, static=("region", "area")).fit(rows(0, 60))


@pytest.fixture(scope="module")
def priced() -> gatework.Forecaster:
    return gatework.Forecaster(**SMALL, **COLUMNS, future=("price",)).fit(rows(0, 60))


def said(model: gatework.Forecaster, frame: pl.DataFrame, **how: Any) -> tuple[pl.DataFrame, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = model.predict(3, frame, **how)
    return found, [str(each.message) for each in caught if each.category is UserWarning]


# -- statics ----------------------------------------------------------------------------------------------------


def test_rows_that_agree_are_no_news(plain: gatework.Forecaster) -> None:
    for frame in (rows(60, 65), rows(50, 65)):
        assert said(plain, frame)[1] == []


@pytest.mark.parametrize("column", ["region", "area"])
def test_a_static_that_is_missing_is_the_run_s_own_and_said_to_be(plain: gatework.Forecaster, column: str) -> None:
    whole, later = said(plain, rows(60, 65))[0], rows(60, 65)
    empty = later.with_columns(pl.lit(None, later.schema[column]).alias(column))
    for frame in (later.drop(column), empty):
        found, told = said(plain, frame)
        assert found.equals(whole), "the forecasts are those with the value"
        assert told == [f"the given rows: no {column} for 3 series (1, 4, 7): that of the training data is used"]


def test_a_new_series_has_no_value_of_its_own(plain: gatework.Forecaster) -> None:
    fresh = rows(50, 65).filter(pl.col("shop") == "1").with_columns(shop=pl.lit("9")).drop("region")
    told = said(plain, fresh)[1]
    assert any("no region for 1 series (9): the mean of the training part stands for it" in each for each in told)


def test_a_static_that_contradicts_is_told_with_both_values(plain: gatework.Forecaster) -> None:
    other = rows(60, 65, region=pl.when(pl.col("shop") == "4").then(pl.lit("north")).otherwise("region"))
    (message,) = said(plain, other)[1]
    assert "1 series with another region than in the training data: '4' has 'north', it had 'south'" in message
    larger = rows(60, 65, area=pl.col("area") + 50)
    (message,) = said(plain, larger)[1]
    assert "3 series with another area than in the training data: '1' has 150, it had 100; the new one" in message


# -- rows that end early, or say otherwise ----------------------------------------------------------------------


def test_rows_that_end_before_the_run_s_data_are_told(plain: gatework.Forecaster) -> None:
    found, told = said(plain, rows(10, 50))
    assert (
        len(told) == 1
        and "rows end before the data of the run in 3 series: in '1' at 2024-02-19, the run knows" in told[0]
    )
    assert "up to 2024-02-29; forecasts go on from the end of what the run knows" in told[0]
    assert found["time"][0] == START + timedelta(days=60) and found.equals(plain.predict())


def test_revised_values_are_told_and_used(plain: gatework.Forecaster) -> None:
    frame = rows(50, 62, units=pl.when(pl.col("day") == day(58)).then(99.0).otherwise("units"))
    found, told = said(plain, frame)
    assert len(told) == 1 and "3 values are others than the run knows (series '1' at 2024-02-28: 99, it was" in told[0]
    assert not found.equals(said(plain, rows(50, 62))[0])


def test_revised_prices_are_told(priced: gatework.Forecaster) -> None:
    told = said(priced, rows(50, 64, price=pl.col("price") + 1, units=pl.when(pl.col("day") < day(61)).then("units")))[
        1
    ]
    assert len(told) == 1 and "30 values are others than the run knows" in told[0]
    shown = re.search(r"column 'price': ([\d.]+), it was ([\d.]+)\)", told[0])
    assert shown and float(shown[1]) - float(shown[2]) == pytest.approx(1, abs=1e-4)


# -- what is known ahead ----------------------------------------------------------------------------------------


def ahead(**columns: Any) -> pl.DataFrame:
    return rows(60, 63, units=pl.lit(None, pl.Float64), **columns)


def test_one_absent_row_stops_no_other_series(priced: gatework.Forecaster) -> None:
    whole, lacks = priced.predict(3, ahead()), ahead().filter((pl.col("shop") != "4") | (pl.col("day") != day(61)))
    with pytest.raises(DataError, match="4: price at 1 step, 2024-03-02") as error:
        priced.predict(3, lacks)
    assert "lacking=skip" in str(error.value) and "lacking=fill" in str(error.value)
    found, told = said(priced, lacks, lacking="skip")
    assert found.equals(whole.filter(pl.col("series") != "4"))
    assert len(told) == 1 and "not forecast: 1 series lacks price" in told[0] and "4: price at 1 step, " in told[0]
    found, told = said(priced, lacks, lacking="fill")
    price = pl.when((pl.col("shop") == "4") & (pl.col("day") == day(61))).then(pl.col("price").shift(1))
    filled = priced.predict(3, ahead(price=price.otherwise("price")))
    assert found.equals(filled), "the price of the day before stands for it"
    assert len(told) == 1 and "the last value known before stands for price" in told[0]


def test_without_any_row_ahead_the_last_price_goes_on(priced: gatework.Forecaster) -> None:
    """Nothing to skip to, so only filling is offered; it works with no rows at all."""
    with pytest.raises(DataError) as error:
        priced.predict()
    assert "lacking=fill" in str(error.value) and "skip" not in str(error.value)
    with pytest.raises(DataError, match="predict needs price"):
        priced.predict(lacking="skip")
    with pytest.warns(UserWarning, match="the last value known before"):
        found = priced.predict(lacking="fill")
    last = rows(59, 60).select("shop", kept="price")
    assert found.equals(priced.predict(3, ahead().join(last, on="shop").with_columns(price="kept").drop("kept")))


def test_series_without_rows_are_not_forecast_and_said_to_be(plain: gatework.Forecaster) -> None:
    found, told = said(plain, rows(60, 65).filter(pl.col("shop") != "4"))
    assert sorted(found["series"].unique()) == ["1", "7"]
    assert told == ["the given rows: no row of 1 of the 3 series that the run knows (4): these are not forecast"]


def test_no_rows_at_all_are_refused(plain: gatework.Forecaster) -> None:
    with pytest.raises(DataError, match="has no rows"):
        plain.predict(2, rows(60, 65).head(0))


@pytest.mark.parametrize("wrong", [2.5, 2.0, 0, -1, True, "3"])
def test_steps_are_whole_numbers(plain: gatework.Forecaster, wrong: Any) -> None:
    with pytest.raises(OptionError, match="whole number"):
        plain.predict(wrong)


def test_numpy_numbers_are_steps_too(plain: gatework.Forecaster) -> None:
    assert plain.predict(np.int64(2)).height == 6  # pyright: ignore[reportArgumentType] (what people pass)
    with pytest.raises(OptionError, match="horizon"):
        plain.trained_.predict(None, horizon=2.5)
    with pytest.raises(OptionError, match="more than the 100,000 steps"):
        plain.predict(10**9)


# -- hopeless series --------------------------------------------------------------------------------------------

BROKEN: dict[str, Any] = {
    "a text": lambda f: f.with_columns(pl.col("units").cast(pl.String)).with_columns(
        units=pl.when((pl.col("shop") == "4") & (pl.col("day") == day(5))).then(pl.lit("n/k")).otherwise("units")
    ),
    "infinite": lambda f: f.with_columns(
        units=pl.when((pl.col("shop") == "4") & (pl.col("day") == day(5))).then(float("inf")).otherwise("units")
    ),
    "no date": lambda f: f.with_columns(
        day=pl.when((pl.col("shop") == "4") & (pl.col("day") == day(5))).then(pl.lit("soon")).otherwise("day")
    ),
    "twice": lambda f: pl.concat([f, f.filter((pl.col("shop") == "4") & (pl.col("day") == day(5)))]),
    "weekly": lambda f: f.filter((pl.col("shop") != "4") | pl.int_range(pl.len()).mod(7).eq(0)),
    "another region": lambda f: f.with_columns(
        region=pl.when((pl.col("shop") == "4") & (pl.col("day") == day(5))).then(pl.lit("east")).otherwise("region")
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_one_broken_series_is_refused_or_left_out(kind: str) -> None:
    """The others are as without it, and the warning says what was wrong."""
    options: dict[str, Any] = {**COLUMNS, "covariates": {"static": ["region"]}}
    panel, found = inspect_panel(BROKEN[kind](rows(0, 40)), **options)
    assert any(each.level == "error" and "4" in each.series for each in found)
    panel, found = inspect_panel(BROKEN[kind](rows(0, 40)), **options, bad_series="skip")
    assert panel is not None and panel.names == ("1", "7")
    assert not [each for each in found if each.level == "error"]
    alone = inspect_panel(rows(0, 40).filter(pl.col("shop") != "4"), **options)[0]
    assert alone is not None
    np.testing.assert_array_equal(panel.values, alone.values)
    assert any(each.level == "warning" and "1 series left out (4): " in each.message for each in found)


def test_a_broken_column_of_a_wide_table_is_left_out() -> None:
    wide = {
        "day": [day(k) for k in range(30)],
        "a": [float(k % 7) for k in range(30)],
        "b": ["x", *map(str, range(29))],
    }
    panel, found = inspect_panel(wide, time="day", target=("a", "b"), bad_series="skip")
    assert panel is not None and panel.names == ("a",) and not [each for each in found if each.level == "error"]
    _, found = inspect_panel({**wide, "a": ["y"] * 30}, time="day", target=("a", "b"), bad_series="skip")
    assert any(each.level == "error" for each in found), "nothing would be left"


@pytest.mark.parametrize("kind", ["a text", "weekly", "no value", "one row"])
def test_one_hopeless_series_of_many_stops_no_other(kind: str, tmp_path: Path) -> None:
    """As commands: trained with the flag that the error or nothing asks for, and forecast."""
    frame = rows(0, 60).drop("price", "region", "area")
    if kind == "no value":
        frame = frame.with_columns(units=pl.when(pl.col("shop") != "4").then("units"))
    elif kind == "one row":
        frame = frame.filter((pl.col("shop") != "4") | (pl.col("day") == day(59)))
    else:
        frame = BROKEN[kind](frame)
    frame.write_csv(tmp_path / "sales.csv")
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    columns = ["--time=day", "--target=units", "--series=shop"]
    more = ["--bad-series=skip"] if kind in BROKEN else []
    run = CliRunner().invoke
    trained = run(
        cli.app,
        ["train", "forecast", str(tmp_path / "sales.csv"), *columns, *flags, *more, "--out", str(tmp_path / "run")],
    )
    assert trained.exit_code == 0, trained.output
    shown = run(cli.app, ["predict", str(tmp_path / "run")])
    assert shown.exit_code == 0, shown.output
    assert {line.split(",")[0] for line in shown.stdout.splitlines()[1:]} >= {"1", "7"}
    assert "4" in trained.output and ("left out" in trained.output or kind not in BROKEN)
