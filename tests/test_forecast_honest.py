"""What a forecast says of itself is so: windows enough to judge by, intervals that cover, bounds, words."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from gatework.tasks.forecast import ForecastOptions, ForecastTask
from gatework.tasks.forecast.holdout import APART, FEWEST, SHARE, windows_of

COLUMNS: dict[str, Any] = {"time": "t", "target": ("y",), "series": "s", "frequency": "1i", "classical": "none"}


def panel(*lengths: int) -> pl.DataFrame:
    """Series of noise around a level, as long as these numbers."""
    rng = np.random.default_rng(0)
    rows = [(f"s{s}", t, 10 + rng.normal()) for s, length in enumerate(lengths) for t in range(length)]
    return pl.DataFrame(rows, schema=["s", "t", "y"], orient="row")


# -- windows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("series", [1, 3, 15, 40, 500])
@pytest.mark.parametrize("length", [20, 60, 144, 500, 3_000, 20_000])
@pytest.mark.parametrize("horizon", [1, 8, 24])
def test_windows_are_many_but_no_part_takes_more_than_a_fifth(series: int, length: int, horizon: int) -> None:
    count, stride = windows_of(np.full(series, length), horizon)
    taken = horizon + stride * (count - 1)
    assert 1 <= stride <= horizon and (count == 1 or taken <= SHARE * length)
    if length >= FEWEST * horizon / SHARE:
        assert count * series >= FEWEST and stride == horizon
    if count > 1 and stride < horizon:
        assert SHARE * length / horizon * series < APART + series, "windows overlap where apart they would be few"
    if series >= 100 or length < horizon / SHARE:
        assert count == 1


@pytest.mark.parametrize(
    "options", [{}, {"valid_windows": 3}, {"test_windows": 2, "stride": 2}, {"test_windows": 0}], ids=str
)
def test_the_parts_are_as_the_options_say_and_apart(options: dict[str, Any]) -> None:
    task = ForecastTask(ForecastOptions(**COLUMNS, season=4, lookback=10, horizon=6, **options))
    parts, chosen = task.prepare(panel(130)), task.options
    assert chosen.stride and chosen.valid_windows
    for name, value in options.items():
        assert getattr(chosen, name) == value
    begin = 130
    for part, count in ((parts.test, chosen.test_windows), (parts.valid, chosen.valid_windows)):
        if part is not None:
            assert len(part) == count and set(np.diff(part.cuts)) <= {chosen.stride}
            assert part.cuts.max() + 6 == begin
            begin = int(part.cuts.min())
    assert parts.train.cuts.max() + 6 == begin
    assert options or (chosen.valid_windows, chosen.test_windows, chosen.stride) == (20, 20, 1)


def test_a_far_date_in_one_series_does_not_take_all_windows_of_the_other() -> None:
    count, stride = windows_of(np.array([60_000, 60]), 4)
    assert 4 + stride * (count - 1) <= 60 * SHARE
